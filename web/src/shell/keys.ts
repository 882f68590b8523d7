// Keys that work wherever no text is being typed. A view's own stand in its table.
import { route } from "../store";
import { consent_key } from "../fleet/keys";
import { judge_key } from "../judge/keys";
import { run_key } from "../run/keys";

const kKeys: Record<string, (key: string) => boolean> = { run: run_key, judge: judge_key, consent: consent_key };

export function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

export function follow_keys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const taken = kKeys[route.value.view]?.(event.key) ?? false;
    if (taken) event.preventDefault();
  });
}
