// From expressions to the automata of the rules, and the check that no rule runs in circles.
#include "infer/constraints/grammar.h"

#include <algorithm>
#include <map>

#include "infer/tokens/unicode.h"

namespace lathe::infer::grammar {
namespace {

constexpr char32_t kLast = 0x10ffff;

using ByteRanges = std::vector<std::pair<std::uint8_t, std::uint8_t>>;

// Splits a range of code points into sequences of byte ranges: all of one encoded length, and
// continuation bytes that either run over all of 80–BF or belong to one prefix.
void split_utf8(char32_t low, char32_t high, std::vector<ByteRanges>& out) {
  for (const char32_t border : {0x7fu, 0x7ffu, 0xffffu}) {
    if (low <= border && border < high) {
      split_utf8(low, border, out);
      return split_utf8(border + 1, high, out);
    }
  }
  for (int bits = 6; bits <= 18; bits += 6) {
    const char32_t mask = (1u << bits) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if (high <= 0x7f) continue;
    if ((low & mask) != 0) {
      split_utf8(low, low | mask, out);
      return split_utf8((low | mask) + 1, high, out);
    }
    if ((high & mask) != mask) {
      split_utf8(low, (high & ~mask) - 1, out);
      return split_utf8(high & ~mask, high, out);
    }
  }
  std::string a, b;
  append_utf8(a, low);
  append_utf8(b, high);
  ByteRanges ranges;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ranges.emplace_back(static_cast<std::uint8_t>(a[i]), static_cast<std::uint8_t>(b[i]));
  }
  out.push_back(std::move(ranges));
}

}  // namespace

CodePoints normalize(CodePoints ranges) {
  std::sort(ranges.begin(), ranges.end());
  CodePoints out;
  for (const auto& [low, high] : ranges) {
    if (low > high) continue;
    if (!out.empty() && low <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, high);
    } else {
      out.emplace_back(low, high);
    }
  }
  return out;
}

CodePoints complement(const CodePoints& ranges) {
  CodePoints blocked = ranges;
  blocked.emplace_back(0xd800, 0xdfff);  // surrogates are no characters
  CodePoints out;
  char32_t next = 0;
  for (const auto& [low, high] : normalize(std::move(blocked))) {
    if (low > next) out.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= kLast) out.emplace_back(next, kLast);
  return out;
}

