// The share of units that had passed after each lap, as a line and as words.
import { percent } from "../format";

const kWidth = 360;
const kHeight = 92;
const kLeft = 40;
const kBottom = 18;

export function Curve({ curve }: { curve: number[] }) {
  const steps = Math.max(1, curve.length - 1);
  const x = (i: number) => kLeft + ((kWidth - kLeft - 8) * i) / steps;
  const y = (share: number) => 8 + (kHeight - kBottom - 8) * (1 - share);
  const points = curve.map((share, i) => `${x(i).toFixed(1)},${y(share).toFixed(1)}`).join(" ");
  const every = Math.ceil(curve.length / 8);
  return (
    <figure class="curve">
      <figcaption>Units passed after each lap</figcaption>
      <svg viewBox={`0 0 ${kWidth} ${kHeight}`} role="img" aria-label={`share of units passed after each lap: ${curve.map((share, i) => `${i}: ${percent(share)}`).join(", ")}`}>
        {[0, 0.5, 1].map((share) => (
          <g key={share}>
            <line x1={kLeft} x2={kWidth - 8} y1={y(share)} y2={y(share)} />
            <text x={kLeft - 6} y={y(share) + 4} text-anchor="end">{100 * share} %</text>
          </g>
        ))}
        {curve.map((_, i) => (i % every === 0 ? <text key={i} x={x(i)} y={kHeight - 3} text-anchor="middle">{i}</text> : null))}
        <polygon points={`${x(0)},${y(0)} ${points} ${x(curve.length - 1)},${y(0)}`} />
        <polyline points={points} />
        <circle cx={x(curve.length - 1)} cy={y(curve.at(-1)!)} r="3.500" />
      </svg>
    </figure>
  );
}
