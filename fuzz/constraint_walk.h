// A vocabulary of bytes and some longer tokens, and a walk over a grammar's constraint that fuzz
// targets share: what the mask allows must be accepted, what it forbids refused.
#pragma once

#include <cstdlib>

#include "infer/constraints/constraint.h"

namespace lathe {

inline const infer::Tokenizer& fuzz_tokenizer() {
  static const std::unique_ptr<infer::Tokenizer> tokenizer = [] {
    infer::VocabularySpec spec;
    spec.model = "llama";
    spec.tokens = {"<unk>", "<s>", "</s>"};
    spec.kinds = {infer::TokenKind::kUnknown, infer::TokenKind::kControl,
                  infer::TokenKind::kControl};
    for (int byte = 0; byte < 256; ++byte) {
      spec.tokens.push_back(fmt::format("<0x{:02X}>", byte));
      spec.kinds.push_back(infer::TokenKind::kByte);
    }
    for (const char* word : {"true", "\":", "{\"", "ab", "12", "],", "\xc3\xa4\xc3", "\xe2\x82"}) {
      spec.tokens.emplace_back(word);
      spec.kinds.push_back(infer::TokenKind::kNormal);
    }
    spec.scores.assign(spec.tokens.size(), 0);
    spec.unknown = 0;
    spec.bos = 1;
    spec.eos = 2;
    auto made = infer::Tokenizer::make(std::move(spec));
    if (!made) std::abort();
    return std::move(*made);
  }();
  return *tokenizer;
}

inline void walk(const std::shared_ptr<const infer::Grammar>& grammar, std::uint32_t seed) {
  const infer::Tokenizer& tokenizer = fuzz_tokenizer();
  auto constraint = infer::Constraint::start(grammar);
  std::vector<std::uint32_t> mask((tokenizer.size() + 31) / 32);
  for (int step = 0; step < 12; ++step) {
    const bool any = constraint->mask(mask);
    std::vector<infer::TokenId> allowed;
    for (std::size_t i = 0; i < tokenizer.size(); ++i) {
      const auto id = static_cast<infer::TokenId>(i);
      if ((mask[i / 32] >> i % 32 & 1) != 0 && !tokenizer.is_end(id)) allowed.push_back(id);
    }
    if (!any && (!allowed.empty() || constraint->complete())) std::abort();
    seed = seed * 1664525 + 1013904223;
    const auto other = static_cast<infer::TokenId>(seed % tokenizer.size());
    const auto word = static_cast<std::size_t>(other) / 32;
    const bool said = (mask[word] >> static_cast<std::size_t>(other) % 32 & 1) != 0;
    if (constraint->fork()->accept(other).has_value() != said) std::abort();
    if (allowed.empty()) return;
    if (!constraint->accept(allowed[(seed >> 16) % allowed.size()])) std::abort();
  }
}

}  // namespace lathe
