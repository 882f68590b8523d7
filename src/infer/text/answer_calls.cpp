#include "infer/text/answer_calls.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe {

std::size_t CallNotes::json_end(std::string_view text, std::size_t begin) {
  if (gone_ + begin != begin_) {
    begin_ = gone_ + begin;
    at_ = begin_;
    depth_ = 0;
    string_ = escaped_ = false;
    if (gone_ + text.size() != indexed_ + closer_.size()) index(text);
    const std::size_t last = begin_ + 1 - indexed_;
    const std::size_t closer = last < closer_.size() ? closer_[last] : text.npos;
    if (closer == text.npos) return text.npos;
    at_ = closer;
    depth_ = 1;
  }
  for (; at_ < gone_ + text.size(); ++at_, ++steps_) {
    const char c = text[at_ - gone_];
    if (string_) {
      if (!escaped_ && c == '"') string_ = false;
      escaped_ = !escaped_ && c == '\\';
      continue;
    }
    if (c == '"') string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if ((c == '}' || c == ']') && --depth_ <= 0) return at_ + 1 - gone_;
  }
  return text.npos;
}

// From the end to the beginning: behind a bracket that opens, what is open goes on after its
// closer.
void CallNotes::index(std::string_view text) {
  indexed_ = gone_;
  closer_.assign(text.size(), text.npos);
  std::size_t within[2] = {text.npos,
                           text.npos};  // in a string, from the next byte and the one after
  const auto outside = [&](std::size_t at) { return at < text.size() ? closer_[at] : text.npos; };
  for (std::size_t at = text.size(); at-- > 0; ++steps_) {
    const char c = text[at];
    const std::size_t next = outside(at + 1);
    if (c == '}' || c == ']')
      closer_[at] = indexed_ + at;
    else if (c == '{' || c == '[')
      closer_[at] = next == text.npos ? next : outside(next - indexed_ + 1);
    else
      closer_[at] = c == '"' ? within[0] : next;
    const std::size_t here = c == '"' ? next : within[c == '\\' ? 1 : 0];
    within[1] = within[0];
    within[0] = here;
  }
}

// Does `marker` stand at `at`? Nothing: what is there may still become it.
std::optional<bool> stands(std::string_view text, std::size_t at, std::string_view marker) {
  const std::string_view rest = text.substr(std::min(at, text.size()));
  if (rest.size() < marker.size() && marker.starts_with(rest)) return std::nullopt;
  return rest.starts_with(marker);
}

