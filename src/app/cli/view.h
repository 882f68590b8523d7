// What a person sees of a run: a table that redraws itself on a terminal, plain lines elsewhere,
// JSON lines for scripts.
#pragma once

#include <mutex>

#include "app/cli/app.h"
#include "loop/conductor/conductor.h"

namespace lathe::app {

// The table of units × laps as lines of at most `width` columns. With `running`, what is going on
// is shown too, and units that have ended give way when more than `height` lines would be needed.
// Pure.
struct TableStyle {
  int width = 100;
  int height = 1 << 20;
  bool color = false;
};
std::vector<std::string> run_table(const loop::RunState& state, const TableStyle& style,
                                   const std::map<std::string, std::string>& running = {});
// "12 of 20 units passed · 31 laps · 1234 tokens (400 cached) · 12.3 s · energy not readable here"
std::string run_totals(const loop::RunState& state);
// One line about an entry, or "" when it says nothing new to a person.
std::string entry_line(const loop::RunState& state, const loop::Entry& entry);

class View : public loop::Observer {
 public:
  // `verbose`: what tests and programs under judgement print is shown too, line by line.
  explicit View(const App& app, bool verbose = false) : app_(app), verbose_(verbose) {}
  void on_entry(const loop::RunState& state, const loop::Entry& entry) override;
  void on_progress(const loop::CallId& call, std::string_view what) override;
  bool wants_output() const override { return verbose_; }
  void on_output(const loop::CallId* call, std::string_view text) override;
  void finish();  // leaves the last table standing

 private:
  void redraw(const loop::RunState& state);
  void end_line(const std::string& call);
  void print_output(const std::string& call, std::string_view label, std::string_view text);

  const App& app_;
  const bool verbose_;
  std::mutex mutex_;                            // guards what follows, and what is printed
  std::map<std::string, std::string> running_;  // call id → what it does
  struct BegunLine {
    std::string label, text;
  };
  std::map<std::string, BegunLine> begun_;  // call id → its output's line that has no end yet
  int drawn_lines_ = 0;
};

}  // namespace lathe::app
