// A model file's vocabulary, as the tokenizer takes it.
#include "infer/models/vocabulary.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxTokens = std::size_t{1} << 24;

std::string key_of(std::string_view name) {
  return fmt::format("tokenizer.ggml.{}", name);
}

struct IdKey {
  std::string_view name;
  TokenId VocabularySpec::*id;
  TokenId llama, gpt2, bert, t5;  // where the file says nothing
};
constexpr IdKey kIdKeys[] = {
    {"bos_token_id", &VocabularySpec::bos, 1, 11, kNoToken, kNoToken},
    {"eos_token_id", &VocabularySpec::eos, 2, 11, kNoToken, 1},
    {"eot_token_id", &VocabularySpec::eot, kNoToken, kNoToken, kNoToken, kNoToken},
    {"eom_token_id", &VocabularySpec::eom, kNoToken, kNoToken, kNoToken, kNoToken},
    {"unknown_token_id", &VocabularySpec::unknown, 0, kNoToken, 100, 2},
    {"seperator_token_id", &VocabularySpec::separator, kNoToken, kNoToken, 102, kNoToken},
    {"padding_token_id", &VocabularySpec::padding, kNoToken, kNoToken, 0, 0},
    {"cls_token_id", &VocabularySpec::cls, kNoToken, kNoToken, 101, kNoToken},
    {"mask_token_id", &VocabularySpec::mask, kNoToken, kNoToken, 103, kNoToken},
    {"fim_pre_token_id", &VocabularySpec::fim_prefix, kNoToken, kNoToken, kNoToken, kNoToken},
    {"fim_suf_token_id", &VocabularySpec::fim_suffix, kNoToken, kNoToken, kNoToken, kNoToken},
    {"fim_mid_token_id", &VocabularySpec::fim_middle, kNoToken, kNoToken, kNoToken, kNoToken},
    {"fim_pad_token_id", &VocabularySpec::fim_pad, kNoToken, kNoToken, kNoToken, kNoToken},
    {"fim_rep_token_id", &VocabularySpec::fim_repo, kNoToken, kNoToken, kNoToken, kNoToken},
    {"fim_sep_token_id", &VocabularySpec::fim_separator, kNoToken, kNoToken, kNoToken, kNoToken},
};

Status read_ids(const Gguf& gguf, VocabularySpec& spec) {
  const auto count = static_cast<TokenId>(spec.tokens.size());
  for (const IdKey& each : kIdKeys) {
    const std::string key = key_of(each.name);
    if (gguf.has(key)) {
      // Converters write -1, "none", into the unsigned field.
      constexpr std::uint64_t kNone = UINT32_MAX;
      const auto raw = gguf.uint(key, 0, kNone);
      if (raw && *raw == kNone) {
        spec.*each.id = kNoToken;
        continue;
      }
      LATHE_TRY(const std::uint64_t id, gguf.uint(key, 0, spec.tokens.size() - 1));
      spec.*each.id = static_cast<TokenId>(id);
      continue;
    }
    const TokenId fallback = spec.model == "llama"  ? each.llama
                             : spec.model == "gpt2" ? each.gpt2
                             : spec.model == "bert" ? each.bert
                             : spec.model == "t5"   ? each.t5
                                                    : kNoToken;
    spec.*each.id = fallback < count ? fallback : kNoToken;
  }
  // Older files name the token that opens a text "bos" alone.
  if (spec.model == "bert" && spec.bos != kNoToken && !gguf.has(key_of("cls_token_id")))
    spec.cls = spec.bos;
  return {};
}

Status read_tokens(const Gguf& gguf, VocabularySpec& spec) {
  const std::string key = key_of("tokens");
  LATHE_TRY(const auto tokens, gguf.texts(key));
  if (tokens.empty())
    return invalid("{}: {}: missing or empty; the file holds no vocabulary", gguf.path().string(),
                   key);
  if (tokens.size() > kMaxTokens)
    return invalid("{}: {}: {} tokens; at most {} are supported", gguf.path().string(), key,
                   tokens.size(), kMaxTokens);
  spec.tokens.assign(tokens.begin(), tokens.end());

  LATHE_TRY(const auto scores, gguf.reals(key_of("scores")));
  if (!scores.empty() && scores.size() != tokens.size())
    return invalid("{}: {}: {} scores for {} tokens", gguf.path().string(), key_of("scores"),
                   scores.size(), tokens.size());
  for (const double score : scores) spec.scores.push_back(static_cast<float>(score));

  LATHE_TRY(const auto types, gguf.ints(key_of("token_type")));
  if (!types.empty() && types.size() != tokens.size())
    return invalid("{}: {}: {} types for {} tokens", gguf.path().string(), key_of("token_type"),
                   types.size(), tokens.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 0 || types[i] > 6)
      return invalid("{}: {}[{}]: {} is no token type (1 to 6)", gguf.path().string(),
                     key_of("token_type"), i, types[i]);
    // 0, "undefined", is written for padding entries.
    spec.kinds.push_back(types[i] == 0 ? TokenKind::kUnused : static_cast<TokenKind>(types[i]));
  }

  LATHE_TRY(const auto merges, gguf.texts(key_of("merges")));
  spec.merges.assign(merges.begin(), merges.end());
  return {};
}

