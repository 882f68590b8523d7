// Calls by their places in a run, as text and as JSON.
#include "loop/record/call_id.h"

#include <array>
#include <charconv>

#include "ground/base/text.h"

namespace lathe::loop {

std::string_view call_kind_name(CallId::Kind kind) {
  switch (kind) {
    case CallId::Kind::kMake:
      return "make";
    case CallId::Kind::kJudge:
      return "judge";
    case CallId::Kind::kWhole:
      return "whole";
  }
  return "";
}

std::string CallId::text() const {
  return fmt::format("{}:{}:{}:{}:{}:{}", call_kind_name(kind), track, lap, n, judge, attempt);
}

std::optional<CallId> parse_call(std::string_view text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() != 6) return std::nullopt;
  std::array<int, 5> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::string& part = parts[i + 1];
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), numbers[i]);
    if (error != std::errc() || end != part.data() + part.size() || numbers[i] < 0)
      return std::nullopt;
  }
  for (const auto kind : {CallId::Kind::kMake, CallId::Kind::kJudge, CallId::Kind::kWhole})
    if (call_kind_name(kind) == parts[0])
      return CallId{kind,       static_cast<std::size_t>(numbers[0]), numbers[1],
                    numbers[2], static_cast<std::size_t>(numbers[3]), numbers[4]};
  return std::nullopt;
}

Json to_json(const CallId& call) {
  return {{"call", call.text()},
          {"kind", call_kind_name(call.kind)},
          {"track", call.track},
          {"lap", call.lap},
          {"n", call.n},
          {"judge", call.judge},
          {"attempt", call.attempt}};
}

Result<CallId> call_from_json(const Json& json) {
  const std::string name = json_string(json, "kind");
  for (const auto kind : {CallId::Kind::kMake, CallId::Kind::kJudge, CallId::Kind::kWhole})
    if (call_kind_name(kind) == name)
      return CallId{kind,
                    static_cast<std::size_t>(json_int(json, "track", 0)),
                    static_cast<int>(json_int(json, "lap", 0)),
                    static_cast<int>(json_int(json, "n", 0)),
                    static_cast<std::size_t>(json_int(json, "judge", 0)),
                    static_cast<int>(json_int(json, "attempt", 0))};
  return invalid("'{}' is no kind of call", clip_utf8(name, 40));
}

}  // namespace lathe::loop
