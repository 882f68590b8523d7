// Keys that work wherever no text is being typed. A view's own stand in its table.
import { route } from "../store";
import { judge_key } from "../judge/keys";
import { run_key } from "../run/keys";

export function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

export function follow_keys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const taken = route.value.view === "run" ? run_key(event.key) : route.value.view === "judge" ? judge_key(event.key) : false;
    if (taken) event.preventDefault();
  });
}
