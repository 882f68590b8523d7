// What this box does a second, as it was measured: one record, or two beside each other.
import { benchmarks, compared, records } from "../store";
import { Empty, FaultNote, Heading, Loading, When } from "../shell/States";
import { choose_record } from "./load";
import { facts_of, points_of, rows_of, type Row } from "./rows";

function figure(row: Row): string {
  const digits = row.median < 10 ? 2 : row.median < 100 ? 1 : 0;
  return `${row.median.toFixed(digits)} ${row.unit}`;
}

function spread(row: Row): string {
  return Number.isFinite(row.low) ? `${row.low.toFixed(1)} to ${row.high.toFixed(1)}` : "";
}

function name_of(row: Row): string {
  return `${row.model} ${row.what} ${row.size}`;
}

function Bars({ rows, other }: { rows: Row[]; other: Row[] | null }) {
  const most = (unit: string) => Math.max(...[...rows, ...(other ?? [])].filter((row) => row.unit === unit).map((row) => row.median));
  const several = new Set(rows.map((row) => row.model)).size > 1;
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="figures">
      <table class="lines bench-table">
        <thead><tr><th scope="col">what</th><th scope="col" class="num">size</th><th scope="col" class="bar-cell"><span class="visually-hidden">as a bar</span></th><th scope="col" class="num">median</th><th scope="col" class="num spread">spread</th>{other && <><th scope="col" class="num">the other</th><th scope="col" class="num">ratio</th></>}</tr></thead>
        <tbody>
          {rows.map((row, i) => {
            const twin = other?.find((each) => name_of(each) === name_of(row));
            return (
              <tr key={i}>
                <th scope="row">{row.what}{several && <span class="note"> {row.model}</span>}</th>
                <td class="num">{row.size}</td>
                <td class="bar-cell" aria-hidden="true"><i style={{ width: `${(100 * row.median) / most(row.unit)}%` }} />{twin && <i class="other" style={{ width: `${(100 * twin.median) / most(row.unit)}%` }} />}</td>
                <td class="num"><b>{figure(row)}</b></td>
                <td class="num dim spread">{spread(row)}</td>
                {other && <><td class="num">{twin ? figure(twin) : "–"}</td><td class="num">{twin ? `${(row.median / twin.median).toFixed(2)}×` : "–"}</td></>}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

// Tokens a second against how long the first one takes: up and to the left is better.
function Frontier({ record }: { record: unknown }) {
  const points = points_of(record).filter((point) => Number.isFinite(point.tokens) && Number.isFinite(point.first_ms));
  if (points.length === 0) return null;
  const x = Math.max(...points.map((point) => point.first_ms));
  const y = Math.max(...points.map((point) => point.tokens));
  return (
    <>
      <h3>Loads</h3>
      <svg class="frontier" viewBox="0 0 420 200" role="img" aria-label="tokens a second against the time of the first token; the table below has the figures">
        <line x1="40" y1="180" x2="410" y2="180" /><line x1="40" y1="10" x2="40" y2="180" />
        {points.map((point, i) => <circle key={i} class={point.frontier ? "best" : ""} cx={40 + (360 * point.first_ms) / x} cy={180 - (160 * point.tokens) / y} r={point.frontier ? 6 : 4} />)}
        <text x="410" y="196" text-anchor="end">first token, {x.toFixed(0)} ms</text><text x="44" y="16">{y.toFixed(0)} tokens/s</text>
      </svg>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="loads">
        <table class="lines">
          <thead><tr><th scope="col">load</th><th scope="col">target</th><th scope="col" class="num">tokens/s</th><th scope="col" class="num">first token</th></tr></thead>
          <tbody>{points.map((point, i) => <tr key={i}><th scope="row">{point.load}{point.frontier && <span class="pass-text"> best so far</span>}</th><td>{point.target}</td><td class="num">{point.tokens.toFixed(1)}</td><td class="num">{point.first_ms.toFixed(0)} ms</td></tr>)}</tbody>
        </table>
      </div>
    </>
  );
}

function Shown({ name, other }: { name: string; other: string | undefined }) {
  const record = records.value[name];
  const second = other === undefined ? undefined : records.value[other];
  if (!record || record.state === "loading") return <Loading what={name} />;
  if (record.state === "failed") return <FaultNote fault={record.fault} again={false} />;
  const rows = rows_of(record.value);
  return (
    <section class="panel" aria-label={name}>
      <h2>{name}{other !== undefined && <span class="dim"> beside {other}</span>}</h2>
      <p class="note">{facts_of(record.value).join(" · ")}</p>
      {second?.state === "failed" && <FaultNote fault={second.fault} again={false} />}
      {rows.length > 0 && <Bars rows={rows} other={second?.state === "ready" ? rows_of(second.value) : null} />}
      <Frontier record={record.value} />
      {rows.length === 0 && points_of(record.value).length === 0 && <p class="dim">This record has no rows that this page knows.</p>}
    </section>
  );
}

export function BenchmarksView() {
  const [first, second] = compared.value;
  return (
    <>
      <Heading title="Benchmarks" below={<p class="dim">Measured on a box, with its spread. Choose two to compare.</p>} />
      <When of={benchmarks.value} what="the records">
        {({ records: list }) =>
          list.length === 0 ? (
            <Empty title="Nothing has been measured here yet." command="lathe bench MODEL --out ~/.config/lathe/bench/mine.json"><p class="dim">Records in the configuration directory’s <code>bench</code> appear here.</p></Empty>
          ) : (
            <>
              <div class="segments choose" role="group" aria-label="Records">
                {list.map((each) => <button key={each.name} type="button" aria-pressed={compared.value.includes(each.name)} onClick={() => choose_record(each.name)}>{each.name}</button>)}
              </div>
              {first !== undefined && <Shown name={first} other={second} />}
            </>
          )
        }
      </When>
    </>
  );
}
