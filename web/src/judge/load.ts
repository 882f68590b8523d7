// Takes to judge, labels that were given, and how far judges agree with them.
import { Refused, fail, fault_of, get, post, run_path } from "../api";
import { agreement, labelFault, labels, lastLabel, loading, ready, reason, run, takeShown, value_of } from "../store";
import { Agreement, Labelled, Labels, Run, type Labels as LabelsType } from "../types";
import { load_runs } from "../runs/load";

let shown = "";

export async function load_judge(id: string, again: boolean): Promise<void> {
  if (id === "") return load_runs();
  if (again) return;
  if (shown !== id) {
    labels.value = loading;
    agreement.value = loading;
    takeShown.value = 0;
    reason.value = "";
    labelFault.value = null;
    lastLabel.value = "";
  }
  shown = id;
  try {
    const value = await get(`${run_path(id)}/labels`, Labels);
    if (shown !== id) return;
    labels.value = ready(value);
    takeShown.value = next_open(value, 0);
    run.value = ready(await get(run_path(id), Run));
    await load_agreement(id);
  } catch (problem) {
    fail(labels, problem);
  }
}

export async function load_agreement(id: string): Promise<void> {
  try {
    agreement.value = ready(await get(`${run_path(id)}/agreement`, Agreement));
  } catch (problem) {
    fail(agreement, problem);
  }
}

type Take = LabelsType["takes"][number];

export function label_of(value: LabelsType, take: Take): LabelsType["labels"][number] | null {
  return value.labels.filter((label) => label.blob === take.blob && label.unit === take.unit).at(-1) ?? null;
}

// The first take from `from` on that nobody has judged; behind the last one: none is left.
export function next_open(value: LabelsType, from: number): number {
  for (let i = from; i < value.takes.length; ++i) if (!label_of(value, value.takes[i]!)) return i;
  for (let i = 0; i < from; ++i) if (!label_of(value, value.takes[i]!)) return i;
  return value.takes.length;
}

export async function give_label(id: string, accept: boolean): Promise<void> {
  const value = value_of(labels.value);
  const take = value?.takes[takeShown.value];
  if (!value || !take) return;
  const seen = label_of(value, take)?.revision ?? null;
  labelFault.value = null;
  try {
    const { revision } = await post("/v1/labels", { run: id, unit: take.unit, blob: take.blob, accept, reason: reason.value, seen }, Labelled);
    const label = { unit: take.unit, blob: take.blob, accept, reason: reason.value, revision, t_ms: Date.now(), by: "" };
    const after = { ...value, labels: [...value.labels.filter((each) => each.blob !== take.blob || each.unit !== take.unit), label] };
    labels.value = ready(after);
    lastLabel.value = `${accept ? "Accepted" : "Rejected"}: ${take.unit}`;
    reason.value = "";
    takeShown.value = next_open(after, takeShown.value + 1);
    void load_agreement(id);
  } catch (problem) {
    // Somebody else was faster: what they said is shown with the fault, and is judged again from there.
    if (problem instanceof Refused && problem.fault.status === 409) {
      const fresh = await get(`${run_path(id)}/labels`, Labels).catch(() => null);
      if (fresh) labels.value = ready({ ...fresh, takes: value.takes });
    }
    labelFault.value = fault_of(problem);
  }
}
