// The pieces of JSON as grammar expressions, and those that schemas add: integers in a range,
// strings that fit a pattern. Used by the schema compiler.
#pragma once

#include <optional>

#include "infer/text/grammar.h"

namespace lathe::grammar {

class JsonGrammar {
 public:
  explicit JsonGrammar(GrammarBuilder& builder) : builder_(builder) {}

  ExprId value();   // any JSON value
  ExprId object();  // any JSON object
  ExprId boolean();
  ExprId number();
  ExprId blank();  // nothing, a blank, or a line break and some indentation: enough for pretty
                   // printing, and it ends
  ExprId comma();
  ExprId member(ExprId key, ExprId value);
  ExprId string(std::uint32_t min, std::uint32_t max);  // lengths in characters
  // A string without escapes that is none of `names` (so that a declared member cannot come back in
  // disguise).
  ExprId string_other_than(const std::vector<std::string>& names);
  ExprId integer(std::int64_t low, std::int64_t high);
  // An ECMA-style regular expression without look-around and back references; unanchored ends are
  // open.
  Result<ExprId> pattern(std::string_view pattern);
  std::optional<ExprId> format(std::string_view name);

 private:
  friend class PatternParser;
  ExprId set(std::string_view characters);
  ExprId digits(std::uint32_t min, std::uint32_t max);
  // One character of a string's content, escaped where JSON wants it.
  ExprId escaped(const CodePoints& characters);
  ExprId rule(std::optional<RuleId>& id, const char* name, ExprId (JsonGrammar::*make)());
  ExprId make_value();
  ExprId make_object();
  ExprId make_character();
  ExprId digits_between(std::string_view low, std::string_view high);

  GrammarBuilder& builder_;
  std::optional<RuleId> value_, object_, character_;
};

}  // namespace lathe::grammar
