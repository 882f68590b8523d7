// Judging by keyboard: a accepts, r rejects, j and k go on and back.
import { labels, reason, route, takeShown, value_of } from "../store";
import { give_label } from "./load";

export function judge_key(key: string): boolean {
  const value = value_of(labels.value);
  if (route.value.id === "" || !value) return false;
  if (key === "a" || key === "r") void give_label(route.value.id, key === "a");
  else if (key === "j" || key === "k") go_to(takeShown.value + (key === "j" ? 1 : -1));
  else return false;
  return true;
}

export function go_to(take: number): void {
  const most = value_of(labels.value)?.takes.length ?? 0;
  takeShown.value = Math.min(most, Math.max(0, take));
  reason.value = "";
}
