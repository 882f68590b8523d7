// Grammars as data and as an automaton (used inside this room; constraint.h is what others see). A
// GrammarBuilder collects rules as expression trees over bytes; compile() turns each rule into a
// small NFA whose edges are byte ranges, token ids, and calls of other rules. Everything is
// bounded: the sizes here, the depth of nesting by the parsers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "infer/answers/answer_parser.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer::grammar {

inline constexpr std::uint32_t kMaxRepeat = 2000;
inline constexpr std::size_t kMaxStates = 400'000;
inline constexpr std::size_t kMaxRules = 10'000;
inline constexpr std::uint32_t kUnlimited = UINT32_MAX;

using ExprId = std::uint32_t;
using RuleId = std::uint32_t;
using CodePoints =
    std::vector<std::pair<char32_t, char32_t>>;  // inclusive ranges, sorted, not touching

CodePoints normalize(CodePoints ranges);
CodePoints complement(const CodePoints& ranges);  // of all Unicode scalar values

// An automaton over characters; the first state is its start.
struct TextState {
  struct Arrow {
    char32_t low, high;
    std::uint32_t to;
  };
  std::vector<Arrow> arrows;
  bool ends = false;
};
using TextAutomaton = std::vector<TextState>;

// One rule's automaton lives in a common array of states; state 0 of a rule is `start`.
struct Edge {
  enum class Kind : std::uint8_t { kEmpty, kBytes, kToken, kNotToken, kCall };
  Kind kind;
  std::uint8_t low = 0, high = 0;  // bytes
  std::uint32_t value = 0;         // token id or rule
  std::uint32_t to = 0;
};

struct Program {
  std::vector<std::vector<Edge>> states;
  std::vector<std::uint32_t> start;  // of each rule
  std::vector<std::uint32_t> end;    // its accepting state, without edges
  RuleId root = 0;
};

class GrammarBuilder {
 public:
  ExprId empty();
  ExprId literal(std::string_view bytes);
  ExprId code_points(const CodePoints& ranges);  // one character of the set, as UTF-8
  ExprId automaton(TextAutomaton states);        // the texts that it ends at, as UTF-8
  ExprId token(std::uint32_t id, bool negated);
  ExprId sequence(std::vector<ExprId> parts);
  ExprId choice(std::vector<ExprId> options);  // at least one
  ExprId repeat(ExprId what, std::uint32_t min, std::uint32_t max);
  ExprId call(RuleId rule);

  RuleId add_rule(std::string name);  // to be defined
  void define(RuleId rule, ExprId expression);
  bool defined(RuleId rule) const { return rules_[rule].expression != kNone; }
  const std::string& name(RuleId rule) const { return rules_[rule].name; }
  std::size_t rule_count() const { return rules_.size(); }

  // Refuses undefined rules, left recursion, and what is too large; names the rule.
  Result<Program> compile(RuleId root) const;

 private:
  static constexpr ExprId kNone = UINT32_MAX;
  struct Expr {
    enum class Kind : std::uint8_t {
      kLiteral,
      kCodePoints,
      kAutomaton,
      kToken,
      kSequence,
      kChoice,
      kRepeat,
      kCall
    };
    Kind kind;
    std::string bytes;
    CodePoints ranges;
    std::vector<ExprId> children;
    std::uint32_t a = 0, b = 0;  // token and negated; min and max; rule; number of the automaton
  };
  struct Rule {
    std::string name;
    ExprId expression = kNone;
  };
  class Compiler;
  ExprId add(Expr expr);

  std::vector<Expr> exprs_;
  std::vector<TextAutomaton> automata_;
  std::vector<Rule> rules_;
};

// What one program reads, then what the other does.
Program in_turn(Program first, Program then);

// The sources of grammars. Errors name line and column, or the schema's keyword and its place.
Result<Program> parse_gbnf(std::string_view source, const Tokenizer& tokenizer);

// What a schema came to: the grammar, and what of the schema it does not keep ("#/a: 'not' …"), to
// be checked on the whole answer. Each text of the grammar fits the rest of the schema.
struct SchemaProgram {
  Program program;
  std::vector<std::string> unkept;
};
// `strict`: what cannot be kept is an error.
Result<SchemaProgram> compile_schema(const Json& schema, bool strict);
Program any_json_object();
// What may stand, or has to, before the text of an answer.
Result<Program> compile_lead(const AnswerLead& lead);
// Its thinking alone.
Result<ExprId> thinking(GrammarBuilder& builder, const AnswerLead& lead);
// All texts that hold none of these words.
Result<ExprId> text_without(GrammarBuilder& builder, const std::vector<std::string_view>& words);
// Calls of these tools, at least one unless text is free, written in that form.
Result<SchemaProgram> compile_calls(const CallForm& form, std::span<const OfferedTool> tools,
                                    const CallDemand& demand);

}  // namespace lathe::infer::grammar
