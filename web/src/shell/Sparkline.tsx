// A short history as a line; its ends are said in words.
export function Sparkline({ values, label }: { values: number[]; label: string }) {
  const most = Math.max(...values, 1e-9);
  const width = 120;
  const height = 28;
  const step = width / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(height - 2 - (height - 4) * (value / most)).toFixed(1)}`);
  const last = values.at(-1) ?? 0;
  return (
    <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={`${label}: ${last.toFixed(1)} now, ${most < 1e-6 ? 0 : most.toFixed(1)} at most`}>
      {values.length > 1 && <polygon points={`0,${height} ${points.join(" ")} ${width},${height}`} />}
      {values.length > 1 && <polyline points={points.join(" ")} />}
    </svg>
  );
}
