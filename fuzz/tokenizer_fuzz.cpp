// A vocabulary and a text, both from anywhere. The first byte chooses the kind; then one token a
// line ("k text", k its kind), an empty line, merges, an empty line, the text.
#include <cstdlib>

#include "ground/base/text.h"
#include "infer/tokens/token_map.h"
#include "infer/tokens/tokenizer.h"
#include "infer/tokens/unicode.h"

namespace {

using namespace lathe;

void add(infer::VocabularySpec& spec, std::string text, infer::TokenKind kind) {
  spec.scores.push_back(-static_cast<float>(spec.tokens.size() * 7 % 13));
  spec.tokens.push_back(std::move(text));
  spec.kinds.push_back(kind);
}

// Reads up to the next empty line.
template <class Visit>
void take_block(std::string_view& bytes, const Visit& visit) {
  while (!bytes.empty()) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.empty()) return;
    visit(line);
  }
}

void check(const infer::Tokenizer& tokenizer, std::string_view text, bool keeps_bytes) {
  const auto plain = tokenizer.encode(text, false, false);
  for (const infer::TokenId id : plain) {
    if (id < 0 || static_cast<std::size_t>(id) >= tokenizer.size()) std::abort();
    if (tokenizer.is_control(id)) std::abort();  // a user may not name one
  }
  const std::vector<infer::PromptPart> parts{{std::string(text.substr(0, text.size() / 2)), true},
                                             {std::string(text.substr(text.size() / 2)), false}};
  for (const auto& ids :
       {plain, tokenizer.encode(text, true, true), tokenizer.encode(parts, true)}) {
    infer::TextStream stream(tokenizer, true);
    std::string streamed;
    for (const infer::TokenId id : ids) {
      const std::string piece = stream.push(id);
      if (find_invalid_utf8(piece) != piece.npos) std::abort();
      streamed += piece;
    }
    streamed += stream.finish();
    if (keeps_bytes && ids == plain && streamed != make_valid_utf8(text)) std::abort();
  }
  if (keeps_bytes && tokenizer.decode(plain) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 20'000) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static constexpr std::string_view kModels[] = {"gpt2", "llama", "bert"};
  static constexpr std::string_view kPres[] = {
      "gpt-2",   "llama-bpe",    "qwen2",          "qwen35",      "starcoder", "falcon",
      "default", "deepseek-llm", "deepseek-coder", "deepseek-v3", "gpt-4o",    "tekken"};
  infer::VocabularySpec spec;
  spec.model = kModels[data[0] % 3];
  spec.pre = kPres[data[0] / 3 % std::size(kPres)];
  spec.add_bos = (data[1] & 1) != 0;
  spec.add_space_prefix = (data[1] & 2) != 0;
  spec.strip_after_control = (data[1] & 4) != 0;
  bytes.remove_prefix(2);
  // All bytes are there, so that nothing gets lost.
  add(spec, "<unk>", infer::TokenKind::kUnknown);
  add(spec, "<s>", infer::TokenKind::kControl);
  spec.unknown = 0;
  spec.bos = 1;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    infer::append_utf8(text, infer::byte_to_printable(static_cast<unsigned char>(byte)));
    if (spec.model == "gpt2")
      add(spec, text, infer::TokenKind::kNormal);
    else
      add(spec, fmt::format("<0x{:02X}>", byte), infer::TokenKind::kByte);
  }
  take_block(bytes, [&](std::string_view line) {
    const auto kind = static_cast<infer::TokenKind>(1 + static_cast<unsigned char>(line[0]) % 6);
    add(spec, std::string(line.substr(1)), kind);
  });
  take_block(bytes, [&](std::string_view line) { spec.merges.emplace_back(line); });
  // Tokens of the input may say anything; merges alone lose no byte.
  const bool keeps_bytes = spec.model == "gpt2" && spec.tokens.size() == 258;
  const auto tokenizer = infer::Tokenizer::make(spec);
  if (tokenizer) check(**tokenizer, bytes, keeps_bytes);
  return 0;
}
