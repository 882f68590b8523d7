// Training data: JSON lines of several shapes → token ids with what is trained of them. One line is
// one example:
//   {"prompt": "…", "completion": "…"}   raw text; the completion and its end token are trained
// Errors name the line. Pure but for reading the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "infer/text/tokenizer.h"
#include "infer/tune/network.h"

namespace lathe {

struct LessonOptions {
  std::size_t context = 0;  // longer examples are left out and counted
  bool skip_bad = false;    // lines that can't be read are left out and counted
};

struct Lesson {
  Example example;
  std::string task;  // its hash decides on which side of the split it falls
  std::size_t line = 0;
};

struct Lessons {
  std::vector<Lesson> lessons;
  std::size_t lines = 0, duplicates = 0, too_long = 0, bad = 0;
  std::vector<std::string> notes;  // what was left out and why, for a person
  std::string digest;              // of the file
};

Result<Lessons> read_lessons(const fs::path& path, const Tokenizer& tokenizer,
                             const LessonOptions& options);

// Moves whole tasks to the second list until it has about `share` of them. Which ones depends on
// the tasks alone.
std::vector<Lesson> split_off(std::vector<Lesson>& lessons, double share);

}  // namespace lathe
