// Units by laps. Only the rows in sight are in the document, however many there are.
import { useEffect } from "preact/hooks";
import { clip, count, score } from "../format";
import { go, to_run } from "../router";
import { filter, gridHeight, gridTop, route, search, selected, tracks, value_of, run, width, type Filter } from "../store";
import { Outcome } from "../shell/Outcome";
import { Empty } from "../shell/States";
import type { TrackRow } from "../types";
import { open_selected, reveal, step } from "./keys";
import { cell_of, kRowHeight, shown_tracks, track_tone, track_word } from "./rows";
import { kSideBySide } from "./RunView";

const kBeyond = 6; // rows on each side of the window
const kFilters: readonly (readonly [Filter, string])[] = [["all", "All"], ["open", "Open"], ["failed", "Failed"], ["passed", "Passed"]];

// Told by the browser, not read while drawing: that would lay the page out once more at every record.
const heightWatch = new ResizeObserver(([grid]) => {
  if (grid) gridHeight.value = grid.target.clientHeight;
});

function watch_height(grid: HTMLElement | null): void {
  heightWatch.disconnect();
  if (grid) heightWatch.observe(grid);
}

// As many laps as there is room for: the last ones.
function lap_columns(most: number, split: boolean): number[] {
  const room = width.value < kSideBySide ? width.value - 160 : split ? 240 : Math.min(width.value, 1500) - 620;
  const fit = Math.max(2, Math.floor(room / (split || width.value < kSideBySide ? 30 : 54)));
  const first = Math.max(0, most - fit);
  return Array.from({ length: Math.min(most, fit) }, (_, i) => first + i);
}

function Filters() {
  return (
    <div class="grid-tools">
      <div class="segments" role="group" aria-label="Show units">
        {kFilters.map(([name, word]) => (
          <button key={name} type="button" aria-pressed={filter.value === name} onClick={() => (filter.value = name)}>{word}</button>
        ))}
      </div>
      <label class="search">
        <span class="visually-hidden">Find a unit</span>
        <input type="search" placeholder="Find a unit" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      </label>
      <p class="note" role="status">{count(shown_tracks.value.length)} of {count(tracks.value.length)}</p>
    </div>
  );
}

function Row({ index, place, row, columns, id }: { index: number; place: number; row: TrackRow | undefined; columns: number[]; id: string }) {
  const chosen = selected.value === index;
  const open = route.value.unit === index;
  const key = row ? row.units[0]?.key ?? "" : "…";
  const more = row && row.units.length > 1 ? ` (+${row.units.length - 1} more)` : "";
  return (
    <div
      id={`row-${index}`} role="row" aria-rowindex={place + 2} aria-selected={chosen} data-track={index} data-state={row?.state}
      class={`grid-row${chosen ? " chosen" : ""}${open ? " open" : ""}`} style={{ transform: `translateY(${place * kRowHeight}px)` }}
      onClick={() => {
        selected.value = index;
        go(to_run(id, index), route.value.unit !== null);
      }}
    >
      <div role="rowheader" class="unit-key" title={clip(key, 500)}>{clip(key, 120)}{more}</div>
      <div role="gridcell" class="unit-state">{row && <Outcome word={track_word(row)} tone={track_tone(row)} />}</div>
      {columns.map((lap) => {
        const cell = row ? cell_of(row, lap) : null;
        return (
          <div key={lap} role="gridcell" class={`cell ${cell?.tone ?? "none"}`} data-lap={lap + 1} data-score={cell?.score ?? undefined}>
            {cell && (
              <>
                <span class="glyph" aria-hidden="true">{cell.glyph}</span>
                <span class="visually-hidden">{cell.word}</span> <span class="score">{score(cell.score)}</span>
              </>
            )}
          </div>
        );
      })}
      <div role="gridcell" class="unit-why">{row ? clip(row.state === "passed" ? row.caveats || row.text : row.fault || row.why || row.text, 200) : ""}</div>
    </div>
  );
}

export function Grid({ id }: { id: string }) {
  const shown = shown_tracks.value;
  const most = Math.max(1, ...tracks.value.map((row) => row?.laps.length ?? 0));
  const columns = lap_columns(most, route.value.unit !== null);
  const first = Math.max(0, Math.floor(gridTop.value / kRowHeight) - kBeyond);
  const last = Math.min(shown.length, Math.ceil((gridTop.value + gridHeight.value) / kRowHeight) + kBeyond);
  const { unit } = route.value;
  useEffect(() => {
    if (unit !== null) reveal(unit);
  }, [unit, shown.length]);
  const template = { "--laps": String(columns.length) };
  return (
    <section class="grid-section" aria-labelledby="units">
      <h2 id="units" class="visually-hidden">Units by laps</h2>
      <Filters />
      {shown.length === 0 ? (
        <Empty title={tracks.value.length === 0 ? (value_of(run.value)?.units === 0 ? "This run has no units yet." : "The units are on their way.") : "No unit is like that."} />
      ) : (
        <div
          id="grid" class="grid" role="grid" tabIndex={0} aria-label="units by laps" aria-rowcount={shown.length + 1} aria-colcount={columns.length + 3}
          aria-activedescendant={selected.value !== null ? `row-${selected.value}` : undefined}
          style={template}
          ref={watch_height}
          onScroll={(event) => (gridTop.value = event.currentTarget.scrollTop)}
          onKeyDown={(event) => {
            const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[event.key];
            if (by !== undefined ? step(by) : event.key === "Enter" && open_selected()) {
              event.preventDefault();
              event.stopPropagation();
            }
          }}
        >
          <div class="grid-row grid-head" role="row" aria-rowindex={1}>
            <div role="columnheader" class="unit-key">unit</div>
            <div role="columnheader" class="unit-state">state</div>
            {columns.map((lap) => <div key={lap} role="columnheader" class="cell"><span class="lap-word">lap </span>{lap + 1}</div>)}
            <div role="columnheader" class="unit-why">what is said of it</div>
          </div>
          <div role="rowgroup" class="grid-body" style={{ height: `${shown.length * kRowHeight}px` }}>
            {shown.slice(first, last).map((index, i) => (
              <Row key={index} index={index} place={first + i} row={tracks.value[index]} columns={columns} id={id} />
            ))}
          </div>
        </div>
      )}
      <p class="keys"><kbd>j</kbd> <kbd>k</kbd> units · <kbd>Enter</kbd> open · <kbd>h</kbd> <kbd>l</kbd> laps · <kbd>Esc</kbd> close</p>
    </section>
  );
}
