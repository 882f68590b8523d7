// What a talker reads before it speaks: rows that are a word, a code or both, as it was trained on
// them. Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "infer/formats/gguf.h"
#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// A row of a prompt: the sum of what is there.
struct PromptRow {
  TokenId word = kNoToken, code = kNoToken;
  bool speaker = false;  // who speaks
  bool operator==(const PromptRow&) const = default;
};

inline constexpr std::size_t kMostTextTokens = 4096;
// What frames the text included.
inline constexpr std::size_t kMostPromptRows = kMostTextTokens + 64;

class VoicePrompt {
 public:
  // With the words that a prompt is framed by, `codes` of which are the last of the vocabulary. One
  // that is missing is an error.
  static Result<VoicePrompt> of(const Gguf& talker, std::size_t codes);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  TokenId first_code() const { return first_code_; }                                // as a token
  std::size_t end() const { return static_cast<std::size_t>(end_ - first_code_); }  // a code
  TokenId text_pad() const { return text_pad_; }  // what is read beside a frame
  std::vector<std::string> languages() const;
  // The role; in which language, "": the talker finds out; who speaks; the text; where codes begin.
  Result<std::vector<PromptRow>> rows(std::string_view text, std::string_view language,
                                      bool speaker) const;

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  TokenId first_code_ = 0;
  TokenId text_pad_ = kNoToken, text_begin_ = kNoToken, text_end_ = kNoToken;
  TokenId pad_ = kNoToken, begin_ = kNoToken, end_ = kNoToken;  // codes
  TokenId think_ = kNoToken, no_think_ = kNoToken, think_begin_ = kNoToken, think_end_ = kNoToken;
};

}  // namespace lathe::infer
