// What the next answer is made with.
import { bytes, count } from "../format";
import { chatSettings, type ChatSettings } from "../store";
import type { Model } from "../types";

function set(change: Partial<ChatSettings>): void {
  chatSettings.value = { ...chatSettings.value, ...change };
}

export function Settings({ models }: { models: Model[] }) {
  const { model, system, temperature, maxTokens, schema } = chatSettings.value;
  const chosen = models.find((each) => each.id === model);
  return (
    <aside class="panel chat-settings" aria-label="Settings">
      <label>
        Model
        <select value={model} onChange={(event) => set({ model: event.currentTarget.value })}>
          {models.map((each) => <option key={each.id} value={each.id}>{each.id}</option>)}
        </select>
      </label>
      {chosen && (
        <p class="note">
          {chosen.state === "ready" ? "in memory" : "is loaded when it is asked"} · {bytes(chosen.meta.size)} · context {count(chosen.max_model_len)}
          {chosen.capabilities.includes("vision") && " · sees"}{chosen.capabilities.includes("audio") && " · hears"}
        </p>
      )}
      <label>System words<textarea rows={4} value={system} onInput={(event) => set({ system: event.currentTarget.value })} /></label>
      <div class="pair">
        <label>Temperature<input inputMode="decimal" placeholder="0.8" value={temperature} onInput={(event) => set({ temperature: event.currentTarget.value })} /></label>
        <label>Most tokens<input inputMode="numeric" placeholder="8192" value={maxTokens} onInput={(event) => set({ maxTokens: event.currentTarget.value })} /></label>
      </div>
      <label>JSON schema of the answer<textarea class="mono" rows={5} placeholder='{"type": "object"}' value={schema} onInput={(event) => set({ schema: event.currentTarget.value })} /></label>
    </aside>
  );
}
