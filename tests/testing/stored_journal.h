// Runs that lathe 0.1 left in its journal, as tests/data/journals keeps them: one record a line,
// {"seq", "t_ms", "joules", "kind", "body"}, each body with the bytes that the journal held.
#pragma once

#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"
#include "ground/base/text.h"

namespace lathe {

inline const std::vector<std::string>& stored_runs() {
  static const std::vector<std::string> names{
      "baseline", "code",     "gave-up", "json", "not-judged-at-first", "paused", "pictures",
      "programs", "rejudged", "text",    "voice"};
  return names;
}

inline std::vector<std::string> stored_lines(const std::string& run) {
  const fs::path file = fs::path(LATHE_SOURCE_DIR) / "tests/data/journals" / (run + ".jsonl");
  const std::string text = read_file(file).value();
  std::vector<std::string> lines;
  for (const std::string_view line : split_lines(text))
    if (!line.empty()) lines.emplace_back(line);
  return lines;
}

}  // namespace lathe
