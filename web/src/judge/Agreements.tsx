// How far each judge agrees with the people who judged the same takes.
import { percent } from "../format";
import { agreement } from "../store";
import { Outcome } from "../shell/Outcome";
import { Empty, When } from "../shell/States";
import type { Agreement } from "../types";

type One = Agreement["judges"][number];

// Cohen's kappa with its interval on a line from 0 to 1.
function Kappa({ of }: { of: One }) {
  if (of.kappa === null) return <p class="note">Agreement needs takes that were accepted and takes that were rejected.</p>;
  const [low, high] = of.kappa_interval ?? [of.kappa, of.kappa];
  const at = (value: number | undefined) => `${100 * Math.min(1, Math.max(0, value ?? 0))}%`;
  const spread = `${100 * Math.max(0.01, Math.min(1, high ?? 0) - Math.max(0, low ?? 0))}%`;
  return (
    <div class="kappa">
      <p><span class="figure">{of.kappa.toFixed(2)}</span> <span class="dim">κ{of.kappa_interval && `, ${low!.toFixed(2)} to ${high!.toFixed(2)} (95 %)`}</span></p>
      <div class="kappa-line" aria-hidden="true"><i style={{ left: at(low), width: spread }} /><b style={{ left: at(of.kappa) }} /></div>
    </div>
  );
}

function rate(of: NonNullable<One["false_pass_rate"]>): string {
  return `${percent(of.rate)} of ${of.of}`;
}

function Confusion({ of: { table } }: { of: One }) {
  return (
    <table class="confusion">
      <thead><tr><td /><th scope="col">people accept</th><th scope="col">people reject</th></tr></thead>
      <tbody>
        <tr><th scope="row">judge passes</th><td class="agree">{table.tt}</td><td>{table.ft}</td></tr>
        <tr><th scope="row">judge fails</th><td>{table.tf}</td><td class="agree">{table.ff}</td></tr>
      </tbody>
    </table>
  );
}

function One({ of }: { of: One }) {
  const worst = [...of.criteria].sort((a, b) => a.agree / Math.max(1, a.of) - b.agree / Math.max(1, b.of));
  return (
    <section class="panel" aria-label={`Agreement of ${of.judge}`}>
      <header class="unit-head"><h2>{of.judge}</h2><Outcome word={of.advisory ? "advisory" : "may gate"} tone={of.advisory ? "doubt" : "pass"} /></header>
      {of.why !== "" && <p class="dim">{of.why}</p>}
      <Kappa of={of} />
      <Confusion of={of} />
      <dl class="pairs">
        <div><dt>takes that both judged</dt><dd>{of.judged}</dd></div>
        {of.false_pass_rate !== null && <div><dt>passes what people reject</dt><dd>{rate(of.false_pass_rate)}</dd></div>}
        {of.false_fail_rate !== null && <div><dt>fails what people accept</dt><dd>{rate(of.false_fail_rate)}</dd></div>}
      </dl>
      {worst.length > 0 && (
        <table class="lines">
          <caption>Criteria, those that disagree most first</caption>
          <tbody>{worst.map((each) => <tr key={each.name}><th scope="row">{each.name}</th><td class="num">{each.agree} of {each.of}</td></tr>)}</tbody>
        </table>
      )}
    </section>
  );
}

export function Agreements() {
  return (
    <When of={agreement.value} what="the agreement">
      {({ judges }) => (judges.length === 0 ? <Empty title="Nothing to compare yet." command="lathe judge calibrate"><p class="dim">Judge a few takes; judges and people are then compared here.</p></Empty> : <>{judges.map((each) => <One key={each.judge} of={each} />)}</>)}
    </When>
  );
}
