// The pieces of JSON as grammar expressions.
#include "infer/constraints/json_grammar.h"

#include <algorithm>

#include "infer/constraints/schema_grammar.h"

namespace lathe::infer::grammar {
namespace {

const CodePoints kPlainCharacters = complement({{0, 0x1f}, {'"', '"'}, {'\\', '\\'}, {0x7f, 0x7f}});
// What stands behind the backslash.
constexpr std::pair<char, char> kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                              {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};

// The part of `a` that lies in `b`.
CodePoints intersected(const CodePoints& a, const CodePoints& b) {
  CodePoints out;
  for (const auto& [la, ha] : a) {
    for (const auto& [lb, hb] : b) {
      if (std::max(la, lb) <= std::min(ha, hb))
        out.emplace_back(std::max(la, lb), std::min(ha, hb));
    }
  }
  return normalize(std::move(out));
}

const CodePoints kDigits = {{'0', '9'}};
// Of a name that stands without marks.
const CodePoints kBare = {{'-', '-'}, {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};

}  // namespace

// A rule is made once and named before it is made, so that it may call itself.
ExprId JsonGrammar::rule(std::optional<RuleId>& id, const char* name,
                         ExprId (JsonGrammar::*make)()) {
  if (!id) {
    id = builder_.add_rule(name);
    builder_.define(*id, (this->*make)());
  }
  return builder_.call(*id);
}

ExprId JsonGrammar::value() {
  return rule(value_, "value", &JsonGrammar::make_value);
}
ExprId JsonGrammar::object() {
  return rule(object_, "object", &JsonGrammar::make_object);
}

ExprId JsonGrammar::integer() {
  return rule(integer_, "integer", &JsonGrammar::make_integer);
}

ExprId JsonGrammar::make_value() {
  const ExprId item = value();
  const ExprId list =
      builder_.choice({builder_.empty(),
                       builder_.sequence({item, builder_.repeat(builder_.sequence({comma(), item}),
                                                                0, kUnlimited)})});
  return builder_.choice(
      {object(),
       builder_.sequence({builder_.literal("["), blank(), list, blank(), builder_.literal("]")}),
       string(0, kUnlimited), number(), boolean(), builder_.literal("null")});
}

ExprId JsonGrammar::make_object() {
  const ExprId name = as_json() ? string(0, kUnlimited)
                                : builder_.repeat(builder_.code_points(kBare), 1, kUnlimited);
  const ExprId one = member(name, value());
  const ExprId members = builder_.choice(
      {builder_.empty(), builder_.sequence({one, builder_.repeat(builder_.sequence({comma(), one}),
                                                                 0, kUnlimited)})});
  return builder_.sequence(
      {builder_.literal("{"), blank(), members, blank(), builder_.literal("}")});
}

ExprId JsonGrammar::boolean() {
  return builder_.choice({builder_.literal("true"), builder_.literal("false")});
}

ExprId JsonGrammar::set(std::string_view characters) {
  CodePoints points;
  for (const char c : characters)
    points.emplace_back(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  return builder_.code_points(points);
}

ExprId JsonGrammar::digits(std::uint32_t min, std::uint32_t max) {
  return builder_.repeat(builder_.code_points(kDigits), min, max);
}

ExprId JsonGrammar::number() {
  const ExprId whole =
      builder_.choice({builder_.literal("0"),
                       builder_.sequence({builder_.code_points({{'1', '9'}}), digits(0, 15)})});
  const ExprId fraction = builder_.sequence({builder_.literal("."), digits(1, 16)});
  const ExprId exponent =
      builder_.sequence({set("eE"), builder_.repeat(set("+-"), 0, 1), digits(1, 2)});
  return builder_.sequence({builder_.repeat(builder_.literal("-"), 0, 1), whole,
                            builder_.repeat(fraction, 0, 1), builder_.repeat(exponent, 0, 1)});
}

ExprId JsonGrammar::blank() {
  return rule(blank_, "blank", &JsonGrammar::make_blank);
}

ExprId JsonGrammar::make_blank() {
  return builder_.choice(
      {builder_.empty(), builder_.literal(" "),
       builder_.sequence({builder_.literal("\n"), builder_.repeat(set(" \t"), 0, 20)})});
}

ExprId JsonGrammar::comma() {
  return builder_.sequence({builder_.literal(","), blank()});
}

ExprId JsonGrammar::member(ExprId key, ExprId value) {
  return builder_.sequence(
      {key, builder_.literal(":"), builder_.repeat(builder_.literal(" "), 0, 1), value});
}

ExprId JsonGrammar::make_character() {
  const ExprId hex = builder_.code_points({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  // \uD800–\uDFFF name halves of a pair: left out, since one alone is no character.
  const ExprId high = builder_.choice(
      {builder_.sequence(
           {builder_.code_points({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}),
            hex}),
       builder_.sequence({set("dD"), builder_.code_points({{'0', '7'}})})});
  return builder_.choice(
      {builder_.code_points(kPlainCharacters),
       builder_.sequence(
           {builder_.literal("\\"),
            builder_.choice({set("\"\\/bfnrt"),
                             builder_.sequence({builder_.literal("u"), high, hex, hex})})})});
}

std::string JsonGrammar::written(const Json& value) const {
  if (as_json() || (!value.is_structured() && !value.is_string())) return dump_json(value);
  if (value.is_string())
    return fmt::format("{0}{1}{0}", quote_, value.get_ref<const std::string&>());
  std::string all;
  for (const auto& [name, each] : value.items()) {
    if (!all.empty()) all += ',';
    all += (value.is_object() ? written_name(name) + ":" : "") + written(each);
  }
  return value.is_object() ? "{" + all + "}" : "[" + all + "]";
}

std::string JsonGrammar::written_name(const std::string& name) const {
  if (as_json()) return dump_json(name);
  const auto bare = [](char c) {
    const auto point = static_cast<char32_t>(static_cast<unsigned char>(c));
    return std::ranges::any_of(
        kBare, [&](const auto& range) { return range.first <= point && point <= range.second; });
  };
  return !name.empty() && std::ranges::all_of(name, bare) ? name : written(name);
}

// Where that takes too many states, only the texts without what the words begin with.
ExprId JsonGrammar::raw_text(const Regular& content) {
  const auto free = Regular::without(never_);
  auto kept = free ? Regular::both(content, *free) : std::nullopt;
  if (!kept) {
    CodePoints firsts;
    for (const std::string_view word : never_)
      firsts.emplace_back(static_cast<unsigned char>(word[0]), static_cast<unsigned char>(word[0]));
    const auto plain =
        Regular::repeated(Regular::one_of(complement(normalize(firsts))), 0, kUnlimited);
    kept = plain ? Regular::both(content, *plain) : std::nullopt;
  }
  if (!kept || kept->is_empty()) return builder_.choice({});
  return builder_.sequence(
      {builder_.literal(quote_), builder_.automaton(kept->states()), builder_.literal(quote_)});
}

ExprId JsonGrammar::string(std::uint32_t min, std::uint32_t max) {
  if (!as_json()) {
    const auto lengths = Regular::of_length(min, max);
    return lengths ? raw_text(*lengths) : builder_.choice({});
  }
  const ExprId character = rule(character_, "character", &JsonGrammar::make_character);
  return builder_.sequence(
      {builder_.literal("\""), builder_.repeat(character, min, max), builder_.literal("\"")});
}

ExprId JsonGrammar::text(const Regular& content) {
  if (!as_json()) return raw_text(content);
  const TextAutomaton& plain = content.states();
  TextAutomaton out(plain.size());
  for (std::size_t s = 0; s < plain.size(); ++s) {
    out[s].ends = plain[s].ends;
    std::uint32_t escape = 0;
    for (const TextState::Arrow& arrow : plain[s].arrows) {
      for (const auto& [low, high] : intersected({{arrow.low, arrow.high}}, kPlainCharacters))
        out[s].arrows.push_back({low, high, arrow.to});
      for (const auto& [c, name] : kEscapes) {
        const auto point = static_cast<char32_t>(c), named = static_cast<char32_t>(name);
        if (point < arrow.low || point > arrow.high) continue;
        if (escape == 0) {
          escape = static_cast<std::uint32_t>(out.size());
          out.emplace_back();
          out[s].arrows.push_back({'\\', '\\', escape});
        }
        out[escape].arrows.push_back({named, named, arrow.to});
      }
    }
  }
  return builder_.sequence(
      {builder_.literal("\""), builder_.automaton(std::move(out)), builder_.literal("\"")});
}

Regular JsonGrammar::writable() {
  CodePoints points = kPlainCharacters;
  for (const auto& [c, name] : kEscapes)
    points.emplace_back(static_cast<char32_t>(c), static_cast<char32_t>(c));
  auto all = Regular::repeated(Regular::one_of(normalize(std::move(points))), 0, kUnlimited);
  LATHE_CHECK(all.has_value());  // one state
  return std::move(*all);
}

ExprId JsonGrammar::make_integer() {
  return builder_.choice({builder_.literal("0"),
                          builder_.sequence({builder_.repeat(builder_.literal("-"), 0, 1),
                                             builder_.code_points({{'1', '9'}}), digits(0, 15)})});
}

Result<SchemaProgram> compile_schema(const Json& schema, bool strict) {
  GrammarBuilder builder;
  JsonGrammar json(builder);
  const auto expressions = SchemaExpressions::make(schema, strict, builder, json);
  LATHE_TRY(const ExprId value, expressions->value(schema, "#"));
  const RuleId rule = builder.add_rule("root");
  builder.define(rule, value);
  LATHE_TRY(Program program, builder.compile(rule));
  return SchemaProgram{std::move(program), expressions->unkept()};
}

Program any_json_object() {
  GrammarBuilder builder;
  JsonGrammar json(builder);
  const RuleId root = builder.add_rule("root");
  builder.define(root, json.object());
  auto program = builder.compile(root);
  LATHE_CHECK(program.has_value());  // our own grammar
  return std::move(*program);
}

}  // namespace lathe::infer::grammar
