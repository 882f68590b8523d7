// The calls that come to one answer: how many there may be, and that none is made twice. One
// thread.
#pragma once

#include "work/tool_set.h"

namespace lathe {

class ToolTurn {
 public:
  explicit ToolTurn(ToolSet& tools);

  // What was answered once is not called again. An error ends the work: as of ToolSet::call(), too
  // many calls, or the same one for the third time.
  Result<ToolAnswer> answer(const FunctionCall& call, const StopFlag& stop);

 private:
  ToolSet& tools_;
  std::vector<std::string> names_;
  Repeats repeats_;
  std::map<std::string, ToolAnswer> answered_;
  int calls_ = 0;
};

}  // namespace lathe
