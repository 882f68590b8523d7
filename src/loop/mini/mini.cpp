// Mini-Python as makers and judges use it.
#include "loop/mini/mini.h"

#include <optional>

#include "loop/mini/machine.h"

namespace lathe::loop {
namespace {

enum class Flow { kNext, kBreak, kContinue, kReturn };

// One call of a function.
class Machine {
 public:
  Machine(const MiniDefinition& definition, std::span<const MiniValue> arguments,
          const MiniFuel& fuel)
      : definition_(definition), meter_(fuel), slots_(definition.names.size()) {
    for (std::size_t i = 0; i < arguments.size(); ++i)
      slots_[i] = arguments[i].is_list() ? mini_list(arguments[i].list()) : arguments[i];
  }

  Result<MiniValue> run() {
    if (auto flow = block(definition_.body); !flow)
      return at(fmt::format("line {}", line_), std::move(flow).error());
    return std::move(returned_);
  }

 private:
  using Kind = MiniExpression::Kind;

  Result<Flow> block(const std::vector<MiniStatement>& statements) {
    for (const MiniStatement& statement : statements) {
      LATHE_TRY(const Flow flow, execute(statement));
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Result<Flow> execute(const MiniStatement& statement) {
    using Statement = MiniStatement::Kind;
    line_ = statement.line;
    LATHE_TRY_STATUS(meter_.step());
    switch (statement.kind) {
      case Statement::kAssign:
        LATHE_TRY_STATUS(assign(statement));
        return Flow::kNext;
      case Statement::kEvaluate:
        if (auto value = evaluate(statement.value); !value) return std::unexpected(value.error());
        return Flow::kNext;
      case Statement::kIf: {
        LATHE_TRY(const MiniValue value, evaluate(statement.value));
        return block(value.truth() ? statement.body : statement.other);
      }
      case Statement::kFor:
        return iterate(statement);
      case Statement::kWhile:
        for (;;) {
          line_ = statement.line;
          LATHE_TRY(const MiniValue value, evaluate(statement.value));
          if (!value.truth()) return Flow::kNext;
          LATHE_TRY(const Flow flow, block(statement.body));
          if (flow == Flow::kReturn) return flow;
          if (flow == Flow::kBreak) return Flow::kNext;
        }
      case Statement::kReturn: {
        LATHE_TRY(returned_, evaluate(statement.value));
        return Flow::kReturn;
      }
      case Statement::kBreak:
        return Flow::kBreak;
      case Statement::kContinue:
        return Flow::kContinue;
      case Statement::kPass:
        return Flow::kNext;
    }
    return Flow::kNext;
  }

  // One turn of a for; false: it is over.
  Result<bool> turn(const MiniStatement& loop, MiniValue item, Flow& end) {
    slots_[loop.slot] = std::move(item);
    LATHE_TRY_STATUS(meter_.step());
    LATHE_TRY(const Flow flow, block(loop.body));
    if (flow == Flow::kReturn) end = flow;
    return flow != Flow::kReturn && flow != Flow::kBreak;
  }

  Result<Flow> iterate(const MiniStatement& loop) {
    Flow end = Flow::kNext;
    bool on = true;
    const MiniExpression& over = loop.value;
    if (over.kind == Kind::kCall && over.function == MiniFunction::kRange) {
      LATHE_TRY(const std::vector<MiniValue> arguments, evaluate_all(over.parts));
      LATHE_TRY(const MiniRange range, mini_range(arguments));
      for (std::int64_t i = range.from; on && range.holds(i);) {
        LATHE_TRY(on, turn(loop, {i}, end));
        if (__builtin_add_overflow(i, range.step, &i)) break;
      }
      return end;
    }
    LATHE_TRY(const MiniValue value, evaluate(over));
    if (value.is_list()) {
      // A list may grow and shrink under the loop, as in Python.
      for (std::size_t i = 0; on && i < value.list().size(); ++i) {
        LATHE_TRY(on, turn(loop, value.list()[i], end));
      }
      return end;
    }
    LATHE_TRY(const MiniList items, mini_items(value, meter_));
    for (std::size_t i = 0; on && i < items.size(); ++i) {
      LATHE_TRY(on, turn(loop, items[i], end));
    }
    return end;
  }

  Status assign(const MiniStatement& statement) {
    const MiniExpression& target = statement.target;
    if (target.kind == Kind::kName) {
      if (!statement.augmented) {
        LATHE_TRY(slots_[target.slot], evaluate(statement.value));
        return {};
      }
      LATHE_TRY(const MiniValue before, evaluate(target));
      LATHE_TRY(const MiniValue value, evaluate(statement.value));
      LATHE_TRY(slots_[target.slot], mini_augmented(statement.operation, before, value, meter_));
      return {};
    }
    if (!statement.augmented) {  // in Python's order: the value comes first
      LATHE_TRY(MiniValue value, evaluate(statement.value));
      LATHE_TRY(const MiniValue of, evaluate(target.parts[0]));
      LATHE_TRY(const MiniValue at, evaluate(target.parts[1]));
      return mini_set_item(of, at, std::move(value));
    }
    LATHE_TRY(const MiniValue of, evaluate(target.parts[0]));
    LATHE_TRY(const MiniValue at, evaluate(target.parts[1]));
    LATHE_TRY(const MiniValue before, mini_item(of, at));
    LATHE_TRY(const MiniValue value, evaluate(statement.value));
    LATHE_TRY(MiniValue after, mini_augmented(statement.operation, before, value, meter_));
    return mini_set_item(of, at, std::move(after));
  }

  Result<std::vector<MiniValue>> evaluate_all(std::span<const MiniExpression> nodes) {
    std::vector<MiniValue> values;
    for (const MiniExpression& node : nodes) {
      LATHE_TRY(values.emplace_back(), evaluate(node));
    }
    return values;
  }

  Result<MiniValue> name(std::size_t slot) const {
    if (slots_[slot]) return *slots_[slot];
    return mini_error(definition_.assigned[slot] ? "UnboundLocalError" : "NameError",
                      "'{}' has no value", definition_.names[slot]);
  }

  Result<MiniValue> evaluate(const MiniExpression& node) {
    LATHE_TRY_STATUS(meter_.step());
    switch (node.kind) {
      case Kind::kLiteral:
        return node.value;
      case Kind::kName:
        return name(node.slot);
      case Kind::kConditional: {
        LATHE_TRY(const MiniValue condition, evaluate(node.parts[1]));
        return evaluate(node.parts[condition.truth() ? 0 : 2]);
      }
      case Kind::kAnd:
      case Kind::kOr: {
        LATHE_TRY(MiniValue left, evaluate(node.parts[0]));
        if (left.truth() == (node.kind == Kind::kOr)) return left;
        return evaluate(node.parts[1]);
      }
      case Kind::kMethod: {
        LATHE_TRY(const MiniValue of, evaluate(node.parts[0]));
        LATHE_TRY_STATUS(mini_has_method(node.function, of));
        LATHE_TRY(const std::vector<MiniValue> arguments,
                  evaluate_all(std::span(node.parts).subspan(1)));
        return mini_method(node.function, of, arguments, meter_);
      }
      case Kind::kCall:
        return call(node);
      default:
        break;
    }
    LATHE_TRY(std::vector<MiniValue> parts, evaluate_all(node.parts));
    switch (node.kind) {
      case Kind::kList:
        LATHE_TRY_STATUS(meter_.make(parts.size()));
        for (const MiniValue& part : parts)
          if (part.is_list()) return mini_error("Unsupported", "a list in a list");
        return mini_list(std::move(parts));
      case Kind::kNot:
        return MiniValue{!parts[0].truth()};
      case Kind::kNegative:
        return mini_negative(parts[0]);
      case Kind::kItem:
        return mini_item(parts[0], parts[1]);
      case Kind::kSlice:
        return mini_slice(parts[0], std::span(parts).subspan(1), meter_);
      default:
        return mini_binary(node.operation, parts[0], parts[1], meter_);
    }
  }

  Result<MiniValue> call(const MiniExpression& node) {
    if (node.function == MiniFunction::kList && node.parts[0].kind == Kind::kCall &&
        node.parts[0].function == MiniFunction::kRange) {
      LATHE_TRY(const std::vector<MiniValue> bounds, evaluate_all(node.parts[0].parts));
      LATHE_TRY(const MiniRange range, mini_range(bounds));
      MiniList items;
      for (std::int64_t i = range.from; range.holds(i);) {
        LATHE_TRY_STATUS(meter_.make(1));
        items.push_back({i});
        if (__builtin_add_overflow(i, range.step, &i)) break;
      }
      return mini_list(std::move(items));
    }
    LATHE_TRY(const std::vector<MiniValue> arguments, evaluate_all(node.parts));
    return mini_builtin(node.function, arguments, meter_);
  }

  const MiniDefinition& definition_;
  MiniMeter meter_;
  std::vector<std::optional<MiniValue>> slots_;
  MiniValue returned_;
  int line_ = 0;
};

}  // namespace

Result<MiniProgram> MiniProgram::parse(std::string_view source) {
  LATHE_TRY(MiniDefinition definition, parse_mini_definition(source));
  return MiniProgram(std::make_shared<const MiniDefinition>(std::move(definition)));
}

const std::string& MiniProgram::name() const {
  return definition_->name;
}
std::size_t MiniProgram::parameters() const {
  return definition_->parameters;
}

Result<MiniValue> MiniProgram::call(std::span<const MiniValue> arguments,
                                    const MiniFuel& fuel) const {
  if (arguments.size() != parameters())
    return mini_error("TypeError", "{}() takes {} argument(s), not {}", name(), parameters(),
                      arguments.size());
  return Machine(*definition_, arguments, fuel).run();
}

}  // namespace lathe::loop
