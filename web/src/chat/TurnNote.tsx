// One thing that was said.
import { Markdown } from "../shell/Markdown";
import { money } from "../format";
import { FaultNote } from "../shell/States";
import { Folded } from "../run/Folded";
import { speaking, voices, type Turn } from "../store";
import { speak, spoken_text, stop_speech } from "./speech";
import { retry } from "./talk";

function Hear({ turn, index }: { turn: Turn; index: number }) {
  if (voices.value === 0 || spoken_text(turn.text) === "") return null;
  return speaking.value === index ? (
    <button type="button" class="quiet" onClick={stop_speech}>Silence</button>
  ) : (
    <button type="button" class="quiet" onClick={() => void speak(index, turn.text)}>Hear it</button>
  );
}

function Prices({ turn }: { turn: Turn }) {
  if (turn.prices.length === 0) return null;
  return (
    <ul class="prices note" aria-label="What it is priced at">
      {turn.prices.map((price) => (
        <li key={price.what}>
          priced at {price.low_nano !== price.high_nano && `${money(price.low_nano, "")}to `}{money(price.high_nano, price.currency)}: {price.what} ({price.basis})
        </li>
      ))}
    </ul>
  );
}

export function TurnNote({ turn, index, last }: { turn: Turn; index: number; last: boolean }) {
  const mine = turn.role === "user";
  return (
    <li class={`turn ${turn.role}`}>
      <span class="visually-hidden">{mine ? "You" : "The model"}:</span>
      {turn.attachments.map((file, i) =>
        file.type.startsWith("image/") ? <img key={i} class="attached" src={file.data} alt={file.name} /> : <p key={i} class="note">{file.type.startsWith("audio/") ? "♪" : "▤"} {file.name}</p>,
      )}
      {turn.thinking !== "" && <Folded title="What it thought first"><p class="pre-line dim">{turn.thinking}</p></Folded>}
      {mine ? <p class="pre-line">{turn.text}</p> : <div class="prose" aria-busy={turn.open}><Markdown text={turn.text} /></div>}
      {turn.open && turn.text === "" && <p class="note" role="status">◌ reading the prompt</p>}
      {turn.fault && <FaultNote fault={turn.fault} again={false} />}
      {!mine && !turn.open && (
        <p class="turn-foot note">
          {turn.note}{turn.seed !== null && ` · seed ${turn.seed}`}
          <span>
            <Hear turn={turn} index={index} />
            {last && <button type="button" class="quiet" onClick={() => void retry()}>Retry with another seed</button>}
          </span>
        </p>
      )}
      <Prices turn={turn} />
    </li>
  );
}
