// Statements: what runs, in which scope, and where its text goes.
#include "infer/templates/template_machine.h"

#include <algorithm>

namespace lathe::infer {

namespace {
// What work on texts costs in steps.
constexpr std::uint64_t kBytesPerStep = 16, kStepsPerText = 8;
constexpr int kNestingPerDepth = 10;  // a call nests about so many statements and expressions
}  // namespace

class TemplateMachine::Nested {
 public:
  explicit Nested(int& depth) : depth_(++depth) {}
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() { --depth_; }

 private:
  int& depth_;
};

Status TemplateMachine::check_depth() const {
  if (depth_ > limits_.depth * kNestingPerDepth) return too_deep();
  return {};
}

std::unexpected<Error> TemplateMachine::too_deep() const {
  return fail("nested too deeply (the limit is {} calls)", limits_.depth);
}

Status TemplateMachine::charge(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps) return fail("the template takes more than {} steps", limits_.steps);
  if (limits_.stop != nullptr && limits_.stop->raised())
    return lathe::fail(ErrorKind::kCancelled, "the template was stopped");
  return {};
}

Status TemplateMachine::charge_bytes(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes_ > limits_.memory_bytes)
    return fail("the template takes more than {} bytes of memory", limits_.memory_bytes);
  return {};
}

Status TemplateMachine::allow_text(std::size_t bytes) const {
  if (bytes <= limits_.output_bytes) return {};
  return fail(Error{.message = fmt::format("a text grows beyond {} bytes", limits_.output_bytes),
                    .code = "too_long"});
}

Result<Value> TemplateMachine::make_text(MarkedText text) {
  LATHE_TRY_STATUS(allow_text(text.size()));
  const std::size_t bytes = text.size() + text.runs().size() * sizeof(text.runs()[0]);
  LATHE_TRY_STATUS(charge(kStepsPerText + bytes / kBytesPerStep));
  LATHE_TRY_STATUS(charge_bytes(sizeof(MarkedText) + bytes));
  return heap_.text(std::move(text));
}

Result<Value> TemplateMachine::make_list(ValueList list, ValueKind kind) {
  LATHE_TRY_STATUS(charge(list.size()));
  LATHE_TRY_STATUS(charge_bytes(sizeof(ValueList) + list.size() * sizeof(Value)));
  return heap_.list(std::move(list), kind);
}

TemplateScope* TemplateMachine::new_scope(TemplateScope* parent) {
  return &scopes_.emplace_back(TemplateScope{parent, {}, false});
}

const Value* TemplateMachine::find_variable(std::string_view name) const {
  for (const TemplateScope* scope = scope_; scope != nullptr; scope = scope->parent)
    for (const auto& [known, value] : scope->variables)
      if (known == name) return &value;
  return nullptr;
}

void TemplateMachine::assign(TemplateScope& scope, std::string_view name, const Value& value) {
  for (auto& [known, old] : scope.variables)
    if (known == name) {
      old = value;
      return;
    }
  scope.variables.emplace_back(name, value);
}

void TemplateMachine::set_global(std::string_view name, const Value& value) {
  assign(*globals_, name, value);
}

Result<MarkedText> TemplateMachine::run(const TemplateBlock& block) {
  scope_ = new_scope(globals_);
  MarkedText out;
  out_ = &out;
  LATHE_TRY([[maybe_unused]] const Flow flow, execute(block));
  return out;
}

Status TemplateMachine::print(const MarkedText& text) {
  LATHE_TRY_STATUS(allow_text(out_->size() + text.size()));
  LATHE_TRY_STATUS(charge(text.size() / kBytesPerStep));
  out_->append(text);
  return {};
}

Result<MarkedText> TemplateMachine::capture(const TemplateBlock& block) {
  MarkedText text;
  MarkedText* const outer = std::exchange(out_, &text);
  const auto flow = execute(block);
  out_ = outer;
  if (!flow) return std::unexpected(flow.error());
  return text;
}