ExprId GrammarBuilder::add(Expr expr) {
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId GrammarBuilder::empty() {
  return literal("");
}

ExprId GrammarBuilder::literal(std::string_view bytes) {
  return add(
      {.kind = Expr::Kind::kLiteral, .bytes = std::string(bytes), .ranges = {}, .children = {}});
}

ExprId GrammarBuilder::code_points(const CodePoints& ranges) {
  return add(
      {.kind = Expr::Kind::kCodePoints, .bytes = {}, .ranges = normalize(ranges), .children = {}});
}

ExprId GrammarBuilder::automaton(TextAutomaton states) {
  automata_.push_back(std::move(states));
  return add({.kind = Expr::Kind::kAutomaton,
              .bytes = {},
              .ranges = {},
              .children = {},
              .a = static_cast<std::uint32_t>(automata_.size() - 1)});
}

ExprId GrammarBuilder::token(std::uint32_t id, bool negated) {
  return add({.kind = Expr::Kind::kToken,
              .bytes = {},
              .ranges = {},
              .children = {},
              .a = id,
              .b = negated});
}

ExprId GrammarBuilder::sequence(std::vector<ExprId> parts) {
  return add(
      {.kind = Expr::Kind::kSequence, .bytes = {}, .ranges = {}, .children = std::move(parts)});
}

ExprId GrammarBuilder::choice(std::vector<ExprId> options) {
  return add(
      {.kind = Expr::Kind::kChoice, .bytes = {}, .ranges = {}, .children = std::move(options)});
}

ExprId GrammarBuilder::repeat(ExprId what, std::uint32_t min, std::uint32_t max) {
  return add({.kind = Expr::Kind::kRepeat,
              .bytes = {},
              .ranges = {},
              .children = {what},
              .a = min,
              .b = max});
}

ExprId GrammarBuilder::call(RuleId rule) {
  return add({.kind = Expr::Kind::kCall, .bytes = {}, .ranges = {}, .children = {}, .a = rule});
}

RuleId GrammarBuilder::add_rule(std::string name) {
  rules_.push_back({std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

void GrammarBuilder::define(RuleId rule, ExprId expression) {
  rules_[rule].expression = expression;
}

// Thompson's construction. Expressions nest as deep as the parsers allow, which bounds the
// recursion here.
class GrammarBuilder::Compiler {
 public:
  explicit Compiler(const GrammarBuilder& builder) : builder_(builder) {}

  Result<Program> run(RuleId root) {
    program_.root = root;
    for (const Rule& rule : builder_.rules_) {
      const std::uint32_t start = state(), end = state();
      program_.start.push_back(start);
      program_.end.push_back(end);
      build(rule.expression, start, end);
      if (too_large_) {
        return invalid("the grammar is too large: rule '{}' takes it beyond {} states", rule.name,
                       kMaxStates);
      }
    }
    return std::move(program_);
  }

 private:
  std::uint32_t state() {
    program_.states.emplace_back();
    too_large_ = too_large_ || program_.states.size() > kMaxStates;
    return static_cast<std::uint32_t>(program_.states.size() - 1);
  }
  void edge(std::uint32_t from, Edge edge) { program_.states[from].push_back(edge); }

  void build(ExprId id, std::uint32_t from, std::uint32_t to) {
    if (too_large_) return;
    const Expr& expr = builder_.exprs_[id];
    switch (expr.kind) {
      case Expr::Kind::kLiteral:
        return bytes(expr.bytes, from, to);
      case Expr::Kind::kCodePoints:
        return code_points(expr.ranges, from, to);
      case Expr::Kind::kAutomaton:
        return automaton(builder_.automata_[expr.a], from, to);
      case Expr::Kind::kToken:
        return edge(from, {.kind = expr.b ? Edge::Kind::kNotToken : Edge::Kind::kToken,
                           .value = expr.a,
                           .to = to});
      case Expr::Kind::kCall:
        return edge(from, {.kind = Edge::Kind::kCall, .value = expr.a, .to = to});
      case Expr::Kind::kChoice:
        for (const ExprId child : expr.children) build(child, from, to);
        return;
      case Expr::Kind::kSequence:
        return sequence(expr.children, from, to);
      case Expr::Kind::kRepeat:
        return repeat(expr, from, to);
    }
  }

  void bytes(std::string_view text, std::uint32_t from, std::uint32_t to) {
    for (const char c : text) {
      const std::uint32_t next = state();
      edge(from, {.kind = Edge::Kind::kBytes,
                  .low = static_cast<std::uint8_t>(c),
                  .high = static_cast<std::uint8_t>(c),
                  .to = next});
      from = next;
    }
    edge(from, {.kind = Edge::Kind::kEmpty, .to = to});
  }

  void code_points(const CodePoints& ranges, std::uint32_t from, std::uint32_t to) {
    std::vector<ByteRanges> sequences;
    for (const auto& [low, high] : ranges) split_utf8(low, high, sequences);
    for (const ByteRanges& sequence : sequences) {
      std::uint32_t at = from;
      for (std::size_t i = 0; i < sequence.size(); ++i) {
        const std::uint32_t next = i + 1 == sequence.size() ? to : state();
        edge(at, {.kind = Edge::Kind::kBytes,
                  .low = sequence[i].first,
                  .high = sequence[i].second,
                  .to = next});
        at = next;
      }
    }
  }

  // The last bytes of characters that lead to the same state are shared.
  void automaton(const TextAutomaton& text, std::uint32_t from, std::uint32_t to) {
    std::vector<std::uint32_t> own;
    for (std::size_t i = 0; i < text.size(); ++i) own.push_back(state());
    if (!own.empty()) edge(from, {.kind = Edge::Kind::kEmpty, .to = own[0]});
    std::map<std::pair<std::uint32_t, ByteRanges>, std::uint32_t> tails;
    for (std::size_t i = 0; i < text.size() && !too_large_; ++i) {
      if (text[i].ends) edge(own[i], {.kind = Edge::Kind::kEmpty, .to = to});
      for (const TextState::Arrow& arrow : text[i].arrows) {
        std::vector<ByteRanges> sequences;
        split_utf8(arrow.low, arrow.high, sequences);
        for (ByteRanges& sequence : sequences) {
          std::uint32_t next = own[arrow.to];
          ByteRanges tail;
          while (sequence.size() > 1) {
            tail.insert(tail.begin(), sequence.back());
            sequence.pop_back();
            const auto [known, fresh] = tails.try_emplace({own[arrow.to], tail}, 0);
            if (fresh) {
              known->second = state();
              edge(known->second, {.kind = Edge::Kind::kBytes,
                                   .low = tail[0].first,
                                   .high = tail[0].second,
                                   .to = next});
            }
            next = known->second;
          }
          edge(own[i], {.kind = Edge::Kind::kBytes,
                        .low = sequence[0].first,
                        .high = sequence[0].second,
                        .to = next});
        }
      }
    }
  }

  void sequence(std::span<const ExprId> parts, std::uint32_t from, std::uint32_t to) {
    for (const ExprId part : parts) {
      const std::uint32_t next = state();
      build(part, from, next);
      from = next;
    }
    edge(from, {.kind = Edge::Kind::kEmpty, .to = to});
  }

  void repeat(const Expr& expr, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = 0; i < expr.a && !too_large_; ++i) {
      const std::uint32_t next = state();
      build(expr.children[0], from, next);
      from = next;
    }
    if (expr.b == kUnlimited) {
      const std::uint32_t loop = state(), back = state();
      edge(from, {.kind = Edge::Kind::kEmpty, .to = loop});
      build(expr.children[0], loop, back);
      edge(back, {.kind = Edge::Kind::kEmpty, .to = loop});
      from = loop;
    } else {
      for (std::uint32_t i = expr.a; i < expr.b && !too_large_; ++i) {
        const std::uint32_t next = state();
        edge(from, {.kind = Edge::Kind::kEmpty, .to = to});
        build(expr.children[0], from, next);
        from = next;
      }
    }
    edge(from, {.kind = Edge::Kind::kEmpty, .to = to});
  }

  const GrammarBuilder& builder_;
  Program program_;
  bool too_large_ = false;
};

Result<Program> GrammarBuilder::compile(RuleId root) const {
  if (rules_.size() > kMaxRules)
    return invalid("the grammar has {} rules; {} are the most", rules_.size(), kMaxRules);
  for (const Rule& rule : rules_) {
    if (rule.expression == kNone)
      return invalid("the rule '{}' is used and never defined", rule.name);
  }
  LATHE_TRY(Program program, Compiler(*this).run(root));
  // A rule that can come back to its own start without reading anything would never end: found on
  // the automaton, where "without reading" is a walk over empty edges and calls.
  std::vector<bool> nullable(rules_.size());
  std::vector<std::uint32_t> seen(program.states.size());
  std::uint32_t round = 0;
  const auto reach = [&](RuleId rule, auto&& on_call) {
    ++round;
    std::vector<std::uint32_t> open;
    const auto visit = [&](std::uint32_t state) {
      if (seen[state] == round) return;
      seen[state] = round;
      open.push_back(state);
    };
    visit(program.start[rule]);
    while (!open.empty()) {
      const std::uint32_t state = open.back();
      open.pop_back();
      for (const Edge& edge : program.states[state]) {
        if (edge.kind == Edge::Kind::kEmpty) visit(edge.to);
        if (edge.kind != Edge::Kind::kCall) continue;
        on_call(edge.value);
        if (nullable[edge.value]) visit(edge.to);
      }
    }
    return seen[program.end[rule]] == round;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (RuleId rule = 0; rule < rules_.size(); ++rule) {
      if (nullable[rule] || !reach(rule, [](RuleId) {})) continue;
      nullable[rule] = changed = true;
    }
  }
  std::vector<std::vector<RuleId>> first(rules_.size());
  for (RuleId rule = 0; rule < rules_.size(); ++rule) {
    reach(rule, [&](RuleId called) { first[rule].push_back(called); });
  }
  // Depth-first with colours; explicit stack.
  std::vector<std::uint8_t> colour(rules_.size());
  for (RuleId begin = 0; begin < rules_.size(); ++begin) {
    std::vector<std::pair<RuleId, std::size_t>> path;
    if (colour[begin] == 0) path.emplace_back(begin, 0);
    while (!path.empty()) {
      auto& [rule, next] = path.back();
      colour[rule] = 1;
      if (next == first[rule].size()) {
        colour[rule] = 2;
        path.pop_back();
        continue;
      }
      const RuleId called = first[rule][next++];
      if (colour[called] == 1) {
        return invalid(
            "the rule '{}' is left-recursive: it can call itself before it has read anything",
            rules_[called].name);
      }
      if (colour[called] == 0) path.emplace_back(called, 0);
    }
  }
  return program;
}

}  // namespace lathe::infer::grammar
