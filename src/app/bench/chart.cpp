// A chart: axes, round numbers, curves, their names.
#include "app/bench/chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "app/bench/statistics.h"
#include "show/run/html_parts.h"

namespace lathe::app {
namespace {

constexpr double kWidth = 560, kHeight = 260, kLeft = 62, kRight = 12, kTop = 26, kBottom = 44;
constexpr std::array<const char*, 4> kColors{"#2563b8", "#c2571a", "#14783c", "#8a3ab9"};

// 1, 2 or 5 times a power of ten, so that about four of them reach `most`.
double step_for(double most) {
  const double raw = most / 4, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10 * power;
}

struct Axis {
  double most = 1, step = 1;
  static Axis to(double largest) {
    const double step = step_for(largest > 0 ? largest : 1);
    return {std::ceil((largest > 0 ? largest : 1) / step) * step, step};
  }
};

double x_of(const Axis& axis, double value) {
  return kLeft + value / axis.most * (kWidth - kLeft - kRight);
}
double y_of(const Axis& axis, double value) {
  return kHeight - kBottom - value / axis.most * (kHeight - kTop - kBottom);
}

std::string frame(const Axis& x, const Axis& y) {
  std::string svg;
  for (double value = 0; value <= y.most * 1.0001; value += y.step)
    svg += fmt::format(
        "<line x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}' stroke='currentColor' opacity='.15'/>"
        "<text x='{}' y='{:.1f}' text-anchor='end'>{}</text>",
        kLeft, kWidth - kRight, y_of(y, value), y_of(y, value), kLeft - 6, y_of(y, value) + 4,
        decimal(value));
  for (double value = 0; value <= x.most * 1.0001; value += x.step)
    svg += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>{}</text>", x_of(x, value),
                       kHeight - kBottom + 16, decimal(value));
  return svg;
}

std::string curve_svg(const Curve& curve, const Axis& x, const Axis& y, const char* color) {
  std::string svg, path;
  for (const auto& [at, value] : curve.points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x_of(x, at), y_of(y, value));
    if (curve.points.size() <= 64)
      svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3.5' fill='{}'/>", x_of(x, at),
                         y_of(y, value), color);
  }
  if (curve.joined && !path.empty())
    svg += fmt::format("<path d='{}' fill='none' stroke='{}' stroke-width='1.6'/>", path, color);
  return svg;
}

}  // namespace

std::string chart_svg(const std::string& x_name, const std::string& y_name,
                      const std::vector<Curve>& curves) {
  double most_x = 0, most_y = 0;
  for (const Curve& curve : curves) {
    for (const auto& [x, y] : curve.points) {
      most_x = std::max(most_x, x);
      most_y = std::max(most_y, y);
    }
  }
  const Axis x = Axis::to(most_x), y = Axis::to(most_y);
  std::string svg =
      fmt::format("<svg viewBox='0 0 {} {}' role='img' font-size='12' fill='currentColor'>{}",
                  kWidth, kHeight, frame(x, y));
  double legend = kLeft;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const char* color = kColors[i % kColors.size()];
    svg += curve_svg(curves[i], x, y, color);
    svg += fmt::format(
        "<circle cx='{:.0f}' cy='12' r='4' fill='{}'/><text x='{:.0f}' y='16'>{}</text>",
        legend + 4, color, legend + 12, show::html_text(curves[i].name));
    legend += 30 + 7.0 * static_cast<double>(curves[i].name.size());
  }
  svg += fmt::format("<text x='{}' y='{}' text-anchor='middle'>{}</text>",
                     (kLeft + kWidth - kRight) / 2, kHeight - 8, show::html_text(x_name));
  svg += fmt::format(
      "<text transform='translate(13 {}) rotate(-90)' text-anchor='middle'>{}</text></svg>",
      (kTop + kHeight - kBottom) / 2, show::html_text(y_name));
  return svg;
}

}  // namespace lathe::app
