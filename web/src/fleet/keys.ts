// Consent by keyboard: a lets the text leave, d keeps it here, j and k go on and back.
import { go, to_consent } from "../router";
import { consents, route, value_of } from "../store";
import { decide, in_order } from "./consents";

export function consent_key(key: string): boolean {
  if (key === "a" || key === "d") {
    if (route.value.id === "") return false;
    void decide(key === "a");
    return true;
  }
  const value = value_of(consents.value);
  if ((key !== "j" && key !== "k") || !value || value.data.length === 0) return false;
  const rows = in_order(value);
  const here = rows.findIndex((row) => row.id === route.value.id);
  const next = here < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, here + (key === "j" ? 1 : -1)));
  go(to_consent(rows[next]!.id));
  return true;
}
