// Calls in the text of an answer: the readers of the formats that open one with a marker.
#include "infer/answers/answer_calls.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::infer {

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

namespace {

constexpr std::string_view kToolCall = "<tool_call>", kToolCallEnd = "</tool_call>";
constexpr std::string_view kFunction = "<function=", kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=", kParameterEnd = "</parameter>";
constexpr std::string_view kToolCalls = "[TOOL_CALLS]", kCallId = "[CALL_ID]", kArgs = "[ARGS]";
constexpr std::string_view kFence = "```";

// What may follow each closing tag that ends a value.
constexpr std::string_view kAfterParameter[] = {kParameter, kFunctionEnd, kToolCallEnd, kToolCall,
                                                kFunction};
constexpr std::string_view kAfterFunction[] = {kToolCallEnd, kToolCall, kFunction};
constexpr std::string_view kAfterCall[] = {kToolCall};

// Does one of them stand at `at`? Nothing: what is there may still become one.
std::optional<bool> one_stands(std::string_view text, std::size_t at,
                               std::span<const std::string_view> markers) {
  bool may = false;
  for (const std::string_view marker : markers) {
    const auto here = stands(text, at, marker);
    if (here.value_or(false)) return true;
    may |= !here;
  }
  return may ? std::nullopt : std::optional(false);
}

}  // namespace

