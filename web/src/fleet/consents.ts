// What waits for a person's consent, and the exact text of one.
import { fail, fault_of, get, post } from "../api";
import { consent, consentFault, consents, loading, ready, route, secretsOk, spoken, value_of } from "../store";
import { Consent, Consents, Decided, type Consents as ConsentsType } from "../types";

type Row = ConsentsType["data"][number];

function path_of(id: string): string {
  return `/v1/consents/${encodeURIComponent(id)}`;
}

// Those that wait before those that were decided, each of them the newest first.
export function in_order(value: ConsentsType): Row[] {
  return [...value.data.filter((row) => row.decision === "asked"), ...value.data.filter((row) => row.decision !== "asked")];
}

export async function load_consents(id: string, again: boolean): Promise<void> {
  try {
    consents.value = ready(await get("/v1/consents", Consents));
  } catch (problem) {
    fail(consents, problem);
  }
  if (id === "" || again) return;
  consent.value = loading;
  consentFault.value = null;
  secretsOk.value = [];
  try {
    const value = await get(path_of(id), Consent);
    if (route.value.id === id) consent.value = ready(value);
  } catch (problem) {
    if (route.value.id === id) fail(consent, problem);
  }
}

// Whether each kind of secret that was found has been named.
export function may_allow(): boolean {
  const value = value_of(consent.value);
  return value !== null && value.secrets.every((kind) => secretsOk.value.includes(kind));
}

export async function decide(allow: boolean): Promise<void> {
  const value = value_of(consent.value);
  if (!value || (allow && !may_allow())) return;
  consentFault.value = null;
  try {
    const decided = await post(path_of(value.id), allow ? { decision: "allow", secret_ok: secretsOk.value } : { decision: "deny" }, Decided);
    if (value_of(consent.value)?.id === value.id) consent.value = ready({ ...value, decision: decided.decision });
    spoken.value = allow ? "These bytes may leave." : "They stay here.";
    await load_consents("", true);
  } catch (problem) {
    consentFault.value = fault_of(problem);
  }
}
