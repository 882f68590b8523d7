// Words that were heard beside the words that should be.
#include "loop/judges/ears_align.h"

#include <algorithm>
#include <limits>
#include <ranges>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxJoin = 3;  // "every one" for "everyone", "a way" for "away"

struct Step {
  std::size_t expected = 0, heard = 0;  // words taken of each
  bool right = false;
};

// Spellings of one word that the dictionary keeps as two.
bool same_spelling(std::string_view a, std::string_view b) {
  return replace_all(a, "'", "") == replace_all(b, "'", "");
}

std::string sound_of(std::string_view phones) {
  return replace_all(phones, " ", "");
}

class Aligner {
 public:
  explicit Aligner(const Hearing& hearing) : hearing_(hearing) {
    for (const HeardWord& word : hearing.heard) heard_sounds_.push_back(sound_of(word.phones));
    for (const ExpectedWord& word : hearing.expected) {
      std::vector<std::string> sounds;
      for (const std::string& phones : word.pronunciations) sounds.push_back(sound_of(phones));
      expected_sounds_.push_back(std::move(sounds));
    }
  }

  // Fewest errors; among equals the path that keeps words together, so that a swap is one wrong
  // word and not a missing and an extra one.
  std::vector<Step> path() {
    const std::size_t n = hearing_.expected.size(), m = hearing_.heard.size();
    std::vector<double> cost((n + 1) * (m + 1), std::numeric_limits<double>::infinity());
    std::vector<Step> best(cost.size());
    const auto at = [&](std::size_t i, std::size_t j) { return i * (m + 1) + j; };
    cost[0] = 0;
    const auto relax = [&](std::size_t i, std::size_t j, Step step, double price) {
      if (i + step.expected > n || j + step.heard > m) return;
      const std::size_t to = at(i + step.expected, j + step.heard);
      if (cost[at(i, j)] + price < cost[to]) {
        cost[to] = cost[at(i, j)] + price;
        best[to] = step;
      }
    };
    for (std::size_t i = 0; i <= n; ++i)
      for (std::size_t j = 0; j <= m; ++j) {
        for (std::size_t k = 1; k <= kMaxJoin; ++k) {
          if (same(i, 1, j, k)) relax(i, j, {1, k, true}, 0);
          if (k > 1 && same(i, k, j, 1)) relax(i, j, {k, 1, true}, 0);
        }
        relax(i, j, {1, 1, false}, 1.5);
        relax(i, j, {1, 0, false}, 1);
        relax(i, j, {0, 1, false}, 1);
      }
    std::vector<Step> steps;
    for (std::size_t i = n, j = m; i > 0 || j > 0;) {
      steps.push_back(best[at(i, j)]);
      i -= steps.back().expected;
      j -= steps.back().heard;
    }
    std::ranges::reverse(steps);
    return steps;
  }

 private:
  bool same(std::size_t i, std::size_t expected, std::size_t j, std::size_t heard) const {
    if (i + expected > hearing_.expected.size() || j + heard > hearing_.heard.size()) return false;
    if (expected == 1 && heard == 1 &&
        same_spelling(hearing_.expected[i].word, hearing_.heard[j].word))
      return true;
    std::string sound, letters;
    for (std::size_t k = j; k < j + heard; ++k) {
      sound += heard_sounds_[k];
      letters += hearing_.heard[k].word;
    }
    if (expected == 1)
      return letters == hearing_.expected[i].word ||
             std::ranges::find(expected_sounds_[i], sound) != expected_sounds_[i].end();
    std::string joined;
    for (std::size_t k = i; k < i + expected; ++k) joined += hearing_.expected[k].word;
    return joined == letters || says(sound, i, i + expected);
  }

  // Can the words from i to end be said, one after the other, as this sound?
  bool says(std::string_view sound, std::size_t i, std::size_t end) const {
    if (i == end) return sound.empty();
    return std::ranges::any_of(expected_sounds_[i], [&](const std::string& one) {
      return sound.starts_with(one) && says(sound.substr(one.size()), i + 1, end);
    });
  }

  const Hearing& hearing_;
  std::vector<std::string> heard_sounds_;
  std::vector<std::vector<std::string>> expected_sounds_;
};

}  // namespace

std::vector<AlignedWord> align_words(const Hearing& hearing) {
  std::vector<AlignedWord> words;
  std::size_t i = 0, j = 0;
  double now = 0;
  for (const Step& step : Aligner(hearing).path()) {
    AlignedWord word;
    for (std::size_t k = i; k < i + step.expected; ++k) {
      if (!word.expected.empty()) word.expected += ' ';
      word.expected += hearing.expected[k].word;
    }
    word.index = step.expected > 0 ? static_cast<int>(i) : -1;
    word.start = word.end = now;
    for (std::size_t k = j; k < j + step.heard; ++k) {
      const HeardWord& heard = hearing.heard[k];
      if (!word.heard.empty()) word.heard += ' ';
      word.heard += heard.word;
      if (k == j) word.start = heard.start;
      word.posterior = k == j ? heard.posterior : std::min(word.posterior, heard.posterior);
      word.end = now = heard.end;
    }
    word.match = step.right           ? WordMatch::kRight
                 : step.heard == 0    ? WordMatch::kMissing
                 : step.expected == 0 ? WordMatch::kExtra
                                      : WordMatch::kWrong;
    words.push_back(std::move(word));
    i += step.expected;
    j += step.heard;
  }
  // A missing word's place reaches to the next word that was heard.
  double next = hearing.heard.empty() ? now : hearing.heard.back().end;
  for (AlignedWord& word : std::views::reverse(words)) {
    if (word.match == WordMatch::kMissing)
      word.end = std::max(word.start, next);
    else
      next = word.start;
  }
  return words;
}

}  // namespace lathe::loop
