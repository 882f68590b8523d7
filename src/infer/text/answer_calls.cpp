#include "infer/text/answer_calls.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe {

std::size_t JsonScan::end(std::string_view text, std::size_t begin) {
  for (at_ = std::max(at_, begin); at_ < text.size(); ++at_) {
    const char c = text[at_];
    if (string_) {
      if (!escaped_ && c == '"') string_ = false;
      escaped_ = !escaped_ && c == '\\';
      continue;
    }
    if (c == '"') string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if ((c == '}' || c == ']') && --depth_ <= 0) return at_ + 1;
  }
  return text.npos;
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

std::size_t marker_start(std::string_view text, const std::vector<std::string_view>& markers) {
  std::size_t longest = 0;
  for (const std::string_view marker : markers)
    for (std::size_t n = std::min(marker.size() - 1, text.size()); n > longest; --n)
      if (text.ends_with(marker.substr(0, n))) longest = n;
  return longest;
}

std::pair<std::size_t, std::size_t> find_marker(std::string_view text,
                                                const std::vector<std::string_view>& markers) {
  std::pair<std::size_t, std::size_t> first{text.npos, 0};
  for (std::size_t i = 0; i < markers.size(); ++i)
    if (const auto at = text.find(markers[i]); at < first.first) first = {at, i};
  return first;
}

std::optional<ToolCall> tool_call_from_json(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const std::string name = json_string(json, "name");
  if (name.empty()) return std::nullopt;
  const Json* arguments = &json_at(json, "arguments");
  if (arguments->is_null()) arguments = &json_at(json, "parameters");
  Json parsed = *arguments;
  if (parsed.is_null()) parsed = Json::object();
  if (parsed.is_string()) {  // an object written as a string
    const auto inner = parse_json(parsed.get_ref<const std::string&>());
    if (!inner) return std::nullopt;
    parsed = *inner;
  }
  if (!parsed.is_object()) return std::nullopt;
  return ToolCall{json_string(json, "id"), name, dump_json(parsed)};
}

std::optional<ToolCall> call_from_text(std::string_view json) {
  const auto parsed = parse_json(json);
  return parsed ? tool_call_from_json(*parsed) : std::nullopt;
}

namespace {

constexpr std::string_view kToolCall = "<tool_call>", kToolCallEnd = "</tool_call>";
constexpr std::string_view kFunction = "<function=", kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=", kParameterEnd = "</parameter>";
constexpr std::string_view kToolCalls = "[TOOL_CALLS]", kCallId = "[CALL_ID]", kArgs = "[ARGS]";

CallAttempt no_call() {
  return {CallAttempt::kNoCall, 0, {}};
}
CallAttempt more(bool last) {
  return last ? no_call() : CallAttempt{};
}
CallAttempt one_call(std::size_t bytes, std::optional<ToolCall> call) {
  if (!call) return no_call();
  return {CallAttempt::kCalls, bytes, {std::move(*call)}};
}

// Does `marker` stand at `at`? Nothing: what is there may still become it.
std::optional<bool> stands(std::string_view text, std::size_t at, std::string_view marker) {
  const std::string_view rest = text.substr(std::min(at, text.size()));
  if (rest.size() < marker.size() && marker.starts_with(rest)) return std::nullopt;
  return rest.starts_with(marker);
}

// <tool_call> {"name": …, "arguments": {…}} </tool_call>
class Hermes final : public CallReader {
 public:
  CallAttempt read(std::string_view text, bool last) override {
    const std::size_t begin = skip_spaces(text, kToolCall.size());
    if (begin == text.size()) return more(last);
    if (text[begin] != '{') return no_call();
    if (end_ == 0) {
      const std::size_t end = scan_.end(text, begin);
      if (end == text.npos) return more(last);
      end_ = end;
    }
    const std::size_t close = skip_spaces(text, end_);
    const auto closed = stands(text, close, kToolCallEnd);
    if (!closed) return more(last);
    if (!*closed) return no_call();
    return one_call(close + kToolCallEnd.size(), call_from_text(text.substr(begin, end_ - begin)));
  }

 private:
  JsonScan scan_;
  std::size_t end_ = 0;
};

// [<tool_call>] <function=N> <parameter=P> value </parameter> … </function> [</tool_call>]
class QwenXml final : public CallReader {
 public:
  explicit QwenXml(const Json& tools) : tools_(tools) {}

  CallAttempt read(std::string_view text, bool last) override {
    const bool wrapped = text.starts_with(kToolCall);
    const std::size_t begin = wrapped ? skip_spaces(text, kToolCall.size()) : 0;
    const auto opened = stands(text, begin, kFunction);
    if (!opened) return more(last);
    if (!*opened) return no_call();
    // A value may hold "</function>": the first at which all before it is a call counts.
    for (;;) {
      const auto end = text.find(kFunctionEnd, std::max(searched_, begin));
      if (end == text.npos) {
        searched_ = text.size() - std::min(text.size(), kFunctionEnd.size() - 1);
        return more(last);
      }
      const std::size_t after = end + kFunctionEnd.size();
      auto call = parse(text.substr(begin, after - begin));
      if (!call) {
        searched_ = after;
        continue;
      }
      const std::size_t close = skip_spaces(text, after);
      const auto closed = stands(text, close, kToolCallEnd);
      if (!closed && !last) return {};
      if (closed.value_or(false)) return one_call(close + kToolCallEnd.size(), std::move(call));
      return wrapped ? no_call() : one_call(after, std::move(call));
    }
  }

 private:
  // A parameter's end is one that the next parameter or the function's end follows.
  static std::size_t value_end(std::string_view text, std::size_t from) {
    for (std::size_t at = from; (at = text.find(kParameterEnd, at)) != text.npos; ++at) {
      const std::string_view next = text.substr(skip_spaces(text, at + kParameterEnd.size()));
      if (next.starts_with(kParameter) || next == kFunctionEnd) return at;
    }
    return text.npos;
  }

  std::optional<ToolCall> parse(std::string_view text) const {
    const auto name_end = text.find('>');
    if (name_end == text.npos) return std::nullopt;
    const std::string name(trim(text.substr(kFunction.size(), name_end - kFunction.size())));
    if (name.empty() || name.find_first_of("<\n") != name.npos) return std::nullopt;
    Json arguments = Json::object();
    std::size_t at = skip_spaces(text, name_end + 1);
    while (text.substr(at) != kFunctionEnd) {
      if (!text.substr(at).starts_with(kParameter)) return std::nullopt;
      const auto key_end = text.find('>', at);
      if (key_end == text.npos) return std::nullopt;
      const std::string key(
          trim(text.substr(at + kParameter.size(), key_end - at - kParameter.size())));
      const std::size_t end = value_end(text, key_end + 1);
      if (end == text.npos || key.empty()) return std::nullopt;
      std::string_view value = text.substr(key_end + 1, end - key_end - 1);
      if (value.starts_with('\n')) value.remove_prefix(1);
      if (value.ends_with('\n')) value.remove_suffix(1);
      arguments[key] = typed(name, key, value);
      at = skip_spaces(text, end + kParameterEnd.size());
    }
    return ToolCall{"", name, dump_json(arguments)};
  }

  // Strings stand there raw, all else as JSON: what the tool says of the parameter decides.
  Json typed(const std::string& tool, const std::string& key, std::string_view value) const {
    std::string type;
    for (const Json& each : tools_.is_array() ? tools_ : Json::array()) {
      const Json& function = each.contains("function") ? each["function"] : each;
      if (json_string(function, "name") != tool) continue;
      type =
          json_string(json_at(json_at(json_at(function, "parameters"), "properties"), key), "type");
    }
    if (type == "string") return std::string(value);
    auto json = parse_json(value);
    if (!json || (type.empty() && json->is_string())) return std::string(value);
    return std::move(*json);
  }

  const Json& tools_;
  std::size_t searched_ = 0;
};

// [TOOL_CALLS][{"name": …, "arguments": {…}, "id": …}, …]
// [TOOL_CALLS]N[CALL_ID]id[ARGS]{…}   and   [TOOL_CALLS]N[ARGS]{…}
class Mistral final : public CallReader {
 public:
  CallAttempt read(std::string_view text, bool last) override {
    const std::size_t begin = skip_spaces(text, kToolCalls.size());
    if (begin == text.size()) return more(last);
    if (text[begin] == '[') return list(text, begin, last);
    const std::size_t name_end = word_end(text, begin);
    if (name_end == begin || name_end - begin > kMaxWord) return no_call();
    if (name_end == text.size()) return more(last);
    ToolCall call{"", std::string(text.substr(begin, name_end - begin)), ""};
    std::size_t at = name_end;
    const auto has_id = stands(text, at, kCallId);
    if (!has_id) return more(last);
    if (*has_id) {
      const std::size_t id = at + kCallId.size();
      at = word_end(text, id);
      if (at - id > kMaxWord) return no_call();
      if (at == text.size()) return more(last);
      call.id = text.substr(id, at - id);
    }
    const auto has_arguments = stands(text, at, kArgs);
    if (!has_arguments) return more(last);
    if (!*has_arguments) return no_call();
    const std::size_t json = skip_spaces(text, at + kArgs.size());
    if (json == text.size()) return more(last);
    if (text[json] != '{') return no_call();
    const std::size_t end = scan_.end(text, json);
    if (end == text.npos) return more(last);
    const auto arguments = parse_json(text.substr(json, end - json));
    if (!arguments) return no_call();
    call.arguments = dump_json(*arguments);
    return one_call(end, std::move(call));
  }

 private:
  static constexpr std::size_t kMaxWord = 256;

  static std::size_t word_end(std::string_view text, std::size_t at) {
    while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 ||
                                text[at] == '_' || text[at] == '-' || text[at] == '.'))
      ++at;
    return at;
  }

  CallAttempt list(std::string_view text, std::size_t begin, bool last) {
    const std::size_t end = scan_.end(text, begin);
    if (end == text.npos) return more(last);
    const auto json = parse_json(text.substr(begin, end - begin));
    if (!json || !json->is_array() || json->empty()) return no_call();
    CallAttempt out{CallAttempt::kCalls, end, {}};
    for (const Json& each : *json) {
      auto call = tool_call_from_json(each);
      if (!call) return no_call();
      out.calls.push_back(std::move(*call));
    }
    return out;
  }

  JsonScan scan_;
};

}  // namespace

std::vector<std::string_view> call_openers(AnswerFormat format) {
  switch (format) {
    case AnswerFormat::kHermes:
      return {kToolCall};
    case AnswerFormat::kQwenXml:
      return {kToolCall, kFunction};
    case AnswerFormat::kMistral:
      return {kToolCalls};
    default:
      return {};
  }
}

std::unique_ptr<CallReader> make_call_reader(AnswerFormat format, const Json& tools) {
  if (format == AnswerFormat::kHermes) return std::make_unique<Hermes>();
  if (format == AnswerFormat::kQwenXml) return std::make_unique<QwenXml>(tools);
  return std::make_unique<Mistral>();
}

}  // namespace lathe
