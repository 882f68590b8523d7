// A text cut into sentences while it is being written. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::app {

class SentenceCutter {
 public:
  static constexpr std::size_t kLongest = 600;  // bytes; what has no end by then is cut at a blank

  // The sentences that are whole with this piece of the text: they end at . ? or ! before a blank
  // where no abbreviation ends, or at the end of a line. What has no words is left out.
  std::vector<std::string> add(std::string_view piece);
  // The rest, when nothing more comes.
  std::vector<std::string> end();

 private:
  std::string text_;  // not cut yet
};

}  // namespace lathe::app
