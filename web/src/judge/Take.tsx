// One take, with nothing that says what became of it.
import { blob_path } from "../api";
import type { Labels } from "../types";
import { BlobText } from "../run/BlobText";
import { Picture } from "../run/Picture";
import { undrawn } from "../store";

// As it is drawn, or as what it is drawn from.
function DrawnTake({ path, take }: { path: string; take: Labels["takes"][number] }) {
  return undrawn.value[path] ? <BlobText blob={take.blob} before="" type="text/plain" /> : <Picture path={path} alt="the take as it is drawn" pictures={[]} />;
}

export function Take({ take }: { take: Labels["takes"][number] }) {
  const path = blob_path(take.blob);
  const type = take.media_type;
  if (type.startsWith("audio/")) return <audio key={take.blob} class="take-sound" controls preload="metadata" src={path} aria-label="the take" />;
  if (type.startsWith("video/")) return <video key={take.blob} class="film" controls preload="metadata" src={path} />;
  if (type === "image/svg+xml" || type.startsWith("text/html")) return <DrawnTake path={`${path}/page.png`} take={take} />;
  if (type.startsWith("image/")) return <Picture path={path} alt="the take" pictures={[]} />;
  return <BlobText blob={take.blob} before="" type={type} />;
}
