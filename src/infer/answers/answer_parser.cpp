// Thinking, text and calls told apart by the markers of the format, while the answer is written.
#include "infer/answers/answer_parser.h"

#include <algorithm>

#include "ground/base/text.h"
#include "ground/base/thoughts.h"
#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";
// Llama 3 opens code with the first; Llama 4 puts it between the others.
constexpr std::string_view kPythonTags[] = {"<|python_tag|>", "<|python_start|>"};
constexpr std::string_view kPythonEnd = "<|python_end|>";

// Text that goes out piece by piece: the white space at its end waits for what comes next.
class Outlet {
 public:
  void add(std::string_view text, std::string& out) {
    if (skip_) {
      text.remove_prefix(skip_spaces(text, 0));
      if (text.empty()) return;
      skip_ = false;
    }
    held_ += text;
    const auto last = held_.find_last_not_of(kSpaces);
    if (last == held_.npos) return;
    out += held_.substr(0, last + 1);
    held_.erase(0, last + 1);
  }
  // What waits is not wanted, nor is the white space that follows.
  void drop_space() {
    held_.clear();
    skip_ = true;
  }
  void finish(std::string& out) {
    out += held_;
    held_.clear();
  }

 private:
  std::string held_;
  bool skip_ = false;
};

// Thinking first, if there is any, then text with calls in it.
class MarkedParser final : public AnswerParser {
 public:
  explicit MarkedParser(AnswerOptions options)
      : options_(std::move(options)),
        format_(format_info(options_.format)),
        tools_(options_.tools),
        state_(options_.starts_thinking ? kThinking : kStart) {
    if (!tools_.empty() && !options_.held) markers_ = format_.openers;
    calls_ = markers_.size();
    markers_.insert(markers_.end(), format_.wrappers.begin(), format_.wrappers.end());
    thoughts_ = markers_.size();
    if (format_.thinks_anywhere && !options_.held)
      for (const auto& [open, close] : format_.thoughts) markers_.push_back(open);
    if (options_.starts_thinking) {
      for (const auto& [open, close] : format_.thoughts) closers_.push_back(close);
      begin_thinking();
    }
  }

  AnswerDelta push(std::string_view text) override {
    pending_.add(text);
    run(false);
    return std::exchange(delta_, {});
  }
  AnswerDelta finish() override {
    run(true);
    text_.finish(delta_.text);
    return std::exchange(delta_, {});
  }

 private:
  enum State { kStart, kThinking, kText, kCall, kMessage };

  void run(bool last) {
    while (step(last)) {
    }
  }
  std::string_view pending() const { return pending_.view(); }
  void take(std::size_t bytes) {
    pending_.take(bytes);
    notes_.drop(bytes);
  }

  // One transition; false: nothing more can be decided.
  bool step(bool last) {
    switch (state_) {
      case kStart:
        return start(last);
      case kThinking:
        return think(last);
      case kText:
        return text(last);
      case kCall:
        return call(last);
      case kMessage:
        return message(last);
    }
    return false;
  }

  // Until one of the closers, or a call where that ends it.
  void begin_thinking() {
    thinking_.drop_space();
    ends_ = closers_.size();
    if (format_.calls_end_thinking)
      closers_.insert(closers_.end(), markers_.begin(),
                      markers_.begin() + static_cast<std::ptrdiff_t>(calls_));
    state_ = kThinking;
  }

  bool start(bool last) {
    const std::size_t begin = skip_spaces(pending(), 0);
    const std::string_view rest = pending().substr(begin);
    bool may_become = rest.empty();
    for (const auto& [open, close] : kThoughtMarks) {
      if (rest.starts_with(open)) {
        closers_ = {close};
        take(begin + open.size());
        begin_thinking();
        return true;
      }
      may_become = may_become || open.starts_with(rest);
    }
    if (options_.format == AnswerFormat::kLlama3 && !tools_.empty() && !options_.held) {
      if (rest.starts_with('{') || rest.starts_with('[') || python_tag(rest) > 0) {
        state_ = kMessage;
        return true;
      }
      for (const std::string_view tag : kPythonTags)
        may_become = may_become || tag.starts_with(rest);
    }
    if (may_become && !last) return false;
    state_ = kText;
    return true;
  }

