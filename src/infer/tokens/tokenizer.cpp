// Text to tokens and back: what all kinds of vocabularies share.
#include "infer/tokens/tokenizer.h"

#include <algorithm>
#include <cmath>

#include "ground/base/text.h"
#include "infer/tokens/pretokenizer.h"
#include "infer/tokens/special_tokens.h"
#include "infer/tokens/token_map.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxTokens = std::size_t{1} << 24;
constexpr std::size_t kMaxTokenBytes = 4096;

// Tokens that end a generation, whatever their number is.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<|flush|>",
                                          "<|calls|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "</s>",
                                          "<|eom_id|>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<|end_of_text|>",
                                          "<end_of_utterance>",
                                          "<eos>",
                                          "<turn|>",
                                          "<|tool_response>",
                                          "<｜end▁of▁sentence｜>",
                                          "[e~["};
constexpr std::string_view kEotTexts[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",         "<|endoftext|>",
    "<EOT>",      "_<EOT>",     "[EOT]",   "<｜end▁of▁sentence｜>", "<end_of_utterance>"};
// Control tokens that who reads an answer must see: they mark thinking and tool calls.
constexpr std::string_view kAnswerMarkers[] = {"<think>",
                                               "</think>",
                                               "[THINK]",
                                               "[/THINK]",
                                               "<tool_call>",
                                               "</tool_call>",
                                               "[ARGS]",
                                               "[CALL_ID]",
                                               "[TOOL_CALLS]",
                                               "<|python_tag|>",
                                               "<|python_start|>",
                                               "<|python_end|>",
                                               "<arg_key>",
                                               "</arg_key>",
                                               "<arg_value>",
                                               "</arg_value>",
                                               "<minimax:tool_call>",
                                               "</minimax:tool_call>",
                                               "<seed:think>",
                                               "</seed:think>",
                                               "<seed:tool_call>",
                                               "</seed:tool_call>",
                                               "｜DSML｜",
                                               "<｜tool▁calls▁begin｜>",
                                               "<｜tool▁calls▁end｜>",
                                               "<｜tool▁call▁begin｜>",
                                               "<｜tool▁call▁end｜>",
                                               "<｜tool▁sep｜>",
                                               "<|tool_calls_section_begin|>",
                                               "<|tool_calls_section_end|>",
                                               "<|tool_call_begin|>",
                                               "<|tool_call_argument_begin|>",
                                               "<|tool_call_end|>",
                                               "<|channel>",
                                               "<channel|>",
                                               "<|tool_call>",
                                               "<tool_call|>",
                                               "<|\"|>",
                                               "<|tool_call_start|>",
                                               "<|START_THINKING|>",
                                               "<|END_THINKING|>",
                                               "<|START_ACTION|>",
                                               "<|END_ACTION|>",
                                               "<|START_RESPONSE|>",
                                               "<|END_RESPONSE|>",
                                               "<|START_TEXT|>",
                                               "<|END_TEXT|>",
                                               "<TOOLCALL>",
                                               "</TOOLCALL>",
                                               "<|tools_prefix|>",
                                               "<|tools_suffix|>",
                                               "<|inner_prefix|>",
                                               "<|inner_suffix|>",
                                               "<|tool_call|>",
                                               "<|/tool_call|>",
                                               "<tool_calls>",
                                               "</tool_calls>",
                                               "<answer>",
                                               "</answer>",
                                               "<response>",
                                               "</response>",
                                               "<think:opensource>",
                                               "</think:opensource>",
                                               "<tool_calls:opensource>",
                                               "</tool_calls:opensource>",
                                               "<tool_call:opensource>",
                                               "</tool_call:opensource>",
                                               "<tool_sep:opensource>",
                                               "<arg_key:opensource>",
                                               "</arg_key:opensource>",
                                               "<arg_value:opensource>",
                                               "</arg_value:opensource>"};
// The same of gpt-oss, for its channels: ordinary control tokens in other vocabularies.
constexpr std::string_view kHarmonyMarkers[] = {"<|channel|>", "<|message|>", "<|start|>",
                                                "<|constrain|>", "<|end|>"};

struct NamedId {
  std::string_view key;
  TokenId VocabularySpec::*id;
};
constexpr NamedId kIds[] = {
    {"bos_token_id", &VocabularySpec::bos},
    {"eos_token_id", &VocabularySpec::eos},
    {"eot_token_id", &VocabularySpec::eot},
    {"eom_token_id", &VocabularySpec::eom},
    {"unknown_token_id", &VocabularySpec::unknown},
    {"seperator_token_id", &VocabularySpec::separator},
    {"padding_token_id", &VocabularySpec::padding},
    {"cls_token_id", &VocabularySpec::cls},
    {"mask_token_id", &VocabularySpec::mask},
    {"fim_pre_token_id", &VocabularySpec::fim_prefix},
    {"fim_suf_token_id", &VocabularySpec::fim_suffix},
    {"fim_mid_token_id", &VocabularySpec::fim_middle},
    {"fim_pad_token_id", &VocabularySpec::fim_pad},
    {"fim_rep_token_id", &VocabularySpec::fim_repo},
    {"fim_sep_token_id", &VocabularySpec::fim_separator},
};

