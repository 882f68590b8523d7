// Whisper's tokens that are no text (Radford et al. 2022), by the size of the vocabulary: with
// 51,864 tokens a model knows English only; with 51,865 and more also which language is spoken, and
// how to translate it to English. And its languages, in the order of their tokens. Immutable; any
// thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ground/base/result.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

struct WhisperLanguage {
  std::string_view code;  // ISO 639, as the tokens have it
  std::string_view name;  // English, lower case
};
std::span<const WhisperLanguage> whisper_languages();
// By code or name, in any case; nullopt: none of them.
std::optional<std::size_t> find_language(std::string_view text);

class WhisperTokens {
 public:
  using Id = std::int32_t;
  // kInvalid: too few or too many tokens for a model of this kind.
  static Result<WhisperTokens> of(const Gguf& file);

  Id end = 0, start = 0, translate = 0, transcribe = 0, previous = 0, no_speech = 0;
  Id no_times = 0;    // no timestamps follow
  Id first_time = 0;  // of 0.00 s; each one more is 0.02 s later
  Id first_language = 0;
  std::size_t languages = 0;  // 0: English only
  Id blank = -1;              // " " alone; -1: no such token
  std::size_t vocabulary = 0;

  bool is_time(Id id) const { return id >= first_time; }
  static constexpr std::size_t kFramesATime = 2;  // a frame is 10 ms
  std::size_t frames_of(Id time) const {
    return kFramesATime * static_cast<std::size_t>(time - first_time);
  }
  bool is_text(Id id) const { return id < end; }
  Id language(std::size_t index) const { return first_language + static_cast<Id>(index); }
  std::string_view text(Id id) const { return texts_[static_cast<std::size_t>(id)]; }  // bytes
  // A text's tokens: of each word, with the blank before it, the longest that fit. Not always those
  // that it was trained on, which the file does not tell, but always the text's. Bytes that no
  // token has are left out.
  std::vector<Id> encode(std::string_view text) const;

 private:
  std::vector<std::string> texts_;
  std::unordered_map<std::string, Id> ids_;
  std::size_t longest_ = 0;  // bytes of a text
};

}  // namespace lathe::infer