// SentencePiece's map of characters, bytes in an array.
Status read_character_map(const Gguf& gguf, VocabularySpec& spec) {
  LATHE_TRY(const auto bytes, gguf.ints(key_of("precompiled_charsmap")));
  for (const std::int64_t byte : bytes) spec.character_map += static_cast<char>(byte & 0xff);
  LATHE_TRY(spec.remove_extra_spaces, gguf.boolean_or(key_of("remove_extra_whitespaces"), false));
  return {};
}

Status read_flag(const Gguf& gguf, std::string_view name, std::optional<bool>& flag) {
  const std::string key = key_of(name);
  if (!gguf.has(key)) return {};
  LATHE_TRY(flag, gguf.boolean_or(key, false));
  return {};
}

}  // namespace

Result<VocabularySpec> read_vocabulary(const Gguf& gguf) {
  VocabularySpec spec;
  LATHE_TRY(spec.model, gguf.text(key_of("model")));
  if (spec.model == "none" || spec.model == "no_vocab")
    return invalid("{}: {} is '{}': the file holds no vocabulary", gguf.path().string(),
                   key_of("model"), spec.model);
  LATHE_TRY(spec.pre, gguf.text_or(key_of("pre"), ""));
  LATHE_TRY_STATUS(read_tokens(gguf, spec));
  LATHE_TRY_STATUS(read_ids(gguf, spec));
  LATHE_TRY_STATUS(read_flag(gguf, "add_bos_token", spec.add_bos));
  LATHE_TRY_STATUS(read_flag(gguf, "add_eos_token", spec.add_eos));
  LATHE_TRY_STATUS(read_flag(gguf, "add_sep_token", spec.add_separator));
  LATHE_TRY_STATUS(read_flag(gguf, "add_space_prefix", spec.add_space_prefix));
  LATHE_TRY_STATUS(read_character_map(gguf, spec));
  LATHE_TRY(spec.lowercase, gguf.boolean_or("tokenizer.ggml.normalizer.lowercase", true));
  LATHE_TRY(spec.strip_accents,
            gguf.boolean_or("tokenizer.ggml.normalizer.strip_accents", spec.lowercase));
  // No key says so: the markers of Phi-3 eat the white space behind them.
  LATHE_TRY(const std::string name, gguf.text_or("general.name", ""));
  const std::string lower = to_lower_ascii(name);
  spec.strip_after_control = spec.model == "llama" && (lower.find("phi-3") != lower.npos ||
                                                       lower.find("phi3") != lower.npos);
  return spec;
}

Result<std::vector<NamedTemplate>> read_chat_templates(const Gguf& gguf) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  std::vector<NamedTemplate> out;
  for (const auto& [key, value] : gguf.metadata()) {
    if (!key.starts_with(kKey)) continue;
    const std::string_view rest = std::string_view(key).substr(kKey.size());
    if (!rest.empty() && !rest.starts_with('.')) continue;  // "tokenizer.chat_templates": the names
    LATHE_TRY(std::string source, gguf.text(key));
    out.push_back({std::string(rest.empty() ? rest : rest.substr(1)), std::move(source)});
  }
  return out;
}

Result<std::string> read_rerank_template(const Gguf& gguf) {
  return gguf.text_or("tokenizer.chat_template.rerank", "");
}

std::vector<TokenId> pair_tokens(const Tokenizer& tokenizer, std::string_view source,
                                 std::string_view query, std::string_view document) {
  if (source.empty()) return tokenizer.encode_pair(query, document);
  constexpr std::string_view kQuery = "{query}", kDocument = "{document}";
  std::vector<PromptPart> parts;
  while (!source.empty()) {
    const std::size_t at = std::min({source.find(kQuery), source.find(kDocument), source.size()});
    parts.push_back({std::string(source.substr(0, at)), true});
    source.remove_prefix(at);
    for (const auto& [name, text] : {std::pair(kQuery, query), std::pair(kDocument, document)}) {
      if (!source.starts_with(name)) continue;
      parts.push_back({std::string(text), false});
      source.remove_prefix(name.size());
      break;
    }
  }
  return tokenizer.encode(parts, false);
}

}  // namespace lathe::infer
