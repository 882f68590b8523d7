// The address says what is shown: #/runs/ID/units/3. Nothing else does.
import { route, type Route } from "./store";

const kViews = new Set(["bench", "runs", "chat", "judge", "fit", "ledger", "benchmarks", "catalog", "doctor", "fleet", "consent", "more"]);

export function parse_route(hash: string): Route {
  const parts = hash.replace(/^#\/?/, "").split("/").map(decode);
  const [view = "", id = "", , index = ""] = parts;
  if (view === "runs" && id !== "") return { view: "run", id, unit: /^\d{1,9}$/.test(index) ? Number(index) : null };
  if (view === "judge" || view === "benchmarks" || view === "consent" || view === "chat") return { view, id, unit: null };
  return { view: kViews.has(view) ? view : "bench", id: "", unit: null };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function to_run(id: string, unit?: number): string {
  return `#/runs/${encodeURIComponent(id)}${unit === undefined ? "" : `/units/${unit}`}`;
}

export function to_judge(id: string): string {
  return `#/judge/${encodeURIComponent(id)}`;
}

export function to_chat(id: string): string {
  return id === "" ? "#/chat" : `#/chat/${encodeURIComponent(id)}`;
}

export function to_consent(id: string): string {
  return `#/consent/${encodeURIComponent(id)}`;
}

export function go(hash: string, replace = false): void {
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  route.value = parse_route(hash);
}

export function follow_address(): void {
  const read = () => (route.value = parse_route(location.hash));
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  read();
}