  bool think(bool last) {
    const auto [at, which] = find_marker(pending(), closers_);
    if (at != std::string::npos) {
      thinking_.add(pending().substr(0, at), delta_.thinking);
      take(at + (which < ends_ ? closers_[which].size() : 0));
      text_.drop_space();
      state_ = options_.format == AnswerFormat::kLlama3 ? kStart : kText;
      return true;
    }
    const std::size_t safe = pending().size() - (last ? 0 : marker_start(pending(), closers_));
    thinking_.add(pending().substr(0, safe), delta_.thinking);
    take(safe);
    return false;
  }

  bool text(bool last) {
    if (options_.held && !held_text(last)) return false;
    const auto [at, which] = find_marker(pending(), markers_);
    if (at == std::string::npos) {
      const std::size_t safe = pending().size() - (last ? 0 : marker_start(pending(), markers_));
      text_.add(pending().substr(0, safe), delta_.text);
      take(safe);
      return false;
    }
    text_.add(pending().substr(0, at), delta_.text);
    if (which < calls_) {
      take(at);
      reader_ = format_.reader(tools_, notes_);
      state_ = kCall;
      return true;
    }
    take(at + markers_[which].size());
    text_.drop_space();
    if (which < thoughts_) return true;
    closers_ = {format_.thoughts[which - thoughts_].second};
    begin_thinking();
    return true;
  }

  // Of what a grammar holds, only the first word may be a marker; false: not clear yet.
  bool held_text(bool last) {
    const std::size_t begin = skip_spaces(pending(), 0);
    if (markers_.empty()) return true;
    const auto marker = one_stands(pending(), begin, markers_);
    if (!marker && !last) return false;
    if (!marker.value_or(false)) markers_.clear();
    return true;
  }

  bool call(bool last) {
    CallAttempt attempt = reader_->read(pending(), last);
    if (attempt.outcome == CallAttempt::kMore) return false;
    state_ = kText;
    if (attempt.outcome == CallAttempt::kCalls) {
      text_.drop_space();
      std::ranges::move(attempt.calls, std::back_inserter(delta_.calls));
      take(attempt.bytes);
      return true;
    }
    // No call: its first character is text, and all after it is looked at again.
    text_.add(pending().substr(0, 1), delta_.text);
    take(1);
    return true;
  }

  // The length of the tag that the text begins with; 0: none.
  static std::size_t python_tag(std::string_view text) {
    for (const std::string_view tag : kPythonTags)
      if (text.starts_with(tag)) return tag.size();
    return 0;
  }

  // Llama: the whole message is the calls, or it is text.
  bool message(bool last) {
    const std::size_t begin = skip_spaces(pending(), 0);
    const std::size_t tag = python_tag(pending().substr(begin));
    const bool tagged = tag > 0;
    const std::size_t body = skip_spaces(pending(), begin + tag);
    std::optional<std::vector<ToolCall>> calls;
    if (body < pending().size() && pending()[body] == '{') {
      if (json_calls(body, tagged, last)) return false;
      if (last) calls = std::exchange(found_, {});
    } else if (!last) {
      if (body == pending().size() || tagged || may_be_python(pending().substr(body))) return false;
    } else if (body < pending().size() && (tagged || pending()[body] == '[')) {
      calls = written_calls(pending().substr(body));
    }
    state_ = kText;
    if (!calls || calls->empty()) return true;
    std::ranges::move(*calls, std::back_inserter(delta_.calls));
    take(pending().size());
    return false;
  }

