// Unigrams against all ways to cut a text, tried one after the other; the map of characters from a
// trie that is built here as the format says; and pairs of texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "infer/tokens/tokenizer.h"

namespace lathe::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using PieceIds = std::vector<TokenId>;

void add_scored(VocabularySpec& spec, std::string text, double score,
                TokenKind kind = TokenKind::kNormal) {
  spec.tokens.push_back(std::move(text));
  spec.scores.push_back(static_cast<float>(score));
  spec.kinds.push_back(kind);
}

// <s> 0, </s> 1, <unk> 2; the ids of XLM-R's kind.
VocabularySpec unigram_spec() {
  VocabularySpec spec;
  spec.model = "t5";
  add_scored(spec, "<s>", 0, TokenKind::kControl);
  add_scored(spec, "</s>", 0, TokenKind::kControl);
  add_scored(spec, "<unk>", 0, TokenKind::kUnknown);
  spec.bos = 0;
  spec.eos = spec.separator = 1;
  spec.unknown = 2;
  spec.add_bos = true;
  spec.remove_extra_spaces = true;
  return spec;
}

std::unique_ptr<Tokenizer> unigram_of(VocabularySpec spec) {
  auto made = Tokenizer::make(std::move(spec));
  EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
  return made ? std::move(*made) : nullptr;
}

// Entries as a double array: a node's children stand where its base says, XOR their byte.
std::string character_map(const std::map<std::string, std::string>& entries) {
  std::string texts;
  std::map<std::string, std::size_t> value;
  for (const auto& [from, to] : entries) {
    value[from] = texts.size();
    texts += to + '\0';
  }
  constexpr std::uint32_t kBlock = 256;
  std::vector<std::uint32_t> nodes(kBlock, 0);
  std::vector<std::pair<std::string, std::uint32_t>> open = {{"", 0}};
  while (!open.empty()) {
    const auto [prefix, at] = open.back();
    open.pop_back();
    const auto base = static_cast<std::uint32_t>(nodes.size());
    nodes.resize(nodes.size() + kBlock, 0);
    nodes[at] |= (base ^ at) << 10;
    if (value.contains(prefix)) {
      nodes[at] |= 1U << 8;
      nodes[base] = static_cast<std::uint32_t>(value[prefix]) | 1U << 31;
    }
    for (unsigned byte = 1; byte < 256; ++byte) {
      const std::string longer = prefix + static_cast<char>(byte);
      const auto found = entries.lower_bound(longer);
      if (found == entries.end() || !found->first.starts_with(longer)) continue;
      nodes[base ^ byte] = byte;
      open.emplace_back(longer, base ^ byte);
    }
  }
  const auto size = static_cast<std::uint32_t>(nodes.size() * sizeof nodes[0]);
  std::string bytes(sizeof size + size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  std::memcpy(bytes.data() + sizeof size, nodes.data(), size);
  return bytes + texts;
}

// The best sum of scores over all ways to cut the text. A character that is a token is never
// unknown.
double best_score(const VocabularySpec& spec, std::string_view text, double unknown) {
  if (text.empty()) return 0;
  const bool known = std::ranges::find(spec.tokens, text.substr(0, 1)) != spec.tokens.end();
  double best = known ? -1e9 : unknown + best_score(spec, text.substr(1), unknown);
  for (std::size_t i = 3; i < spec.tokens.size(); ++i)
    if (text.starts_with(spec.tokens[i]))
      best = std::max(best, double{spec.scores[i]} +
                                best_score(spec, text.substr(spec.tokens[i].size()), unknown));
  return best;
}

TEST(Unigram, IsTheBestOfAllWays) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    VocabularySpec spec = unigram_spec();
    spec.add_space_prefix = false;
    double worst = 0;
    for (int i = 0; i < 12; ++i) {
      std::string text;
      for (std::size_t n = 1 + random() % 3; n > 0; --n)
        text += static_cast<char>('a' + random() % 3);
      if (std::ranges::find(spec.tokens, text) != spec.tokens.end()) continue;
      const double score = -static_cast<double>(random() % 64) / 8;
      worst = std::min(worst, score);
      add_scored(spec, text, score);
    }
    std::string text;
    for (std::size_t n = random() % 9; n > 0; --n) text += static_cast<char>('a' + random() % 3);
    const auto tokenizer = unigram_of(spec);
    double score = 0;
    std::string joined;
    bool unknown = false;
    for (const TokenId id : tokenizer->encode(text, false, false)) {
      unknown = unknown || id == spec.unknown;
      score += double{spec.scores[static_cast<std::size_t>(id)]};
      joined += spec.tokens[static_cast<std::size_t>(id)];
    }
    if (unknown) continue;  // runs of them are one token: their number is gone
    EXPECT_EQ(joined, text);
    EXPECT_EQ(score, best_score(spec, text, worst - 10)) << text;
  }
}

