// What a benchmark says while it measures, in lines for a terminal.
#include "app/cli/bench_flags.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

std::string range(const Spread& spread) {
  if (spread.n == 0) return "none";
  std::string text = fmt::format("{:.1f} ms ({:.1f} … {:.1f}", spread.figure.median,
                                 spread.figure.low, spread.figure.high);
  if (spread.p95) text += fmt::format(", p95 {:.1f}", *spread.p95);
  if (const auto& within = spread.p95_interval)
    text += fmt::format(" [{:.1f} … {:.1f}]", within->low, within->high);
  if (spread.p99) text += fmt::format(", p99 {:.1f}", *spread.p99);
  if (!spread.p95) text += fmt::format(", n {} too small for p95", spread.n);
  return text + ")";
}

std::string bits_line(const SameBits& bits) {
  if (bits.answers < 2) return "same bits: one answer, nothing to compare\n";
  if (bits.different == 1)
    return fmt::format("same bits: yes, {} answers to one question under {} loads, sha256 {}…\n",
                       bits.answers, bits.answers, bits.hash);
  return fmt::format("same bits: NO, {} answers to one question are {} different texts\n",
                     bits.answers, bits.different);
}

}  // namespace

std::string row_line(const BenchRow& row) {
  const Figure figure = row.figure();
  return fmt::format("{:<28} {:>6}  {:>10.2f} {:<6} ({:.2f} … {:.2f}){}\n", row.what, row.size,
                     figure.median, row.unit, figure.low, figure.high, row.noisy() ? " noisy" : "");
}

std::string point_line(const Point& point) {
  const Summary& summary = point.summary;
  return fmt::format(
      "{:<16} {:>7.1f} answers/min ({:.1f} within the SLO) {:>8.1f} tok/s, {:.1f} each{}\n"
      "{:<16} first token {}\n{:<16} gaps {}\n{:<16} whole answer {}\n",
      load_name(point.load), summary.answers_per_minute, summary.good_per_minute,
      summary.tokens_per_second, summary.each_per_second.figure.median,
      summary.failed == 0 ? "" : fmt::format(", {} FAILED", summary.failed), "",
      range(summary.first_ms), "", range(summary.gap_ms), "", range(summary.whole_ms));
}

std::string serve_lines(const ServeResult& result) {
  std::string text;
  if (!result.closed.empty()) {
    const Point& best = best_of(result.closed);
    text += fmt::format("best: {}, {:.1f} answers/min\n", load_name(best.load),
                        best.summary.answers_per_minute);
  }
  for (const auto& [name, points] :
       {std::pair("closed loops", &result.closed), std::pair("arrivals", &result.poisson)}) {
    if (points->empty()) continue;
    const auto over = overload_in(*points);
    text += over ? fmt::format("{}: overloaded at {}: {}\n", name,
                               load_name((*points)[over->point].load), over->why)
                 : fmt::format("{}: none of these loads is too much\n", name);
  }
  std::vector<Point> all = result.closed;
  all.insert(all.end(), result.poisson.begin(), result.poisson.end());
  text += bits_line(same_bits(all));
  for (const std::string& fault : result.faults) text += "found: " + fault + "\n";
  if (result.stopped) text += "stopped: the points so far are kept, the last one is cut short\n";
  return text;
}

std::string quality_lines(const QualityFigures& figures) {
  const Spread& kl = figures.kl;
  return fmt::format(
      "  KL divergence {:.6f} ± {:.6f} nats, median {:.6f}, {}, most {:.6f}\n"
      "  same token first {:.2f} % ({:.2f} … {:.2f}) of {} positions\n"
      "  perplexity {:.6g}, of the bigger {:.6g}, ratio {:.6g}\n",
      figures.mean_kl, figures.mean_kl_error, kl.figure.median,
      kl.p99 ? fmt::format("99th percentile {:.6f}", *kl.p99) : "n too small for p99",
      kl.figure.high, 100 * static_cast<double>(figures.same_top) / static_cast<double>(kl.n),
      100 * figures.same_top_share.low, 100 * figures.same_top_share.high, kl.n,
      figures.model_perplexity, figures.bigger_perplexity, figures.ratio());
}

std::string sustained_lines(const SustainedResult& result) {
  const SustainedFigures& figures = result.figures;
  std::string text = fmt::format(
      "first {:.0f} s: {:.1f} tok/s; last {:.0f} s: {:.1f} tok/s; ratio {:.3f}; {}\n",
      figures.first_seconds, figures.first, figures.last_seconds, figures.last, figures.ratio(),
      figures.settled_seconds
          ? fmt::format("within 5 % of the last after {:.0f} s", *figures.settled_seconds)
          : "never within 5 % of the last for ten seconds");
  const auto value = [](const std::optional<double>& from, const std::optional<double>& to,
                        std::string_view unit) {
    if (!from || !to) return std::string("not readable here");
    return fmt::format("{:.0f} → {:.0f} {}", *from, *to, unit);
  };
  const Reading& from = result.trace.front();
  const Reading& to = result.trace.back();
  const auto throttles = throttles_of(result.trace);
  text += fmt::format(
      "clock {}; temperature {}; power {}; throttled for heat: {}\n",
      value(from.mhz, to.mhz, "MHz"), value(from.celsius, to.celsius, "°C"),
      to.watts ? fmt::format("{:.1f} W ({})", *to.watts, result.energy_scope) : "not readable here",
      !throttles        ? "not readable here"
      : *throttles == 0 ? "never"
                        : fmt::format("{} times", *throttles));
  if (const auto joules = joules_per_token(result))
    text += fmt::format("energy: {:.3f} J for a token of an answer, all included ({}: {})\n",
                        *joules, result.energy_scope, result.energy_description);
  if (result.point.stopped)
    text += fmt::format("stopped after {:.0f} s: what was measured is kept\n",
                        static_cast<double>(result.point.window_us) / 1e6);
  return text;
}

}  // namespace lathe::app
