// The run by keyboard: j and k go through its units, Enter opens one, h and l go through its laps, Escape closes.
import { go, to_run } from "../router";
import { gridHeight, gridTop, lapShown, candidateShown, route, selected, unit, value_of } from "../store";
import { kRowHeight, shown_tracks } from "./rows";

export function run_key(key: string): boolean {
  switch (key) {
    case "j":
      return step(1);
    case "k":
      return step(-1);
    case "Enter":
      return document.activeElement?.closest("a, button, summary, audio, video") ? false : open_selected();
    case "h":
      return step_lap(-1);
    case "l":
      return step_lap(1);
    case "Escape":
      return close_unit();
  }
  return false;
}

// To the next of the units that are shown. Where one is open, the next one opens.
export function step(by: number): boolean {
  const shown = shown_tracks.value;
  if (shown.length === 0) return false;
  const at = shown.indexOf(selected.value ?? -1);
  const from = at >= 0 ? at : by > 0 ? -1 : shown.length;
  const next = Math.min(shown.length - 1, Math.max(0, from + by));
  select(shown[next]!);
  return true;
}

export function select(index: number): void {
  selected.value = index;
  reveal(index);
  if (route.value.unit !== null) go(to_run(route.value.id, index), true);
}

// Scrolls the grid so far that its row is in sight.
export function reveal(index: number): void {
  const place = shown_tracks.value.indexOf(index) * kRowHeight;
  const grid = document.getElementById("grid");
  if (grid && place < gridTop.value) grid.scrollTop = place;
  else if (grid && place + 2 * kRowHeight > gridTop.value + gridHeight.value) grid.scrollTop = place + 2 * kRowHeight - gridHeight.value;
}

export function open_selected(): boolean {
  if (selected.value === null) return false;
  go(to_run(route.value.id, selected.value));
  return true;
}

export function close_unit(): boolean {
  if (route.value.unit === null) return false;
  go(to_run(route.value.id));
  document.getElementById("grid")?.focus();
  return true;
}

function step_lap(by: number): boolean {
  const laps = value_of(unit.value)?.laps ?? [];
  if (route.value.unit === null || laps.length === 0) return false;
  const at = laps.findIndex((lap) => lap.lap === lapShown.value);
  const next = Math.min(laps.length - 1, Math.max(0, (at < 0 ? laps.length - 1 : at) + by));
  lapShown.value = laps[next]!.lap;
  candidateShown.value = null;
  return true;
}
