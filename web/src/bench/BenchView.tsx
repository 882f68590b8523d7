// Home: what the machine holds and does, now.
import { actionFault, pool } from "../store";
import { FaultNote, Heading, When } from "../shell/States";
import { FirstVisit } from "./FirstVisit";
import { Gauges } from "./Gauges";
import { MemoryPool } from "./MemoryPool";
import { ModelList } from "./ModelList";
import { RunningLoops } from "./RunningLoops";

export function BenchView() {
  return (
    <>
      <Heading title="Bench" below={<p class="dim">What this box holds and does, now.</p>} />
      {actionFault.value && <FaultNote fault={actionFault.value} again={false} />}
      <When of={pool.value} what="the bench">
        {(value) => (
          <>
            {value.models.length === 0 && <FirstVisit />}
            <Gauges pool={value} />
            <div class="bench-columns">
              <div>
                <MemoryPool pool={value} />
                <ModelList pool={value} />
              </div>
              <RunningLoops loops={value.loops} />
            </div>
          </>
        )}
      </When>
    </>
  );
}
