// The words of a talker's prompt, and how they stand.
#include "infer/voice/voice_prompt.h"

#include <algorithm>

#include "ground/base/text.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kRole = "<|im_start|>assistant\n";
constexpr std::string_view kLanguage = "<|codec_language_", kLanguageEnd = "|>";

}  // namespace

Result<VoicePrompt> VoicePrompt::of(const Gguf& talker, std::size_t codes) {
  VoicePrompt prompt;
  LATHE_TRY(VocabularySpec vocabulary, read_vocabulary(talker));
  LATHE_TRY(prompt.tokenizer_, Tokenizer::make(std::move(vocabulary)));
  if (prompt.tokenizer_->size() < codes)
    return invalid("{}: the vocabulary has {} tokens, of which {} would be codes",
                   talker.path().string(), prompt.tokenizer_->size(), codes);
  prompt.first_code_ = static_cast<TokenId>(prompt.tokenizer_->size() - codes);
  struct Word {
    std::string_view text;
    TokenId* token;
    bool code;
  };
  const Word words[] = {
      {"<tts_pad>", &prompt.text_pad_, false},
      {"<tts_text_bos>", &prompt.text_begin_, false},
      {"<tts_text_eod>", &prompt.text_end_, false},
      {"<|codec_pad|>", &prompt.pad_, true},
      {"<|codec_bos|>", &prompt.begin_, true},
      {"<|codec_eos_token|>", &prompt.end_, true},
      {"<|codec_think|>", &prompt.think_, true},
      {"<|codec_nothink|>", &prompt.no_think_, true},
      {"<|codec_think_bos|>", &prompt.think_begin_, true},
      {"<|codec_think_eos|>", &prompt.think_end_, true},
  };
  for (const Word& word : words) {
    *word.token = prompt.tokenizer_->find(word.text);
    if (*word.token == kNoToken)
      return invalid("{}: its vocabulary has no {}, which a talker's prompt needs",
                     talker.path().string(), word.text);
    if (word.code && *word.token < prompt.first_code_)
      return invalid("{}: {} is token {}, and none of the last {}, which are codes",
                     talker.path().string(), word.text, *word.token, codes);
  }
  return prompt;
}

std::vector<std::string> VoicePrompt::languages() const {
  std::vector<std::string> names;
  for (const std::string& word : tokenizer_->spec().tokens)
    if (word.starts_with(kLanguage) && word.ends_with(kLanguageEnd))
      names.push_back(
          word.substr(kLanguage.size(), word.size() - kLanguage.size() - kLanguageEnd.size()));
  std::ranges::sort(names);
  return names;
}

Result<std::vector<PromptRow>> VoicePrompt::rows(std::string_view text, std::string_view language,
                                                 bool speaker) const {
  const std::vector<TokenId> words = tokenizer_->encode(trim(text), false, false);
  if (words.empty()) return invalid("there is no text to speak");
  if (words.size() > kMostTextTokens)
    return invalid("the text has {} tokens; {} are spoken in one go: give it in parts",
                   words.size(), kMostTextTokens);
  std::vector<TokenId> thought = {no_think_, think_begin_, think_end_};
  if (!language.empty()) {
    const TokenId found =
        tokenizer_->find(fmt::format("{}{}{}", kLanguage, language, kLanguageEnd));
    if (found == kNoToken)
      return invalid("'{}' is none of this voice's languages: {}", clip_utf8(language, 40),
                     join(languages(), ", "));
    thought = {think_, think_begin_, found, think_end_};
  }
  std::vector<PromptRow> rows;
  for (const TokenId word : tokenizer_->encode(kRole, false, true)) rows.push_back({.word = word});
  for (const TokenId code : thought) rows.push_back({.word = text_pad_, .code = code});
  if (speaker) rows.push_back({.word = text_pad_, .speaker = true});
  rows.push_back({.word = text_begin_, .code = pad_});
  for (const TokenId word : words) rows.push_back({.word = word, .code = pad_});
  rows.push_back({.word = text_end_, .code = pad_});
  rows.push_back({.word = text_pad_, .code = begin_});
  return rows;
}

}  // namespace lathe::infer
