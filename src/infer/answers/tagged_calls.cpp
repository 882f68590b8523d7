// Calls within tags, in the forms of Hermes, Qwen, Seed, MiniMax, DeepSeek (DSML), GLM and Hunyuan.
#include "ground/base/text.h"
#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kFence = "```";

constexpr CallTags kQwen{.call = "<tool_call>",
                         .call_end = "</tool_call>",
                         .function = "<function=",
                         .name_end = ">",
                         .function_end = "</function>",
                         .parameter = "<parameter=",
                         .key_end = ">",
                         .parameter_end = "</parameter>",
                         .lines = true};

constexpr CallTags kHermes = [] {
  CallTags tags = kQwen;
  tags.json = true;
  return tags;
}();

constexpr CallTags kSeed = [] {
  CallTags tags = kQwen;
  tags.call = "<seed:tool_call>";
  tags.call_end = "</seed:tool_call>";
  tags.lines = false;
  return tags;
}();

constexpr CallTags kMiniMax{.call = "<minimax:tool_call>",
                            .call_end = "</minimax:tool_call>",
                            .function = "<invoke name=\"",
                            .name_end = "\">",
                            .function_end = "</invoke>",
                            .parameter = "<parameter name=\"",
                            .key_end = "\">",
                            .parameter_end = "</parameter>"};

constexpr CallTags kDsml{.call = "<｜DSML｜function_calls>",
                         .call_end = "</｜DSML｜function_calls>",
                         .function = "<｜DSML｜invoke name=\"",
                         .name_end = "\">",
                         .function_end = "</｜DSML｜invoke>",
                         .parameter = "<｜DSML｜parameter name=\"",
                         .key_end = "\" string=\"false\">",
                         .parameter_end = "</｜DSML｜parameter>",
                         .text_key_end = "\" string=\"true\">"};

constexpr CallTags kDsml4 = [] {
  CallTags tags = kDsml;
  tags.call = "<｜DSML｜tool_calls>";
  tags.call_end = "</｜DSML｜tool_calls>";
  return tags;
}();

constexpr CallTags kGlm{.call = "<tool_call>",
                        .call_end = "</tool_call>",
                        .parameter = "<arg_key>",
                        .key_end = "</arg_key>",
                        .value = "<arg_value>",
                        .parameter_end = "</arg_value>"};

constexpr CallTags kHunyuan{.call = "<tool_call:opensource>",
                            .call_end = "</tool_call:opensource>",
                            .name_end = "<tool_sep:opensource>",
                            .parameter = "<arg_key:opensource>",
                            .key_end = "</arg_key:opensource>",
                            .value = "<arg_value:opensource>",
                            .parameter_end = "</arg_value:opensource>"};

// A call in the tags of the form: as JSON, or parameter after parameter. Closing tags may be
// missing where the next one, or the end of the answer, shows that nothing is cut off. In the form
// that is not the format's own, a call names a tool that was offered.
class Tagged final : public CallReader {
 public:
  Tagged(const CallTags& tags, const OfferedTools& tools, CallNotes& notes)
      : tags_(tags), tools_(tools), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    if (state_ == kOpening) {
      wrapped_ = text.starts_with(tags_.call);
      std::size_t begin = wrapped_ ? skip_spaces(text, tags_.call.size()) : 0;
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
    bool is_text;            // the tag says so
  };

