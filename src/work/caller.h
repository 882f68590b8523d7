// Who asks: what turns, quotas and the ledger go by.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lathe {

enum class CallClass { kInteractive, kBackground };
std::string_view class_name(CallClass call_class);  // "interactive" | "background"
std::optional<CallClass> parse_class(std::string_view name);

struct Caller {
  std::string key = {};  // the name of the key that it came by; "": none was asked for
  CallClass call_class = CallClass::kInteractive;
  double weight = 1;          // of its turns: 2 gets twice as much as 1
  std::string endpoint = {};  // as routes have it: "/chat/completions"; "": it came by none

  bool operator==(const Caller&) const = default;
};

}  // namespace lathe