  // One call after another from `body` on, into found_; true: not clear yet. None of them: text.
  bool json_calls(std::size_t body, bool tagged, bool last) {
    if (call_at_ == 0) call_at_ = body + 1;  // one more, so that 0 is none
    for (;;) {
      const std::size_t at = call_at_ - 1;
      if (call_end_ == 0) {
        const std::size_t end = notes_.json_end(pending(), at);
        if (end == std::string_view::npos) {
          if (last) found_.clear();
          return !last;
        }
        auto call = call_from_text(pending().substr(at, end - at), tagged ? nullptr : &tools_);
        if (!call) break;
        found_.push_back(std::move(*call));
        call_end_ = end;
      }
      std::size_t next = skip_spaces(pending(), call_end_);
      if (next < pending().size() && (pending()[next] == ';' || pending()[next] == ','))
        next = skip_spaces(pending(), next + 1);
      if (next == pending().size()) return !last;
      if (pending()[next] != '{') break;
      call_at_ = next + 1;
      call_end_ = 0;
    }
    found_.clear();
    return false;
  }

  // [f(a=1)] of a tool that was offered, or a list of calls as JSON?
  bool may_be_python(std::string_view text) const {
    const std::size_t begin = text.starts_with('[') ? skip_spaces(text, 1) : text.size();
    if (begin == text.size()) return text.starts_with('[');
    if (text[begin] == '{') return true;
    const std::size_t end = text.find_first_of(" \t\r\n()[]{},=\"'", begin);
    if (end == text.npos) return true;
    return text[end] == '(' && tools_.have(text.substr(begin, end - begin));
  }

  std::optional<std::vector<ToolCall>> written_calls(std::string_view text) const {
    if (const std::string_view all = trim(text); all.ends_with(kPythonEnd))
      text = all.substr(0, all.size() - kPythonEnd.size());
    if (auto calls = calls_from_text(text, &tools_); !calls.empty()) return calls;
    auto calls = python_calls(text);
    if (!calls) return std::nullopt;
    for (ToolCall& call : *calls) {
      // The tools that Llama's makers built in: brave_search.call(query="…")
      static constexpr std::string_view kBuiltIn = ".call";
      if (text.starts_with(call.name) && call.name.ends_with(kBuiltIn))
        call.name.resize(call.name.size() - kBuiltIn.size());
      else if (!tools_.have(call.name))
        return std::nullopt;
    }
    return calls;
  }

  const AnswerOptions options_;
  const FormatInfo& format_;
  const OfferedTools tools_;
  // What is looked for in text: what opens calls, up to calls_, wrappers, up to thoughts_, and what
  // opens thinking.
  std::vector<std::string_view> markers_;
  std::size_t calls_ = 0, thoughts_ = 0;
  // What ends the thinking: the first ends_ are its own, the others open a call.
  std::vector<std::string_view> closers_;
  std::size_t ends_ = 0;
  State state_;
  PendingText pending_;
  CallNotes notes_;
  AnswerDelta delta_;
  Outlet text_, thinking_;
  std::unique_ptr<CallReader> reader_;
  // kMessage: the calls so far, and where the last of them begins (one more) and ends; 0: not
  // known.
  std::vector<ToolCall> found_;
  std::size_t call_at_ = 0, call_end_ = 0;
};

// Nothing can be said of the call before it is whole.
class OneCallParser final : public AnswerParser {
 public:
  explicit OneCallParser(std::unique_ptr<AnswerParser> held) : held_(std::move(held)) {}

  AnswerDelta push(std::string_view text) override { return without_text(held_->push(text)); }

  AnswerDelta finish() override {
    AnswerDelta delta = without_text(held_->finish());
    const auto json = parse_json(written_);
    if (json && json->is_object())
      delta.calls.push_back(
          {"", json_string(*json, "name"), dump_json(json_at(*json, "arguments"))});
    else
      delta.text = std::move(written_);
    return delta;
  }

 private:
  AnswerDelta without_text(AnswerDelta delta) {
    written_ += std::exchange(delta.text, "");
    return delta;
  }

  std::unique_ptr<AnswerParser> held_;
  std::string written_;
};

}  // namespace

std::unique_ptr<AnswerParser> AnswerParser::make(AnswerOptions options) {
  if (options.one_call) {
    options.one_call = false;
    options.held = true;
    return std::make_unique<OneCallParser>(make(std::move(options)));
  }
  if (options.format == AnswerFormat::kHarmony)
    return make_harmony_parser(options.tools, options.held);
  return std::make_unique<MarkedParser>(std::move(options));
}

}  // namespace lathe::infer
