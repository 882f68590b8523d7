// Light, dark, or as the system has it: the only thing that is kept in the browser.
import { effect } from "@preact/signals";
import { theme, type Theme } from "./store";

const kName = "lathe-theme";

export function follow_theme(): void {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(kName);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  if (kept === "light" || kept === "dark") theme.value = kept;
  effect(() => {
    if (theme.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
  });
}

export function choose_theme(choice: Theme): void {
  theme.value = choice;
  try {
    if (choice === "auto") localStorage.removeItem(kName);
    else localStorage.setItem(kName, choice);
  } catch {
    // As above.
  }
}
