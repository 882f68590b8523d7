// Light, dark, or as the system has it.
import { theme, type Theme } from "../store";
import { choose_theme } from "../theme";
import { Icon } from "./Icon";

const kChoices: readonly (readonly [Theme, string, string])[] = [
  ["auto", "auto", "As the system"],
  ["light", "sun", "Light"],
  ["dark", "moon", "Dark"],
];

export function ThemeSwitch() {
  return (
    <div class="theme-switch" role="group" aria-label="Theme">
      {kChoices.map(([choice, icon, name]) => (
        <button key={choice} type="button" aria-pressed={theme.value === choice} aria-label={name} title={name} onClick={() => choose_theme(choice)}>
          <Icon name={icon} />
        </button>
      ))}
    </div>
  );
}
