// What probably comes next in an answer that repeats most of a text we have: the previous draft of
// a repair, or passages of the prompt. A cursor walks along the draft while the answer follows it;
// where they part, it is set down again where the answer's last tokens stand in the draft, near the
// old place; failing that, where they stand in the prompt or earlier in the answer. Guesses only:
// the engine checks every one. Pure; copyable.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "infer/tokens/tokenizer.h"

namespace lathe::infer {

// Where a run of tokens stands in a text that may grow.
class NgramIndex {
 public:
  explicit NgramIndex(std::span<const TokenId> tokens);
  void push(TokenId token);
  std::span<const TokenId> tokens() const { return tokens_; }

  struct Place {
    std::size_t next = 0;    // the token after the match
    std::size_t length = 0;  // tokens before it that agree; 0: nothing was found
  };
  // The longest match of the end of `recent` (two tokens at least); of equal ones the nearest to
  // `near`. Matches that end at the end of the text lead nowhere and do not count.
  Place find(std::span<const TokenId> recent, std::size_t near) const;

 private:
  std::vector<TokenId> tokens_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> after_;  // pair → places behind it
};

class Drafter {
 public:
  Drafter(std::span<const TokenId> draft, std::span<const TokenId> prompt);

  void accept(TokenId token);  // the answer went on with it
  // At most `most` tokens that probably come next.
  std::span<const TokenId> propose(std::size_t most);
  // How likely each of them is right, if those before it are.
  double confidence() const;
  // Of the last proposal, `drafted` tokens were checked and the first `accepted` were right.
  void checked(std::size_t accepted, std::size_t drafted);

 private:
  enum Source : std::uint8_t { kDraft, kContext };
  // How far a proposal can be trusted follows from how long the match before it is, and is learned.
  struct Trust {
    double right, wrong;
  };
  static std::size_t bucket(std::size_t length);
  void set_down(TokenId token);

  NgramIndex draft_, context_;
  Source source_ = kDraft;
  std::size_t cursor_ = 0;  // of the source: what comes next
  std::size_t matched_;     // tokens before the cursor that agree with the answer
  // In the draft: where the answer left it, and how many tokens ago.
  std::size_t place_ = 0, astray_ = 0;
  std::array<std::array<Trust, 6>, 2> trust_;
  std::pair<Source, std::size_t> proposed_{kDraft, 0};  // whose trust the last proposal tests
};

}  // namespace lathe::infer