Status check(const VocabularySpec& spec) {
  const std::size_t n = spec.tokens.size();
  if (n == 0) return invalid("tokenizer.ggml.tokens: the vocabulary is empty");
  if (n > kMaxTokens)
    return invalid("tokenizer.ggml.tokens: {} tokens; at most {} are supported", n, kMaxTokens);
  if (!spec.scores.empty() && spec.scores.size() != n)
    return invalid("tokenizer.ggml.scores: {} scores for {} tokens", spec.scores.size(), n);
  if (!spec.kinds.empty() && spec.kinds.size() != n)
    return invalid("tokenizer.ggml.token_type: {} types for {} tokens", spec.kinds.size(), n);
  for (std::size_t i = 0; i < n; ++i)
    if (spec.tokens[i].size() > kMaxTokenBytes)
      return invalid("tokenizer.ggml.tokens[{}]: {} bytes long; at most {} are supported", i,
                     spec.tokens[i].size(), kMaxTokenBytes);
  for (const NamedId& each : kIds)
    if (const TokenId id = spec.*each.id;
        id != kNoToken && (id < 0 || static_cast<std::size_t>(id) >= n))
      return invalid("tokenizer.ggml.{}: {} is not a token of the {}", each.key, id, n);
  if (std::ranges::any_of(spec.scores, [](float score) { return std::isnan(score); }))
    return invalid("tokenizer.ggml.scores: holds a value that is not a number");
  if ((spec.model == "llama" || spec.model == "t5") && spec.scores.empty())
    return invalid("tokenizer.ggml.scores: missing; a '{}' vocabulary is cut by them", spec.model);
  return {};
}

}  // namespace

TokenMap::TokenMap(const VocabularySpec& spec) : spec_(spec) {
  ids_.reserve(spec.tokens.size());
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
    ids_.insert_or_assign(spec.tokens[i], static_cast<TokenId>(i));
    longest_ = std::max(longest_, spec.tokens[i].size());
  }
}

struct Tokenizer::State {
  explicit State(VocabularySpec checked)
      : spec(complete(std::move(checked))), map(spec), visible(spec.tokens.size()) {
    find_ends();  // changes kinds
    specials.emplace(spec);
  }

  static VocabularySpec complete(VocabularySpec spec) {
    if (spec.kinds.empty()) spec.kinds.assign(spec.tokens.size(), TokenKind::kNormal);
    for (std::size_t i = 0; i < spec.tokens.size(); ++i)
      if (spec.tokens[i].empty()) spec.tokens[i] = fmt::format("[EMPTY_{}]", i);
    return spec;
  }

  TokenKind& kind(TokenId id) { return spec.kinds[static_cast<std::size_t>(id)]; }
  TokenKind kind(TokenId id) const { return spec.kinds[static_cast<std::size_t>(id)]; }

  void find_ends();
  // Control tokens are only found in the trusted ranges.
  std::vector<TokenId> encode(std::string_view text, std::span<const TextRange> trusted,
                              bool add_special) const;
  bool strips_after(TokenId id) const {
    return spec.strip_after_control && kind(id) == TokenKind::kControl && id != spec.bos &&
           spec.tokens[static_cast<std::size_t>(id)] != "<|endoftext|>";
  }
  void open(std::vector<TokenId>& out) const;
  void close(std::vector<TokenId>& out) const;
  void divide(std::vector<TokenId>& out) const;

  VocabularySpec spec;
  TokenMap map;
  std::vector<bool> visible;  // control tokens that are rendered
  std::vector<TokenId> ends;
  std::optional<SpecialTokens> specials;
  std::unique_ptr<FragmentEncoder> fragments;
  bool add_bos = false, add_eos = false, add_separator = false;
};

