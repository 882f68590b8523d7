// Text ↔ token ids. A tokenizer is built from a VocabularySpec (models/vocabulary.h reads one from
// a GGUF file) and is immutable: any thread may call it. encode() runs in time proportional to the
// text (times the logarithm of a word's length), whatever the text is; nothing recurses on input.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::infer {

using TokenId = std::int32_t;
inline constexpr TokenId kNoToken = -1;

enum class TokenKind : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// What a vocabulary is, as GGUF's tokenizer.ggml.* keys say it. Plain data, not yet checked.
struct VocabularySpec {
  // "gpt2" (byte-level BPE), "gemma4" (BPE of characters), "llama" (SPM), "bert" (WPM), "t5"
  // (SentencePiece's unigrams)
  std::string model;
  std::string pre;  // pre-tokenizer of a BPE: "llama-bpe", "qwen2", …
  std::vector<std::string> tokens;
  std::vector<float> scores;        // empty, or one a token
  std::vector<TokenKind> kinds;     // empty (all normal), or one a token
  std::vector<std::string> merges;  // "left right", best first
  // kNoToken: the model's default (formats: bos 1 / 11 / 101 …) has been applied by the reader, or
  // there is none.
  TokenId bos = kNoToken, eos = kNoToken, eot = kNoToken, eom = kNoToken, unknown = kNoToken,
          separator = kNoToken, padding = kNoToken, cls = kNoToken, mask = kNoToken;
  TokenId fim_prefix = kNoToken, fim_suffix = kNoToken, fim_middle = kNoToken, fim_pad = kNoToken,
          fim_repo = kNoToken, fim_separator = kNoToken;
  std::optional<bool> add_bos, add_eos, add_separator,
      add_space_prefix;                         // absent: as the model / pre says
  bool lowercase = true, strip_accents = true;  // bert
  // t5: how characters are replaced, as SentencePiece compiles it (unigram.cpp); empty: not at all.
  std::string character_map;
  bool remove_extra_spaces = false;  // t5: of several, and at both ends
  bool strip_after_control = false;  // white space after a control token is dropped (Phi-3)
};

// A piece of a prompt. Only trusted text (a template's own words) may name control tokens; what a
// user or a tool wrote is always plain text, "<|im_start|>" included.
struct PromptPart {
  std::string text;
  bool trusted = false;
};

class Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> make(VocabularySpec spec);
  ~Tokenizer();

  // add_special: BOS / EOS / [CLS] … as the vocabulary wants them. parse_special: control tokens in
  // the text count. BOS is not added where the text names it already. Texts below 2 GiB.
  std::vector<TokenId> encode(std::string_view text, bool add_special, bool parse_special) const;
  // The parts are one text, so that words join across them as the model was trained; only trusted
  // bytes may name control tokens.
  std::vector<TokenId> encode(std::span<const PromptPart> parts, bool add_special) const;
  // Two texts, neither of which names control tokens, as one: [CLS] first [SEP] second [SEP].
  std::vector<TokenId> encode_pair(std::string_view first, std::string_view second) const;
  // The bytes of one token; "" for a control token unless `special`. Markers that an answer's
  // reader needs ("[TOOL_CALLS]", harmony's "<|channel|>" …) are never hidden.
  std::string piece(TokenId id, bool special = false) const;
  std::string decode(std::span<const TokenId> ids,
                     bool special = false) const;  // a whole text: leading space rule applied

  std::size_t size() const;
  const VocabularySpec& spec() const;
  TokenId find(std::string_view token_text) const;  // kNoToken when absent
  bool is_end(TokenId id) const;  // ends a generation (EOS, EOT, EOM, "<|im_end|>" …)
  bool is_control(TokenId id) const;
  std::span<const TokenId> end_tokens() const;  // ascending

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

// Ids in, text out, never half a UTF-8 sequence: up to 3 bytes are held back until the rest has
// come.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool special = false);
  std::string push(TokenId id);
  std::string finish();  // what was held back, invalid bytes as U+FFFD

 private:
  const Tokenizer* tokenizer_;
  bool special_;
  std::string held_;
};

}  // namespace lathe::infer
