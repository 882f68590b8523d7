// Pieces of HTML that every part of a page uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ground/base/diff.h"

namespace lathe::show {

std::string html_text(std::string_view text);  // escaped; control characters become spaces
// Folded away behind its summary. Both are HTML.
std::string details(std::string_view summary, std::string_view body);
// The curves: share of units passed (y) after lap k (x). `baseline` may be null.
std::string curve_svg(const std::vector<double>& loop, const std::vector<double>* baseline);
// The lines that differ, with three around each change; what is left out is a line "…". The views
// are of those given.
std::vector<DiffLine> shortened_diff(std::string_view before, std::string_view after);
std::string diff_html(std::string_view before, std::string_view after);

}  // namespace lathe::show
