// The models of this machine, and getting another one.
import { ask, fail, fault_of, get } from "../api";
import { actionFault, catalog, pullName, pulling, ready } from "../store";
import { Catalog } from "../types";
import { number, object, or, text } from "../shape";

const Step = object({ words: or(text, ""), done: or(number, 0), total: or(number, 0) });

export async function load_catalog(): Promise<void> {
  try {
    catalog.value = ready(await get("/v1/catalog", Catalog));
  } catch (problem) {
    fail(catalog, problem);
  }
}

// Events come until it is here, or cannot be.
export async function pull(): Promise<void> {
  const name = pullName.value.trim();
  if (name === "" || pulling.value) return;
  actionFault.value = null;
  pulling.value = { name, done: 0, total: 0, words: "asking" };
  try {
    const reply = await ask("POST", "/v1/catalog/pull", { name });
    const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const events = (rest + value).split("\n\n");
      rest = events.pop()!;
      for (const event of events) take(name, event);
    }
    pullName.value = "";
    await load_catalog();
  } catch (problem) {
    actionFault.value = fault_of(problem);
  }
  pulling.value = null;
}

function take(name: string, event: string): void {
  const data = /^data: (.*)$/m.exec(event)?.[1];
  if (data === undefined) return;
  if (/^event: error$/m.test(event)) throw new Error((JSON.parse(data) as { message?: string }).message ?? "the model could not be fetched");
  if (/^event: end$/m.test(event)) return;
  pulling.value = { name, ...Step(JSON.parse(data), "progress") };
}