void Tokenizer::State::find_ends() {
  const auto has = [&](std::string_view text) { return map.find(text) != kNoToken; };
  const bool harmony =
      (has("<|return|>") && has("<|call|>")) || (has("<|calls|>") && has("<|flush|>"));
  const auto show = [&](std::string_view text) {
    if (const TokenId id = map.find(text); id != kNoToken)
      visible[static_cast<std::size_t>(id)] = true;
  };
  std::ranges::for_each(kAnswerMarkers, show);
  if (harmony) {
    for (const std::string_view text : kHarmonyMarkers) {
      show(text);
      if (const TokenId id = map.find(text); id != kNoToken) kind(id) = TokenKind::kControl;
    }
  }
  const auto left_out = [&](std::string_view text) {
    return (text == "<|end|>" && harmony) || (text == "</s>" && has("<|tool_response>"));
  };
  for (const std::string_view text : kEotTexts)
    if (spec.eot == kNoToken && !left_out(text)) spec.eot = map.find(text);
  if (spec.eom == kNoToken) spec.eom = map.find("<|eom_id|>");
  for (const TokenId id :
       {spec.eos, spec.eot, spec.eom, spec.fim_pad, spec.fim_repo, spec.fim_separator})
    if (id != kNoToken) ends.push_back(id);
  for (const std::string_view text : kEndTexts) {
    const TokenId id = map.find(text);
    if (id == kNoToken || left_out(text)) continue;
    ends.push_back(id);
    kind(id) = TokenKind::kControl;  // some files call it an ordinary word
  }
  std::erase_if(ends,
                [&](TokenId id) { return left_out(spec.tokens[static_cast<std::size_t>(id)]); });
  std::ranges::sort(ends);
  ends.erase(std::ranges::unique(ends).begin(), ends.end());
}

std::vector<TokenId> Tokenizer::State::encode(std::string_view text,
                                              std::span<const TextRange> trusted,
                                              bool add_special) const {
  std::vector<TokenId> out;
  bool opens = true;
  for (std::size_t at = 0; at < text.size();) {
    const auto found = specials->find(text, at, trusted);
    const std::size_t end = found.bytes > 0 ? found.at : text.size();
    if (end > at) {
      fragments->encode(text.substr(at, end - at), opens, out);
      opens = false;
    }
    if (found.bytes == 0) break;
    out.push_back(found.id);
    opens = true;
    at = found.at + found.bytes;
    if (strips_after(found.id))
      while (character_at(text, at).is(kSpaces)) at += character_at(text, at).bytes;
  }
  if (add_special) {
    open(out);
    close(out);
  }
  return out;
}

void Tokenizer::State::open(std::vector<TokenId>& out) const {
  const TokenId first = spec.model == "bert" && spec.cls != kNoToken ? spec.cls : spec.bos;
  if (add_bos && first != kNoToken && (out.empty() || out.front() != first))
    out.insert(out.begin(), first);
}

void Tokenizer::State::close(std::vector<TokenId>& out) const {
  if (add_separator && spec.separator != kNoToken)
    out.push_back(spec.separator);
  else if (add_eos && spec.eos != kNoToken)
    out.push_back(spec.eos);
}

// Between two texts: RoBERTa's kind ends the first one and then sets them apart.
void Tokenizer::State::divide(std::vector<TokenId>& out) const {
  if (add_eos && spec.eos != kNoToken && spec.model != "bert") out.push_back(spec.eos);
  if ((add_separator || spec.model == "t5") && spec.separator != kNoToken)
    out.push_back(spec.separator);
}

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::make(VocabularySpec given) {
  LATHE_TRY_STATUS(check(given));
  auto state = std::make_unique<State>(std::move(given));
  const VocabularySpec& spec = state->spec;
  bool add_bos = false, add_eos = false, add_separator = false;
  if (spec.model == "gpt2") {
    const PreTokenizer* pre = find_pretokenizer(spec.pre.empty() ? "default" : spec.pre);
    if (pre == nullptr)
      return invalid("tokenizer.ggml.pre: '{}' is not supported; supported are {}", spec.pre,
                     known_pretokenizers());
    LATHE_TRY(state->fragments, make_bpe(spec, state->map, *pre));
    add_bos = pre->add_bos;
    add_separator = pre->add_separator;
  } else if (spec.model == "gemma4") {
    LATHE_TRY(state->fragments, make_character_bpe(spec, state->map, line_pretokenizer()));
    add_bos = line_pretokenizer().add_bos;
  } else if (spec.model == "llama") {
    state->fragments = make_spm(spec, state->map);
    add_bos = true;
  } else if (spec.model == "bert") {
    state->fragments = make_wordpiece(spec, state->map);
    add_bos = add_separator = true;
  } else if (spec.model == "t5") {
    LATHE_TRY(state->fragments, make_unigram(spec));
    add_eos = true;
  } else {
    return invalid(
        "tokenizer.ggml.model: '{}' is not supported; supported are gpt2, gemma4, llama, bert and "
        "t5",
        spec.model);
  }
  state->add_bos = spec.add_bos.value_or(add_bos);
  state->add_eos = spec.add_eos.value_or(add_eos);
  state->add_separator = spec.add_separator.value_or(add_separator);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(state)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special,
                                       bool parse_special) const {
  const TextRange all{0, text.size()};
  return state_->encode(text, std::span(&all, parse_special ? 1 : 0), add_special);
}

