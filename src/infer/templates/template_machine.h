// Runs a parsed chat template: one machine for one rendering. Everything it does is counted:
// evaluations and bytes made are steps, calls and nesting have a depth, output has a size.
// One thread. Internal to this room.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/templates/chat_template.h"
#include "infer/templates/template_ast.h"

namespace lathe::infer {

// Variables of one block. A macro may outlive the block it was defined in: scopes stay until the
// machine goes.
struct TemplateScope {
  TemplateScope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> variables;
  bool captured = false;  // by a macro: not to be used for another turn of the loop
};

struct ValueMacro {
  const Statement* statement;
  TemplateScope* scope;
};

class TemplateMachine {
 public:
  TemplateMachine(const TemplateLimits& limits, std::int64_t now) : limits_(limits), now_(now) {
    globals_ = new_scope(nullptr);
  }

  ValueHeap& heap() { return heap_; }
  std::int64_t now() const { return now_; }
  void set_global(std::string_view name, const Value& value);
  Result<MarkedText> run(const TemplateBlock& block);

  // For the built-in functions. An error made here names the place that is being evaluated.
  Status charge(std::uint64_t steps);
  Result<Value> make_text(MarkedText text);  // charged by its size
  Result<Value> make_list(ValueList list, ValueKind kind = ValueKind::kList);
  template <class... Args>
  std::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) const {
    return template_error(place_, fmt::format(format, std::forward<Args>(args)...));
  }
  std::unexpected<Error> fail(const Error& error) const {
    auto out = template_error(place_, error.message);
    out.error().code = error.code;
    return out;
  }
  // Refuses a text of so many bytes before it is made.
  Status allow_text(std::size_t bytes) const;
  std::size_t most_text() const { return limits_.output_bytes; }
  // What a loop over the value meets.
  Result<ValueList> items_of(const Value& value);
  Result<Value> attribute_of(const Value& value, std::string_view name);
  Result<Value> item_of(const Value& value, const Value& key);
  Result<Value> call(const Value& callee, const Arguments& arguments);
  Result<MarkedText> to_text(const Value& value);
  Result<bool> contains(const Value& value, const Value& item);
  Result<Value> arithmetic(std::string_view sign, const Value& a, const Value& b);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Nested;

  TemplateScope* new_scope(TemplateScope* parent);
  const Value* find_variable(std::string_view name) const;
  static void assign(TemplateScope& scope, std::string_view name, const Value& value);
  Status assign_target(const Expression& target, const Value& value);
  Status check_depth() const;
  std::unexpected<Error> too_deep() const;

  Result<Flow> execute(const TemplateBlock& block);
  Result<Flow> execute_one(const Statement& statement);
  Result<Flow> execute_if(const Statement& statement);
  Result<Flow> execute_for(const Statement& statement);
  Result<Flow> execute_turns(const Statement& statement, const ValueList& items);
  Status execute_set(const Statement& statement);
  Status execute_set_block(const Statement& statement);
  Status execute_call_block(const Statement& statement);
  Status execute_filter_block(const Statement& statement);
  Status print(const MarkedText& text);
  Result<MarkedText> capture(const TemplateBlock& block);
  Value make_macro(const Statement& statement);
  Result<Value> call_macro(const ValueMacro& macro, const Arguments& arguments);

  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_kind(const Expression& expression);
  Result<Value> evaluate_name(const Expression& expression);
  Result<Value> evaluate_items(const Expression& expression);
  Result<Value> evaluate_dict(const Expression& expression);
  Result<Value> evaluate_signs(const Expression& expression);
  Result<Value> evaluate_concat(const Expression& expression);
  Result<Value> evaluate_comparisons(const Expression& expression);
  Result<Value> evaluate_either(const Expression& expression, bool until);
  Result<Value> evaluate_slice(const Expression& expression);
  Result<Value> evaluate_call(const Expression& expression);
  Result<Value> evaluate_filter(const Expression& expression, const Value& input);
  Result<Value> apply_filters(const Expression& filter, const Value& body);
  Result<Arguments> arguments_of(const Expression& expression);
  Result<bool> compare(std::string_view sign, const Value& a, const Value& b);
  Result<Value> repeat(const Value& a, std::int64_t times);

  Status charge_bytes(std::size_t bytes);

  const TemplateLimits limits_;
  const std::int64_t now_;
  ValueHeap heap_;
  std::deque<TemplateScope> scopes_;
  std::deque<ValueLoop> loops_;
  std::deque<ValueMacro> macros_;
  TemplateScope* globals_;
  TemplateScope* scope_ = nullptr;
  MarkedText* out_ = nullptr;
  TemplatePlace place_;
  std::uint64_t steps_ = 0;
  std::size_t bytes_ = 0;  // of the texts and lists that were made
  int depth_ = 0, calls_ = 0;
};

}  // namespace lathe::infer
