// A run as one self-contained HTML file: it opens anywhere, loads nothing and runs no script.
#pragma once

#include "books/journal/journal.h"
#include "show/run/run_view.h"

namespace lathe::show {

// Stands near the beginning of every page.
inline constexpr std::string_view kReportMark = "<meta name=generator content=lathe-report>";

// `journal`: for the bytes of artifacts. `baseline`: the run that was given the same budget for one
// lap of independent samples, or null. Errors: an artifact that is missing.
Result<std::string> html_page(const books::Journal& journal, const std::string& id,
                              const RunView& run, const RunView* baseline);

}  // namespace lathe::show
