// The loop, judged by itself.
import { count, duration } from "../format";
import type { Run } from "../types";

export function Yield({ value }: { value: Run }) {
  const { yield: loop } = value;
  return (
    <details class="folded yield">
      <summary>The loop, judged by itself</summary>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="moves">
        <table class="lines">
          <thead><tr><th scope="col">move · rung</th><th scope="col" class="num">laps</th><th scope="col" class="num">better</th><th scope="col" class="num">passed</th></tr></thead>
          <tbody>
            {loop.moves.map((move) => <tr key={move.move}><th scope="row">{move.move}</th><td class="num">{move.laps}</td><td class="num">{move.gained}</td><td class="num">{move.passed}</td></tr>)}
          </tbody>
        </table>
      </div>
      <dl class="pairs">
        <div><dt>answers that could be used</dt><dd>{count(loop.usable)} of {count(loop.made)}</dd></div>
        <div><dt>units whose first candidate passes</dt><dd>{count(loop.one_shot)} of {count(value.units)}</dd></div>
        <div><dt>same candidate, same judge, other outcome</dt><dd>{loop.judged_again === 0 ? "no candidate was judged twice" : `${loop.flipped} of ${loop.judged_again}`}</dd></div>
        <div><dt>time in makers / in judges</dt><dd>{duration(loop.make_ms)} / {duration(loop.judge_ms)}</dd></div>
        {value.climate !== "" && <div><dt>the machine</dt><dd>{value.climate}</dd></div>}
        <div><dt>built with</dt><dd class="mono">{value.build}</dd></div>
      </dl>
    </details>
  );
}
