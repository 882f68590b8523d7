// The places that a narrow window's bar has no room for.
import { ask, fault_of } from "../api";
import { actionFault, keyWanted, session } from "../store";
import { kMain, kPlaces, Place } from "./Nav";
import { FaultNote, Heading } from "./States";
import { ThemeSwitch } from "./ThemeSwitch";

async function leave(): Promise<void> {
  try {
    await ask("DELETE", "/v1/session");
    session.value = null;
    keyWanted.value = true;
  } catch (problem) {
    actionFault.value = fault_of(problem);
  }
}

export function MoreView() {
  return (
    <>
      <Heading title="More" />
      {actionFault.value && <FaultNote fault={actionFault.value} again={false} />}
      <ul class="places">
        {kPlaces.slice(kMain).map(([view, name]) => <li key={view}><Place view={view} name={name} /></li>)}
      </ul>
      <section class="panel">
        <h2>Theme</h2>
        <ThemeSwitch />
      </section>
      {session.value?.keys && (
        <section class="panel">
          <h2>Key</h2>
          <p>You are here as <strong>{session.value.name}</strong>.</p>
          <button type="button" onClick={() => void leave()}>Forget my key</button>
        </section>
      )}
    </>
  );
}
