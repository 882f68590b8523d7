// A run: how far it is, its units by laps, and one unit beside them.
import { ago, clip, count, day_time, duration, energy } from "../format";
import { to_judge } from "../router";
import { actionFault, busy, events, now, owner, route, run, tracksFault, watching, width } from "../store";
import { Outcome } from "../shell/Outcome";
import { Command, FaultNote, Heading, When } from "../shell/States";
import type { Run } from "../types";
import { Curve } from "./Curve";
import { Grid } from "./Grid";
import { change_run } from "./load";
import { UnitDetail } from "./UnitDetail";
import { Yield } from "./Yield";
import { Whole } from "./Verdict";

export const kSideBySide = 1000; // pixels of the window

const kWatching: Record<typeof watching.value, string> = {
  off: "", live: "live", lost: "connection lost, trying again", ended: "", removed: "removed",
};

function Live() {
  const word = kWatching[watching.value];
  return word === "" ? null : <span class={`live ${watching.value}`}><i aria-hidden="true" />{word}</span>;
}

function Actions({ value }: { value: Run }) {
  const id = route.value.id;
  const running = value.state === "running" || value.state === "queued";
  return (
    <>
      {running && <button type="button" disabled={busy.value !== ""} onClick={() => void change_run(id, "stop")}>Stop</button>}
      {owner.value && (value.state === "stopped" || value.state === "not_judged") && (
        <button type="button" class="primary" disabled={busy.value !== ""} onClick={() => void change_run(id, "resume")}>Resume</button>
      )}
      <a class="button" href={to_judge(id)}>Judge it</a>
    </>
  );
}

// As the budgets count: milliseconds, billionths of money, joules, pieces.
function amount(budget: string, value: number): string {
  if (budget === "time") return duration(value);
  if (budget === "money") return (value / 1e9).toFixed(4);
  return budget === "energy" ? energy(1000 * value) : count(Math.round(value));
}

function Facts({ value }: { value: Run }) {
  const limited = value.spent.filter((row) => row.limit !== null);
  return (
    <dl class="facts">
      <div class="fact-main"><dt>passed</dt><dd><b>{count(value.units_passed)}</b> of {count(value.units)}</dd></div>
      <div><dt>laps</dt><dd>{count(value.laps)}</dd></div>
      {!limited.some((row) => row.name === "time") && <div><dt>working time</dt><dd>{duration(value.t_ms)}</dd></div>}
      <div><dt>begun</dt><dd title={day_time(value.created_ms)}>{ago(value.created_ms, now.value)}</dd></div>
      {limited.map((row) => (
        <div key={row.name}><dt>{row.name === "time" ? "working time" : row.name}</dt><dd>{row.spent === null ? "not readable" : amount(row.name, row.spent)} of {amount(row.name, row.limit!)}</dd></div>
      ))}
    </dl>
  );
}

function EventLog() {
  const lines = events.value.slice(-40).reverse();
  return (
    <details class="event-log">
      <summary>What happened while you watched ({events.value.length})</summary>
      {lines.length === 0 ? <p class="dim">Nothing yet.</p> : <ol>{lines.map((each) => <li key={each.seq}><span class="dim num">{duration(each.t_ms)}</span> {clip(each.line, 400)}</li>)}</ol>}
    </details>
  );
}

function Ready({ value }: { value: Run }) {
  const { id, unit } = route.value;
  const narrow = width.value < kSideBySide;
  return (
    <>
      <Heading
        title={value.recipe}
        below={
          <p class="run-line">
            <Outcome word={value.state} /> <Live /> <span class="dim">{clip(value.title, 160)} · <span class="mono">{id}</span></span>
          </p>
        }
      >
        <Actions value={value} />
      </Heading>
      {actionFault.value && <FaultNote fault={actionFault.value} again={false} />}
      {tracksFault.value && <FaultNote fault={tracksFault.value} />}
      {narrow && unit !== null ? (
        <UnitDetail id={id} narrow />
      ) : (
        <>
          <div class="run-top">
            <Facts value={value} />
            {value.yield.curve.length > 1 && <Curve curve={value.yield.curve} />}
          </div>
          {value.waits.map((each) => <p key={each} class="why"><span class="dim">waits for you</span> {clip(each, 300)} <a href="#/consent">Consent</a></p>)}
          {value.why !== "" && <p class="why"><span class="dim">why it ended</span> {clip(value.why, 300)} {value.caveats !== "" && <span class="doubt-text">{clip(value.caveats, 300)}</span>}</p>}
          {value.state === "stopped" && !owner.value && <Command line={`lathe resume ${id}`} />}
          <div class={unit === null || narrow ? "run-body" : "run-body split"}>
            <Grid id={id} />
            {unit !== null && <UnitDetail id={id} narrow={false} />}
          </div>
          <Whole verdicts={value.whole} rubrics={value.rubrics} calls={value.whole_calls} />
          <Yield value={value} />
          <EventLog />
        </>
      )}
    </>
  );
}

export function RunView() {
  return run.value.state === "ready" ? (
    <Ready value={run.value.value} />
  ) : (
    <>
      <Heading title={route.value.id} />
      <When of={run.value} what="the run">{() => null}</When>
    </>
  );
}
