// Whether models fit together, by the sums of `lathe fit`.
import { fault_of, post } from "../api";
import { fit, fitFiles, fitKv, loading, ready } from "../store";
import { Fit } from "../types";

let asked = 0;

export async function size_models(): Promise<void> {
  const models = Object.entries(fitFiles.value).map(([name, { context, streams }]) => (streams !== "" && streams !== "1" ? `${name}:${context}:${streams}` : context !== "" ? `${name}:${context}` : name));
  const mine = ++asked;
  if (models.length === 0) {
    fit.value = null;
    return;
  }
  if (fit.value === null || fit.value.state === "failed") fit.value = loading;
  try {
    const value = await post("/v1/fit", { models, kv: fitKv.value, memory: "" }, Fit);
    if (mine === asked) fit.value = ready(value);
  } catch (problem) {
    if (mine === asked) fit.value = { state: "failed", fault: fault_of(problem) };
  }
}
