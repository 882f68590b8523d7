// Tools by which a model works on a source tree: it lists, reads, searches, edits and runs commands
// in a copy of it. What it may change is decided by the rule, not by the tool; commands run in the
// sandbox. One thread.
#pragma once

#include <set>

#include "loop/makers/maker.h"
#include "loop/senses/surroundings.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {

class TreeTools final : public ToolSet {
 public:
  // A copy of the run's tree with `best` laid over it. `options`: of the maker, checked; may_write,
  // protect, commands, command_time, memory, processes, read_only, path and env count. `context`
  // outlives it.
  static Result<TreeTools> make(const Json& options, const Changes& best,
                                const MakeContext& context);

  std::vector<Tool> tools() const override;
  bool reads_only(const std::string& tool) const override;
  // An error ends the work: it was stopped, or the sandbox cannot be used.
  Result<ToolAnswer> call(const FunctionCall& call, const StopFlag& stop) override;
  // What differs from the clean tree, as far as the rule allows it.
  Result<Changes> changes() const;
  // Files that commands changed beside, and that count for nothing.
  std::vector<std::string> left_out() const;

 private:
  TreeTools(const Json& options, const MakeContext& context, TempDir clean, TempDir tree);

  Result<std::string> answer(const FunctionCall& call, const StopFlag& stop);
  Result<std::string> list_files(const Json& arguments) const;
  Result<std::string> read_file(const Json& arguments) const;
  Result<std::string> search(const Json& arguments) const;
  Result<std::string> edit_file(const Json& arguments);
  Result<std::string> write_file(const Json& arguments);
  Result<std::string> run(const Json& arguments, const StopFlag& stop);

  Result<std::string> text_of(const std::string& path) const;
  Status put(const std::string& path, std::string text);
  Result<std::map<std::string, std::optional<std::string>>> differences() const;

  const Json& options_;
  const MakeContext& context_;
  WriteRule rule_;
  TempDir clean_, tree_;
  Surroundings surroundings_;
};

}  // namespace lathe::loop
