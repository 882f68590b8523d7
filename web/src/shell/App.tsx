// The page: navigation, a banner when the server is gone, one view.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { BenchView } from "../bench/BenchView";
import { BenchmarksView } from "../benchmarks/BenchmarksView";
import { CatalogView } from "../catalog/CatalogView";
import { ChatView } from "../chat/ChatView";
import { DoctorView } from "../doctor/DoctorView";
import { FitView } from "../fit/FitView";
import { ConsentView } from "../fleet/ConsentView";
import { FleetView } from "../fleet/FleetView";
import { ago } from "../format";
import { JudgeView } from "../judge/JudgeView";
import { LedgerView } from "../ledger/LedgerView";
import { RunView } from "../run/RunView";
import { RunsView } from "../runs/RunsView";
import { gone, keyWanted, now, route, spoken } from "../store";
import { KeyForm } from "./KeyForm";
import { MoreView } from "./MoreView";
import { kPlaces, Nav } from "./Nav";

const kViews: Record<string, () => JSX.Element> = {
  bench: BenchView, runs: RunsView, run: RunView, chat: ChatView, judge: JudgeView, fit: FitView, ledger: LedgerView,
  benchmarks: BenchmarksView, catalog: CatalogView, fleet: FleetView, consent: ConsentView, doctor: DoctorView, more: MoreView,
};

function Gone() {
  return (
    <div class="gone" role="status" aria-live="polite">
      {gone.value !== null && (
        <p>
          <span class="glyph" aria-hidden="true">◌</span> The server does not answer, since {new Date(gone.value).toLocaleTimeString("en-GB")}{" "}
          <span aria-hidden="true">({ago(gone.value, now.value)})</span>. What you see is from before; this page comes back by itself.
        </p>
      )}
    </div>
  );
}

export function App() {
  const { view, id } = route.value;
  const View = kViews[view] ?? BenchView;
  useEffect(() => {
    document.title = `${view === "run" ? id : (kPlaces.find(([name]) => name === view)?.[1] ?? "More")} · Lathe`;
  }, [view, id]);
  // A talk gets its address while one reads it.
  useEffect(() => scrollTo(0, 0), [view, view === "chat" ? "" : id]);
  return (
    <div class="page">
      <a class="skip" href="#title" onClick={skip}>To the content</a>
      <Nav />
      <main class={`view view-${view}`}>
        <Gone />
        {keyWanted.value ? <KeyForm /> : <View />}
      </main>
      <div class="visually-hidden" aria-live="polite">{spoken.value}</div>
    </div>
  );
}

// The address is the view's: a fragment of its own would lead away.
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("title")?.focus();
}
