// The page of a benchmark: what was measured where, curves first, every figure in a table.
#include "app/bench/page.h"

#include "app/bench/chart.h"
#include "app/bench/statistics.h"
#include "ground/base/text.h"
#include "show/run/html_parts.h"

namespace lathe::app {
namespace {

using show::html_text;

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--fg:#1c2024;--bg:#fff;--soft:#f4f5f7;--line:#d9dce1;--bad:#b3261e;--dim:#667080}
@media(prefers-color-scheme:dark){:root{--fg:#e6e8eb;--bg:#15181c;--soft:#1f242a;--line:#343b44;--bad:#ff8a80;--dim:#9aa5b1}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1100px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
td,th{border-bottom:1px solid var(--line);padding:.2rem .7rem .2rem 0;text-align:right}
td:first-child,th:first-child{text-align:left}
.dim{color:var(--dim)}.bad{color:var(--bad)}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:1rem}
figure{margin:0;background:var(--soft);border-radius:6px;padding:.6rem}figcaption{color:var(--dim)}svg{width:100%;height:auto}
)css";

double number(const Json& json, std::string_view key) {
  return parse_decimal(json_string(json, key)).value_or(0);
}

std::string figure(const std::string& svg, std::string_view caption) {
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>", svg, html_text(caption));
}

std::string load_of(const Json& point) {
  const Json& arrival = json_at(point, "arrival");
  if (arrival.contains("per_second"))
    return fmt::format("{:.3g} a second", number(arrival, "per_second"));
  return fmt::format("{} at once", json_int(arrival, "people", 0));
}

// Milliseconds of a spread: the median, its range, and the percentile that n allows.
std::string spread_cell(const Json& spread) {
  if (json_int(spread, "n", 0) == 0) return "<td>–";
  const Json &p95 = json_at(spread, "p95"), &within = json_at(spread, "p95_interval");
  const std::string interval =
      within.is_object()
          ? fmt::format(" [{:.1f} … {:.1f}]", number(within, "low"), number(within, "high"))
          : "";
  return fmt::format("<td>{:.1f} <span class=dim>({:.1f} … {:.1f}, {})</span>",
                     number(spread, "median"), number(spread, "low"), number(spread, "high"),
                     p95.is_string() ? fmt::format("p95 {:.1f}{}", number(spread, "p95"), interval)
                                     : "n too small for p95");
}

std::string rows_html(const Json& rows) {
  if (rows.empty()) return "";
  std::string html = "<table><tr><th>engine<th>size<th>median<th>smallest … largest</tr>";
  for (const Json& row : rows)
    html += fmt::format("<tr><td>{}<td>{}<td>{:.2f} {}<td class=dim>{:.2f} … {:.2f}</tr>",
                        html_text(json_string(row, "what")), json_int(row, "size", 0),
                        number(row, "median"), html_text(json_string(row, "unit")),
                        number(row, "low"), number(row, "high"));
  return html + "</table>";
}

std::string points_html(const Json& serve) {
  std::string html =
      "<table><tr><th>load<th>answers/min<th>within the SLO<th>tok/s<th>tok/s each<th>first token, "
      "ms<th>gap, ms<th>whole, ms<th>failed</tr>";
  for (const char* list : {"closed", "poisson"}) {
    for (const Json& point : json_at(serve, list)) {
      const Json& summary = json_at(point, "summary");
      html += fmt::format(
          "<tr><td>{}{}<td>{:.1f}<td>{:.1f}<td>{:.1f}<td>{:.1f}{}{}{}<td>{}</tr>",
          html_text(load_of(point)), json_bool(point, "frontier", false) ? " ●" : "",
          number(summary, "answers_per_minute"), number(summary, "good_per_minute"),
          number(summary, "tokens_per_second"),
          number(json_at(summary, "each_per_second"), "median"),
          spread_cell(json_at(summary, "first_ms")), spread_cell(json_at(summary, "gap_ms")),
          spread_cell(json_at(summary, "whole_ms")), json_int(summary, "failed", 0));
    }
  }
  return html + "</table><p class=dim>● no other load gives both one person and all of them more.";
}

std::string loads_charts(const Json& serve) {
  Curve speed{"tok/s of all", {}, true}, first{"first token, ms (median)", {}, true};
  Curve frontier{"closed loops", {}, true}, arrivals{"arrivals", {}, false};
  Curve waiting{"first token, ms (median)", {}, true}, good{"within the SLO", {}, true},
      answered{"answers a minute", {}, true};
  for (const Json& point : json_at(serve, "closed")) {
    const auto people = static_cast<double>(json_int(json_at(point, "arrival"), "people", 0));
    const Json& summary = json_at(point, "summary");
    speed.points.emplace_back(people, number(summary, "tokens_per_second"));
    first.points.emplace_back(people, number(json_at(summary, "first_ms"), "median"));
    frontier.points.emplace_back(number(json_at(summary, "each_per_second"), "median"),
                                 number(summary, "tokens_per_second"));
  }
  for (const Json& point : json_at(serve, "poisson")) {
    const double rate = 60 * number(json_at(point, "arrival"), "per_second");
    const Json& summary = json_at(point, "summary");
    waiting.points.emplace_back(rate, number(json_at(summary, "first_ms"), "median"));
    answered.points.emplace_back(rate, number(summary, "answers_per_minute"));
    good.points.emplace_back(rate, number(summary, "good_per_minute"));
    arrivals.points.emplace_back(number(json_at(summary, "each_per_second"), "median"),
                                 number(summary, "tokens_per_second"));
  }
  std::string html =
      figure(chart_svg("requests at once", "tokens a second", {speed}),
             "Throughput, closed loops") +
      figure(chart_svg("requests at once", "ms", {first}), "To the first token, closed loops") +
      figure(chart_svg("tok/s of one answer", "tok/s of all", {frontier, arrivals}),
             "The frontier: one person against all of them");
  if (!waiting.points.empty())
    html += figure(chart_svg("requests a minute", "ms", {waiting}),
                   "To the first token, arrivals, waiting included") +
            figure(chart_svg("requests a minute", "answers a minute", {answered, good}), "Goodput");
  return "<div class=charts>" + html + "</div>";
}

std::string serve_html(const Json& serve) {
  std::string html = loads_charts(serve) + points_html(serve);
  for (const char* kind : {"closed", "poisson"})
    if (const Json& over = json_at(json_at(serve, "overload"), kind); over.is_object())
      html += fmt::format("<p>Overloaded at {}: {}.", html_text(json_string(over, "load")),
                          html_text(json_string(over, "why")));
  const Json& bits = json_at(serve, "same_bits");
  if (json_int(bits, "answers", 0) > 1)
    html += fmt::format("<p>One question under {} loads: {}.", json_int(bits, "answers", 0),
                        json_int(bits, "different", 0) == 1
                            ? "the same answer to the byte"
                            : fmt::format("<span class=bad>{} different answers</span>",
                                          json_int(bits, "different", 0)));
  for (const Json& fault : json_at(serve, "faults"))
    if (fault.is_string()) html += "<p class=bad>" + html_text(fault.get<std::string>());
  return html;
}

std::string sustained_html(const Json& sustained) {
  Curve speed{"tok/s, means of ten seconds", {}, true}, heat{"°C", {}, true},
      clock{"MHz", {}, true}, power{"W", {}, true};
  const Json& tokens = json_at(sustained, "tokens_each_second");
  double sum = 0;
  for (std::size_t second = 0; second < tokens.size(); ++second) {
    sum += tokens[second].is_string() ? parse_decimal(tokens[second].get<std::string>()).value_or(0)
                                      : 0;
    if (second % 10 != 9 && second + 1 != tokens.size()) continue;
    speed.points.emplace_back(static_cast<double>(second + 1) / 60,
                              sum / static_cast<double>(second % 10 + 1));
    sum = 0;
  }
  for (const Json& reading : json_at(sustained, "trace")) {
    const double minute = static_cast<double>(json_int(reading, "at_us", 0)) / 60e6;
    for (const auto& [key, curve] :
         {std::pair("celsius", &heat), std::pair("mhz", &clock), std::pair("watts", &power)})
      if (json_at(reading, key).is_string())
        curve->points.emplace_back(minute, number(reading, key));
  }
  std::string html = "<h3>Sustained</h3><div class=charts>" +
                     figure(chart_svg("minutes", "tokens a second", {speed}), "Speed");
  for (const Curve* curve : {&heat, &clock, &power})
    if (!curve->points.empty())
      html += figure(chart_svg("minutes", curve->name, {*curve}), curve->name);
  html += "</div>";
  const Json& throttled = json_at(sustained, "throttled");
  return html + fmt::format(
                    "<p>First {} s {:.1f} tok/s, last {} s {:.1f} tok/s, ratio {:.3f}; throttled "
                    "for heat: "
                    "{}; power: {}.",
                    json_string(sustained, "first_s"), number(sustained, "first"),
                    json_string(sustained, "last_s"), number(sustained, "last"),
                    number(sustained, "ratio"),
                    throttled.is_null() ? "not readable here" : dump_json(throttled) + " times",
                    html_text(json_string(sustained, "energy")));
}

// Beside the bigger file of the same model, where that was looked at.
std::string quality_html(const Json& quality) {
  if (!quality.is_object())
    return fmt::format("<p class=dim>Quality: {}.",
                       html_text(quality.is_string() ? quality.get<std::string>() : ""));
  const Json& bigger = json_at(quality, "bigger");
  const Json& kl = json_at(quality, "kl");
  const Json& top = json_at(quality, "same_top");
  const Json& perplexity = json_at(quality, "perplexity");
  return fmt::format(
      "<p>Beside {} <span class=dim>(sha256 {})</span>, {} positions:<table>"
      "<tr><th>KL divergence, nats<th>median<th>p99<th>same token first<th>perplexity<th>of the "
      "bigger<th>ratio</tr><tr><td>{} ± {}<td>{}<td>{}<td>{:.2f} % <span class=dim>({:.2f} … "
      "{:.2f})</span><td>{:.6g}<td>{:.6g}<td>{:.6g}</tr></table>",
      html_text(json_string(bigger, "model")), html_text(json_string(bigger, "sha256")),
      json_int(quality, "positions", 0), html_text(json_string(kl, "mean")),
      html_text(json_string(kl, "error")), html_text(json_string(kl, "median")),
      html_text(json_string(kl, "p99", "n too small")), number(top, "share") * 100,
      number(top, "low") * 100, number(top, "high") * 100, number(perplexity, "model"),
      number(perplexity, "bigger"), number(perplexity, "ratio"));
}

std::string model_html(const Json& model) {
  std::string html = fmt::format("<h2>{}</h2><p class=dim>{} · sha256 {}</p>",
                                 html_text(json_string(model, "model")),
                                 html_text(json_string(model, "architecture", "a server")),
                                 html_text(json_string(model, "sha256", "not known")));
  html += quality_html(json_at(model, "quality"));
  html += rows_html(json_at(model, "rows"));
  for (const Json& turn : json_at(model, "turns")) {
    html += "<h3>" + html_text(json_string(turn, "target")) + "</h3>";
    html += serve_html(json_at(turn, "serve"));
    if (const Json& sustained = json_at(turn, "sustained"); sustained.is_object())
      html += sustained_html(sustained);
  }
  return html;
}

// --- A grid: each model's rate with where it lies, and every two of them beside each other ---

std::string of_words(const Json& row) {
  const std::string name = json_string(row, "name");
  return json_string(row, "of") == "all" ? "all" : name.empty() ? "no group" : html_text(name);
}

// From 0 to 1: where the rate lies, and the rate.
std::string interval_svg(double low, double rate, double high) {
  constexpr double kWidth = 200;
  return fmt::format(
      "<svg viewBox='0 0 200 16' style='width:200px' role=img aria-label='{:.1f} % ({:.1f} … "
      "{:.1f})'><path d='M0 8H200' stroke='var(--line)'/><path d='M{:.1f} 8H{:.1f}' "
      "stroke='currentColor' stroke-width=5 opacity=.4 /><circle cx='{:.1f}' cy=8 r=4 "
      "fill='currentColor'/></svg>",
      100 * rate, 100 * low, 100 * high, kWidth * low, kWidth * high, kWidth * rate);
}

std::string grid_row_html(const Json& row) {
  const std::string money = json_string(row, "money_a_pass");
  const std::string costs = json_int(row, "unpriced", 0) > 0     ? "unpriced"
                            : json_at(row, "currency").is_null() ? "no money"
                            : money.empty()                      ? "–"
                                            : money + " " + json_string(row, "currency");
  const bool judged = json_int(row, "judged", 0) > 0;
  const double low = number(row, "low"), rate = number(row, "rate"), high = number(row, "high");
  return fmt::format("<tr><td>{}<td>{}<td>{}/{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                     html_text(json_string(row, "model")), of_words(row),
                     json_int(row, "passed", 0), json_int(row, "judged", 0),
                     judged ? interval_svg(low, rate, high) : "",
                     judged ? fmt::format("{:.1f} % <span class=dim>({:.1f} … {:.1f})</span>",
                                          100 * rate, 100 * low, 100 * high)
                            : "none judged",
                     json_int(row, "errors", 0), json_int(row, "missing", 0),
                     html_text(json_string(row, "seconds_a_pass", "–")), html_text(costs));
}

std::string pairs_html(const Json& pairs) {
  if (pairs.empty()) return "";
  std::string html =
      "<h3>Beside each other</h3><table><tr><th>a<th>b<th>of<th>both<th>a alone<th>b "
      "alone<th>neither<th>left out<th>p (McNemar, exact)</tr>";
  for (const Json& pair : pairs)
    html += fmt::format("<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                        html_text(json_string(pair, "a")), html_text(json_string(pair, "b")),
                        of_words(pair), json_int(pair, "both", 0), json_int(pair, "only_a", 0),
                        json_int(pair, "only_b", 0), json_int(pair, "neither", 0),
                        json_int(pair, "left_out", 0), html_text(json_string(pair, "p")));
  return html + "</table>";
}

std::string grid_html(const Json& record) {
  const Json& grid = json_at(record, "grid");
  if (!grid.is_object()) return "";
  std::string html = fmt::format(
      "<h2>{}</h2><p class=dim>run {} · {} prompts · seeds 1 to {}</p><table><tr><th>model<th>of"
      "<th>passed<th>0 to 100 %<th>rate, 95 %<th>errors<th>missing<th>seconds a pass<th>a pass "
      "costs</tr>",
      html_text(json_string(grid, "recipe")), html_text(json_string(grid, "run")),
      json_at(grid, "prompts").size(), json_int(grid, "seeds", 0));
  for (const Json& row : json_at(grid, "rows")) html += grid_row_html(row);
  return html + "</table>" + pairs_html(json_at(grid, "pairs"));
}

}  // namespace

std::string bench_page(const Json& record) {
  const Json& machine = json_at(record, "machine");
  std::string html = fmt::format(
      "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
      "content='width=device-width'><meta http-equiv=Content-Security-Policy "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>lathe bench</title>"
      "<style>{}</style></head><body><h1>lathe bench</h1><p>{} · {} threads · {} · {}</p>",
      kStyle, html_text(json_string(machine, "cpu", "unknown processor")),
      json_int(machine, "threads_used", 0), html_text(json_string(machine, "system")),
      html_text(json_string(record, "started")));
  std::vector<std::string> objections;
  for (const char* list : {"objections", "faults"})
    for (const Json& each : json_at(record, list))
      if (each.is_string()) objections.push_back(each.get<std::string>());
  if (!objections.empty())
    html += "<p class=bad>Not for publication: " + html_text(join(objections, "; ")) + ".</p>";
  html += grid_html(record);
  if (!json_at(record, "grid").is_object())
    for (const Json& model : json_at(record, "models")) html += model_html(model);
  return html + "</body></html>\n";
}

}  // namespace lathe::app
