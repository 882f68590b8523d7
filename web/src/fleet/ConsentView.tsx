// What would leave this machine for a cloud, to be read before it does: byte for byte, with what it holds.
import { Fragment } from "preact";
import { to_consent, to_run } from "../router";
import { consent, consentFault, consents, route, secretsOk } from "../store";
import { Outcome, type Tone } from "../shell/Outcome";
import { Command, Empty, FaultNote, Heading, When } from "../shell/States";
import type { Consent, Consents } from "../types";
import { decide, in_order, may_allow } from "./consents";

const kTones: Record<string, Tone> = { asked: "busy", allowed: "pass", refused: "fail" };

function Decision({ decision }: { decision: string }) {
  return <Outcome word={decision === "asked" ? "waits" : decision} tone={kTones[decision] ?? "idle"} />;
}

// A long one breaks behind its slashes and before its port; inside a part only where that is wider than the window.
function Place({ address }: { address: string }) {
  return <>{address.split(/(?<=\/)|(?=:\d)/).map((part, i) => <Fragment key={i}>{part}<wbr /></Fragment>)}</>;
}

function Row({ row }: { row: Consents["data"][number] }) {
  return (
    <li>
      <a class="card" href={to_consent(row.id)} aria-current={route.value.id === row.id ? "true" : undefined}>
        <span class="card-head"><strong><Place address={row.destination} /></strong><Decision decision={row.decision} /></span>
        <span class="dim">{row.model}, {row.bytes} bytes, {row.price}</span>
        {row.secrets.length > 0 && <span class="note">holds {row.secrets.join(", ")}</span>}
      </a>
    </li>
  );
}

// Each kind is named by itself: one hasty key lets no secret go.
function Secrets({ kinds }: { kinds: string[] }) {
  if (kinds.length === 0) return null;
  return (
    <fieldset class="consent-secrets">
      <legend>It holds what looks like a secret</legend>
      {kinds.map((kind) => (
        <label key={kind}>
          <input
            type="checkbox" checked={secretsOk.value.includes(kind)}
            onChange={(event) => (secretsOk.value = event.currentTarget.checked ? [...secretsOk.value, kind] : secretsOk.value.filter((each) => each !== kind))}
          />{" "}
          {kind} may go all the same
        </label>
      ))}
    </fieldset>
  );
}

function Text({ value }: { value: Consent }) {
  return (
    <section class="panel consent" aria-labelledby="consent-place">
      <header class="unit-head"><h2 id="consent-place"><Place address={value.destination} /></h2><Decision decision={value.decision} /></header>
      <dl class="model-facts">
        <div><dt class="visually-hidden">model</dt><dd>{value.model}</dd></div>
        <div><dt class="visually-hidden">size</dt><dd><b>{value.bytes}</b> bytes</dd></div>
        <div><dt class="visually-hidden">tokens</dt><dd>{value.tokens}</dd></div>
        <div><dt class="visually-hidden">price</dt><dd>price {value.price}</dd></div>
        {value.run !== "" && <div><dt class="visually-hidden">run</dt><dd><a href={to_run(value.run)}>{value.run}</a></dd></div>}
      </dl>
      {value.files !== "" && <p class="note">Files: {value.files}</p>}
      <Secrets kinds={value.secrets} />
      <pre class="artifact-text" tabIndex={0} aria-label="the exact text">{value.text}</pre>
      {!value.whole && <p class="note">Not all of it can be shown here: <code>lathe consent show {value.id}</code> prints every byte.</p>}
      {consentFault.value && <FaultNote fault={consentFault.value} again={false} />}
      <div class="judge-actions">
        <button type="button" class="accept" disabled={!may_allow()} onClick={() => void decide(true)}><span class="glyph" aria-hidden="true">✓</span> Let it go <kbd>a</kbd></button>
        <button type="button" class="reject" onClick={() => void decide(false)}><span class="glyph" aria-hidden="true">✕</span> Keep it here <kbd>d</kbd></button>
      </div>
      <p class="note num">sha256 {value.sha256}</p>
    </section>
  );
}

export function ConsentView() {
  return (
    <>
      <Heading title="Consent" below={<p class="dim">The exact text that would leave for a cloud, before it leaves.</p>} />
      <When of={consents.value} what="what waits for your word">
        {(value) =>
          value.data.length === 0 ? (
            <Empty title="Nothing was to leave for a cloud yet." command="lathe egress"><p class="dim">Requests for consent come when a run asks a worker that is a cloud. Who was spoken to is written down:</p></Empty>
          ) : (
            <>
              <p class="dim" role="status">{value.open === 0 ? "Nothing waits for your word." : value.open === 1 ? "One request waits for your word." : `${value.open} requests wait for your word.`}</p>
              <ul class="cards judge-cards consents">{in_order(value).map((row) => <Row key={row.id} row={row} />)}</ul>
              {route.value.id !== "" && <When of={consent.value} what="the text">{(shown) => <Text value={shown} />}</When>}
              <p class="note">Consents that stand, for a place, for files and for so much money a day:</p>
              <Command line="lathe consent rule add --help" />
            </>
          )
        }
      </When>
    </>
  );
}