Result<TemplateMachine::Flow> TemplateMachine::execute(const TemplateBlock& block) {
  const Nested nested(depth_);
  LATHE_TRY_STATUS(check_depth());
  for (const auto& statement : block) {
    place_ = statement->place;
    LATHE_TRY_STATUS(charge(1));
    LATHE_TRY(const Flow flow, execute_one(*statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<TemplateMachine::Flow> TemplateMachine::execute_one(const Statement& statement) {
  const auto next = [](Status status) -> Result<Flow> {
    if (!status) return std::unexpected(std::move(status).error());
    return Flow::kNext;
  };
  switch (statement.kind) {
    case StatementKind::kText:
      return next(print(MarkedText(statement.text, false)));
    case StatementKind::kPrint: {
      LATHE_TRY(const Value value, evaluate(*statement.value));
      LATHE_TRY(const MarkedText text, to_text(value));
      return next(print(text));
    }
    case StatementKind::kIf:
      return execute_if(statement);
    case StatementKind::kFor:
      return execute_for(statement);
    case StatementKind::kSet:
      return next(execute_set(statement));
    case StatementKind::kSetBlock:
      return next(execute_set_block(statement));
    case StatementKind::kMacro:
      assign(*scope_, statement.text, make_macro(statement));
      return Flow::kNext;
    case StatementKind::kCall:
      return next(execute_call_block(statement));
    case StatementKind::kFilter:
      return next(execute_filter_block(statement));
    case StatementKind::kBody:
      return execute(statement.body);
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<TemplateMachine::Flow> TemplateMachine::execute_if(const Statement& statement) {
  for (const TemplateBranch& branch : statement.branches) {
    if (branch.condition) {
      LATHE_TRY(const Value value, evaluate(*branch.condition));
      if (!truth(value)) continue;
    }
    return execute(branch.body);
  }
  return Flow::kNext;
}

Status TemplateMachine::assign_target(const Expression& target, const Value& value) {
  if (target.kind == ExpressionKind::kName) {
    assign(*scope_, target.text, value);
    return {};
  }
  if (target.kind == ExpressionKind::kAttribute) {
    LATHE_TRY(const Value object, evaluate(*target.operands[0]));
    if (!object.is(ValueKind::kNamespace))
      return fail("'{}' cannot be set: it belongs to a {}, not to a namespace", target.text,
                  type_name(object));
    object.dict->set(heap_.text(target.text), value);
    return {};
  }
  LATHE_TRY(const ValueList items, items_of(value));
  if (items.size() != target.operands.size())
    return fail("{} values for {} names", items.size(), target.operands.size());
  for (std::size_t i = 0; i < items.size(); ++i)
    LATHE_TRY_STATUS(assign_target(*target.operands[i], items[i]));
  return {};
}

Result<TemplateMachine::Flow> TemplateMachine::execute_for(const Statement& statement) {
  LATHE_TRY(const Value value, evaluate(*statement.value));
  LATHE_TRY(ValueList items, items_of(value));
  TemplateScope* const outer = scope_;
  if (statement.filter) {
    ValueList kept;
    scope_ = new_scope(outer);
    for (const Value& item : items) {
      LATHE_TRY_STATUS(assign_target(*statement.target, item));
      LATHE_TRY(const Value wanted, evaluate(*statement.filter));
      if (truth(wanted)) kept.push_back(item);
    }
    scope_ = outer;
    items = std::move(kept);
  }
  auto flow = items.empty() ? execute(statement.otherwise) : execute_turns(statement, items);
  scope_ = outer;
  return flow;
}

Result<TemplateMachine::Flow> TemplateMachine::execute_turns(const Statement& statement,
                                                             const ValueList& items) {
  TemplateScope* const outer = scope_;
  Value loop = Value::of(ValueKind::kLoop);
  ValueLoop& state = loops_.emplace_back(ValueLoop{heap_.list(items).list});
  loop.loop = &state;
  TemplateScope* scope = nullptr;
  for (std::size_t i = 0; i < items.size(); ++i) {
    LATHE_TRY_STATUS(charge(1));
    state.index = i;
    if (scope == nullptr || scope->captured) scope = new_scope(outer);
    scope->variables.clear();
    scope_ = scope;
    assign(*scope, "loop", loop);
    LATHE_TRY_STATUS(assign_target(*statement.target, items[i]));
    LATHE_TRY(const Flow flow, execute(statement.body));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Status TemplateMachine::execute_set(const Statement& statement) {
  LATHE_TRY(const Value value, evaluate(*statement.value));
  return assign_target(*statement.target, value);
}

// The body's text through filters that were parsed on an empty text in its place.
Result<Value> TemplateMachine::apply_filters(const Expression& filter, const Value& body) {
  if (filter.kind != ExpressionKind::kFilter) return body;
  LATHE_TRY(const Value input, apply_filters(*filter.operands[0], body));
  return evaluate_filter(filter, input);
}

Status TemplateMachine::execute_set_block(const Statement& statement) {
  TemplateScope* const outer = std::exchange(scope_, new_scope(scope_));
  LATHE_TRY(MarkedText text, capture(statement.body));
  LATHE_TRY(Value value, make_text(std::move(text)));
  if (statement.filter) {
    LATHE_TRY(value, apply_filters(*statement.filter, value));
  }
  scope_ = outer;
  return assign_target(*statement.target, value);
}

Status TemplateMachine::execute_filter_block(const Statement& statement) {
  TemplateScope* const outer = std::exchange(scope_, new_scope(scope_));
  LATHE_TRY(MarkedText text, capture(statement.body));
  LATHE_TRY(Value value, make_text(std::move(text)));
  LATHE_TRY(value, apply_filters(*statement.filter, value));
  scope_ = outer;
  LATHE_TRY(const MarkedText shown, to_text(value));
  return print(shown);
}

Value TemplateMachine::make_macro(const Statement& statement) {
  for (TemplateScope* scope = scope_; scope != nullptr; scope = scope->parent)
    scope->captured = true;
  Value out = Value::of(ValueKind::kMacro);
  out.macro = &macros_.emplace_back(ValueMacro{&statement, scope_});
  return out;
}

Status TemplateMachine::execute_call_block(const Statement& statement) {
  const Expression& called = *statement.value;
  LATHE_TRY(const Value callee, evaluate(*called.operands[0]));
  LATHE_TRY(Arguments arguments, arguments_of(called));
  arguments.named.emplace_back("caller", make_macro(statement));
  LATHE_TRY(const Value value, call(callee, arguments));
  LATHE_TRY(const MarkedText text, to_text(value));
  return print(text);
}

Result<Value> TemplateMachine::call_macro(const ValueMacro& macro, const Arguments& arguments) {
  const Statement& statement = *macro.statement;
  TemplateScope* const inner = new_scope(macro.scope);
  TemplateScope* const outer = std::exchange(scope_, inner);
  const auto& parameters = statement.parameters;
  if (arguments.positional.size() > parameters.size())
    return fail("{} takes {} arguments, not {}",
                statement.text.empty() ? "caller" : "macro '" + statement.text + "'",
                parameters.size(), arguments.positional.size());
  std::vector<bool> given(parameters.size());
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    given[i] = true;
    assign(*inner, parameters[i].name, arguments.positional[i]);
  }
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::ranges::find(parameters, name, &TemplateParameter::name);
    if (found == parameters.end() && name != "caller")
      return fail("macro '{}' has no parameter '{}'", statement.text, name);
    if (found != parameters.end())
      given[static_cast<std::size_t>(found - parameters.begin())] = true;
    assign(*inner, name, value);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (given[i]) continue;
    Value value;
    if (parameters[i].fallback) {
      LATHE_TRY(value, evaluate(*parameters[i].fallback));
    }
    assign(*inner, parameters[i].name, value);
  }
  LATHE_TRY(MarkedText text, capture(statement.body));
  scope_ = outer;
  return make_text(std::move(text));
}

Result<Value> TemplateMachine::call(const Value& callee, const Arguments& arguments) {
  if (!callee.is_callable()) {
    if (callee.is_undefined()) return fail("what is called is undefined");
    return fail("a {} cannot be called", type_name(callee));
  }
  if (calls_ >= limits_.depth) return too_deep();
  const TemplatePlace place = place_;
  const Nested nested(calls_);
  Result<Value> out = callee.is(ValueKind::kMacro) ? call_macro(*callee.macro, arguments)
                      : callee.is(ValueKind::kMethod)
                          ? call_method(*this, *callee.method, arguments)
                          : callee.global(*this, arguments);
  place_ = place;
  return out;
}

Result<MarkedText> TemplateMachine::to_text(const Value& value) {
  MarkedText out;
  if (const Status status = append_text(out, value, limits_.output_bytes); !status)
    return fail(status.error());
  LATHE_TRY_STATUS(charge(out.size() / kBytesPerStep));
  return out;
}

}  // namespace lathe::infer
