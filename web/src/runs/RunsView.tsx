// All runs, newest first.
import { ago, clip, counted, day_time } from "../format";
import { to_run } from "../router";
import { now, of_another, runs, runsNext } from "../store";
import { Empty, Heading, When } from "../shell/States";
import { Outcome } from "../shell/Outcome";
import { Progress } from "../shell/Progress";
import type { RunRow } from "../types";
import { load_more_runs } from "./load";
import { BeginRun } from "./NewRun";

function Row({ row }: { row: RunRow }) {
  return (
    <li>
      <a class="run-row" href={of_another(row) ? undefined : to_run(row.id)}>
        <span class="run-what"><strong>{row.recipe}</strong><span class="dim">{of_another(row) ? `of ${row.by}` : clip(row.title, 160)}</span></span>
        <Outcome word={row.state} />
        <span class="run-progress">
          {row.units !== null && <Progress done={row.units_passed ?? 0} of={row.units} />}
          <span class="note">{row.units === null ? counted(row.records, "record") : `${row.units_passed ?? 0} of ${counted(row.units, "unit")}`}</span>
        </span>
        <time class="note" dateTime={row.created} title={day_time(row.created_ms)}>{ago(row.created_ms, now.value)}</time>
      </a>
    </li>
  );
}

export function RunsView() {
  return (
    <>
      <Heading title="Runs" below={<p class="dim">Every loop that was begun on this box, newest first.</p>} />
      <BeginRun />
      <When of={runs.value} what="runs">
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="No run has been begun yet." command="lathe loop voice-over --input script.md --out takes --watch"><p class="dim">`make demo` in the repository runs all of the examples.</p></Empty>
          ) : (
            <>
              <ul class="run-rows">{rows.map((row) => <Row key={row.id} row={row} />)}</ul>
              {runsNext.value !== null && <button type="button" onClick={() => void load_more_runs()}>Older runs</button>}
            </>
          )
        }
      </When>
    </>
  );
}
