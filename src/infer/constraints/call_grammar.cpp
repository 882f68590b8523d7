// Calls of tools in the form of a family, as a grammar: names and arguments are those of the tools
// that may be called.
#include <algorithm>
#include <deque>

#include "infer/constraints/grammar.h"
#include "infer/constraints/json_grammar.h"
#include "infer/constraints/schema_grammar.h"
#include "infer/constraints/schema_merge.h"

namespace lathe::infer::grammar {
namespace {

constexpr std::string_view kNumberMark = "{#}", kId = "{id}";

class CallCompiler {
 public:
  CallCompiler(const CallForm& form, bool strict)
      : form_(form),
        strict_(strict),
        json_(builder_, form.text_quote,
              form.text_quote.empty() ? std::vector<std::string_view>() : form.raw_ends) {}

  Result<SchemaProgram> run(std::span<const OfferedTool> tools, const CallDemand& demand) {
    std::vector<ExprId> options;
    for (const OfferedTool& tool : tools) {
      LATHE_TRY(const ExprId one, call(tool));
      options.push_back(one);
    }
    const RuleId any = builder_.add_rule("call");
    builder_.define(any, builder_.choice(std::move(options)));
    ExprId calls = builder_.call(any);
    if (demand.several && !form_.single) {
      const ExprId next = builder_.sequence({words(form_.between), builder_.call(any)});
      calls = builder_.sequence({calls, builder_.repeat(next, 0, kUnlimited)});
    }
    calls = builder_.sequence({words(form_.begin), calls, words(form_.end)});
    if (demand.free) {
      LATHE_TRY(calls, among_texts(calls, *demand.free, demand.several));
    }
    LATHE_TRY(const ExprId thoughts, thinking(builder_, demand.lead));
    const RuleId root = builder_.add_rule("root");
    builder_.define(root, builder_.sequence({thoughts, calls}));
    LATHE_TRY(Program program, builder_.compile(root));
    return SchemaProgram{std::move(program), std::move(unkept_)};
  }

