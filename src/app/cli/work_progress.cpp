// One line of progress for long work with files.
#include "app/cli/work_progress.h"

#include <unistd.h>

#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe::app {

WorkProgress::WorkProgress(const App& app, std::string what)
    : what_(std::move(what)), show_(!app.json && isatty(STDERR_FILENO) == 1) {}

WorkProgress::~WorkProgress() {
  if (show_) fmt::print(stderr, "\r\x1b[K");
}

void WorkProgress::update(std::uint64_t done, std::uint64_t total) {
  const std::uint64_t percent = total == 0 ? 100 : done * 100 / total;
  if (!show_ || percent == last_percent_) return;
  last_percent_ = percent;
  fmt::print(stderr, "\r{}: {} of {} ({} %)\x1b[K", what_, format_bytes(done), format_bytes(total),
             percent);
}

void print_warnings(const App& app, std::span<const std::string> warnings) {
  if (app.json) return;  // they are in the JSON
  for (const std::string& warning : warnings) print_note("warning: " + warning);
}

}  // namespace lathe::app
