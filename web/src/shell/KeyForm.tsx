// A key is typed once; from then on a cookie stands for it that no script can read.
import { ask, fault_of } from "../api";
import { keyFault, keyTyped, keyWanted } from "../store";
import { load_session, reload } from "./load";
import { Heading } from "./States";

async function enter(event: Event): Promise<void> {
  event.preventDefault();
  try {
    await ask("POST", "/v1/session", {}, { headers: { Authorization: `Bearer ${keyTyped.value}` } });
    keyTyped.value = "";
    keyFault.value = "";
    keyWanted.value = false;
    await load_session();
    reload();
  } catch (problem) {
    keyFault.value = fault_of(problem).message;
  }
}

export function KeyForm() {
  return (
    <>
      <Heading title="A key, please" below={<p class="dim">This server answers whoever has a key. It is typed once and kept for twelve hours, where no script can read it.</p>} />
      <form class="panel key-form" onSubmit={(event) => void enter(event)}>
        <label>
          Key
          <input type="password" autocomplete="off" value={keyTyped.value} aria-describedby="key-fault" onInput={(event) => (keyTyped.value = event.currentTarget.value)} />
        </label>
        <p id="key-fault" class="fail-text" role="alert">{keyFault.value}</p>
        <button class="primary" type="submit" disabled={keyTyped.value === ""}>Enter</button>
      </form>
    </>
  );
}
