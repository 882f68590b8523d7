// Four figures that one looks at from across the room.
import { bytes, count, percent } from "../format";
import { moments } from "../store";
import type { Pool } from "../types";
import { Sparkline } from "../shell/Sparkline";

function Gauge({ name, value, unit, children }: { name: string; value: string; unit?: string; children?: preact.ComponentChildren }) {
  return (
    <div class="gauge">
      <dt>{name}</dt>
      <dd>
        <span class="figure">{value}</span>
        {unit && <span class="unit-of"> {unit}</span>}
        {children}
      </dd>
    </div>
  );
}

export function Gauges({ pool }: { pool: Pool }) {
  const sum = (of: (model: Pool["models"][number]) => number) => pool.models.reduce((all, model) => all + of(model), 0);
  const speed = sum((model) => model.tokens_per_second);
  const running = sum((model) => model.running);
  const waiting = sum((model) => model.waiting) + pool.queued;
  const { watts, why, scope } = pool.energy;
  return (
    <dl class="gauges">
      <Gauge name="Speed" value={speed < 100 ? speed.toFixed(1) : count(Math.round(speed))} unit="tokens/s">
        <Sparkline values={moments.value.map((each) => each.tokens)} label="tokens a second over the last minutes" />
      </Gauge>
      <Gauge name="Streams" value={count(running)} unit={running === 1 ? "stream" : "streams"}>
        <p class="note">{waiting === 0 ? "nothing waits" : `${count(waiting)} waiting`}</p>
      </Gauge>
      <Gauge name="Memory" value={percent(pool.memory_limit === 0 ? 0 : pool.memory_booked / pool.memory_limit)} unit="booked">
        <p class="note">{bytes(pool.memory_booked)} of {bytes(pool.memory_limit)}</p>
      </Gauge>
      {watts === null ? (
        <Gauge name="Energy" value="–">
          <p class="note">{why === "" ? "not readable here" : why}</p>
        </Gauge>
      ) : (
        <Gauge name="Energy" value={watts.toFixed(watts < 10 ? 1 : 0)} unit="W">
          {moments.value.length > 1 && <Sparkline values={moments.value.map((each) => each.watts ?? 0)} label="watts over the last minutes" />}
          {scope !== "" && <p class="note">{scope}</p>}
        </Gauge>
      )}
    </dl>
  );
}
