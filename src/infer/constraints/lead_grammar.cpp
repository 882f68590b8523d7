// What comes before the text of an answer as a grammar: thinking, and the words that open the text.
#include "infer/constraints/grammar.h"
#include "infer/constraints/regular.h"

namespace lathe::infer::grammar {

Result<ExprId> text_without(GrammarBuilder& builder, const std::vector<std::string_view>& words) {
  LATHE_TRY(const Regular texts, Regular::without(words));
  return builder.automaton(texts.states());
}

Result<ExprId> thinking(GrammarBuilder& builder, const AnswerLead& lead) {
  if (lead.thoughts.empty()) return builder.empty();
  LATHE_TRY(const ExprId text, text_without(builder, lead.never));
  std::vector<ExprId> options;
  if (!lead.opened) options.push_back(builder.empty());
  for (const auto& [open, end] : lead.thoughts) {
    std::vector<ExprId> parts{text, builder.literal(end)};
    if (!lead.opened) parts.insert(parts.begin(), builder.literal(open));
    // Where a word has to follow, nothing stands in front of it.
    if (!lead.must_open)
      parts.push_back(builder.repeat(builder.code_points({{'\n', '\n'}, {' ', ' '}}), 0, 3));
    options.push_back(builder.sequence(std::move(parts)));
  }
  return builder.choice(std::move(options));
}

Result<Program> compile_lead(const AnswerLead& lead) {
  GrammarBuilder builder;
  LATHE_TRY(const ExprId thoughts, thinking(builder, lead));
  std::vector<ExprId> opens;
  if (!lead.must_open) opens.push_back(builder.empty());
  for (const std::string_view open : lead.text_opens) opens.push_back(builder.literal(open));
  const RuleId root = builder.add_rule("root");
  builder.define(root, builder.sequence({thoughts, builder.choice(std::move(opens))}));
  return builder.compile(root);
}

Program in_turn(Program first, Program then) {
  const auto states = static_cast<std::uint32_t>(first.states.size());
  const auto rules = static_cast<RuleId>(first.start.size());
  for (auto& edges : then.states) {
    for (Edge& edge : edges) {
      edge.to += states;
      if (edge.kind == Edge::Kind::kCall) edge.value += rules;
    }
    first.states.push_back(std::move(edges));
  }
  for (const std::uint32_t start : then.start) first.start.push_back(start + states);
  for (const std::uint32_t end : then.end) first.end.push_back(end + states);
  const auto begin = static_cast<std::uint32_t>(first.states.size());
  const auto call = [](RuleId rule, std::uint32_t to) {
    return std::vector<Edge>{{.kind = Edge::Kind::kCall, .value = rule, .to = to}};
  };
  first.states.push_back(call(first.root, begin + 1));
  first.states.push_back(call(then.root + rules, begin + 2));
  first.states.emplace_back();
  first.start.push_back(begin);
  first.end.push_back(begin + 2);
  first.root = static_cast<RuleId>(first.start.size() - 1);
  return first;
}

}  // namespace lathe::infer::grammar