 private:
  // The form's words, and in them a number or an identifier of nine letters and digits.
  ExprId words(std::string_view text) {
    std::vector<ExprId> parts;
    while (!text.empty()) {
      const std::size_t at = std::min(text.find(kNumberMark), text.find(kId));
      if (at > 0) parts.push_back(builder_.literal(text.substr(0, at)));
      if (at == text.npos) break;
      const bool digits = text.substr(at).starts_with(kNumberMark);
      parts.push_back(
          digits
              ? builder_.repeat(builder_.code_points({{'0', '9'}}), 1, 3)
              : builder_.repeat(builder_.code_points({{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}), 9, 9));
      text.remove_prefix(at + (digits ? kNumberMark : kId).size());
    }
    return builder_.sequence(std::move(parts));
  }

  // Calls as the model likes to make them, or none.
  Result<ExprId> among_texts(ExprId calls, const FreeText& free, bool several) {
    LATHE_TRY(const ExprId text, text_without(builder_, free.never));
    if (free.opens.empty()) {
      const ExprId more = builder_.sequence({calls, text});
      return builder_.sequence({text, builder_.repeat(more, 0, several ? kUnlimited : 1)});
    }
    std::vector<ExprId> opens;
    for (const std::string_view open : free.opens) opens.push_back(builder_.literal(open));
    const ExprId message = builder_.sequence({builder_.choice(std::move(opens)), text});
    const ExprId before = builder_.sequence({message, builder_.literal(free.end)});
    return builder_.sequence(
        {builder_.repeat(before, 0, kUnlimited), builder_.choice({message, calls})});
  }

  static std::string_view first_line(std::string_view text) {
    return text.substr(0, text.find('\n'));
  }

  Result<ExprId> call(const OfferedTool& tool) {
    const Json any = {{"type", "object"}};
    const Json& parameters = tool.parameters.is_object() && !tool.parameters.empty()
                                 ? tool.parameters
                                 : roots_.emplace_back(any);
    const auto schemas = SchemaExpressions::make(parameters, strict_, builder_, json_);
    const bool json = form_.key_open.empty() && form_.key_end.empty();
    const auto arguments = tool.free && json ? Result<ExprId>(json_.object())
                           : tool.free && !form_.key_open.empty()
                               ? text_without(builder_, {first_line(form_.close)})
                           : json ? schemas->value(parameters, "#")
                                  : listed(*schemas, parameters);
    for (const std::string& each : schemas->unkept()) unkept_.push_back(tool.name + each);
    if (!arguments)
      return invalid("the parameters of '{}': {}", tool.name, arguments.error().message);
    const ExprId name = builder_.literal(tool.name);
    ExprId head = builder_.sequence({words(form_.open), name, words(form_.name_end)});
    if (!form_.other_open.empty())
      head = builder_.choice(
          {head, builder_.sequence({words(form_.other_open), name, words(form_.other_name_end)})});
    return builder_.sequence({head, *arguments, words(form_.close)});
  }

  // Parameter after parameter, in declared order.
  Result<ExprId> listed(SchemaExpressions& schemas, const Json& parameters) {
    const Json& properties = json_at(parameters, "properties");
    const Json& required = json_at(parameters, "required");
    // first: nothing stands before; more: something does.
    ExprId first = builder_.empty(), more = builder_.empty();
    std::vector<std::pair<std::string, const Json*>> all;
    if (properties.is_object())
      for (const auto& [name, node] : properties.items()) all.emplace_back(name, &node);
    for (auto each = all.rbegin(); each != all.rend(); ++each) {
      LATHE_TRY(const ExprId own, parameter(schemas, each->first, *each->second));
      const bool must = std::ranges::find(required, Json(each->first)) != required.end();
      const ExprId then = rule(more);
      const ExprId own_rule = rule(own);
      std::vector<ExprId> firsts{builder_.sequence({own_rule, then})};
      std::vector<ExprId> mores{builder_.sequence({words(form_.key_between), own_rule, then})};
      if (!must) {
        firsts.push_back(rule(first));
        mores.push_back(then);
      }
      first = builder_.choice(std::move(firsts));
      more = builder_.choice(std::move(mores));
    }
    return first;
  }

  ExprId rule(ExprId expression) {
    const RuleId id = builder_.add_rule("parameters");
    builder_.define(id, expression);
    return builder_.call(id);
  }

  Result<ExprId> parameter(SchemaExpressions& schemas, const std::string& name, const Json& node) {
    const std::string place = "#/properties/" + name;
    std::vector<ExprId> options;
    const auto add = [&](ExprId value, std::string_view key_end) {
      options.push_back(builder_.sequence({words(form_.key_open), builder_.literal(name),
                                           words(key_end), value, words(form_.value_end)}));
    };
    const bool raw = !form_.raw_ends.empty();
    const bool text = raw && may_be_text(schemas, node, 0);
    if (text) {
      LATHE_TRY(const ExprId value, raw_text(schemas, node, place));
      add(value, form_.text_key_end.empty() ? form_.key_end : form_.text_key_end);
    }
    const Json* plain = schemas.resolve(node);
    const bool only_text = text && (form_.text_key_end.empty() ||
                                    (plain != nullptr && json_at(*plain, "type") == "string"));
    if (!only_text) {
      LATHE_TRY(const ExprId value, schemas.value(node, place));
      add(value, form_.key_end);
    }
    return builder_.choice(std::move(options));
  }

  // Whether a value may be a text, as far as types and listed values tell.
  static bool may_be_text(const SchemaExpressions& schemas, const Json& node, int depth) {
    const Json* plain = schemas.resolve(node);
    if (plain == nullptr || !plain->is_object() || depth > 16)
      return plain != nullptr || depth > 16;
    for (const char* keyword : {"anyOf", "oneOf"})
      if (const Json& options = json_at(*plain, keyword); options.is_array())
        return std::ranges::any_of(
            options, [&](const Json& each) { return may_be_text(schemas, each, depth + 1); });
    if (plain->contains("const")) return (*plain)["const"].is_string();
    if (const Json& values = json_at(*plain, "enum"); values.is_array())
      return std::ranges::any_of(values, [](const Json& each) { return each.is_string(); });
    const auto types = schema_types(*plain, "");
    return !types || types->empty() || std::ranges::find(*types, "string") != types->end();
  }

  // A text as it stands: what the schema says of texts, and of all kinds of values their JSON.
  Result<ExprId> raw_text(SchemaExpressions& schemas, const Json& node, const std::string& place) {
    LATHE_TRY(Regular free, Regular::without(form_.raw_ends));
    const Json* plain = schemas.resolve(node);
    if (plain == nullptr || !plain->is_object()) return builder_.automaton(free.states());
    Json values = json_at(*plain, "enum");
    if (plain->contains("const")) values = Json::array({(*plain)["const"]});
    if (values.is_array()) {
      std::vector<std::string> listed;
      // What is no text has a key end of its own, or stands as JSON.
      for (const Json& each : values)
        if (each.is_string() || form_.text_key_end.empty())
          listed.push_back(each.is_string() ? each.get<std::string>() : dump_json(each));
      auto both = Regular::both(free, Regular::words(listed));
      if (!both || both->is_empty())
        return invalid("{}: none of the listed values can be written in this form", place);
      return builder_.automaton(both->states());
    }
    if (json_at(*plain, "type") == "string") {
      LATHE_TRY(const std::optional<Regular> texts, schemas.texts(*plain, place));
      auto both = texts ? Regular::both(free, *texts) : std::nullopt;
      if (both && !both->is_empty()) free = std::move(*both);
      if (texts && !both) unkept_.push_back(place + ": with the form's own words, too many states");
    } else if (!assertions_of(*plain).empty()) {
      unkept_.push_back(place + ": it may be a text, which is free here");
    }
    return builder_.automaton(free.states());
  }

  const CallForm& form_;
  const bool strict_;
  GrammarBuilder builder_;
  JsonGrammar json_;
  std::deque<Json> roots_;
  std::vector<std::string> unkept_;
};

}  // namespace

Result<SchemaProgram> compile_calls(const CallForm& form, std::span<const OfferedTool> tools,
                                    const CallDemand& demand) {
  return CallCompiler(form, demand.strict).run(tools, demand);
}

}  // namespace lathe::infer::grammar
