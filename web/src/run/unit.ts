// One unit of a run, whole, and the texts of its artifacts.
import { ask, blob_path, fault_of, get, run_path } from "../api";
import { candidateShown, lapShown, loading, ready, route, texts, unit, value_of } from "../store";
import { Track, type Candidate, type Lap } from "../types";

const kFirstBytes = 256 << 10; // of a text, until all of it is asked for
const kTextsKept = 24;

export async function load_unit(id: string, index: number): Promise<void> {
  if (value_of(unit.value)?.index !== index) {
    unit.value = loading;
    lapShown.value = null;
    candidateShown.value = null;
  }
  try {
    const value = await get(`${run_path(id)}/units/${index}`, Track);
    if (route.value.unit === index) unit.value = ready(value);
  } catch (problem) {
    if (route.value.unit === index) unit.value = { state: "failed", fault: fault_of(problem) };
  }
}

export function shown_lap(track: Track): Lap | null {
  return track.laps.find((lap) => lap.lap === lapShown.value) ?? track.laps.at(-1) ?? null;
}

export function shown_candidate(lap: Lap): Candidate | null {
  const wanted = candidateShown.value ?? lap.best;
  return lap.candidates.find((each) => each.n === wanted) ?? lap.candidates[0] ?? null;
}

// The text that a lap began from: the best of the last one before it that was taken; "": none.
export function blob_before(track: Track, lap: Lap): string {
  const taken = track.laps.filter((each) => each.lap < lap.lap && each.gained).at(-1);
  return taken?.candidates.find((each) => each.n === taken.best)?.blob ?? "";
}

export async function load_text(blob: string, all = false): Promise<void> {
  const known = texts.value[blob];
  if (known && known.state !== "failed" && !all) return;
  put_text(blob, { state: "loading" });
  try {
    const answer = await ask("GET", blob_path(blob), undefined, all ? {} : { headers: { Range: `bytes=0-${kFirstBytes - 1}` } });
    const total = Number(/\/(\d+)$/.exec(answer.headers.get("content-range") ?? "")?.[1] ?? 0);
    const text = await answer.text();
    put_text(blob, ready({ text, whole: answer.status !== 206 || total <= kFirstBytes }));
  } catch (problem) {
    // Nothing of an empty text can be asked for.
    const fault = fault_of(problem);
    put_text(blob, fault.status === 416 ? ready({ text: "", whole: true }) : { state: "failed", fault });
  }
}

function put_text(blob: string, text: (typeof texts.value)[string]): void {
  const others = Object.entries(texts.value).filter(([name]) => name !== blob);
  texts.value = Object.fromEntries([...others.slice(1 - kTextsKept), [blob, text]]);
}
