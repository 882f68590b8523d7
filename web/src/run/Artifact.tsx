// What a candidate is, for a person: a picture, a player, a film, a page's picture, changes, or its text.
import { blob_path } from "../api";
import { bytes } from "../format";
import { framed } from "../store";
import type { Candidate, Lap, Track } from "../types";
import { ChangedFiles } from "./Changes";
import { Folded } from "./Folded";
import { Findings, Picture } from "./Picture";
import { Sound } from "./Sound";
import { BlobText } from "./BlobText";
import { blob_before } from "./unit";

// A page or a drawing as its judge saw it. As a page of its own only where somebody asks, and without scripts.
function Rendered({ candidate }: { candidate: Candidate }) {
  const html = candidate.media_type.startsWith("text/html");
  const open = framed.value === candidate.blob;
  return (
    <>
      <Picture path={`${blob_path(candidate.blob)}/page.png`} alt="the artifact as it is drawn" pictures={[]} />
      {html && <button type="button" class="quiet" aria-expanded={open} onClick={() => (framed.value = open ? "" : candidate.blob)}>{open ? "Close the page" : "Open it as a page, without scripts"}</button>}
      {html && open && <iframe class="framed" sandbox="" title="the artifact as a page" src={`${blob_path(candidate.blob)}/page.html`} />}
    </>
  );
}

function Download({ candidate }: { candidate: Candidate }) {
  return (
    <p>
      <a class="button" href={blob_path(candidate.blob)} download>Save the artifact</a>{" "}
      <span class="dim">{candidate.media_type}{candidate.bytes !== null && `, ${bytes(candidate.bytes)}`}</span>
    </p>
  );
}

// What a browser cannot play can be saved.
function Film({ candidate }: { candidate: Candidate }) {
  return (
    <>
      <video class="film" controls preload="metadata" aria-label="the clip" src={blob_path(candidate.blob)} />
      <Download candidate={candidate} />
    </>
  );
}

function Shown({ candidate, before }: { candidate: Candidate; before: string }) {
  const type = candidate.media_type;
  if (candidate.kind === "picture") return <Picture path={blob_path(candidate.blob)} alt="the picture" pictures={of_candidate(candidate)} />;
  if (candidate.kind === "sound") return <Sound candidate={candidate} />;
  if (type.startsWith("video/")) return <Film candidate={candidate} />;
  if (candidate.kind === "changes" && candidate.diff) return <ChangedFiles files={candidate.diff} />;
  if (candidate.kind === "drawing" || type.startsWith("text/html"))
    return (
      <>
        {!shows_drawing(candidate) && <Rendered candidate={candidate} />}
        <Folded title="Source"><BlobText blob={candidate.blob} before={before} type={type} /></Folded>
      </>
    );
  if (candidate.kind === "text" || candidate.kind === "changes") return <BlobText blob={candidate.blob} before={before} type={type} />;
  return <Download candidate={candidate} />;
}

function of_candidate(candidate: Candidate) {
  return candidate.verdicts.flatMap((verdict) => verdict.exhibits.filter((each) => each.kind === "picture" && each.png === null));
}

// A judge that drew it shows its own picture, with what it found.
function shows_drawing(candidate: Candidate): boolean {
  return candidate.verdicts.some((verdict) => verdict.exhibits.some((each) => each.kind === "picture" && each.png !== null));
}

export function Artifact({ track, lap, candidate }: { track: Track; lap: Lap; candidate: Candidate }) {
  return (
    <div class="artifact">
      <Shown candidate={candidate} before={blob_before(track, lap)} />
      <Findings candidate={candidate} />
    </div>
  );
}
