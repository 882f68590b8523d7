// Records of benchmarks, and one or two of them whole.
import { fail, fault_of, get } from "../api";
import { any } from "../shape";
import { benchmarks, compared, loading, ready, records } from "../store";
import { Benchmarks } from "../types";

export async function load_benchmarks(name: string): Promise<void> {
  try {
    const value = await get("/v1/bench", Benchmarks);
    benchmarks.value = ready(value);
    if (compared.value.length === 0) {
      const first = name !== "" ? name : value.records[0]?.name;
      if (first !== undefined) choose_record(first);
    }
  } catch (problem) {
    fail(benchmarks, problem);
  }
}

// One more is compared; of three the oldest choice goes.
export function choose_record(name: string): void {
  compared.value = compared.value.includes(name) ? compared.value.filter((each) => each !== name) : [...compared.value, name].slice(-2);
  for (const each of compared.value) if (records.value[each] === undefined) void load_record(each);
}

async function load_record(name: string): Promise<void> {
  const put = (value: (typeof records.value)[string]) => (records.value = { ...records.value, [name]: value });
  put(loading);
  try {
    put(ready(await get(`/v1/bench/${encodeURIComponent(name)}`, any)));
  } catch (problem) {
    put({ state: "failed", fault: fault_of(problem) });
  }
}
