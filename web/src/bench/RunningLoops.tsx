// The loops that run or wait.
import { ago, clip, counted } from "../format";
import { to_run } from "../router";
import { now, of_another } from "../store";
import { Empty } from "../shell/States";
import { Outcome } from "../shell/Outcome";
import { Progress } from "../shell/Progress";
import type { RunRow } from "../types";

export function RunningLoops({ loops }: { loops: RunRow[] }) {
  return (
    <section class="loops" aria-labelledby="loops">
      <h2 id="loops">Running loops</h2>
      {loops.length === 0 ? (
        <Empty title="No loop is running." command="lathe loop fix-tests --input . --out fixed --watch"><p class="dim">A loop that runs anywhere on this box appears here.</p></Empty>
      ) : (
        <ul class="cards">
          {loops.map((row) => (
            <li key={row.id}>
              <a class="card" href={of_another(row) ? undefined : to_run(row.id)}>
                <span class="card-head"><strong>{row.recipe}</strong><Outcome word={row.state} /></span>
                <span class="dim">{of_another(row) ? `of ${row.by}` : clip(row.title, 120)}</span>
                {row.units !== null && <Progress done={row.units_passed ?? 0} of={row.units} />}
                <span class="note">
                  {row.units === null ? counted(row.records, "record") : `${row.units_passed ?? 0} of ${counted(row.units, "unit")} passed`} · begun {ago(row.created_ms, now.value)}
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