// A closing tag is one by what follows it: the text may hold such words too. The tags of a function
// or call, and the next parameter, stand at the beginning of a line where the value's own tag was
// forgotten.
std::optional<CallNotes::ValueEnd> CallNotes::value_end(std::string_view text, std::size_t from,
                                                        bool last) {
  const std::size_t place = gone_ + from;
  if (place < unended_ || place > ended_) unended_ = ended_ = place;
  const std::tuple<std::string_view, std::span<const std::string_view>, bool> ends[] = {
      {kParameterEnd, kAfterParameter, false},
      {kParameter, {}, true},
      {kFunctionEnd, kAfterFunction, true},
      {kToolCallEnd, kAfterCall, true}};
  for (;; ++ended_) {
    const std::size_t start = ended_ - gone_, at = std::min(text.find('<', start), text.size());
    ended_ = gone_ + at;
    steps_ += at - start + 1;
    if (at == text.size()) return std::nullopt;
    for (const auto& [tag, followers, at_line] : ends) {
      if (at_line && text[at - 1] != '\n') continue;
      const auto here = stands(text, at, tag);
      if (!here && !last) return std::nullopt;
      if (!here.value_or(false)) continue;
      if (followers.empty()) return ValueEnd{at - 1, at, false};
      const std::size_t next = skip_spaces(text, at + tag.size());
      steps_ += next - at;
      const bool over = last && at_line && next == text.size();
      const auto follows = over ? true : one_stands(text, next, followers);
      if (!follows && !last) return std::nullopt;
      if (!follows.value_or(false)) continue;
      return at_line ? ValueEnd{at - 1, at, false} : ValueEnd{at, next, true};
    }
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

std::optional<ToolCall> call_from_json(const Json& json, const OfferedTools* offered) {
  if (!json.is_object()) return std::nullopt;
  if (json_at(json, "function").is_object()) return call_from_json(json["function"], offered);
  const std::string name = json_string(json, "name", json_string(json, "function"));
  if (name.empty() || (offered != nullptr && !offered->have(name))) return std::nullopt;
  const Json* arguments = &json_at(json, "arguments");
  if (arguments->is_null()) arguments = &json_at(json, "parameters");
  Json parsed = *arguments;
  if (parsed.is_null() && offered == nullptr) parsed = Json::object();
  if (parsed.is_string()) {  // an object written as a string
    const auto inner = parse_json(parsed.get_ref<const std::string&>());
    if (!inner) return std::nullopt;
    parsed = *inner;
  }
  if (!parsed.is_object()) return std::nullopt;
  return ToolCall{json_string(json, "id"), name, dump_json(parsed)};
}

namespace {

std::optional<Json> json_or_python(std::string_view text) {
  auto parsed = parse_json(text);
  return parsed ? std::optional(std::move(*parsed)) : parse_python(text);
}

}  // namespace

std::optional<ToolCall> call_from_text(std::string_view text, const OfferedTools* offered) {
  const auto parsed = json_or_python(text);
  return parsed ? call_from_json(*parsed, offered) : std::nullopt;
}

std::vector<ToolCall> calls_from_text(std::string_view text, const OfferedTools* offered) {
  const auto parsed = json_or_python(text);
  if (!parsed) return {};
  std::vector<ToolCall> calls;
  for (const Json& each : parsed->is_array() ? *parsed : Json::array({*parsed})) {
    auto call = call_from_json(each, offered);
    if (!call) return {};
    calls.push_back(std::move(*call));
  }
  return calls;
}

namespace {

CallAttempt no_call() {
  return {CallAttempt::kNoCall, 0, {}};
}
CallAttempt more(bool last) {
  return last ? no_call() : CallAttempt{};
}

// <tool_call> {"name": …, "arguments": {…}} </tool_call>, Hermes' form, and
// [<tool_call>] <function=N> <parameter=P> value </parameter> … </function> [</tool_call>], Qwen's.
// Closing tags may be missing where the next one, or the end of the answer, shows that nothing is
// cut off. In the form that is not the format's own, a call names a tool that was offered.
class Tagged final : public CallReader {
 public:
  Tagged(AnswerFormat format, const OfferedTools& tools, CallNotes& notes)
      : format_(format), tools_(tools), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    if (state_ == kOpening) {
      wrapped_ = text.starts_with(kToolCall);
      std::size_t begin = wrapped_ ? skip_spaces(text, kToolCall.size()) : 0;
      const auto fence = stands(text, begin, kFence);
      if (!fence) return more(last);
      fenced_ = *fence;
      if (fenced_) {
        begin = text.find('\n', begin);
        if (begin == text.npos) return more(last);
        begin = skip_spaces(text, begin);
      }
      if (begin == text.size()) return more(last);
      at_ = begin;
      state_ = text[begin] == '{' || text[begin] == '[' ? kJson : kFunctionName;
    }
    return state_ == kJson ? json(text, last) : function(text, last);
  }

 private:
  static constexpr std::size_t kMaxWord = 256;
  enum State { kOpening, kJson, kFunctionName, kParameters };
  enum Next { kUnclear, kNone, kParameterBegins, kBodyBegins, kEnd };

  struct Parameter {
    std::string key;
    std::size_t begin, end;  // of its value
  };

  // One value after another, a list of calls or a call each.
  CallAttempt json(std::string_view text, bool last) {
    for (;;) {
      if (end_ == 0) {
        const std::size_t end = notes_.json_end(text, at_);
        if (end == text.npos) return more(last);
        end_ = end;
        auto calls = calls_from_text(text.substr(at_, end_ - at_),
                                     format_ == AnswerFormat::kHermes ? nullptr : &tools_);
        if (calls.empty()) return no_call();
        std::ranges::move(calls, std::back_inserter(calls_));
      }
      std::size_t next = skip_spaces(text, end_);
      if (fenced_) {
        const auto fence = stands(text, next, kFence);
        if (!fence && !last) return {};
        if (fence.value_or(false)) next = skip_spaces(text, next + kFence.size());
      }
      const auto closed = stands(text, next, kToolCallEnd), opened = stands(text, next, kToolCall);
      if (closed.value_or(false)) return calls_up_to(next + kToolCallEnd.size());
      if (opened.value_or(false)) return calls_up_to(next);
      // The end of the answer, perhaps within the closing tag.
      if (!closed || !opened) return last ? calls_up_to(text.size()) : CallAttempt{};
      if (text[next] == ';' || text[next] == ',') next = skip_spaces(text, next + 1);
      if (next == text.size()) return more(last);
      if (text[next] != '{') return no_call();
      at_ = next;
      end_ = 0;
    }
  }
  CallAttempt calls_up_to(std::size_t bytes) {
    return {CallAttempt::kCalls, bytes, std::move(calls_)};
  }

  CallAttempt function(std::string_view text, bool last) {
    if (state_ == kFunctionName) {
      const auto opened = stands(text, at_, kFunction);
      if (!opened) return more(last);
      if (!*opened) return no_call();
      const auto name = word(text, at_ + kFunction.size());
      if (!name) return more(last);
      if (name->empty()) return no_call();
      const bool own = wrapped_ && format_ == AnswerFormat::kQwenXml;
      if (!own && !tools_.have(*name)) return no_call();
      name_ = *name;
      state_ = kParameters;
    }
    for (;;) {
      const Next next = body_ ? kBodyBegins : value_ != 0 ? value(text, last) : parameter(text);
      if (next == kEnd) return close(text, last);
      if (next == kBodyBegins) return body(text, last);
      if (next == kNone || (next == kUnclear && last)) return fail();
      if (next == kUnclear) return {};
    }
  }

  // What stands up to '>', at_ behind it; empty: no word; nothing: not clear yet.
  std::optional<std::string> word(std::string_view text, std::size_t from) {
    const std::string_view near = text.substr(from, kMaxWord);
    const std::size_t end = near.find_first_of("><\n");
    if (end == near.npos)
      return near.size() < kMaxWord ? std::nullopt : std::optional<std::string>("");
    if (near[end] != '>') return "";
    at_ = from + end + 1;
    std::string_view found = trim(near.substr(0, end));
    if (found.size() > 1 && found.starts_with('"') && found.ends_with('"'))
      found = found.substr(1, found.size() - 2);
    return std::string(found);
  }

  // At at_, in front of a parameter, of the arguments as JSON, or of the function's end.
  Next parameter(std::string_view text) {
    at_ = skip_spaces(text, at_);
    if (notes_.is_dead(at_)) return kNone;
    if (visited_.empty() || visited_.back() != at_) visited_.push_back(at_);
    if (at_ < text.size() && text[at_] == '{' && parameters_.empty()) {
      body_ = true;
      return kBodyBegins;
    }
    const auto opened = stands(text, at_, kParameter), ended = stands(text, at_, kFunctionEnd);
    if (ended.value_or(false)) return kEnd;
    if (!opened.value_or(false)) {
      const auto over = one_stands(text, at_, kAfterFunction);
      if (over.value_or(false) && !parameters_.empty()) return kEnd;
      return opened && ended && (over || parameters_.empty()) ? kNone : kUnclear;
    }
    auto key = word(text, at_ + kParameter.size());
    if (!key) return kUnclear;
    if (key->empty()) return kNone;
    // Twice the same, or one that the tool does not have within a value: who knows what is meant.
    if (std::ranges::find(parameters_, *key, &Parameter::key) != parameters_.end()) return kNone;
    if (!closed_ && !tools_.may_take(name_, *key)) return kNone;
    key_ = std::move(*key);
    value_ = at_;
    return kParameterBegins;
  }

  Next value(std::string_view text, bool last) {
    const auto found = notes_.value_end(text, value_, last);
    if (!found) return kUnclear;
    parameters_.push_back({std::move(key_), value_, std::max(value_, found->end)});
    at_ = found->next;
    closed_ = found->closed;
    value_ = 0;
    return parameter(text);
  }

  // <function=f>{"a": 1}</function>
  CallAttempt body(std::string_view text, bool last) {
    if (end_ == 0) {
      const std::size_t end = notes_.json_end(text, at_);
      if (end == text.npos) return more(last);
      end_ = end;
      arguments_ = json_or_python(text.substr(at_, end - at_));
      if (!arguments_ || !arguments_->is_object()) return no_call();
    }
    const std::size_t next = skip_spaces(text, end_);
    static constexpr std::string_view kAfterBody[] = {kFunctionEnd, kToolCallEnd, kToolCall,
                                                      kFunction};
    const auto follows = one_stands(text, next, kAfterBody);
    if (!follows && !last) return {};
    if (!follows.value_or(true) || !tools_.have(name_)) return no_call();
    at_ = next;
    return close(text, last);
  }

  // At at_, where the function ends.
  CallAttempt close(std::string_view text, bool last) {
    const std::size_t after =
        stands(text, at_, kFunctionEnd).value_or(false) ? at_ + kFunctionEnd.size() : at_;
    const std::size_t end = skip_spaces(text, after);
    const auto closed = stands(text, end, kToolCallEnd);
    if (!closed && !last) return {};
    if (!arguments_) {
      arguments_ = Json::object();
      for (const Parameter& each : parameters_) {
        std::string_view value = text.substr(each.begin, each.end - each.begin);
        if (value.starts_with('\n')) value.remove_prefix(1);
        if (value.ends_with('\n')) value.remove_suffix(1);
        (*arguments_)[each.key] = tools_.value(name_, each.key, value);
      }
    }
    const std::size_t bytes = !closed ? text.size() : *closed ? end + kToolCallEnd.size() : after;
    return {CallAttempt::kCalls, bytes, {ToolCall{"", name_, dump_json(*arguments_)}}};
  }

  // Whoever comes to one of these places would fail as well.
  CallAttempt fail() {
    for (const std::size_t place : visited_) notes_.set_dead(place);
    return no_call();
  }

  const AnswerFormat format_;
  const OfferedTools& tools_;
  CallNotes& notes_;
  State state_ = kOpening;
  bool wrapped_ = false, fenced_ = false, body_ = false;
  bool closed_ = true;  // the parameter before had its closing tag
  std::string name_, key_;
  std::vector<Parameter> parameters_;
  std::optional<Json> arguments_;
  std::vector<ToolCall> calls_;
  std::size_t at_ = 0;                // what comes next
  std::size_t end_ = 0;               // of the JSON at at_; 0: not known
  std::size_t value_ = 0;             // where a value begins; 0: in front of a parameter
  std::vector<std::size_t> visited_;  // places in front of parameters
};

// [TOOL_CALLS][{"name": …, "arguments": {…}, "id": …}, …]
// [TOOL_CALLS]N[CALL_ID]id[ARGS]{…}   and   [TOOL_CALLS]N[ARGS]{…}
// Without the list's brackets, or without [ARGS], it is a call if the tool was offered.
class Mistral final : public CallReader {
 public:
  Mistral(const OfferedTools& tools, CallNotes& notes) : tools_(tools), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    const std::size_t begin = skip_spaces(text, kToolCalls.size());
    if (begin == text.size()) return more(last);
    if (text[begin] == '[' || text[begin] == '{') return list(text, begin, last);
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
    if (!*has_arguments && !tools_.have(call.name)) return no_call();
    const std::size_t json = skip_spaces(text, at + (*has_arguments ? kArgs.size() : 0));
    if (json == text.size()) return more(last);
    if (text[json] != '{') return no_call();
    const std::size_t end = notes_.json_end(text, json);
    if (end == text.npos) return more(last);
    const auto arguments = json_or_python(text.substr(json, end - json));
    if (!arguments || !arguments->is_object()) return no_call();
    call.arguments = dump_json(*arguments);
    return {CallAttempt::kCalls, end, {std::move(call)}};
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
    auto calls =
        calls_from_text(text.substr(begin, end - begin), text[begin] == '[' ? nullptr : &tools_);
    if (calls.empty()) return no_call();
    return {CallAttempt::kCalls, end, std::move(calls)};
  }

  const OfferedTools& tools_;
  CallNotes& notes_;
};

}  // namespace

std::vector<std::string_view> call_openers(AnswerFormat format) {
  switch (format) {
    case AnswerFormat::kHermes:
    case AnswerFormat::kQwenXml:
      return {kToolCall, kFunction};
    case AnswerFormat::kLlama3:
      return {kFunction};
    case AnswerFormat::kMistral:
      return {kToolCalls};
    default:
      return {};
  }
}

std::unique_ptr<CallReader> make_call_reader(AnswerFormat format, const OfferedTools& tools,
                                             CallNotes& notes) {
  if (format == AnswerFormat::kMistral) return std::make_unique<Mistral>(tools, notes);
  return std::make_unique<Tagged>(format, tools, notes);
}

}  // namespace lathe::infer
