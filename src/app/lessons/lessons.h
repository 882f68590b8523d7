// Training data: JSON lines of several shapes → token ids with what is trained of them.
//   {"messages": [{"role", "content", "tool_calls"…}…], "tools"?}   the turns of the assistant
//   {"prompt", "completion"}                                        raw text; the completion
//   {"instruction", "input"?, "output"}                             alpaca: the output
//   {"conversations": [{"from", "value"}…]}                         ShareGPT: the turns of "gpt"
//   {"text"}                                                        raw text: all of it
// "task" in a line says which lines belong together. Conversations are rendered by the model's own
// chat template, by the code that the server answers with; what is trained of a turn is what the
// model would have to write: from the end of the prompt to the token that ends the turn. Errors
// name the line. Pure but for reading the file; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"
#include "infer/templates/chat_template.h"
#include "infer/tune/network.h"

namespace lathe::app {

struct LessonOptions {
  std::size_t context = 0;  // longer examples are left out, never cut
  bool skip_bad = false;    // lines that can't be read are left out
};

struct Lesson {
  infer::Example example;
  std::string task;  // its hash decides on which side of the split it falls
  std::size_t line = 0;
};

struct Lessons {
  std::vector<Lesson> lessons;
  std::size_t lines = 0, duplicates = 0, too_long = 0, bad = 0;
  std::vector<std::string> notes;  // what was left out and why, the first of each kind
  std::string digest;              // of all that was read
};

class LessonReader {
 public:
  // chat_template: the model's; "": it has none, and conversations are refused. The tokenizer must
  // outlive the reader.
  static Result<LessonReader> create(const infer::Tokenizer& tokenizer,
                                     const std::string& chat_template, LessonOptions options);

  Result<Lessons> read(const fs::path& path) const;
  // Values in memory; `place` stands before the number of a line in messages.
  Result<Lessons> read(std::span<const std::string_view> lines, const std::string& place) const;
  // One line. Usually one example; more where a template shows earlier turns differently.
  Result<std::vector<Lesson>> read_line(const Json& line) const;

 private:
  LessonReader(const infer::Tokenizer& tokenizer, LessonOptions options)
      : tokenizer_(&tokenizer), options_(options) {}
  Result<std::vector<infer::Example>> completion(const Json& line) const;
  Result<std::vector<infer::Example>> plain(const Json& line) const;
  Result<std::vector<infer::Example>> conversation(const Json& messages, const Json& tools) const;
  Result<std::vector<infer::TokenId>> render(const Json& messages, const Json& tools,
                                             bool prompt) const;

  const infer::Tokenizer* tokenizer_;
  std::optional<infer::ChatTemplate> template_;
  LessonOptions options_;
};

// Moves whole tasks to the returned list: about `share` of them. Which ones depends on the tasks
// alone.
std::vector<Lesson> split_off(std::vector<Lesson>& lessons, double share);

}  // namespace lathe::app
