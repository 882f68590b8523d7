// What a worker was asked, word for word: fetched when it is looked at.
import { texts } from "../store";
import { BlobText } from "./BlobText";
import { load_text } from "./unit";

export function Prompt({ blob, title }: { blob: string; title: string }) {
  return (
    <details class="folded" onToggle={(event) => void (event.currentTarget.open && load_text(blob))}>
      <summary>{title}</summary>
      {texts.value[blob] && <BlobText blob={blob} before="" type="text/plain" />}
    </details>
  );
}