std::size_t CallNotes::followed(std::string_view text, std::size_t from, std::string_view end,
                                std::span<const std::string_view> followers) {
  const std::size_t place = gone_ + from;
  if (place < unended_ || place > ended_) unended_ = ended_ = place;
  for (;;) {
    const std::size_t start = ended_ - gone_, at = text.find(end, start);
    // The beginning of one may stand at the end.
    const std::size_t known = text.size() - std::min(text.size(), end.size() - 1);
    ended_ = gone_ + std::max(start, at == text.npos ? known : at);
    steps_ += ended_ - gone_ - start + 1;
    if (at == text.npos) return text.npos;
    const std::size_t next = skip_spaces(text, at + end.size());
    steps_ += next - at;
    bool may_follow = false;
    for (const std::string_view follower : followers) {
      const auto follows = stands(text, next, follower);
      if (follows.value_or(false)) return at;
      may_follow |= !follows;
    }
    if (may_follow) return text.npos;
    ++ended_;
  }
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
  for (std::size_t at = 0; at < text.size(); ++at)
    for (std::size_t i = 0; i < markers.size(); ++i)
      if (text[at] == markers[i][0] && text.substr(at).starts_with(markers[i])) return {at, i};
  return {text.npos, 0};
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

// <tool_call> {"name": …, "arguments": {…}} </tool_call>
class Hermes final : public CallReader {
 public:
  explicit Hermes(CallNotes& notes) : notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    const std::size_t begin = skip_spaces(text, kToolCall.size());
    if (begin == text.size()) return more(last);
    if (text[begin] != '{') return no_call();
    if (end_ == 0) {
      const std::size_t end = notes_.json_end(text, begin);
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
  CallNotes& notes_;
  std::size_t end_ = 0;
};

// [<tool_call>] <function=N> <parameter=P> value </parameter> … </function> [</tool_call>]
class QwenXml final : public CallReader {
 public:
  QwenXml(const Json& tools, CallNotes& notes) : tools_(tools), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    if (at_ == 0) {
      wrapped_ = text.starts_with(kToolCall);
      const std::size_t begin = wrapped_ ? skip_spaces(text, kToolCall.size()) : 0;
      const auto opened = stands(text, begin, kFunction);
      if (!opened) return more(last);
      if (!*opened) return no_call();
      const auto name = word(text, begin + kFunction.size());
      if (!name) return more(last);
      if (name->empty() || name->find_first_of("<\n") != name->npos) return no_call();
      name_ = *name;
    }
    for (;;) {
      const Next next = value_ != 0 ? value(text) : parameter(text);
      if (next == kEnd) return close(text, last);
      if (next == kNone || (next == kUnclear && last)) return fail();
      if (next == kUnclear) return {};
    }
  }

 private:
  static constexpr std::size_t kMaxWord = 256;
  static constexpr std::string_view kAfterValue[] = {kParameter, kFunctionEnd};
  enum Next { kUnclear, kNone, kParameterBegins, kEnd };

  struct Parameter {
    std::string key;
    std::size_t begin, end;  // of its value
  };

  // What stands up to '>', at_ behind it; empty: nothing or too much; nothing: not clear yet.
  std::optional<std::string> word(std::string_view text, std::size_t from) {
    const std::size_t end = text.substr(from, kMaxWord).find('>');
    if (end == text.npos)
      return text.size() - from < kMaxWord ? std::nullopt : std::optional<std::string>("");
    at_ = from + end + 1;
    return std::string(trim(text.substr(from, end)));
  }

  // At at_, in front of a parameter or the function's end.
  Next parameter(std::string_view text) {
    at_ = skip_spaces(text, at_);
    if (notes_.is_dead(at_)) return kNone;
    if (visited_.empty() || visited_.back() != at_) visited_.push_back(at_);
    const auto opened = stands(text, at_, kParameter), ended = stands(text, at_, kFunctionEnd);
    if (ended.value_or(false)) return kEnd;
    if (!opened.value_or(false)) return opened && ended ? kNone : kUnclear;
    auto key = word(text, at_ + kParameter.size());
    if (!key) return kUnclear;
    if (key->empty()) return kNone;
    key_ = std::move(*key);
    value_ = at_;
    return kParameterBegins;
  }

  // A parameter's end is one that the next parameter or the function's end follows.
  Next value(std::string_view text) {
    const std::size_t end = notes_.followed(text, value_, kParameterEnd, kAfterValue);
    if (end == text.npos) return kUnclear;
    parameters_.push_back({std::move(key_), value_, end});
    at_ = end + kParameterEnd.size();
    value_ = 0;
    return parameter(text);
  }

  CallAttempt close(std::string_view text, bool last) {
    const std::size_t after = at_ + kFunctionEnd.size(), end = skip_spaces(text, after);
    const auto closed = stands(text, end, kToolCallEnd);
    if (!closed && !last) return {};
    const bool is_closed = closed.value_or(false);
    if (wrapped_ && !is_closed) return no_call();
    Json arguments = Json::object();
    for (const Parameter& each : parameters_) {
      std::string_view value = text.substr(each.begin, each.end - each.begin);
      if (value.starts_with('\n')) value.remove_prefix(1);
      if (value.ends_with('\n')) value.remove_suffix(1);
      arguments[each.key] = typed(name_, each.key, value);
    }
    return one_call(is_closed ? end + kToolCallEnd.size() : after,
                    ToolCall{"", name_, dump_json(arguments)});
  }

  // Whoever comes to one of these places would fail as well.
  CallAttempt fail() {
    for (const std::size_t place : visited_) notes_.set_dead(place);
    return no_call();
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
  CallNotes& notes_;
  bool wrapped_ = false;
  std::string name_, key_;
  std::vector<Parameter> parameters_;
  std::size_t at_ = 0;                // what comes next
  std::size_t value_ = 0;             // where a value begins; 0: in front of a parameter
  std::vector<std::size_t> visited_;  // places in front of parameters
};

// [TOOL_CALLS][{"name": …, "arguments": {…}, "id": …}, …]
// [TOOL_CALLS]N[CALL_ID]id[ARGS]{…}   and   [TOOL_CALLS]N[ARGS]{…}
class Mistral final : public CallReader {
 public:
  explicit Mistral(CallNotes& notes) : notes_(notes) {}

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
    const std::size_t end = notes_.json_end(text, json);
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
    const std::size_t end = notes_.json_end(text, begin);
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

  CallNotes& notes_;
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

std::unique_ptr<CallReader> make_call_reader(AnswerFormat format, const Json& tools,
                                             CallNotes& notes) {
  if (format == AnswerFormat::kHermes) return std::make_unique<Hermes>(notes);
  if (format == AnswerFormat::kQwenXml) return std::make_unique<QwenXml>(tools, notes);
  return std::make_unique<Mistral>(notes);
}

}  // namespace lathe
