// One unit: its laps, the artifact of one of them, and all that was said of it.
import { clip, count, duration } from "../format";
import { candidateShown, lapShown, run, unit, value_of } from "../store";
import { Outcome } from "../shell/Outcome";
import { When } from "../shell/States";
import type { Candidate, Lap, Track } from "../types";
import { Artifact } from "./Artifact";
import { close_unit, step } from "./keys";
import { track_tone, track_word } from "./rows";
import { Prompt } from "./Prompt";
import { shown_candidate, shown_lap } from "./unit";
import { VerdictNote } from "./Verdict";
import { Folded, JsonText } from "./Folded";

function Laps({ track, lap }: { track: Track; lap: Lap }) {
  return (
    <div class="segments laps" role="group" aria-label="Laps">
      {track.laps.map((each) => (
        <button
          key={each.lap} type="button" aria-pressed={each.lap === lap.lap}
          onClick={() => {
            lapShown.value = each.lap;
            candidateShown.value = null;
          }}
        >
          lap {each.lap} <span class={each.gained ? "gain-text" : "dim"} aria-hidden="true">{!each.closed ? "◌" : each.gained ? "▲" : "–"}</span>
          <span class="visually-hidden">{!each.closed ? "under way" : each.gained ? "taken" : "not taken"}</span>
        </button>
      ))}
    </div>
  );
}

function Candidates({ lap, shown }: { lap: Lap; shown: Candidate }) {
  if (lap.candidates.length < 2) return null;
  return (
    <div class="segments" role="group" aria-label="Candidates">
      {lap.candidates.map((each) => (
        <button key={each.n} type="button" aria-pressed={each.n === shown.n} onClick={() => (candidateShown.value = each.n)}>
          {each.n + 1}{each.n === lap.best ? " · best" : ""}
        </button>
      ))}
    </div>
  );
}

function usage_words(candidate: Candidate): string {
  const usage = candidate.usage ?? {};
  const tokens = (name: string) => (typeof usage[name] === "number" ? (usage[name] as number) : 0);
  const words: string[] = [];
  if (candidate.worker) words.push(candidate.worker);
  if (candidate.ms !== null) words.push(duration(candidate.ms));
  if (tokens("prompt_tokens") > 0) words.push(`${count(tokens("prompt_tokens"))} tokens read, ${count(tokens("cached_tokens"))} of them remembered`);
  if (tokens("completion_tokens") > 0) words.push(`${count(tokens("completion_tokens"))} written`);
  if (tokens("millijoules") > 0) words.push(`${(tokens("millijoules") / 1000).toFixed(1)} J`);
  return words.join(" · ");
}

function CandidateBody({ track, lap, candidate }: { track: Track; lap: Lap; candidate: Candidate }) {
  const took = usage_words(candidate);
  return (
    <>
      {candidate.error !== "" && <pre class="fail-text">{clip_lines(candidate.error)}</pre>}
      {candidate.blob !== "" && <Artifact track={track} lap={lap} candidate={candidate} />}
      {took !== "" && <p class="note">{took}</p>}
      <section class="verdicts" aria-label="Verdicts">
        {candidate.verdicts.map((verdict, i) => (
          <VerdictNote key={`${verdict.judge} ${i}`} verdict={verdict} rubric={value_of(run.value)?.rubrics[verdict.judge] ?? null} />
        ))}
      </section>
      <Calls track={track} lap={lap} candidate={candidate} />
      {candidate.prompt !== null && <Prompt key={candidate.prompt} blob={candidate.prompt} title="The prompt as it was sent" />}
      {calls_of(track, lap, candidate).map((call) => call.judge_name !== "" && call.prompt !== null && (
        <Prompt key={`${call.judge_name} ${call.attempt} ${call.prompt}`} blob={call.prompt} title={`What ${clip(call.judge_name, 60)} was asked`} />
      ))}
      {candidate.facts !== null && candidate.facts !== undefined && <Folded title="How it was made"><JsonText value={candidate.facts} /></Folded>}
    </>
  );
}

