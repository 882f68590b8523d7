// What operators, builtins and methods do to values. Every call takes fuel for the work it does.
// Internal to this room.
#pragma once

#include "loop/mini/mini.h"
#include "loop/mini/parse.h"

namespace lathe::loop {

template <class... Args>
std::unexpected<Error> mini_error(std::string_view code, fmt::format_string<Args...> format,
                                  Args&&... args) {
  return std::unexpected(
      Error{ErrorKind::kInvalid,
            fmt::format("{}: {}", code, fmt::format(format, std::forward<Args>(args)...)),
            std::string(code)});
}

class MiniMeter {
 public:
  explicit MiniMeter(const MiniFuel& fuel) : left_(fuel) {}
  Status step(std::size_t count = 1) {
    left_.steps -= static_cast<std::int64_t>(count);
    if (left_.steps < 0) return mini_error("Fuel", "too many steps");
    return {};
  }
  Status make(std::size_t count) {  // before it is made
    left_.memory -= static_cast<std::int64_t>(count);
    if (left_.memory < 0) return mini_error("Memory", "too many items");
    return step(count);
  }

 private:
  MiniFuel left_;
};

Result<MiniValue> mini_binary(MiniOperator operation, const MiniValue& a, const MiniValue& b,
                              MiniMeter& meter);
// += and *= change a list in place.
Result<MiniValue> mini_augmented(MiniOperator operation, const MiniValue& a, const MiniValue& b,
                                 MiniMeter& meter);
Result<MiniValue> mini_negative(const MiniValue& a);
Result<MiniValue> mini_builtin(MiniFunction function, std::span<const MiniValue> arguments,
                               MiniMeter& meter);
// Whether a value has the method at all; asked before the arguments are evaluated.
Status mini_has_method(MiniFunction function, const MiniValue& of);
Result<MiniValue> mini_method(MiniFunction function, const MiniValue& of,
                              std::span<const MiniValue> arguments, MiniMeter& meter);
Result<MiniValue> mini_item(const MiniValue& of, const MiniValue& at);
Status mini_set_item(const MiniValue& of, const MiniValue& at, MiniValue value);
// `bounds`: three, None where nothing stands.
Result<MiniValue> mini_slice(const MiniValue& of, std::span<const MiniValue> bounds,
                             MiniMeter& meter);
// The items of a list, or the characters of a string.
Result<MiniList> mini_items(const MiniValue& of, MiniMeter& meter);

struct MiniRange {
  std::int64_t from = 0, to = 0, step = 1;
  bool holds(std::int64_t at) const { return step > 0 ? at < to : at > to; }
};
Result<MiniRange> mini_range(std::span<const MiniValue> arguments);

}  // namespace lathe::loop
