// The pieces of JSON as grammar expressions, or of what a family writes like JSON: texts as they
// stand between marks of its own, names bare. Used by the schema compiler.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/constraints/grammar.h"
#include "infer/constraints/regular.h"

namespace lathe::infer::grammar {

class JsonGrammar {
 public:
  explicit JsonGrammar(GrammarBuilder& builder) : builder_(builder) {}
  // `quote`: what stands around a text, which holds none of the words `never`.
  JsonGrammar(GrammarBuilder& builder, std::string_view quote, std::vector<std::string_view> never)
      : builder_(builder), quote_(quote), never_(std::move(never)) {}

  ExprId value();   // any JSON value
  ExprId object();  // any JSON object
  ExprId boolean();
  ExprId number();
  // Nothing, a blank, or a line break and some indentation: enough for pretty printing, and it
  // ends. It stands only where a printer breaks lines: a small model spends its tokens on blanks.
  ExprId blank();
  ExprId comma();
  ExprId member(ExprId key, ExprId value);
  // This value, and this name of a member, as they are written.
  std::string written(const Json& value) const;
  std::string written_name(const std::string& name) const;
  ExprId string(std::uint32_t min, std::uint32_t max);  // lengths in characters
  ExprId integer();                                     // of at most 16 digits
  // Strings with this content, escaped only where they must be.
  ExprId text(const Regular& content);
  // The contents that text() can write: without most control characters.
  static Regular writable();

 private:
  ExprId set(std::string_view characters);
  ExprId digits(std::uint32_t min, std::uint32_t max);
  ExprId rule(std::optional<RuleId>& id, const char* name, ExprId (JsonGrammar::*make)());
  ExprId make_value();
  ExprId make_object();
  ExprId make_blank();
  ExprId make_character();
  ExprId make_integer();
  bool as_json() const { return quote_.empty(); }
  ExprId raw_text(const Regular& content);

  GrammarBuilder& builder_;
  std::string_view quote_;  // empty: it is JSON
  std::vector<std::string_view> never_;
  std::optional<RuleId> value_, object_, blank_, character_, integer_;
};

}  // namespace lathe::infer::grammar
