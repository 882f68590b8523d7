// What a person sees of a run while it goes on: a table that redraws itself on a terminal, plain
// lines elsewhere, JSON lines for scripts.
#pragma once

#include <mutex>

#include "app/cli/app.h"
#include "loop/conductor/conductor.h"
#include "show/run/terminal.h"

namespace lathe::app {

class View : public loop::Observer {
 public:
  // `verbose`: what tests and programs under judgement print is shown too, line by line.
  explicit View(const App& app, bool verbose = false) : app_(app), verbose_(verbose) {}
  void on_entry(const loop::RunState& state, const loop::Entry& entry) override;
  void on_progress(const loop::CallId& call, std::string_view what) override;
  bool wants_output() const override { return verbose_; }
  void on_output(const loop::CallId* call, std::string_view text) override;
  void alone(const std::function<void()>& work) override;
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
