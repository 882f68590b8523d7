// Accepted takes of one's own loops as training data. Of every unit that passed: the prompt of its
// first lap with the accepted take as the answer, and for every failed take before it the prompt of
// a repair of that take, with the accepted take as the answer; of makers whose answers are edits,
// with the edits that lead to it. Prompts are the maker's own words: it writes them for a worker
// that only listens, and has to make the very same take of the answer. Where it does not, the
// lesson is left out.
#pragma once

#include <string>
#include <vector>

#include "books/journal/journal.h"
#include "ground/base/file.h"

namespace lathe::app {

struct RunLines {
  std::vector<std::string> lines;  // as LessonReader reads them, "task" being the unit's text
  std::size_t runs = 0, accepted = 0, repairs = 0;
  std::size_t left_out = 0;        // prompts without an answer that makes the accepted take
  std::vector<std::string> notes;  // why
};

// `names`: "all", or ids as the journal finds them ("last", the beginning of one). `program`: lathe
// itself, for makers that look at pictures.
Result<RunLines> lines_of_runs(const books::Journal& journal, std::span<const std::string> names,
                               const fs::path& program);

}  // namespace lathe::app
