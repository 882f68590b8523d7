// What the server's JSON must look like, said once: a shape checks a value while the page runs, and gives the type by which the
// rest of the page is compiled. Members that a shape does not name may be there, so that a newer server stays readable.

export class Mismatch extends Error {}

export type Shape<T> = (value: unknown, at: string) => T;
export type Of<S> = S extends Shape<infer T> ? T : never;

function wrong(at: string, want: string): never {
  throw new Mismatch(`${at} is not ${want}`);
}

export const text: Shape<string> = (value, at) => (typeof value === "string" ? value : wrong(at, "a text"));
export const number: Shape<number> = (value, at) => (typeof value === "number" ? value : wrong(at, "a number"));
export const flag: Shape<boolean> = (value, at) => (typeof value === "boolean" ? value : wrong(at, "true or false"));
export const any: Shape<unknown> = (value) => value;

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, at) => (value === null || value === undefined ? null : shape(value, at));
}

// A member that need not be there.
export function or<T>(shape: Shape<T>, missing: T): Shape<T> {
  return (value, at) => (value === null || value === undefined ? missing : shape(value, at));
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value, at) => (Array.isArray(value) ? value.map((each, i) => shape(each, `${at}[${i}]`)) : wrong(at, "a list"));
}

export function record<T>(shape: Shape<T>): Shape<Record<string, T>> {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong(at, "an object");
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shape(each, `${at}.${key}`)]));
  };
}

export function object<M extends Record<string, Shape<unknown>>>(members: M): Shape<{ [K in keyof M]: Of<M[K]> }> {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong(at, "an object");
    const from = value as Record<string, unknown>;
    const read: Record<string, unknown> = {};
    for (const key in members) read[key] = members[key]!(from[key], `${at}.${key}`);
    return read as { [K in keyof M]: Of<M[K]> };
  };
}
