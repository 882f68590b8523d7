// gpt-oss: an answer is a row of messages, each with a header that says whom it is for.
//   <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…
// The prompt ends with "<|start|>assistant", so the first header begins in the middle. What goes to
// "functions.N" is a call: its recipient stands before or behind the channel.
#include "ground/base/text.h"
#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kStart = "<|start|>", kChannel = "<|channel|>", kMessage = "<|message|>";
constexpr std::string_view kConstrain = "<|constrain|>";
constexpr std::size_t kMaxHeader = 512;

class HarmonyParser final : public AnswerParser {
 public:
  HarmonyParser(std::span<const OfferedTool> tools, bool held)
      : tools_(held ? std::span<const OfferedTool>() : tools), held_(held) {}

  AnswerDelta push(std::string_view text) override {
    pending_.add(text);
    while (step(false)) {
    }
    return std::exchange(delta_, {});
  }
  AnswerDelta finish() override {
    while (step(true)) {
    }
    end_message();
    return std::exchange(delta_, {});
  }

 private:
  enum State { kHeader, kBody };

  bool step(bool last) { return state_ == kHeader ? header(last) : body(last); }

  bool header(bool last) {
    const std::string_view pending = pending_.view();
    const auto end = pending.substr(0, kMaxHeader + kMessage.size()).find(kMessage);
    if (end != pending.npos && may_be_header()) {
      raw_ = pending.substr(0, end + kMessage.size());
      read_header(pending.substr(0, end));
      pending_.take(raw_.size());
      state_ = kBody;
      return true;
    }
    if (!last && pending.size() <= kMaxHeader + kMessage.size() && may_be_header()) return false;
    if (pending.empty()) return false;
    // No header: text. Its first byte goes, so that a header within it is found.
    channel_ = "final";
    called_.clear();
    raw_.clear();
    content_ += pending[0];
    pending_.take(1);
    state_ = kBody;
    return true;
  }

  // A header begins with a marker or a recipient; other words are an answer without one.
  bool may_be_header() const {
    for (const std::string_view opening : {kStart, kChannel, std::string_view(" to=")}) {
      const auto common = std::min(opening.size(), pending_.view().size());
      if (pending_.view().substr(0, common) == opening.substr(0, common)) return true;
    }
    return false;
  }

  void read_header(std::string_view text) {
    channel_.clear();
    std::string recipient;
    std::string spaced = replace_all(text, kChannel, " \x01");
    spaced = replace_all(spaced, kConstrain, " ");
    spaced = replace_all(spaced, kStart, " ");
    for (const std::string& word : split(spaced, ' ')) {
      if (word.starts_with('\x01')) channel_ = word.substr(1);
      if (word.starts_with("to=")) recipient = word.substr(3);
    }
    static constexpr std::string_view kFunctions = "functions.";
    called_.clear();
    if (recipient.starts_with(kFunctions) && !tools_.empty())
      called_ = recipient.substr(kFunctions.size());
    else if (tools_.have(recipient))
      called_ = recipient;
  }

  bool is_call() const { return !called_.empty(); }

  bool body(bool last) {
    static const std::vector<std::string_view> kEnds{"<|end|>", "<|call|>", "<|return|>", kStart,
                                                     kChannel};
    const std::string_view pending = pending_.view();
    if (held_ && channel_ == "final") {
      delta_.text += content_;
      delta_.text += pending;
      content_.clear();
      pending_.take(pending.size());
      return false;
    }
    const auto [at, which] = find_marker(pending, kEnds);
    if (at != pending.npos) {
      content_ += pending.substr(0, at);
      // The next header's own markers stay: they are read with it.
      pending_.take(at + (which < 3 ? kEnds[which].size() : 0));
      end_message();
      state_ = kHeader;
      return true;
    }
    const std::size_t safe = pending.size() - (last ? 0 : marker_start(pending, kEnds));
    content_ += pending.substr(0, safe);
    pending_.take(safe);
    if (!is_call()) flush();
    return false;
  }

  void flush() {
    (channel_ == "analysis" ? delta_.thinking : delta_.text) += content_;
    content_.clear();
  }

  void end_message() {
    if (is_call()) {
      const auto arguments = parse_json(content_);
      if (arguments && arguments->is_object()) {
        delta_.calls.push_back({"", called_, dump_json(*arguments)});
        content_.clear();
      } else {
        delta_.text += raw_ + content_;
        content_.clear();
      }
    } else {
      flush();
    }
    called_.clear();
    raw_.clear();
  }

  const OfferedTools tools_;
  const bool held_;
  State state_ = kHeader;
  PendingText pending_;
  std::string content_;
  std::string channel_ = "final", called_, raw_;  // of the message; raw: its header as written
  AnswerDelta delta_;
};

}  // namespace

std::unique_ptr<AnswerParser> make_harmony_parser(std::span<const OfferedTool> tools, bool held) {
  return std::make_unique<HarmonyParser>(tools, held);
}

}  // namespace lathe::infer
