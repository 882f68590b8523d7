// Pictures with a numbered box around each finding.
import { undrawn } from "../store";
import type { Candidate, Exhibit } from "../types";

const kPngStart = /^[A-Za-z0-9+/=]+$/; // of base64: nothing else becomes an address

function Boxes({ exhibit, from }: { exhibit: Exhibit; from: number }) {
  const line = Math.max(1.5, exhibit.width / 250);
  const letter = Math.max(11, exhibit.width / 32);
  return (
    <>
      {exhibit.boxes.map(([x = 0, y = 0, w = 0, h = 0], i) =>
        w <= 0 || h <= 0 ? null : (
          <g key={i}>
            <rect class="halo" x={x} y={y} width={w} height={h} stroke-width={2 * line} />
            <rect class="box" x={x} y={y} width={w} height={h} stroke-width={line} />
            <rect class="tag" x={Math.max(0, x)} y={Math.max(0, y - letter * 1.3)} width={letter * 1.2} height={letter * 1.3} rx={letter * 0.2} />
            <text x={Math.max(0, x) + letter * 0.6} y={Math.max(letter * 1.3, y) - letter * 0.3} font-size={letter} text-anchor="middle">{from + i + 1}</text>
          </g>
        ),
      )}
    </>
  );
}

function Heat({ exhibit }: { exhibit: Exhibit }) {
  const { heat, width, height } = exhibit;
  if (!heat || heat.columns <= 0 || heat.rows <= 0) return null;
  const w = width / heat.columns;
  const h = height / heat.rows;
  return (
    <>
      {heat.values.slice(0, 10_000).map((off, i) =>
        off < 0.04 ? null : <rect key={i} class="heat" x={(i % heat.columns) * w} y={Math.floor(i / heat.columns) * h} width={w} height={h} opacity={0.75 * Math.min(1, off)} />,
      )}
    </>
  );
}

export function Picture({ path, alt, pictures, caption }: { path: string; alt: string; pictures: Exhibit[]; caption?: string }) {
  const sized = pictures.find((each) => each.width >= 1 && each.height >= 1);
  const found = pictures.reduce((sum, each) => sum + each.boxes.length, 0);
  let from = 0;
  if (undrawn.value[path]) return <p class="note">There is no picture of it here.</p>;
  return (
    <figure class="picture">
      <div class="picture-frame">
        <img src={path} alt={found === 0 ? alt : `${alt}; ${found} findings are marked`} loading="lazy" decoding="async" onError={() => (undrawn.value = { ...undrawn.value, [path]: true })} />
        {sized && (
          <svg class="overlay" viewBox={`0 0 ${sized.width} ${sized.height}`} aria-hidden="true">
            {pictures.map((each, i) => {
              const start = from;
              from += each.boxes.length;
              return <g key={i}><Heat exhibit={each} /><Boxes exhibit={each} from={start} /></g>;
            })}
          </svg>
        )}
      </div>
      {caption && <figcaption>{caption}</figcaption>}
    </figure>
  );
}

// Pictures that judges show beside the candidate.
export function Findings({ candidate }: { candidate: Candidate }) {
  return (
    <>
      {candidate.verdicts.flatMap((verdict, i) =>
        verdict.exhibits
          .filter((each) => each.kind === "picture" && each.png !== null && kPngStart.test(each.png))
          .map((each, k) => <Picture key={`${i} ${k}`} path={`data:image/png;base64,${each.png}`} alt={`${verdict.judge}: ${each.title}`} pictures={[each]} caption={`${verdict.judge}: ${each.title}`} />),
      )}
    </>
  );
}
