// The talks that are kept: to find one, go on with it, or forget it.
import { ago, bytes, counted } from "../format";
import { chats, chatSearch, forgetting, keepTalks, kept, now } from "../store";
import type { ChatRow } from "../types";
import { to_chat } from "../router";
import { FaultNote, Loading } from "../shell/States";
import { forget_talk, load_chats } from "./kept";

function Row({ row }: { row: ChatRow }) {
  const title = row.title === "" ? "(no words)" : row.title;
  return (
    <li class="kept-row">
      <a href={to_chat(row.id)} aria-current={kept.value?.id === row.id ? "true" : undefined}>{title}</a>
      <span class="note">{ago(row.changed_ms, now.value)}{row.bytes > 1_000_000 && ` · ${bytes(row.bytes)}`}</span>
      {forgetting.value === row.id ? (
        <span>
          <button type="button" class="quiet fail-text" onClick={() => void forget_talk(row.id)}>Forget it for good</button>
          <button type="button" class="quiet" onClick={() => (forgetting.value = "")}>Keep it</button>
        </span>
      ) : (
        <button type="button" class="quiet" aria-label={`Forget ${title}`} onClick={() => (forgetting.value = row.id)}>✕</button>
      )}
    </li>
  );
}

function Others({ others }: { others: { key: string; chats: number }[] }) {
  const count = others.reduce((sum, each) => sum + each.chats, 0);
  return count === 0 ? null : <p class="note">{counted(others.length, "other key")} {others.length === 1 ? "keeps" : "keep"} {counted(count, "talk")} here. What they say is theirs alone.</p>;
}

export function TalkList() {
  const book = chats.value;
  return (
    <aside class="panel kept" aria-label="Kept talks">
      <h2>Talks</h2>
      <input
        type="search" placeholder="Find words" aria-label="Find talks by their words" value={chatSearch.value}
        onInput={(event) => {
          chatSearch.value = event.currentTarget.value;
          void load_chats();
        }}
      />
      {book.state === "loading" && <Loading what="the talks" />}
      {book.state === "failed" && <FaultNote fault={book.fault} />}
      {book.state === "ready" && (
        <>
          {book.value.data.length === 0 && <p class="note">{chatSearch.value.trim() === "" ? "None is kept yet." : "None has these words."}</p>}
          <ul class="kept-list">{book.value.data.map((row) => <Row key={row.id} row={row} />)}</ul>
          {book.value.next !== null && <button type="button" class="quiet" onClick={() => void load_chats(true)}>Older ones</button>}
          <Others others={book.value.others} />
        </>
      )}
      <label class="check"><input type="checkbox" checked={keepTalks.value} onChange={(event) => (keepTalks.value = event.currentTarget.checked)} /> Keep what is said, on this server, for you alone</label>
    </aside>
  );
}
