// Finds special tokens in text.
#include "infer/tokens/special_tokens.h"

#include <algorithm>

namespace lathe::infer {

SpecialTokens::SpecialTokens(const VocabularySpec& spec) : nodes_(1), first_(256) {
  for (std::size_t i = 0; i < spec.kinds.size(); ++i) {
    const TokenKind kind = spec.kinds[i];
    const bool user = kind == TokenKind::kUserDefined;
    if ((!user && kind != TokenKind::kControl && kind != TokenKind::kUnknown) ||
        spec.tokens[i].empty())
      continue;
    std::uint32_t at = 0;
    for (const char c : spec.tokens[i]) {
      const auto byte = static_cast<unsigned char>(c);
      auto& children = nodes_[at].children;
      const auto child = std::ranges::lower_bound(children, byte, {},
                                                  &std::pair<unsigned char, std::uint32_t>::first);
      if (child != children.end() && child->first == byte) {
        at = child->second;
        continue;
      }
      const auto next = static_cast<std::uint32_t>(nodes_.size());
      children.insert(child, {byte, next});
      nodes_.emplace_back();
      at = next;
    }
    (user ? nodes_[at].user_defined : nodes_[at].control) = static_cast<TokenId>(i);
  }
  for (const auto& [byte, node] : nodes_[0].children) first_[byte] = node;
}

SpecialTokens::Found SpecialTokens::match(std::string_view text, std::size_t at,
                                          std::size_t trusted_end) const {
  Found best;
  std::uint32_t node = first_[static_cast<unsigned char>(text[at])];
  for (std::size_t i = at; node != 0;) {
    ++i;
    const Node& here = nodes_[node];
    const bool control = here.control != kNoToken && i <= trusted_end;
    const TokenId id = control ? here.control : here.user_defined;
    if (id != kNoToken) best = {at, i - at, id};
    if (i == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto child = std::ranges::lower_bound(here.children, byte, {},
                                                &std::pair<unsigned char, std::uint32_t>::first);
    node = child != here.children.end() && child->first == byte ? child->second : 0;
  }
  return best;
}

SpecialTokens::Found SpecialTokens::find(std::string_view text, std::size_t from,
                                         std::span<const TextRange> trusted) const {
  auto range = std::ranges::upper_bound(trusted, from, {}, &TextRange::end);
  for (std::size_t at = from; at < text.size(); ++at) {
    if (first_[static_cast<unsigned char>(text[at])] == 0) continue;
    while (range != trusted.end() && range->end <= at) ++range;
    const bool inside = range != trusted.end() && range->begin <= at;
    if (const Found found = match(text, at, inside ? range->end : 0); found.bytes > 0) return found;
  }
  return {};
}

}  // namespace lathe::infer
