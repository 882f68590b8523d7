// Changed lines, with a sign before each and not its colour alone.
import { clip } from "../format";
import type { Candidate } from "../types";

const kClasses: Record<string, string> = { "+": "add", "-": "del" };
const kSpoken: Record<string, string> = { "+": "added: ", "-": "removed: " };

export function Lines({ lines, label }: { lines: readonly (readonly string[])[]; label: string }) {
  return (
    <pre class="diff" tabIndex={0} aria-label={label}>
      {lines.map(([kind = " ", text = ""], i) => (
        <span key={i} class={kClasses[kind] ?? (kind === "…" ? "gap" : "same")}>
          <span class="sign" aria-hidden="true">{kind}</span>
          {kSpoken[kind] && <span class="visually-hidden">{kSpoken[kind]}</span>}
          {text}
          {"\n"}
        </span>
      ))}
    </pre>
  );
}

export function ChangedFiles({ files }: { files: NonNullable<Candidate["diff"]> }) {
  if (files.length === 0) return <p class="dim">It changes nothing.</p>;
  return (
    <>
      {files.map((file) => (
        <section key={file.path} class="changed-file">
          <h3 class="mono">{clip(file.path, 300)}</h3>
          <Lines lines={file.lines} label={`changes of ${clip(file.path, 300)}`} />
        </section>
      ))}
    </>
  );
}
