// Finds places in the source tree in what compilers, test runners and interpreters print. Pure.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::loop {

class LocusFinder {
 public:
  // `files`: the tree's, relative. `later`: globs of files that are named only if no other is, like
  // the tests themselves.
  LocusFinder(std::span<const std::string> files, std::span<const std::string> later);

  // "src/a.cpp:12", the first one in `text` that lies in the tree; "" when there is none.
  std::string find(std::string_view text) const;

 private:
  std::string known_file(std::string_view path) const;
  std::string in_line(std::string_view line, bool& later) const;

  std::set<std::string, std::less<>> files_;
  std::map<std::string, std::string, std::less<>> by_base_name_;  // "" when two files have it
  std::vector<std::string> later_;
};

}  // namespace lathe::loop
