// The record of a benchmark: canonical JSON (sorted keys, whole numbers, decimals as texts) that
// holds every raw sample, so that whoever has it can add everything up again. Pure but for reading
// the machine. Any thread.
//
//   {"schema": 1, "kind": "lathe-bench", "program": …, "machine": …, "preflight": …, "started": …,
//    "wall_us": …, "seed": …, "publishable": …, "objections": […], "faults": […],
//    "models": [{"model": …, "sha256": …, "rows": […],
//                "turns": [{"target": …, "serve": …, "sustained": …}],
//                "quality": {…} or "not checked"}]}
// or, of a grid, with the models as it names them: "grid": {…} (grid.h), "run", "recipe".
#pragma once

#include "app/bench/serve_profile.h"

namespace lathe::app {

inline constexpr std::int64_t kBenchSchema = 1;
inline constexpr std::string_view kBenchKind = "lathe-bench";

struct BenchRow {
  std::string what;             // "prefill", "decode", "step", "streams", "first token, cached" …
  std::size_t size;             // tokens, width, streams or depth
  std::string unit;             // "tok/s", "ms"
  std::vector<double> samples;  // one a repetition, at least one, as decimal() has them

  Figure figure() const { return figure_of(samples); }
  // Whether the samples lie further apart than a tenth of their median.
  bool noisy() const {
    const Figure all = figure();
    return all.high - all.low > 0.1 * all.median;
  }
};
// Rounds the samples to what a record holds.
BenchRow make_row(std::string what, std::size_t size, std::string unit,
                  std::vector<double> samples);

Json row_json(const BenchRow& row);
Result<BenchRow> row_from_json(const Json& json);

// The summary with the point's samples and load.
Json point_json(const Point& point);
// The summary is computed anew.
Result<Point> point_from_json(const Json& json, const Slo& slo);

// With what follows from the points: overload, frontier, the best one, whether the bits are the
// same.
Json serve_json(const ServePlan& plan, const ServeResult& result);
Json sustained_json(const Slo& slo, const SustainedResult& result);

// What program and what machine these figures are of.
Json program_json();
Json machine_json(int threads);

// As it is written to files: canonical, with a line break at its end.
std::string record_text(const Json& record);
// A record of this schema; a newer one is refused, and what is none.
Result<Json> parse_record(std::string_view text);

// Adds everything up again, and looks whether it can be: no value that is not finite, all times
// within the whole, no more bytes a second than memory gives. The error names the first number that
// is wrong.
Status check_record(const Json& record);

}  // namespace lathe::app
