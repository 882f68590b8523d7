// Gemma's calls: <|tool_call>call:NAME{key:<|"|>text<|"|>,n:1,list:[…],o:{…}}<tool_call|>, names
// without quotes and texts between control tokens, nothing escaped.
#include "ground/base/text.h"
#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kOpener = "<|tool_call>", kCloser = "<tool_call|>", kCall = "call:";
constexpr std::string_view kQuote = "<|\"|>";
constexpr int kMaxDepth = 32;

class ValueReader {
 public:
  explicit ValueReader(std::string_view text) : text_(text) {}

  // call:NAME{…}, and nothing else.
  std::optional<ToolCall> call() {
    skip();
    if (!take(kCall)) return std::nullopt;
    const std::string name(trim(word("{<,:")));
    if (name.empty() || at_ == text_.size() || text_[at_] != '{') return std::nullopt;
    const auto arguments = object(0);
    skip();
    if (!arguments || at_ != text_.size()) return std::nullopt;
    return ToolCall{"", name, dump_json(*arguments)};
  }

 private:
  void skip() { at_ = skip_spaces(text_, at_); }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  std::string_view word(std::string_view ends) {
    const std::size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    const std::string_view read = text_.substr(at_, end - at_);
    at_ = end;
    return read;
  }
  std::optional<std::string> quoted() {
    const std::size_t end = text_.find(kQuote, at_);
    if (end == text_.npos) return std::nullopt;
    std::string read(text_.substr(at_, end - at_));
    at_ = end + kQuote.size();
    return read;
  }

  std::optional<Json> value(int depth) {
    skip();
    if (depth > kMaxDepth || at_ == text_.size()) return std::nullopt;
    if (take(kQuote)) {
      auto text = quoted();
      return text ? std::optional<Json>(std::move(*text)) : std::nullopt;
    }
    if (text_[at_] == '{') return object(depth);
    if (text_[at_] == '[') return list(depth);
    // A number, true, false, null, Python's way to write these, a text in ordinary quotes.
    if (text_[at_] == '"') {
      const std::size_t end = text_.find('"', at_ + 1);
      if (end == text_.npos) return std::nullopt;
      const std::string_view read = text_.substr(at_, end + 1 - at_);
      at_ = end + 1;
      const auto json = parse_json(read);
      return json ? std::optional(*json) : std::nullopt;
    }
    return parse_literal(trim(word(",]}<{[")));
  }

  static std::optional<Json> parse_literal(std::string_view word) {
    const auto json = parse_json(word);
    return json ? std::optional(*json) : parse_python(word);
  }

  std::optional<Json> object(int depth) {
    Json out = Json::object();
    ++at_;
    for (skip(); !take("}"); skip()) {
      if (!out.empty() && !take(",")) return std::nullopt;
      skip();
      std::optional<std::string> key;
      if (take(kQuote))
        key = quoted();
      else
        key = std::string(trim(word(":{}[],<")));
      skip();
      if (!key || key->empty() || out.contains(*key) || !take(":")) return std::nullopt;
      auto read = value(depth + 1);
      if (!read) return std::nullopt;
      out[*key] = std::move(*read);
    }
    return out;
  }

  std::optional<Json> list(int depth) {
    Json out = Json::array();
    ++at_;
    for (skip(); !take("]"); skip()) {
      if (!out.empty() && !take(",")) return std::nullopt;
      auto read = value(depth + 1);
      if (!read) return std::nullopt;
      out.push_back(std::move(*read));
    }
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class Gemma final : public CallReader {
 public:
  explicit Gemma(CallNotes& notes) : notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    const std::size_t begin = kOpener.size();
    const std::size_t end = notes_.find(text, kCloser, begin);
    if (end == text.npos && !last) return {};
    // Without its closing marker it ends the answer.
    auto call = ValueReader(text.substr(begin, end == text.npos ? end : end - begin)).call();
    if (!call) return no_call();
    return {CallAttempt::kCalls,
            end == text.npos ? text.size() : end + kCloser.size(),
            {std::move(*call)}};
  }

 private:
  CallNotes& notes_;
};

}  // namespace

std::unique_ptr<CallReader> gemma_calls(const OfferedTools& /*tools*/, CallNotes& notes) {
  return std::make_unique<Gemma>(notes);
}

}  // namespace lathe::infer
