// A take to listen to, with each word at its time; a word that is wrong says what was heard.
import { blob_path } from "../api";
import { seconds } from "../format";
import { playhead } from "../store";
import type { Candidate, Exhibit } from "../types";

type Word = Exhibit["words"][number];

function play_at(blob: string, time: number): void {
  const player = document.getElementById(`player-${blob}`);
  if (!(player instanceof HTMLAudioElement)) return;
  player.currentTime = time;
  void player.play().catch(() => undefined); // a browser may want a person's hand
}

function WordButton({ word, blob }: { word: Word; blob: string }) {
  const right = word.match === "right" || word.match === "";
  const at = playhead.value.blob === blob ? playhead.value.seconds : -1;
  const now = at >= word.start && at < word.end;
  return (
    <button type="button" class={`word ${right ? "right" : "wrong"}${now ? " now" : ""}`} onClick={() => play_at(blob, word.start)}>
      {right ? (
        word.expected || word.heard
      ) : (
        <>
          <span class="glyph" aria-hidden="true">✕</span>
          {word.expected === "" ? <span>nothing</span> : word.expected}
          <span class="heard">{word.heard === "" ? "not heard" : `heard “${word.heard}”`}</span>
        </>
      )}
      <span class="time">{seconds(word.start)}</span>
    </button>
  );
}

export function Sound({ candidate }: { candidate: Candidate }) {
  const { blob } = candidate;
  const heard = candidate.verdicts.flatMap((verdict) => verdict.exhibits.filter((each) => each.kind === "sound").map((each) => ({ judge: verdict.judge, words: each.words })));
  return (
    <div class="sound">
      <audio id={`player-${blob}`} controls preload="metadata" src={blob_path(blob)} aria-label="the take" onTimeUpdate={(event) => (playhead.value = { blob, seconds: event.currentTarget.currentTime })} />
      {heard.map(({ judge, words }, i) => (
        <div key={i}>
          <p class="note">as {judge} heard it; a word plays from its time</p>
          <p class="words">{words.slice(0, 2000).map((word, k) => <WordButton key={k} word={word} blob={blob} />)}</p>
        </div>
      ))}
    </div>
  );
}
