// The memory of all models: one bar by what it is for, and the same as a table.
import { bytes, percent } from "../format";
import type { Pool } from "../types";

const kTags = ["weights", "kv", "prefix", "scratch", "media", "program"] as const;
const kWords: Record<(typeof kTags)[number], string> = {
  weights: "weights",
  kv: "running talks (KV)",
  prefix: "remembered prefixes",
  scratch: "scratch",
  media: "pictures and sounds",
  program: "other programs",
};

export function MemoryPool({ pool }: { pool: Pool }) {
  const parts = kTags.map((tag) => ({ tag, bytes: pool.models.reduce((sum, model) => sum + model[tag], 0) }));
  const free = Math.max(0, pool.memory_limit - pool.memory_booked);
  const whole = Math.max(1, pool.memory_limit, pool.memory_booked);
  const devices = Object.entries(pool.devices);
  return (
    <section class="panel" aria-labelledby="memory">
      <h2 id="memory">Memory pool</h2>
      <div class="memory-bar" role="img" aria-label={`${bytes(pool.memory_booked)} of ${bytes(pool.memory_limit)} booked; the table below has the parts`}>
        {parts.filter((part) => part.bytes > 0).map((part) => <i key={part.tag} class={`tag-${part.tag}`} style={{ width: `${(100 * part.bytes) / whole}%` }} />)}
      </div>
      <table class="legend">
        <thead class="visually-hidden">
          <tr><th scope="col">for</th><th scope="col">booked</th><th scope="col">share</th></tr>
        </thead>
        <tbody>
          {parts.filter((part) => part.bytes > 0 || part.tag === "weights").map((part) => (
            <tr key={part.tag}>
              <th scope="row"><i class={`swatch tag-${part.tag}`} />{kWords[part.tag]}</th>
              <td>{bytes(part.bytes)}</td>
              <td class="dim">{percent(part.bytes / whole)}</td>
            </tr>
          ))}
          <tr>
            <th scope="row"><i class="swatch tag-free" />free for models</th>
            <td>{bytes(free)}</td>
            <td class="dim">{percent(free / whole)}</td>
          </tr>
        </tbody>
      </table>
      {devices.length > 1 && (
        <table class="lines">
          <caption>By device</caption>
          <thead><tr><th scope="col">device</th><th scope="col" class="num">booked</th><th scope="col" class="num">limit</th></tr></thead>
          <tbody>
            {devices.map(([name, device]) => (
              <tr key={name}><th scope="row">{name}</th><td class="num">{bytes(device.booked)}</td><td class="num">{bytes(device.limit)}</td></tr>
            ))}
          </tbody>
        </table>
      )}
      <p class="note">The process itself has {bytes(pool.resident)} resident.</p>
    </section>
  );
}
