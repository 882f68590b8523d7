// Guesses what comes next in an answer that repeats a text we have.
#include "infer/engine/drafter.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kLongest = 32;      // tokens of a match that are looked at
constexpr std::size_t kPlaces = 64;       // places of one pair that are looked at
constexpr std::size_t kNear = 64;         // tokens around the cursor where one equal token counts
constexpr std::size_t kContextMatch = 3;  // shorter matches in the prompt are chance
constexpr double kChecksPrior = 16;       // a first guess weighs as much as so many checks

std::uint64_t pair_of(TokenId first, TokenId second) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32 |
         static_cast<std::uint32_t>(second);
}

std::size_t distance(std::size_t a, std::size_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

NgramIndex::NgramIndex(std::span<const TokenId> tokens) {
  tokens_.reserve(tokens.size());
  for (const TokenId token : tokens) push(token);
}

void NgramIndex::push(TokenId token) {
  tokens_.push_back(token);
  const std::size_t size = tokens_.size();
  if (size < 2) return;
  after_[pair_of(tokens_[size - 2], token)].push_back(static_cast<std::uint32_t>(size));
}

NgramIndex::Place NgramIndex::find(std::span<const TokenId> recent, std::size_t near) const {
  Place best;
  if (recent.size() < 2) return best;
  const auto found = after_.find(pair_of(recent[recent.size() - 2], recent.back()));
  if (found == after_.end()) return best;
  const std::vector<std::uint32_t>& places = found->second;
  // Those around `near`: they are in ascending order.
  const auto middle = std::ranges::lower_bound(places, near) - places.begin();
  const auto half = static_cast<std::ptrdiff_t>(kPlaces / 2);
  const auto from = std::max<std::ptrdiff_t>(0, middle - half);
  const auto to = std::min<std::ptrdiff_t>(std::ssize(places), middle + half);
  for (auto i = from; i < to; ++i) {
    const std::size_t next = places[static_cast<std::size_t>(i)];
    if (next >= tokens_.size()) continue;
    std::size_t length = 2;
    const std::size_t most = std::min({kLongest, next, recent.size()});
    while (length < most && tokens_[next - 1 - length] == recent[recent.size() - 1 - length])
      ++length;
    if (length > best.length ||
        (length == best.length && distance(next, near) < distance(best.next, near)))
      best = {next, length};
  }
  return best;
}

Drafter::Drafter(std::span<const TokenId> draft, std::span<const TokenId> prompt)
    : draft_(draft),
      context_(prompt),
      matched_(4)  // an answer usually begins as its draft does
{
  // By length of the match: none, 1, 2, 3, 4 … 15, 16 and more.
  constexpr double kFirst[2][6] = {{0.15, 0.35, 0.6, 0.75, 0.9, 0.97}, {0, 0, 0, 0.35, 0.5, 0.85}};
  for (std::size_t s = 0; s < 2; ++s) {
    for (std::size_t b = 0; b < 6; ++b)
      trust_[s][b] = {kChecksPrior * kFirst[s][b], kChecksPrior * (1 - kFirst[s][b])};
  }
}

std::size_t Drafter::bucket(std::size_t length) {
  return length >= 16 ? 5 : std::min<std::size_t>(length, 4);
}

void Drafter::accept(TokenId token) {
  context_.push(token);
  const auto source = (source_ == kDraft ? draft_ : context_).tokens();
  if (cursor_ < source.size() && source[cursor_] == token) {
    ++cursor_;
    ++matched_;
    if (source_ == kDraft && matched_ > 1) {
      place_ = cursor_;
      astray_ = 0;
    }
    // In the prompt only as long as the draft does not know better.
    if (source_ == kDraft) return;
  }
  set_down(token);
}

// The answer has left the text that it followed (or may do better in the draft).
void Drafter::set_down(TokenId token) {
  const std::span<const TokenId> answer = context_.tokens();
  const bool followed =
      source_ == kContext && cursor_ < answer.size() && cursor_ > 0 && answer[cursor_ - 1] == token;
  const NgramIndex::Place old{cursor_, matched_};
  const auto use = [&](Source source, std::size_t cursor, std::size_t matched) {
    source_ = source;
    cursor_ = cursor;
    matched_ = matched;
    if (source == kDraft && matched > 1) {
      place_ = cursor;
      astray_ = 0;
    }
  };
  ++astray_;
  const NgramIndex::Place in_draft = draft_.find(answer, place_);
  if (in_draft.length > 0) return use(kDraft, in_draft.next, in_draft.length);
  if (followed) return use(kContext, old.next, old.length);
  const NgramIndex::Place in_context = context_.find(answer, answer.size());
  if (in_context.length >= kContextMatch) return use(kContext, in_context.next, in_context.length);
  // One equal token near the place where the answer left the draft; the first one behind it.
  const std::span<const TokenId> draft = draft_.tokens();
  for (std::size_t i = place_; i < std::min(draft.size(), place_ + kNear); ++i) {
    if (draft[i] == token) return use(kDraft, i + 1, 1);
  }
  // Nothing: tokens were put in the place of as many others, perhaps.
  use(kDraft, std::min(draft.size(), place_ + astray_), 0);
}

std::span<const TokenId> Drafter::propose(std::size_t most) {
  proposed_ = {source_, bucket(matched_)};
  const std::span<const TokenId> tokens = (source_ == kDraft ? draft_ : context_).tokens();
  const std::span<const TokenId> rest = tokens.subspan(std::min(cursor_, tokens.size()));
  return rest.first(std::min(most, rest.size()));
}

double Drafter::confidence() const {
  const Trust& trust = trust_[source_][bucket(matched_)];
  return trust.right / (trust.right + trust.wrong);
}

void Drafter::checked(std::size_t accepted, std::size_t drafted) {
  Trust& trust = trust_[proposed_.first][proposed_.second];
  trust.right += static_cast<double>(accepted);
  if (accepted < drafted) trust.wrong += 1;
}

}  // namespace lathe::infer
