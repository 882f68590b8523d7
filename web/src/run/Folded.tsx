// What is there for whoever asks.
import type { ComponentChildren } from "preact";

const kMost = 20_000;

export function Folded({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <details class="folded">
      <summary>{title}</summary>
      {children}
    </details>
  );
}

export function JsonText({ value }: { value: unknown }) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 1) ?? "";
  return <pre tabIndex={0}>{text.length <= kMost ? text : `${text.slice(0, kMost)}…`}</pre>;
}
