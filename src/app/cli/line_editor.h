// Lines typed at a terminal, with libedit: any language, arrow keys, a history on disk, and pasted
// lines told from typed ones. One thread, one editor a process.
#pragma once

#include <memory>
#include <string>

#include "app/cli/app.h"

namespace lathe::app {

struct TypedLine {
  enum class End {
    kEnter,
    kInterrupted,  // Ctrl-C: what was typed is gone
    kClosed,       // Ctrl-D on an empty line, or the terminal is gone
  };
  End end = End::kEnter;
  std::string text;     // UTF-8, without its newline
  bool pasted = false;  // its newline was pasted, so that what follows belongs to it
};

class LineEditor {
 public:
  // `history` is read now and added to by remember(); a missing or broken one is an empty one.
  LineEditor(const App& app, fs::path history);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Lowers the stop flag when it was Ctrl-C that raised it; another signal closes.
  TypedLine read(std::string_view prompt);
  // So that the arrow keys bring it back, in this session and in later ones. An error: it could not
  // be written down.
  Status remember(const std::string& message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lathe::app
