// Chat templates: the subset of Jinja that models ship (docs/templates.md), run under limits,
// because a template comes with a file and is an untrusted program. What the caller passed in stays
// marked through every operation, so the rendered prompt comes back in parts: the template's own
// words (trusted) and user text (never parsed as control tokens). Immutable once parsed; any thread
// may render.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

struct TemplateLimits {
  std::uint64_t steps = 20'000'000;                   // expressions and statements evaluated
  int depth = 64;                                     // of calls and of nested expressions
  std::size_t output_bytes = std::size_t{64} << 20;   // of any text; the error's code: "too_long"
  std::size_t memory_bytes = std::size_t{512} << 20;  // of all texts and lists it makes
  const StopFlag* stop = nullptr;                     // raised: the error is kCancelled
};

class ChatTemplate {
 public:
  // Errors name line and column.
  static Result<ChatTemplate> parse(std::string source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // `variables`: messages, tools, add_generation_prompt, bos_token, eos_token, enable_thinking, …
  // every string in it is user text, but for the names in `trusted_variables` (bos_token,
  // eos_token). `now`: for strftime_now (UTC seconds).
  Result<std::vector<PromptPart>> render(const Json& variables, std::int64_t now,
                                         const TemplateLimits& limits = {}) const;
  const std::string& source() const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace lathe::infer
