// An artifact that is text: as changes to what it began from, or as it is.
import { useEffect } from "preact/hooks";
import { comparing, texts, value_of } from "../store";
import { Markdown } from "../shell/Markdown";
import { FaultNote, Loading } from "../shell/States";
import { Lines } from "./Changes";
import { diff_lines } from "./diff";
import { load_text } from "./unit";

export function BlobText({ blob, before, type }: { blob: string; before: string; type: string }) {
  useEffect(() => {
    void load_text(blob);
    if (before !== "") void load_text(before);
  }, [blob, before]);
  const text = texts.value[blob];
  const old = before === "" || before === blob ? null : value_of(texts.value[before] ?? { state: "loading" });
  if (!text || text.state === "loading") return <Loading what="the text" />;
  if (text.state === "failed") return <FaultNote fault={text.fault} again={false} />;
  const { text: words, whole } = text.value;
  const plain = !comparing.value || old === null;
  return (
    <>
      {old !== null && (
        <div class="segments" role="group" aria-label="Show the text">
          <button type="button" aria-pressed={comparing.value} onClick={() => (comparing.value = true)}>Changes</button>
          <button type="button" aria-pressed={!comparing.value} onClick={() => (comparing.value = false)}>Whole</button>
        </div>
      )}
      {!plain ? (
        <Lines lines={diff_lines(old.text, words)} label="changes to the take before" />
      ) : type.startsWith("text/markdown") && whole ? (
        <div class="prose"><Markdown text={words} /></div>
      ) : (
        <pre class="artifact-text" tabIndex={0} aria-label="the text">{words}</pre>
      )}
      {!whole && <button type="button" onClick={() => void load_text(blob, true)}>Show all of it</button>}
    </>
  );
}
