// Where the next question is written.
import { attachments, chatSettings, draft, turns } from "../store";
import type { Model } from "../types";
import { attach, send, stop_answer } from "./talk";

const kDocuments = ".pdf,.docx,.odt,.html,.htm,.md,.csv,text/*"; // read by the server for any model

export function Composer({ models }: { models: Model[] }) {
  const able = models.find((model) => model.id === chatSettings.value.model)?.capabilities ?? [];
  const kinds = [able.includes("vision") ? "image/png,image/jpeg,image/webp,image/gif" : "", able.includes("audio") ? "audio/*" : "", kDocuments].filter(Boolean).join(",");
  const names = [able.includes("vision") ? "picture" : "", able.includes("audio") ? "sound" : "", "document"].filter(Boolean);
  const open = turns.value.at(-1)?.open ?? false;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {attachments.value.length > 0 && (
        <ul class="attachments">
          {attachments.value.map((file, i) => (
            <li key={i}>{file.name} <button type="button" class="quiet" aria-label={`Leave out ${file.name}`} onClick={() => (attachments.value = attachments.value.filter((_, k) => k !== i))}>✕</button></li>
          ))}
        </ul>
      )}
      <textarea
        rows={3} placeholder="Ask something" aria-label="Your question" value={draft.value}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          if (!open) void send();
        }}
      />
      <div class="composer-foot">
        <label class="button file-button">
          Add a {names.length > 1 ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}` : names[0]}
          <input type="file" class="visually-hidden" multiple accept={kinds} onChange={(event) => void attach(event.currentTarget.files)} />
        </label>
        <span class="note grow">Enter sends, Shift+Enter is a new line</span>
        {open ? <button type="button" onClick={stop_answer}>Stop</button> : <button type="submit" class="primary">Send</button>}
      </div>
    </form>
  );
}
