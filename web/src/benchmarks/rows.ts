// The rows of a record, in whatever version of it: decimals stand there as texts.

export interface Row {
  model: string;
  what: string;
  size: number;
  unit: string;
  median: number;
  low: number;
  high: number;
}

function object_of(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list_of(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function rows_of(record: unknown): Row[] {
  return list_of(object_of(record).models).flatMap((each) => {
    const model = object_of(each);
    return list_of(model.rows).map((row) => {
      const figures = object_of(row);
      return {
        model: String(object_of(model.model).name ?? model.model ?? ""), what: String(figures.what ?? ""), size: Number(figures.size ?? 0), unit: String(figures.unit ?? ""),
        median: Number(figures.median ?? NaN), low: Number(figures.low ?? NaN), high: Number(figures.high ?? NaN),
      };
    });
  });
}

// One target under one load: how many tokens a second, how fast the first one comes.
export interface Point {
  target: string;
  load: string;
  tokens: number;
  first_ms: number;
  frontier: boolean;
}

export function points_of(record: unknown): Point[] {
  return list_of(object_of(record).models).flatMap((each) =>
    list_of(object_of(each).turns).flatMap((turn) => {
      const serve = object_of(object_of(turn).serve);
      return [...list_of(serve.closed), ...list_of(serve.poisson)].map((one) => {
        const point = object_of(one);
        const summary = object_of(point.summary);
        const arrival = object_of(point.arrival);
        return {
          target: String(object_of(turn).target ?? ""),
          load: arrival.people !== undefined ? `${String(arrival.people)} ${Number(arrival.people) === 1 ? "person" : "people"}` : `${String(arrival.per_second)} a second`,
          tokens: Number(summary.tokens_per_second ?? NaN),
          first_ms: Number(object_of(summary.first_ms).median ?? summary.first_ms ?? NaN),
          frontier: point.frontier === true,
        };
      });
    }),
  );
}

export function facts_of(record: unknown): string[] {
  const { machine, program, started, publishable } = object_of(record);
  const words = [object_of(machine).processor, object_of(program).version, started].filter((each) => typeof each === "string" && each !== "").map(String);
  if (publishable === false) words.push("not to be published: see its objections");
  return words;
}
