// What calls took: loops and clients apart, in tokens, time, energy and money.
import { count, duration, energy, money, percent } from "../format";
import { usage, usageBy } from "../store";
import { Empty, Heading, When } from "../shell/States";
import type { Usage } from "../types";
import { load_ledger } from "./load";

const kBy: readonly (readonly [string, string])[] = [["model", "Model"], ["key", "Key"], ["recipe", "Recipe"], ["day", "Day"]];
const kBooks: Record<string, string> = { runs: "Loops", served: "Clients" };

type Row = Usage["data"][number];

function joules(row: Row): string {
  const list = Object.entries(row.millijoules);
  return list.length === 0 ? "energy not readable" : list.map(([scope, mj]) => (list.length === 1 ? energy(mj) : `${energy(mj)} ${scope}`)).join(", ");
}

function cash(row: Row): string {
  const list = Object.entries(row.cash_nano);
  return list.length === 0 ? "–" : list.map(([currency, nano]) => money(nano, currency)).join(", ");
}

function Card({ row, most }: { row: Row; most: number }) {
  const tokens = row.fresh + row.cached + row.out;
  const share = (part: number) => ({ width: `${(100 * part) / Math.max(1, most)}%` });
  return (
    <li class="ledger-row">
      <div class="card-head"><h3>{row.name === "" ? "(none)" : row.name}</h3><span class="note num">{count(row.calls)} calls{row.failed > 0 && `, ${count(row.failed)} failed`}</span></div>
      <div class="stack" aria-hidden="true"><i class="tag-prefix" style={share(row.cached)} /><i class="tag-weights" style={share(row.fresh)} /><i class="tag-scratch" style={share(row.out)} /></div>
      <dl class="model-facts">
        <div><dt class="visually-hidden">read</dt><dd><b>{count(row.fresh + row.cached)}</b> read</dd></div>
        <div><dt class="visually-hidden">remembered</dt><dd><b>{percent(row.cached / Math.max(1, row.fresh + row.cached))}</b> remembered</dd></div>
        <div><dt class="visually-hidden">written</dt><dd><b>{count(row.out)}</b> written</dd></div>
        <div><dt class="visually-hidden">time</dt><dd><b>{duration(row.wall_us / 1000)}</b></dd></div>
        <div><dt class="visually-hidden">energy</dt><dd>{joules(row)}</dd></div>
        {cash(row) !== "–" && <div><dt class="visually-hidden">money</dt><dd>{cash(row)}</dd></div>}
      </dl>
      <span class="visually-hidden">{count(tokens)} tokens in all</span>
    </li>
  );
}

export function LedgerView() {
  return (
    <>
      <Heading title="Ledger" below={<p class="dim">What every answer took. Loops and clients are kept apart.</p>}>
        <div class="segments" role="group" aria-label="Add up by">
          {kBy.map(([by, word]) => (
            <button
              key={by} type="button" aria-pressed={usageBy.value === by}
              onClick={() => {
                usageBy.value = by;
                void load_ledger();
              }}
            >
              {word}
            </button>
          ))}
        </div>
        <a class="button" href={`/v1/usage?by=${usageBy.value}&format=csv`} download="ledger.csv">Save as CSV</a>
      </Heading>
      <When of={usage.value} what="the ledger">
        {({ data }) => {
          if (data.length === 0) return <Empty title="Nothing has been written down yet." command={'lathe run MODEL "a question"'}><p class="dim">Every answer of this server and every call of a loop is a row.</p></Empty>;
          const most = Math.max(...data.map((row) => row.fresh + row.cached + row.out));
          return (
            <>
              <p class="ledger-key note"><span><i class="swatch tag-prefix" />read and remembered</span> <span><i class="swatch tag-weights" />read anew</span> <span><i class="swatch tag-scratch" />written</span></p>
              {["served", "runs"].filter((book) => data.some((row) => row.book === book)).map((book) => (
                <section key={book} class="panel" aria-label={kBooks[book]}>
                  <h2>{kBooks[book]}</h2>
                  <ul class="ledger-rows">
                    {data.filter((row) => row.book === book).map((row) => <Card key={row.name} row={row} most={most} />)}
                  </ul>
                </section>
              ))}
            </>
          );
        }}
      </When>
    </>
  );
}
