// Pieces of HTML: escaped text, folds, curves, differences.
#include "show/run/html_parts.h"

#include <fmt/format.h>

#include "ground/base/text.h"

namespace lathe::show {

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : make_valid_utf8(text)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  return out;
}

std::string details(std::string_view summary, std::string_view body) {
  return fmt::format("<details><summary>{}</summary>{}</details>", summary, body);
}

std::string curve_svg(const std::vector<double>& loop, const std::vector<double>* baseline) {
  constexpr double kLeft = 44, kTop = 12, kWidth = 440, kHeight = 160;
  const double steps = std::max(1.0, static_cast<double>(loop.size()) - 1);
  const auto path = [&](const std::vector<double>& curve) {
    std::string points;
    for (std::size_t i = 0; i < curve.size(); ++i)
      points += fmt::format("{:.1f},{:.1f} ", kLeft + kWidth * static_cast<double>(i) / steps,
                            kTop + kHeight * (1 - curve[i]));
    return points;
  };
  std::string svg = fmt::format(
      "<svg viewBox='0 0 520 216' role='img' aria-label='share of units passed after each lap' "
      "font-size='12' fill='currentColor' font-family='system-ui,sans-serif'>");
  for (const int percent : {0, 50, 100}) {
    const double y = kTop + kHeight * (1 - percent / 100.0);
    svg += fmt::format(
        "<line x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}' stroke='currentColor' opacity='.2'/>", kLeft,
        kLeft + kWidth, y, y);
    svg += fmt::format("<text x='{}' y='{:.1f}' text-anchor='end'>{}%</text>", kLeft - 6, y + 4,
                       percent);
  }
  const std::size_t every = 1 + loop.size() / 12;
  for (std::size_t i = 0; i < loop.size(); i += every)
    svg += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>{}</text>",
                       kLeft + kWidth * static_cast<double>(i) / steps, kTop + kHeight + 18, i);
  svg += fmt::format("<text x='{}' y='{}' text-anchor='middle'>laps</text>", kLeft + kWidth / 2,
                     kTop + kHeight + 36);
  if (baseline)
    svg += fmt::format(
        "<polyline points='{}' fill='none' stroke='currentColor' stroke-dasharray='5 4' "
        "opacity='.6'/>",
        path(*baseline));
  svg += fmt::format(
      "<polyline points='{}' fill='none' stroke='#2f7de1' stroke-width='2.5'/></svg>", path(loop));
  return svg;
}

std::vector<DiffLine> shortened_diff(std::string_view before, std::string_view after) {
  const std::vector<DiffLine> lines = diff_lines(split_lines(before), split_lines(after));
  // Three lines around each change; the rest is one "…".
  std::vector<bool> keep(lines.size(), false);
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (lines[i].kind != ' ')
      for (std::size_t k = i < 3 ? 0 : i - 3; k < std::min(lines.size(), i + 4); ++k)
        keep[k] = true;
  std::vector<DiffLine> shown;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (keep[i])
      shown.push_back(lines[i]);
    else if (shown.empty() || shown.back().text != "…")
      shown.push_back({' ', "…"});
  }
  return shown;
}

std::string diff_html(std::string_view before, std::string_view after) {
  std::string html;
  for (const DiffLine& line : shortened_diff(before, after))
    html += fmt::format("<span class={}>{} {}</span>\n",
                        line.kind == '+'   ? "add"
                        : line.kind == '-' ? "del"
                                           : "dim",
                        line.kind, html_text(line.text));
  return html;
}

}  // namespace lathe::show
