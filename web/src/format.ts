// Values as people read them, each with its unit.

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export function ago(then_ms: number, now_ms: number): string {
  const minutes = Math.max(0, now_ms - then_ms) / 60_000;
  if (minutes < 1) return minutes < 0.1 ? "just now" : `${Math.round(60 * minutes)} s ago`;
  if (minutes < 60) return `${Math.floor(minutes)} min ago`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} days ago`;
}

export function count(value: number): string {
  return value.toLocaleString("en-GB");
}

// "1 unit", "3 units"
export function counted(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

export function score(value: number | null): string {
  return value === null ? "–" : value.toFixed(1);
}

export function energy(millijoules: number): string {
  const joules = millijoules / 1000;
  if (joules < 1000) return `${joules.toFixed(joules < 10 ? 2 : 0)} J`;
  return joules < 3.6e6 ? `${(joules / 3600).toFixed(2)} Wh` : `${(joules / 3.6e6).toFixed(2)} kWh`;
}

// Of billionths of the currency's unit.
export function money(nano: number, currency: string): string {
  const value = nano / 1e9;
  return `${value >= 1 ? value.toFixed(2) : value.toLocaleString("en-GB", { maximumSignificantDigits: 3 })} ${currency}`;
}

export function day_time(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").slice(0, 16) + " UTC";
}

export function seconds(value: number): string {
  const whole = Math.floor(value / 60);
  return `${whole}:${(value - 60 * whole).toFixed(1).padStart(4, "0")}`;
}

// One line, at most `most` characters.
export function clip(text: string, most: number): string {
  const line = text.replace(/\s+/gu, " ");
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`;
}
