// Curves as SVG, for pages. Pure, any thread.
#pragma once

#include <string>
#include <vector>

namespace lathe::app {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // finite
  bool joined = true;                             // by lines; else dots alone
};

// From zero on both axes, with a few round numbers at each.
std::string chart_svg(const std::string& x_name, const std::string& y_name,
                      const std::vector<Curve>& curves);

}  // namespace lathe::app
