// Where one can go: a column beside the view, or a bar below it where the window is narrow.
import { route } from "../store";
import { Icon } from "./Icon";
import { ThemeSwitch } from "./ThemeSwitch";

export const kPlaces: readonly (readonly [view: string, name: string])[] = [
  ["bench", "Bench"],
  ["runs", "Runs"],
  ["chat", "Chat"],
  ["judge", "Judge it"],
  ["fit", "Fit"],
  ["ledger", "Ledger"],
  ["benchmarks", "Benchmarks"],
  ["catalog", "Catalog"],
  ["fleet", "Fleet"],
  ["consent", "Consent"],
  ["doctor", "Doctor"],
];
export const kMain = 4; // of them stand in a narrow window's bar

export function Place({ view, name }: { view: string; name: string }) {
  const here = route.value.view === view || (view === "runs" && route.value.view === "run");
  return (
    <a href={`#/${view}`} aria-current={here ? "page" : undefined}>
      <Icon name={view} />
      <span>{name}</span>
    </a>
  );
}

export function Nav() {
  const inMore = kPlaces.slice(kMain).some(([view]) => view === route.value.view);
  return (
    <nav class="nav" aria-label="Views">
      <a class="brand" href="#/bench">
        <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
          <circle cx="16" cy="16" r="12" /><circle cx="16" cy="16" r="5.500" /><path d="M16 4a12 12 0 0 1 12 12h3" />
        </svg>
        <span>Lathe</span>
      </a>
      <ul>
        {kPlaces.map(([view, name], i) => (
          <li key={view} class={i < kMain ? "main-place" : "other-place"}><Place view={view} name={name} /></li>
        ))}
        <li class="more-place">
          <a href="#/more" aria-current={route.value.view === "more" || inMore ? "page" : undefined}><Icon name="more" /><span>More</span></a>
        </li>
      </ul>
      <div class="nav-foot"><ThemeSwitch /></div>
    </nav>
  );
}
