// The live view of a run: its table or its lines, and what tests print.
#include "app/cli/view.h"

#include "ground/base/text.h"
#include "ground/base/visible_text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kLongestLine = 4096;  // bytes of a program's output in one line

}  // namespace

void View::on_entry(const loop::RunState& state, const loop::Entry& entry) {
  const loop::CallId* call = call_of(entry.event);
  const std::string id = call ? call->text() : "";
  {
    const std::lock_guard lock(mutex_);
    if (std::holds_alternative<loop::CallBegun>(entry.event)) {
      running_[id] = show::call_words(state, *call);
    } else {
      end_line(id);
      running_.erase(id);
    }
  }
  if (app_.json) {
    const std::lock_guard lock(mutex_);
    print_json(record_json(entry));
  } else if (app_.color) {
    redraw(state);
  } else if (const std::string line = show::entry_line(state, entry); !line.empty()) {
    const std::lock_guard lock(mutex_);
    print(line + "\n");
  }
}

// Output that has no end yet gets one.
void View::end_line(const std::string& call) {
  const auto found = begun_.find(call);
  if (found == begun_.end()) return;
  const BegunLine last = found->second;
  if (!last.text.empty()) print_output(call, last.label, "\n");
  begun_.erase(call);
}

void View::on_progress(const loop::CallId& call, std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (const auto found = running_.find(call.text()); found != running_.end()) {
    const auto colon = found->second.find(" · ");
    found->second = found->second.substr(0, colon) + " · " + std::string(what);
  }
}

void View::on_output(const loop::CallId* call, std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (call)
    print_output(call->text(), fmt::format("lap {}.{}", call->lap, call->n + 1), text);
  else
    print_output("", "before", text);
}

void View::alone(const std::function<void()>& work) {
  const std::lock_guard lock(mutex_);
  drawn_lines_ = 0;  // the next table comes below what is said
  work();
}

// Above the table, which the next record draws again below it.
void View::print_output(const std::string& call, std::string_view label, std::string_view text) {
  std::string& line =
      begun_.try_emplace(call, BegunLine{std::string(label), ""}).first->second.text;
  line += text;
  std::string shown;
  for (std::size_t end; (end = line.find('\n')) != line.npos || line.size() > kLongestLine;) {
    const std::size_t length = std::min(end, kLongestLine);
    const std::string whole = visible_text(line.substr(0, length));
    if (app_.json)
      print_json({{"kind", "output"}, {"call", call}, {"text", whole}});
    else
      shown += fmt::format("{} │ {}\n", label, whole);
    line.erase(0, length + (length == end));
  }
  if (shown.empty()) return;
  if (drawn_lines_ > 0) shown = fmt::format("\033[{}A\r\033[J", drawn_lines_) + shown;
  drawn_lines_ = 0;
  print_raw(shown);
}

void View::redraw(const loop::RunState& state) {
  const std::lock_guard lock(mutex_);
  std::string frame;
  if (drawn_lines_ > 0) frame += fmt::format("\033[{}A\r", drawn_lines_);
  const auto summary = show::summary_of(state, show::rows_for(app_.height, running_.size()));
  const auto lines = show::table_lines(summary, {app_.width, true, false}, running_);
  for (const std::string& line : lines) frame += line + "\033[K\n";
  frame += "\033[J";
  drawn_lines_ = static_cast<int>(lines.size());
  print_raw(frame);
}

void View::finish() {
  drawn_lines_ = 0;
}

}  // namespace lathe::app
