// What every store of records holds to: the numbers of records, the names of runs.
#include "books/journal/record_store.h"

#include <algorithm>

namespace lathe::books {

Status next_in_line(std::string_view run, std::int64_t there, std::span<const Record> records) {
  for (const Record& record : records) {
    if (record.seq != there)
      return fail(ErrorKind::kUnavailable,
                  "record {} cannot be written to run {}: its next one is {}, another has written "
                  "to it",
                  record.seq, run, there);
    ++there;
  }
  return {};
}

bool is_run_id(std::string_view id) {
  return !id.empty() && id.size() <= 100 && id.front() != '.' && id.front() != '-' &&
         std::ranges::all_of(id, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace lathe::books