std::vector<TokenId> Tokenizer::encode(std::span<const PromptPart> parts, bool add_special) const {
  std::string text;
  std::vector<TextRange> trusted;
  for (const PromptPart& part : parts) {
    const TextRange range{text.size(), text.size() + part.text.size()};
    text += part.text;
    if (!part.trusted || part.text.empty()) continue;
    if (!trusted.empty() && trusted.back().end == range.begin) {
      trusted.back().end = range.end;
    } else {
      trusted.push_back(range);
    }
  }
  return state_->encode(text, trusted, add_special);
}

std::vector<TokenId> Tokenizer::encode_pair(std::string_view first, std::string_view second) const {
  std::vector<TokenId> out = encode(first, false, false);
  state_->open(out);
  state_->divide(out);
  const std::vector<TokenId> rest = encode(second, false, false);
  out.insert(out.end(), rest.begin(), rest.end());
  state_->close(out);
  return out;
}

std::string Tokenizer::piece(TokenId id, bool special) const {
  if (id < 0 || static_cast<std::size_t>(id) >= size()) return {};
  const auto index = static_cast<std::size_t>(id);
  const std::string& text = state_->spec.tokens[index];
  switch (state_->kind(id)) {
    case TokenKind::kControl:
    case TokenKind::kUnknown:
      return special || state_->visible[index] ? text : std::string();
    case TokenKind::kUserDefined:
      return text;
    case TokenKind::kByte:
      // "<0xXX>"; a byte token of another form says nothing.
      if (text.size() == 6 && text.starts_with("<0x") && std::isxdigit(text[3]) != 0 &&
          std::isxdigit(text[4]) != 0)
        return {static_cast<char>(std::stoi(text.substr(3, 2), nullptr, 16))};
      return {};
    case TokenKind::kNormal:
    case TokenKind::kUnused:
      break;
  }
  if (state_->spec.model != "gpt2") return replace_all(text, kSpaceMark, " ");
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const int byte = printable_to_byte(c.code);
    if (byte >= 0)
      out += static_cast<char>(byte);
    else
      out += text.substr(at, c.bytes);
    at += c.bytes;
  }
  return out;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  const bool drop_space = state_->spec.model == "bert" ||
                          (state_->spec.model != "gpt2" &&
                           state_->spec.add_space_prefix.value_or(state_->spec.model != "gemma4"));
  std::string out;
  bool first = drop_space;
  for (const TokenId id : ids) {
    std::string text = piece(id, special);
    if (first && !is_control(id)) {
      if (text.starts_with(' ')) text.erase(0, 1);
      first = false;
    }
    out += text;
  }
  return out;
}

std::size_t Tokenizer::size() const {
  return state_->spec.tokens.size();
}
const VocabularySpec& Tokenizer::spec() const {
  return state_->spec;
}
TokenId Tokenizer::find(std::string_view token_text) const {
  return state_->map.find(token_text);
}
bool Tokenizer::is_end(TokenId id) const {
  return std::ranges::binary_search(state_->ends, id);
}
bool Tokenizer::is_control(TokenId id) const {
  return id >= 0 && static_cast<std::size_t>(id) < size() &&
         state_->kind(id) == TokenKind::kControl;
}
std::span<const TokenId> Tokenizer::end_tokens() const {
  return state_->ends;
}

TextStream::TextStream(const Tokenizer& tokenizer, bool special)
    : tokenizer_(&tokenizer), special_(special) {}

namespace {

// Bytes at the end of `text` that begin a sequence which the next bytes may complete: 0 to 3.
std::size_t unfinished(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0U) == 0x80U) continue;
    const std::size_t wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
    if (wanted <= back || byte > 0xF4) return 0;
    // What is there must be a valid beginning: complete it with the bytes that always fit.
    std::string whole(text.substr(text.size() - back));
    if (whole.size() == 1) whole += byte == 0xE0 ? '\xA0' : byte == 0xF0 ? '\x90' : '\x80';
    whole.resize(wanted, '\x80');
    return find_invalid_utf8(whole) == whole.npos ? back : 0;
  }
  return 0;
}

}  // namespace

std::string TextStream::push(TokenId id) {
  held_ += tokenizer_->piece(id, special_);
  const std::size_t keep = unfinished(held_);
  std::string out = make_valid_utf8(std::string_view(held_).substr(0, held_.size() - keep));
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string TextStream::finish() {
  std::string out = make_valid_utf8(held_);
  held_.clear();
  return out;
}

}  // namespace lathe::infer
