// Which numbers Whisper's control tokens have.
#include "infer/whisper/tokens.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kEnglish = 51864;
constexpr std::size_t kWithoutLanguages = 51766;  // of one that knows more: all others

constexpr WhisperLanguage kLanguages[] = {
    {"en", "english"},        {"zh", "chinese"},     {"de", "german"},        {"es", "spanish"},
    {"ru", "russian"},        {"ko", "korean"},      {"fr", "french"},        {"ja", "japanese"},
    {"pt", "portuguese"},     {"tr", "turkish"},     {"pl", "polish"},        {"ca", "catalan"},
    {"nl", "dutch"},          {"ar", "arabic"},      {"sv", "swedish"},       {"it", "italian"},
    {"id", "indonesian"},     {"hi", "hindi"},       {"fi", "finnish"},       {"vi", "vietnamese"},
    {"he", "hebrew"},         {"uk", "ukrainian"},   {"el", "greek"},         {"ms", "malay"},
    {"cs", "czech"},          {"ro", "romanian"},    {"da", "danish"},        {"hu", "hungarian"},
    {"ta", "tamil"},          {"no", "norwegian"},   {"th", "thai"},          {"ur", "urdu"},
    {"hr", "croatian"},       {"bg", "bulgarian"},   {"lt", "lithuanian"},    {"la", "latin"},
    {"mi", "maori"},          {"ml", "malayalam"},   {"cy", "welsh"},         {"sk", "slovak"},
    {"te", "telugu"},         {"fa", "persian"},     {"lv", "latvian"},       {"bn", "bengali"},
    {"sr", "serbian"},        {"az", "azerbaijani"}, {"sl", "slovenian"},     {"kn", "kannada"},
    {"et", "estonian"},       {"mk", "macedonian"},  {"br", "breton"},        {"eu", "basque"},
    {"is", "icelandic"},      {"hy", "armenian"},    {"ne", "nepali"},        {"mn", "mongolian"},
    {"bs", "bosnian"},        {"kk", "kazakh"},      {"sq", "albanian"},      {"sw", "swahili"},
    {"gl", "galician"},       {"mr", "marathi"},     {"pa", "punjabi"},       {"si", "sinhala"},
    {"km", "khmer"},          {"sn", "shona"},       {"yo", "yoruba"},        {"so", "somali"},
    {"af", "afrikaans"},      {"oc", "occitan"},     {"ka", "georgian"},      {"be", "belarusian"},
    {"tg", "tajik"},          {"sd", "sindhi"},      {"gu", "gujarati"},      {"am", "amharic"},
    {"yi", "yiddish"},        {"lo", "lao"},         {"uz", "uzbek"},         {"fo", "faroese"},
    {"ht", "haitian creole"}, {"ps", "pashto"},      {"tk", "turkmen"},       {"nn", "nynorsk"},
    {"mt", "maltese"},        {"sa", "sanskrit"},    {"lb", "luxembourgish"}, {"my", "myanmar"},
    {"bo", "tibetan"},        {"tl", "tagalog"},     {"mg", "malagasy"},      {"as", "assamese"},
    {"tt", "tatar"},          {"haw", "hawaiian"},   {"ln", "lingala"},       {"ha", "hausa"},
    {"ba", "bashkir"},        {"jw", "javanese"},    {"su", "sundanese"},     {"yue", "cantonese"},
};

}  // namespace

std::span<const WhisperLanguage> whisper_languages() {
  return kLanguages;
}

std::optional<std::size_t> find_language(std::string_view text) {
  const std::string wanted = to_lower_ascii(text);
  for (std::size_t i = 0; i < std::size(kLanguages); ++i)
    if (kLanguages[i].code == wanted || kLanguages[i].name == wanted) return i;
  return std::nullopt;
}

Result<WhisperTokens> WhisperTokens::of(const Gguf& file) {
  WhisperTokens tokens;
  LATHE_TRY(tokens.vocabulary, file.uint("whisper.vocab_size", 1, 1U << 20));
  LATHE_TRY(const auto texts, file.texts("tokenizer.ggml.tokens"));
  const std::size_t most = kWithoutLanguages + std::size(kLanguages);
  if (tokens.vocabulary < kEnglish || tokens.vocabulary > most)
    return invalid("{}: has {} tokens; Whisper models have {} to {}", file.path().string(),
                   tokens.vocabulary, kEnglish, most);
  const bool english = tokens.vocabulary == kEnglish;
  tokens.languages = english ? 0 : tokens.vocabulary - kWithoutLanguages;
  tokens.end = english ? 50256 : 50257;
  tokens.start = tokens.end + 1;
  tokens.first_language = tokens.start + 1;
  // English models have the tokens of 99 languages too, and the end of the text one earlier.
  const Id behind = tokens.first_language + static_cast<Id>(english ? 99 : tokens.languages);
  tokens.translate = behind;
  tokens.transcribe = behind + 1;
  tokens.previous = behind + 3;
  tokens.no_speech = behind + 4;
  tokens.no_times = behind + 5;
  tokens.first_time = behind + 6;
  tokens.texts_.assign(texts.begin(), texts.end());
  tokens.texts_.resize(tokens.vocabulary);  // those of control tokens need not be in the file
  for (Id id = 0; tokens.is_text(id); ++id) {
    const std::string_view text = tokens.text(id);
    if (text.empty()) continue;
    tokens.ids_.emplace(text, id);
    tokens.longest_ = std::max(tokens.longest_, text.size());
  }
  if (const auto blank = tokens.ids_.find(" "); blank != tokens.ids_.end())
    tokens.blank = blank->second;
  return tokens;
}

std::vector<WhisperTokens::Id> WhisperTokens::encode(std::string_view text) const {
  std::vector<Id> ids;
  while (!text.empty()) {
    // Up to the next blank, of several the last one.
    const std::size_t word = text.find(' ', text.find_first_not_of(' '));
    const std::string_view own = text.substr(0, word);
    std::size_t length = std::min(own.size(), longest_);
    auto found = ids_.find(std::string(own.substr(0, length)));
    while (found == ids_.end() && length > 1)
      found = ids_.find(std::string(own.substr(0, --length)));
    if (found != ids_.end()) ids.push_back(found->second);
    text.remove_prefix(length);
  }
  return ids;
}

}  // namespace lathe::infer
