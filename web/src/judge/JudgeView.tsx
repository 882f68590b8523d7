// Judge takes blind: what the judges said is not here until it is compared.
import { counted } from "../format";
import { to_judge, to_run } from "../router";
import { labelFault, labels, lastLabel, reason, route, run, runs, takeShown, value_of } from "../store";
import { Outcome } from "../shell/Outcome";
import { Progress } from "../shell/Progress";
import { Empty, FaultNote, Heading, When } from "../shell/States";
import type { Labels } from "../types";
import { Agreements } from "./Agreements";
import { Rubrics } from "./Rubrics";
import { go_to } from "./keys";
import { give_label, label_of } from "./load";
import { Take } from "./Take";

function RunChoice() {
  return (
    <When of={runs.value} what="runs">
      {(rows) =>
        rows.length === 0 ? (
          <Empty title="There is nothing to judge yet." command="lathe loop voice-over --input script.md --out takes"><p class="dim">Takes of any run can be judged here.</p></Empty>
        ) : (
          <>
            <p class="dim choose">Whose takes?</p>
            <ul class="cards judge-cards">
              {rows.map((row) => (
                <li key={row.id}><a class="card" href={to_judge(row.id)}><span class="card-head"><strong>{row.recipe}</strong><Outcome word={row.state} /></span><span class="dim">{row.title}</span></a></li>
              ))}
            </ul>
          </>
        )
      }
    </When>
  );
}

function Answer({ id, value }: { id: string; value: Labels }) {
  const take = value.takes[takeShown.value];
  if (!take)
    return (
      <div class="empty">
        <p class="empty-title">{value.takes.length === 0 ? "This run has no takes that could be judged." : "Every take has been judged."}</p>
        {value.takes.length > 0 && <button type="button" onClick={() => go_to(0)}>Go through them again</button>}
      </div>
    );
  const label = label_of(value, take);
  return (
    <section class="panel take" aria-labelledby="take">
      <header class="unit-head">
        <h2 id="take">{take.unit}</h2>
        {label && <Outcome word={label.accept ? "accepted" : "rejected"} tone={label.accept ? "pass" : "fail"} />}
        <span class="grow" />
        <span class="note num">take {takeShown.value + 1} of {value.takes.length}</span>
      </header>
      <Take take={take} />
      <label>Why (if you like)<input value={reason.value} maxLength={2000} onInput={(event) => (reason.value = event.currentTarget.value)} /></label>
      {labelFault.value && <FaultNote fault={labelFault.value} again={false} />}
      <div class="judge-actions">
        <button type="button" class="accept" onClick={() => void give_label(id, true)}><span class="glyph" aria-hidden="true">✓</span> Accept <kbd>a</kbd></button>
        <button type="button" class="reject" onClick={() => void give_label(id, false)}><span class="glyph" aria-hidden="true">✕</span> Reject <kbd>r</kbd></button>
        <span class="grow" />
        <button type="button" class="quiet" onClick={() => go_to(takeShown.value - 1)}>Back <kbd>k</kbd></button>
        <button type="button" class="quiet" onClick={() => go_to(takeShown.value + 1)}>Skip <kbd>j</kbd></button>
      </div>
    </section>
  );
}

function Session({ id }: { id: string }) {
  return (
    <When of={labels.value} what="the takes">
      {(value) => {
        const done = value.takes.filter((take) => label_of(value, take)).length;
        return (
          <div class="judging">
            <div>
              <div class="judge-progress"><Progress done={done} of={value.takes.length} /><p class="note">{done} of {counted(value.takes.length, "take")} judged</p></div>
              <Answer id={id} value={value} />
              <p class="note" role="status">{lastLabel.value}</p>
            </div>
            <div>
              <Rubrics rubrics={value_of(run.value)?.rubrics ?? {}} />
              <Agreements />
            </div>
          </div>
        );
      }}
    </When>
  );
}

export function JudgeView() {
  const { id } = route.value;
  return (
    <>
      <Heading title="Judge it" below={<p class="dim">{id === "" ? "Judges are measured by people. You see the take and not what the judges said." : <>Takes of <a href={to_run(id)}>{id}</a>, in an order of their own; what judges said is hidden.</>}</p>} />
      {id === "" ? <RunChoice /> : <Session id={id} />}
    </>
  );
}
