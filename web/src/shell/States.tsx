// Loading, empty and broken: what a view shows when it has nothing else.
import type { ComponentChildren } from "preact";
import type { Fault, Loadable } from "../store";
import { reload } from "./load";

export function Loading({ what }: { what: string }) {
  return (
    <div class="skeleton" role="status">
      <span class="visually-hidden">Loading {what}</span>
      <i /><i /><i />
    </div>
  );
}

// `command` fills it.
export function Empty({ title, children, command }: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
      {command && <Command line={command} />}
    </div>
  );
}

export function Command({ line }: { line: string }) {
  return (
    <p class="command">
      <span aria-hidden="true" class="prompt">$</span>
      <code>{line}</code>
    </p>
  );
}

export function FaultNote({ fault, again = true }: { fault: Fault; again?: boolean }) {
  return (
    <div class="fault" role="alert">
      <p>
        <span class="outcome fail"><span class="glyph" aria-hidden="true">✕</span>error</span> {fault.message}
      </p>
      {fault.remedy !== "" && <p class="dim">{fault.remedy}</p>}
      {again && <button type="button" onClick={reload}>Try again</button>}
    </div>
  );
}

// What is there, or why it is not.
export function When<T>({ of, what, children }: { of: Loadable<T>; what: string; children: (value: T) => ComponentChildren }) {
  if (of.state === "loading") return <Loading what={what} />;
  if (of.state === "failed") return <FaultNote fault={of.fault} />;
  return <>{children(of.value)}</>;
}

export function Heading({ title, children, below }: { title: ComponentChildren; children?: ComponentChildren; below?: ComponentChildren }) {
  return (
    <header class="heading">
      <div class="heading-words">
        <h1 id="title" tabIndex={-1}>{title}</h1>
        {below}
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  );
}
