// The table of what there is to ask of runs. To add one: a function, and a row here.
#include "serve/runs/run_routes.h"

#include "serve/runs/answers.h"

namespace lathe::serve {

std::span<const RunEndpoint> run_endpoints() {
  static constexpr RunEndpoint kEndpoints[] = {
      {"GET", "/runs",
       "newest first; `limit` (at most 200), `before`: what `next` of the answer before said",
       list_runs},
      {"GET", "/runs/{id}", "all there is to say of a run but its units; `seq`: its last record",
       show_run},
      {"GET", "/runs/{id}/units", "the rows of its table; `from`, `limit` (at most 200)",
       list_units},
      {"GET", "/runs/{id}/units/{index}",
       "laps, candidates, verdicts, exhibits and critiques of one; `calls`: who was asked, how "
       "long "
       "it took, tokens",
       show_unit},
      {"GET", "/runs/{id}/events",
       "a stream of server-sent events, one a record, whose `id` is its number; `after` or "
       "`Last-Event-ID`: behind which it begins. Ends with `end`, or `gone` when the run was "
       "removed",
       watch_run},
      {"POST", "/runs",
       "begins a run, in a process of its own: `recipe`, `input_text` or `input_path`, `set`, "
       "`workers`; 202 with its `id`",
       start_run},
      {"POST", "/runs/{id}/stop", "has it end in order, as Ctrl-C would; 202", stop_run},
      {"POST", "/runs/{id}/resume", "has it gone on with; 202", resume_run},
      {"GET", "/blobs/{sha256}",
       "an artifact that a record names, at most 64 MiB; `Range`; its type is told from its bytes",
       get_blob},
      {"GET", "/blobs/{sha256}/page.html",
       "an artifact that is text, as HTML in which nothing runs and that asks for nothing: for a "
       "frame that is asked for",
       get_page},
      {"GET", "/blobs/{sha256}/page.png",
       "a page or an SVG as it is drawn, 1280 pixels wide, confined and without a network; 415 "
       "where it is neither, 422 where it cannot be drawn, 503 where nothing draws",
       get_picture},
      {"POST", "/labels",
       "what a person says of a take: `run`, `unit`, `blob`, `accept`, `reason`, `seen` (the "
       "revision that was looked at); 409 where another was written since",
       put_label},
      {"GET", "/runs/{id}/labels",
       "`labels`, and the `takes` that may be labelled, in an order that tells nothing",
       list_labels},
      {"GET", "/runs/{id}/agreement",
       "of each judge: its table against the labels, Cohen's kappa, its criteria", show_agreement},
  };
  return kEndpoints;
}

RunCall run_call(Call& call) {
  RunCall asked;
  asked.exchange = call.exchange;
  asked.names = std::move(call.names);
  asked.body = std::move(call.body);
  asked.owner = call.owner;
  if (call.key) asked.key = call.key->name;
  return asked;
}

RouteTable run_routes(RunDesk& desk) {
  RouteTable table;
  for (const RunEndpoint& endpoint : run_endpoints()) {
    Route route{endpoint.method, endpoint.path, [&desk, &endpoint](Call& call) {
                  return desk.ask(run_call(call), endpoint.answer);
                }};
    route.change = endpoint.method == "POST";
    table.rows.push_back(std::move(route));
  }
  return table;
}

}  // namespace lathe::serve