TEST(Unigram, NormalizesAndMarksWords) {
  VocabularySpec spec = unigram_spec();
  for (const char* text : {"\u2581", "\u2581a", "a", "b", "\u2581b", "fi"})
    add_scored(spec, text, -1);
  spec.character_map = character_map({{"\t", " "}, {"\uFB01", "fi"}, {"A", "a"}, {"\u3000", " "}});
  const auto tokenizer = unigram_of(spec);
  const auto encode = [&](std::string_view text) { return tokenizer->encode(text, false, false); };
  EXPECT_THAT(encode("a"), ElementsAre(4));
  EXPECT_THAT(encode("  A \t b\u3000"), ElementsAre(4, 7));
  EXPECT_THAT(encode("b\uFB01a"), ElementsAre(7, 8, 5));
  EXPECT_THAT(encode("axya"), ElementsAre(4, 2, 5));  // unknown ones are one
  EXPECT_THAT(encode("a\xFF"), ElementsAre(4, 2));
  EXPECT_THAT(encode(" "), ElementsAre());
  EXPECT_EQ(tokenizer->decode(encode(" a  b")), "a b");
  spec.remove_extra_spaces = false;
  EXPECT_THAT(unigram_of(spec)->encode("a  b", false, false), ElementsAre(4, 3, 7));
}

TEST(Unigram, ABrokenMapIsRefusedAndNeverReadBeyond) {
  VocabularySpec spec = unigram_spec();
  add_scored(spec, "a", -1);
  const std::string sound = character_map({{"ab", "c"}, {"b", "d"}});
  for (const std::size_t size : {1UL, 3UL, 4UL, 100UL, sound.size() - 8}) {
    spec.character_map = sound.substr(0, size);
    const auto made = Tokenizer::make(spec);
    if (!made) {
      EXPECT_THAT(made.error().message, HasSubstr("precompiled_charsmap"));
    }
  }
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    spec.character_map = sound;
    for (int i = 0; i < 8; ++i)
      spec.character_map[4 + random() % (sound.size() - 4)] = static_cast<char>(random());
    if (const auto made = Tokenizer::make(spec)) {
      (*made)->encode("abababbbaab", true, false);
    }
  }
}

TEST(Pairs, AreJoinedAsTheVocabularyWants) {
  VocabularySpec spec = unigram_spec();
  for (const char* text : {"\u2581a", "\u2581b"}) add_scored(spec, text, -1);
  EXPECT_THAT(unigram_of(spec)->encode_pair("a", "b"), ElementsAre(0, 3, 1, 1, 4, 1));
  VocabularySpec bert;
  bert.model = "bert";
  for (const char* text : {"[UNK]", "[CLS]", "[SEP]"})
    add_scored(bert, text, 0, TokenKind::kControl);
  for (const char* text : {"\u2581a", "\u2581b", "\u2581[", "\u2581]", "\u2581sep"})
    add_scored(bert, text, 0);
  bert.unknown = 0;
  bert.cls = 1;
  bert.separator = bert.eos = 2;
  EXPECT_THAT(unigram_of(bert)->encode_pair("a", "b"), ElementsAre(1, 3, 2, 4, 2));
  // What a document names stays text.
  EXPECT_THAT(unigram_of(bert)->encode_pair("[SEP]", "b"), ElementsAre(1, 5, 7, 6, 2, 4, 2));
}

}  // namespace
}  // namespace lathe::infer
