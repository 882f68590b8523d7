// What has changed between two texts, line by line: the longest common lines stay (Myers' greedy walk).

export type DiffLine = readonly [kind: "+" | "-" | " " | "…", text: string];

const kMostEdits = 1500; // beyond these, all of it is new

// The shortest way from `before` to `after`; null: it is longer than kMostEdits.
function edits(before: string[], after: string[]): DiffLine[] | null {
  const traces: Map<number, number>[] = [];
  let ends = new Map<number, number>([[1, 0]]);
  for (let d = 0; d <= kMostEdits; ++d) {
    traces.push(new Map(ends));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
      let x = down ? ends.get(k + 1) ?? 0 : (ends.get(k - 1) ?? 0) + 1;
      while (x < before.length && x - k < after.length && before[x] === after[x - k]) ++x;
      ends.set(k, x);
      if (x >= before.length && x - k >= after.length) return walk_back(before, after, traces, d);
    }
    ends = new Map(ends);
  }
  return null;
}

function walk_back(before: string[], after: string[], traces: Map<number, number>[], last: number): DiffLine[] {
  const lines: DiffLine[] = [];
  let x = before.length;
  let y = after.length;
  for (let d = last; d >= 0; --d) {
    const ends = traces[d]!;
    const k = x - y;
    const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
    const from = d === 0 ? 0 : down ? ends.get(k + 1) ?? 0 : ends.get(k - 1) ?? 0;
    const fromY = d === 0 ? 0 : from - (down ? k + 1 : k - 1);
    while (x > from && y > fromY && x > 0 && y > 0 && before[x - 1] === after[y - 1]) {
      lines.push([" ", before[--x]!]);
      --y;
    }
    if (d === 0) break;
    if (down) lines.push(["+", after[--y]!]);
    else lines.push(["-", before[--x]!]);
  }
  return lines.reverse();
}

// Three lines around each change; the rest is one "…".
export function diff_lines(before: string, after: string): DiffLine[] {
  const lines = edits(before.split("\n"), after.split("\n")) ?? after.split("\n").map((line): DiffLine => ["+", line]);
  const keep = new Uint8Array(lines.length);
  lines.forEach(([kind], i) => {
    if (kind !== " ") keep.fill(1, Math.max(0, i - 3), i + 4);
  });
  const shown: DiffLine[] = [];
  lines.forEach((line, i) => {
    if (keep[i]) shown.push(line);
    else if (shown.at(-1)?.[0] !== "…") shown.push(["…", ""]);
  });
  return shown;
}
