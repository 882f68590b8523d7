// A grid's table with its intervals drawn.
#include "app/bench/grid_page.h"

#include "app/bench/statistics.h"
#include "ground/base/text.h"
#include "show/run/html_parts.h"

namespace lathe::app {
namespace {

using show::html_text;

double share_at(const Json& json, std::string_view key) {
  return parse_decimal(json_string(json, key)).value_or(0);
}

std::string of_words(const Json& row) {
  const std::string of = json_string(row, "of");
  return of == "all" ? "all" : html_text(json_string(row, "name", "no group"));
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
  const std::string costs = json_int(row, "unpriced", 0) > 0 ? "unpriced"
                            : json_at(row, "currency").is_null()
                                ? "no money"
                                : money + " " + json_string(row, "currency");
  const bool judged = json_int(row, "judged", 0) > 0;
  const double low = share_at(row, "low"), rate = share_at(row, "rate"),
               high = share_at(row, "high");
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

}  // namespace

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

}  // namespace lathe::app
