// How the page asks its server, and nobody else. Every answer is checked against its shape.
import type { Signal } from "@preact/signals";
import { Mismatch, type Shape } from "./shape";
import { gone, keyWanted, type Fault, type Loadable } from "./store";

export class Refused extends Error {
  constructor(readonly fault: Fault) {
    super(fault.message);
  }
}

// What went wrong, as a person reads it.
export function fault_of(problem: unknown): Fault {
  if (problem instanceof Refused) return problem.fault;
  if (problem instanceof Mismatch)
    return { status: 0, message: `The answer is not what this page expects: ${problem.message}.`, remedy: "Load the page again; if that does not help, the server is of another version." };
  return { status: 0, message: String(problem), remedy: "Load the page again." };
}

// What was seen stays while the server is gone: the banner says so.
export function fail<T>(of: Signal<Loadable<T>>, problem: unknown): void {
  if (gone.value === null || of.value.state !== "ready") of.value = { state: "failed", fault: fault_of(problem) };
}

function remedy_for(status: number): string {
  if (status === 0) return "It is asked again every two seconds. `lathe serve` starts it.";
  if (status === 401) return "Type a key; `lathe key add NAME` makes one.";
  if (status === 403) return "Whoever runs the server may.";
  if (status === 404) return "It may have been removed, or this server is of another version.";
  return "";
}

async function refusal_of(answer: Response): Promise<Refused> {
  let message = `The server answered ${answer.status}.`;
  try {
    const body: unknown = await answer.json();
    const said = (body as { error?: { message?: unknown } }).error?.message;
    if (typeof said === "string") message = said;
  } catch {
    // No JSON: the status says enough.
  }
  if (answer.status === 401) keyWanted.value = true;
  return new Refused({ status: answer.status, message, remedy: remedy_for(answer.status) });
}

// The answer when it is a good one. Throws Refused.
export async function ask(method: string, path: string, body?: unknown, more: RequestInit = {}): Promise<Response> {
  const headers: Record<string, string> = { ...(more.headers as Record<string, string>) };
  if (method !== "GET") headers["X-Lathe"] = "1";
  if (method === "POST") headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, { ...more, method, headers, body: method === "POST" ? JSON.stringify(body ?? {}) : null, credentials: "same-origin", redirect: "error" });
  } catch (problem) {
    if (problem instanceof DOMException && problem.name === "AbortError") throw problem;
    if (gone.value === null) gone.value = Date.now();
    throw new Refused({ status: 0, message: "The server does not answer.", remedy: remedy_for(0) });
  }
  gone.value = null;
  if (!answer.ok) throw await refusal_of(answer);
  return answer;
}

export async function get<T>(path: string, shape: Shape<T>): Promise<T> {
  return shape(await (await ask("GET", path)).json(), path);
}

export async function post<T>(path: string, body: unknown, shape: Shape<T>): Promise<T> {
  return shape(await (await ask("POST", path, body)).json(), path);
}

export function blob_path(sha256: string): string {
  return `/v1/blobs/${encodeURIComponent(sha256)}`;
}

export function run_path(id: string): string {
  return `/v1/runs/${encodeURIComponent(id)}`;
}
