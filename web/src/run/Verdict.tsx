// What a judge says of a candidate, and what it says it by.
import { clip } from "../format";
import { Outcome } from "../shell/Outcome";
import type { Call, Run, Verdict } from "../types";
import { Folded, JsonText } from "./Folded";
import { Prompt } from "./Prompt";

// Scores and bars lie in [0, 10].
function ScoreBar({ verdict }: { verdict: Verdict }) {
  return (
    <span class="score-bar" role="img" aria-label={`${verdict.score.toFixed(2)} of 10, the bar is ${verdict.bar.toFixed(2)}`}>
      <i class={verdict.score >= verdict.bar ? "pass" : "fail"} style={{ width: `${10 * Math.min(10, Math.max(0, verdict.score))}%` }} />
      <b style={{ left: `${10 * Math.min(10, Math.max(0, verdict.bar))}%` }} />
    </span>
  );
}

export function VerdictNote({ verdict, rubric }: { verdict: Verdict; rubric: { text: string; criteria: string[] } | null }) {
  return (
    <div class="verdict">
      <div class="verdict-head">
        <Outcome word={verdict.outcome} />
        <strong>{clip(verdict.judge, 80)}</strong>
        <span class="dim">{verdict.stage}</span>
        <ScoreBar verdict={verdict} />
        <span class="num">{verdict.score.toFixed(2)} <span class="dim">/ {verdict.bar.toFixed(2)}</span></span>
      </div>
      {verdict.critiques.length > 0 && (
        <ol class="critiques">
          {verdict.critiques.map((critique, i) => (
            <li key={i}>
              {critique.locus !== "" && <code>{clip(critique.locus, 200)}</code>} {critique.claim}
              {critique.severity === "should" && <span class="dim"> (should)</span>}
              {critique.evidence !== "" && <p class="evidence">{critique.evidence.length > 600 ? `${critique.evidence.slice(0, 600)}…` : critique.evidence}</p>}
            </li>
          ))}
        </ol>
      )}
      {rubric && (rubric.text !== "" || rubric.criteria.length > 0) && (
        <Folded title="Its rubric">
          {rubric.text !== "" && <p class="pre-line">{rubric.text}</p>}
          {rubric.criteria.length > 0 && <ul>{rubric.criteria.map((each, i) => <li key={i}>{each}</li>)}</ul>}
        </Folded>
      )}
      {has_evidence(verdict.evidence) && <Folded title="Its evidence"><JsonText value={verdict.evidence} /></Folded>}
    </div>
  );
}

function has_evidence(evidence: unknown): boolean {
  return typeof evidence === "object" && evidence !== null && Object.keys(evidence).length > 0;
}

// Judges of all units together, and what they were asked.
export function Whole({ verdicts, rubrics, calls }: { verdicts: Verdict[]; rubrics: Run["rubrics"]; calls: Call[] }) {
  if (verdicts.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="whole">
      <h2 id="whole">The whole</h2>
      {verdicts.map((verdict, i) => <VerdictNote key={i} verdict={verdict} rubric={rubrics[verdict.judge] ?? null} />)}
      {calls.map((call) => call.prompt !== null && <Prompt key={`${call.judge_name} ${call.attempt} ${call.prompt}`} blob={call.prompt} title={`What ${clip(call.judge_name, 60)} was asked of the whole`} />)}
    </section>
  );
}