function clip_lines(text: string): string {
  return text.length <= 4000 ? text : `${text.slice(0, 4000)}…`;
}

function calls_of(track: Track, lap: Lap, candidate: Candidate) {
  return track.calls.filter((call) => call.lap === lap.lap && call.n === candidate.n);
}

// What was asked, of whom, and how long that took.
function Calls({ track, lap, candidate }: { track: Track; lap: Lap; candidate: Candidate }) {
  const calls = calls_of(track, lap, candidate);
  if (calls.length === 0) return null;
  return (
    <Folded title={`${calls.length} calls`}>
      <table class="lines">
        <thead><tr><th scope="col">call</th><th scope="col">worker</th><th scope="col" class="num">time</th></tr></thead>
        <tbody>
          {calls.map((call, i) => (
            <tr key={i}><th scope="row">{call.judge_name === "" ? "made" : `judged by ${clip(call.judge_name, 60)}`}{call.attempt > 0 && ", again"}</th><td>{clip(call.worker, 60) || "–"}</td><td class="num">{call.under_way ? "under way" : call.reused ? "known already" : call.ms === null ? "–" : duration(call.ms)}</td></tr>
          ))}
        </tbody>
      </table>
    </Folded>
  );
}

function Body({ track }: { track: Track }) {
  const lap = shown_lap(track);
  const candidate = lap ? shown_candidate(lap) : null;
  const key = track.units[0]?.key ?? "";
  return (
    <>
      <header class="unit-head" data-unit={track.index}>
        <h2 title={clip(key, 2000)}>{clip(key, 160)}{track.units.length > 1 ? ` and ${track.units.length - 1} more` : ""}</h2>
        <Outcome word={track_word(track)} tone={track_tone(track)} />
      </header>
      {track.units.length > 1 && (
        <Folded title={`${track.units.length} units share this artifact`}>
          <ul class="unit-list">{track.units.slice(0, 500).map((each) => <li key={each.key}><Outcome word={each.passed ? "passed" : "open"} /> {clip(each.key, 200)}</li>)}</ul>
        </Folded>
      )}
      {track.text !== "" && <p class="unit-text">{clip(track.text, 1000)}</p>}
      {(track.rule !== "" || track.why !== "") && (
        <p class="rule"><span class="dim">decided by</span> <strong>{track.rule === "" ? "–" : track.rule}</strong>{track.why !== "" && `: ${clip(track.why, 400)}`}{track.caveats !== "" && <span class="doubt-text"> · {clip(track.caveats, 400)}</span>}</p>
      )}
      {lap === null ? (
        <p class="dim">No lap has been opened yet.</p>
      ) : (
        <>
          <Laps track={track} lap={lap} />
          <p class="lap-line">
            <strong>{lap.move}</strong>{lap.reason !== "" && <span class="dim"> because {clip(lap.reason, 300)}</span>} · <span class={lap.gained ? "pass-text" : "dim"}>{!lap.closed ? "under way" : lap.gained ? "taken" : "not taken"}</span>
          </p>
          {candidate && <Candidates lap={lap} shown={candidate} />}
          {candidate ? <CandidateBody track={track} lap={lap} candidate={candidate} /> : <p class="dim">Its first candidate is being made.</p>}
        </>
      )}
    </>
  );
}

export function UnitDetail({ narrow }: { id: string; narrow: boolean }) {
  return (
    <article class={narrow ? "unit narrow" : "unit"} aria-label="Unit">
      <div class="unit-tools">
        <button type="button" class="quiet" onClick={close_unit}>{narrow ? "← All units" : "Close"}</button>
        <span class="grow" />
        <button type="button" class="quiet" aria-label="Unit before" onClick={() => step(-1)}>↑</button>
        <button type="button" class="quiet" aria-label="Unit after" onClick={() => step(1)}>↓</button>
      </div>
      <When of={unit.value} what="the unit">{(track) => <Body track={track} />}</When>
    </article>
  );
}