  // One value after another, a list of calls or a call each.
  CallAttempt json(std::string_view text, bool last) {
    for (;;) {
      if (end_ == 0) {
        const std::size_t end = notes_.json_end(text, at_);
        if (end == text.npos) return more(last);
        end_ = end;
        auto calls = calls_from_text(text.substr(at_, end_ - at_), tags_.json ? nullptr : &tools_);
        if (calls.empty()) return no_call();
        std::ranges::move(calls, std::back_inserter(calls_));
      }
      std::size_t next = skip_spaces(text, end_);
      if (fenced_) {
        const auto fence = stands(text, next, kFence);
        if (!fence && !last) return {};
        if (fence.value_or(false)) next = skip_spaces(text, next + kFence.size());
      }
      const auto closed = stands(text, next, tags_.call_end),
                 opened = stands(text, next, tags_.call);
      if (closed.value_or(false)) return calls_up_to(next + tags_.call_end.size());
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
      const auto opened = stands(text, at_, tags_.function);
      if (!opened) return more(last);
      if (!*opened) return no_call();
      const auto name = tags_.function.empty() && tags_.name_end.empty()
                            ? bare_name(text)
                            : word(text, at_ + tags_.function.size(), tags_.name_end);
      if (!name) return more(last);
      if (name->empty()) return no_call();
      const bool own = (wrapped_ || notes_.section_open) && !tags_.json;
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

  // What stands up to `end` on one line, at_ behind it; empty: no word; nothing: not clear yet.
  std::optional<std::string> word(std::string_view text, std::size_t from, std::string_view end,
                                  std::string_view other_end = {}) {
    for (std::size_t at = from; at < from + kMaxWord; ++at) {
      for (const std::string_view each : {end, other_end}) {
        const auto here = each.empty() ? std::optional(false) : stands(text, at, each);
        if (!here) return std::nullopt;
        if (!*here) continue;
        at_ = at + each.size();
        text_value_ = each == other_end;
        std::string_view found = trim(text.substr(from, at - from));
        if (found.size() > 1 && found.starts_with('"') && found.ends_with('"'))
          found = found.substr(1, found.size() - 2);
        return std::string(found);
      }
      if (text[at] == '<' || text[at] == '>' || text[at] == '\n') return "";
    }
    return "";
  }

  // A name that only what follows it ends.
  std::optional<std::string> bare_name(std::string_view text) {
    const std::string_view near = text.substr(at_, kMaxWord);
    const std::size_t end = near.find_first_of("<\n");
    if (end == near.npos)
      return near.size() < kMaxWord ? std::nullopt : std::optional<std::string>("");
    const std::string_view name = trim(near.substr(0, end));
    if (name.find_first_of(" \t{}[]\"'") != name.npos) return "";
    at_ += end;
    return std::string(name);
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
    const auto opened = stands(text, at_, tags_.parameter), ended = stands(text, at_, end_tag());
    if (ended.value_or(false)) return kEnd;
    if (!opened.value_or(false)) {
      const std::string_view after_function[] = {tags_.call_end, tags_.call, tags_.function};
      const auto over = one_stands(text, at_, after_function);
      if (over.value_or(false) && !parameters_.empty()) return kEnd;
      return opened && ended && (over || parameters_.empty()) ? kNone : kUnclear;
    }
    const std::size_t begin = at_;
    auto key = word(text, at_ + tags_.parameter.size(), tags_.key_end, tags_.text_key_end);
    if (!key) return kUnclear;
    if (key->empty()) return kNone;
    if (!tags_.value.empty()) {
      const std::size_t value = skip_spaces(text, at_);
      at_ = begin;
      const auto follows = stands(text, value, tags_.value);
      if (!follows) return kUnclear;
      if (!*follows) return kNone;
      at_ = value + tags_.value.size();
    }
    // Twice the same, or one that the tool does not have within a value: who knows what is meant.
    if (std::ranges::find(parameters_, *key, &Parameter::key) != parameters_.end()) return kNone;
    if (!closed_ && !tools_.may_take(name_, *key)) return kNone;
    key_ = std::move(*key);
    value_ = at_;
    return kParameterBegins;
  }

  Next value(std::string_view text, bool last) {
    const auto found = notes_.value_end(text, value_, tags_, last);
    if (!found) return kUnclear;
    parameters_.push_back({std::move(key_), value_, std::max(value_, found->end), text_value_});
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
    const std::string_view after_body[] = {tags_.function_end, tags_.call_end, tags_.call,
                                           tags_.function};
    const auto follows = one_stands(text, next, after_body);
    if (!follows && !last) return {};
    if (!follows.value_or(true) || !tools_.have(name_)) return no_call();
    at_ = next;
    return close(text, last);
  }

  std::string_view end_tag() const {
    return tags_.function_end.empty() ? tags_.call_end : tags_.function_end;
  }

  // At at_, where the function ends.
  CallAttempt close(std::string_view text, bool last) {
    const bool ended = stands(text, at_, end_tag()).value_or(false);
    std::size_t bytes = ended ? at_ + end_tag().size() : at_;
    std::optional<bool> closed = true;
    if (!tags_.function_end.empty()) {
      const std::size_t end = skip_spaces(text, bytes);
      closed = stands(text, end, tags_.call_end);
      if (!closed && !last) return {};
      if (!closed) bytes = text.size();
      if (closed.value_or(false)) bytes = end + tags_.call_end.size();
    }
    notes_.section_open = (wrapped_ || notes_.section_open) && closed == false;
    if (!arguments_) {
      arguments_ = Json::object();
      for (const Parameter& each : parameters_) (*arguments_)[each.key] = value_of(each, text);
    }
    return {CallAttempt::kCalls, bytes, {ToolCall{"", name_, dump_json(*arguments_)}}};
  }

  Json value_of(const Parameter& parameter, std::string_view text) const {
    std::string_view value = text.substr(parameter.begin, parameter.end - parameter.begin);
    if (tags_.lines && value.starts_with('\n')) value.remove_prefix(1);
    if (tags_.lines && value.ends_with('\n')) value.remove_suffix(1);
    return parameter.is_text ? Json(value) : tools_.value(name_, parameter.key, value);
  }

  // Whoever comes to one of these places would fail as well.
  CallAttempt fail() {
    for (const std::size_t place : visited_) notes_.set_dead(place);
    return no_call();
  }

  const CallTags& tags_;
  const OfferedTools& tools_;
  CallNotes& notes_;
  State state_ = kOpening;
  bool wrapped_ = false, fenced_ = false, body_ = false;
  bool closed_ = true;       // the parameter before had its closing tag
  bool text_value_ = false;  // the key's tag says that its value is a text
  std::string name_, key_;
  std::vector<Parameter> parameters_;
  std::optional<Json> arguments_;
  std::vector<ToolCall> calls_;
  std::size_t at_ = 0;                // what comes next
  std::size_t end_ = 0;               // of the JSON at at_; 0: not known
  std::size_t value_ = 0;             // where a value begins; 0: in front of a parameter
  std::vector<std::size_t> visited_;  // places in front of parameters
};

}  // namespace

std::unique_ptr<CallReader> hermes_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kHermes, tools, notes);
}
std::unique_ptr<CallReader> qwen_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kQwen, tools, notes);
}
std::unique_ptr<CallReader> seed_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kSeed, tools, notes);
}
std::unique_ptr<CallReader> minimax_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kMiniMax, tools, notes);
}
std::unique_ptr<CallReader> dsml_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kDsml, tools, notes);
}
std::unique_ptr<CallReader> dsml4_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kDsml4, tools, notes);
}
std::unique_ptr<CallReader> glm_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kGlm, tools, notes);
}
std::unique_ptr<CallReader> hunyuan_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Tagged>(kHunyuan, tools, notes);
}

}  // namespace lathe::infer
