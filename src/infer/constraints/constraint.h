// Constrained decoding: which tokens may come next. A Grammar is compiled once from GBNF or a JSON
// schema and shared; each sequence holds a Constraint, its position in it. The mask is exact and is
// applied before sampling: a token is allowed if and only if its bytes keep the text a prefix of
// the language (end tokens: if and only if the text is complete).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "infer/answers/answer_parser.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// Immutable; any thread.
class Grammar {
 public:
  // Errors name line and column, and for schemas the keyword and its place ("/properties/a:
  // 'multipleOf' …").
  // `lead`: what comes before.
  static Result<std::shared_ptr<const Grammar>> from_gbnf(std::string_view source,
                                                          const Tokenizer& tokenizer,
                                                          const AnswerLead& lead = {});
  // `strict`: a keyword that the grammar cannot keep is an error; else unkept() names it.
  static Result<std::shared_ptr<const Grammar>> from_schema(const Json& schema,
                                                            const Tokenizer& tokenizer,
                                                            bool strict = true,
                                                            const AnswerLead& lead = {});
  // Calls of these tools in the form of a family. What is not kept of a tool's schema is named as
  // NAME#/a; errors name the tool.
  static Result<std::shared_ptr<const Grammar>> from_calls(const CallForm& form,
                                                           std::span<const OfferedTool> tools,
                                                           const CallDemand& demand,
                                                           const Tokenizer& tokenizer);
  // response_format json_object
  static Result<std::shared_ptr<const Grammar>> any_json(const Tokenizer& tokenizer,
                                                         const AnswerLead& lead = {});
  virtual ~Grammar() = default;
  // What of the schema is not kept, only to be checked on the whole answer: "#/a: 'not' …".
  const std::vector<std::string>& unkept() const { return unkept_; }
  // Why a walk had to end although the grammar was not at its end; empty: no walk had to.
  std::string problem() const;

 protected:
  std::vector<std::string> unkept_;
  mutable std::atomic<bool> too_wide_ = false;
};

// One sequence's position. Copyable by fork(). Not thread-safe.
class Constraint {
 public:
  static std::unique_ptr<Constraint> start(std::shared_ptr<const Grammar> grammar);
  virtual ~Constraint() = default;
  virtual std::unique_ptr<Constraint> fork() const = 0;
  // Bit i of word i/32: token i may come next. `mask` has (vocabulary + 31) / 32 words. False:
  // nothing may come, the grammar is stuck.
  virtual bool mask(std::span<std::uint32_t> mask) = 0;
  virtual Status accept(
      TokenId token) = 0;  // an error when the token was not allowed; state unchanged then
  virtual bool complete() const = 0;  // the text so far is a whole sentence
};

}  // namespace lathe::infer
