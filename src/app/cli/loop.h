// A loop from the command line: begun, put in the queue, gone on with.
#pragma once

#include "app/cli/drive.h"

namespace lathe::app {

struct LoopFlags {
  std::string recipe;
  std::string input;
  std::string out;
  bool no_apply = false, force = false;
  bool background = false;  // into the queue
  bool watch = false;       // says where its page is
  std::string by;           // who began it, where a server does so for somebody
  std::vector<std::string> set;
  DriveFlags drive;
};
void add_loop_flags(CLI::App& command, LoopFlags& flags);
int run_loop(const App& app, const LoopFlags& flags);

struct ResumeFlags {
  std::string run;
  bool redo = false;
  DriveFlags drive;  // without workers: those that the run was begun with
};
int resume_run(const App& app, ResumeFlags flags);

}  // namespace lathe::app
