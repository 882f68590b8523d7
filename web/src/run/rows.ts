// Which of a run's units are shown, and what stands in a cell.
import { computed } from "@preact/signals";
import { filter, search, tracks } from "../store";
import type { Tone } from "../shell/Outcome";
import type { TrackRow } from "../types";

export const kRowHeight = 36; // pixels, as run.css has it

export function track_tone(row: { state: string; unjudged: boolean }): Tone {
  return row.state === "passed" ? "pass" : row.state === "open" ? "busy" : row.unjudged ? "doubt" : "fail";
}

export function track_word(row: { state: string; unjudged: boolean }): string {
  return row.unjudged ? "not judged" : row.state === "gave_up" ? "given up" : row.state;
}

function fits(row: TrackRow, wanted: string, words: string): boolean {
  const tone = track_tone(row);
  const right = wanted === "all" || (wanted === "passed" ? tone === "pass" : wanted === "open" ? tone === "busy" : tone === "fail" || tone === "doubt");
  return right && (words === "" || row.units.some((each) => each.key.toLowerCase().includes(words)) || row.text.toLowerCase().includes(words));
}

// Indices of tracks. One that is not here yet is shown where nothing is asked for.
export const shown_tracks = computed<number[]>(() => {
  const words = search.value.trim().toLowerCase();
  const plain = filter.value === "all" && words === "";
  const shown: number[] = [];
  tracks.value.forEach((row, index) => {
    if (row ? fits(row, filter.value, words) : plain) shown.push(index);
  });
  return shown;
});

export interface Cell {
  tone: Tone;
  glyph: string;
  word: string;
  score: number | null;
}

// A lap of a track: its best candidate's score, and what that was good for.
export function cell_of(row: TrackRow, lap: number): Cell | null {
  const shown = row.laps[lap];
  if (!shown) return null;
  const { closed, gained, score } = shown;
  const last = lap === row.laps.length - 1;
  if (last && row.state === "passed") return { tone: "pass", glyph: "✓", word: "passed", score };
  if (!closed) return { tone: "busy", glyph: "◌", word: "under way", score };
  if (score === null) return { tone: "fail", glyph: "✕", word: "nothing that could be used", score };
  if (!gained) return { tone: "idle", glyph: "–", word: "no better", score };
  return lap === 0 ? { tone: "idle", glyph: "●", word: "first take", score } : { tone: "gain", glyph: "▲", word: "better", score };
}
