// The oracles merge as the definition says, pair by pair over the whole list; vocabularies are
// drawn at random. Vocabularies of real models are tested in models/vocabulary_test.cpp.
#include "infer/tokens/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "ground/base/text.h"
#include "infer/tokens/token_map.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ids = std::vector<TokenId>;

std::string printable(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) append_utf8(out, byte_to_printable(static_cast<unsigned char>(c)));
  return out;
}

void add(VocabularySpec& spec, std::string text, TokenKind kind = TokenKind::kNormal,
         float score = 0) {
  spec.tokens.push_back(std::move(text));
  spec.kinds.push_back(kind);
  spec.scores.push_back(score);
}

// The 256 bytes, then what `merges` (pairs of raw texts) make.
VocabularySpec bpe_spec(const std::vector<std::pair<std::string, std::string>>& merges) {
  VocabularySpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte)
    add(spec, printable(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] : merges) {
    spec.merges.push_back(printable(left) + " " + printable(right));
    const std::string text = printable(left + right);
    if (std::ranges::find(spec.tokens, text) == spec.tokens.end()) add(spec, text);
  }
  return spec;
}

VocabularySpec spm_spec() {
  VocabularySpec spec;
  spec.model = "llama";
  add(spec, "<unk>", TokenKind::kUnknown);
  add(spec, "<s>", TokenKind::kControl);
  add(spec, "</s>", TokenKind::kControl);
  for (int byte = 0; byte < 256; ++byte)
    add(spec, fmt::format("<0x{:02X}>", byte), TokenKind::kByte);
  spec.unknown = 0;
  spec.bos = 1;
  spec.eos = 2;
  return spec;
}

std::unique_ptr<Tokenizer> make(VocabularySpec spec) {
  auto made = Tokenizer::make(std::move(spec));
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return made ? std::move(*made) : nullptr;
}

std::vector<std::string> pieces(const Tokenizer& tokenizer, const Ids& ids) {
  std::vector<std::string> out;
  for (const TokenId id : ids) out.push_back(tokenizer.piece(id, true));
  return out;
}

TEST(Bpe, MergesAsTheDefinitionSays) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> known{"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (int i = 0; i < 12; ++i) {
      merges.emplace_back(known[random() % known.size()], known[random() % known.size()]);
      known.push_back(merges.back().first + merges.back().second);
    }
    const auto tokenizer = make(bpe_spec(merges));
    for (int texts = 0; texts < 20; ++texts) {
      std::string text;
      for (std::size_t n = random() % 40; n > 0; --n) text += "abc"[random() % 3];
      std::vector<std::string> symbols;
      for (const char c : text) symbols.emplace_back(1, c);
      for (bool merged = true; merged;) {
        merged = false;
        for (const auto& [left, right] : merges) {  // best rank first, leftmost first
          for (std::size_t i = 0; i + 1 < symbols.size() && !merged; ++i)
            if (symbols[i] == left && symbols[i + 1] == right) {
              symbols[i] += right;
              symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
              merged = true;
            }
          if (merged) break;
        }
      }
      ASSERT_EQ(pieces(*tokenizer, tokenizer->encode(text, false, false)), symbols) << text;
    }
  }
}

TEST(Bpe, SymbolsThatAreNoTokensComeOutAsBytes) {
  VocabularySpec spec = bpe_spec({{"a", "b"}, {"ab", "c"}, {"abc", "d"}});
  for (const std::string_view gone : {"ab", "abc"}) {
    const auto at = std::ranges::find(spec.tokens, gone) - spec.tokens.begin();
    spec.tokens[static_cast<std::size_t>(at)] = fmt::format("[{}]", at);
  }
  const auto tokenizer = make(spec);
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("abcd", false, false)), ElementsAre("abcd"));
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("abc", false, false)),
              ElementsAre("a", "b", "c"));
}

TEST(Bpe, AWholePieceNeedsNoMergesWhereThePreTokenizerSaysSo) {
  VocabularySpec spec = bpe_spec({{"h", "e"}});
  add(spec, printable(" hello"));
  EXPECT_EQ(make(spec)->encode(" hello", false, false).size(), 5U);
  spec.pre = "llama-bpe";
  EXPECT_EQ(make(spec)->encode(" hello", false, false).size(), 1U);
}

TEST(Bpe, EveryByteComesBack) {
  const auto tokenizer = make(bpe_spec({{"a", "b"}, {" ", " "}}));
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (std::size_t n = random() % 60; n > 0; --n) text += static_cast<char>(random());
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false, false)), text);
  }
}

// Gemma 4's kind: characters instead of bytes.
VocabularySpec character_spec() {
  VocabularySpec spec;
  spec.model = "gemma4";
  for (unsigned byte = 0; byte < 256; ++byte)
    add(spec, fmt::format("<0x{:02X}>", byte), TokenKind::kByte);
  for (const char* text : {"<bos>", "<turn|>"}) add(spec, text, TokenKind::kControl);
  for (const char* text : {"a", "b", "é", "\u2581", "\n", "\n\n\n", "ab", "\u2581a", "\u2581\u2581",
                           "\u2581ab", "éab"})
    add(spec, text);
  // "aa" is joined with what follows, and is no token itself.
  spec.merges = {"a b", "\u2581 ab", "\u2581 \u2581", "é ab", "\u2581 a", "a a"};
  spec.bos = 256;
  return spec;
}

TEST(CharacterBpe, MergesByRankWithinLines) {
  const auto tokenizer = make(character_spec());
  const auto cut = [&](std::string_view text) {
    return pieces(*tokenizer, tokenizer->encode(text, false, false));
  };
  EXPECT_THAT(cut("ab ab"), ElementsAre("ab", " ab"));
  EXPECT_THAT(cut("  ab a"), ElementsAre(" ", " ab", " a"));
  EXPECT_THAT(cut("   "), ElementsAre("  ", " "));
  EXPECT_THAT(cut("éab"), ElementsAre("éab"));
  // Joined into what is no token.
  EXPECT_THAT(tokenizer->encode("aa", false, false), ElementsAre('a', 'a'));
  // A run of newlines is looked up whole, or each is one.
  EXPECT_THAT(cut("a\n\n\nb\n\nb"), ElementsAre("a", "\n\n\n", "b", "\n", "\n", "b"));
  // What is no token becomes its bytes, and bytes spelt out are text.
  EXPECT_THAT(tokenizer->encode("ü", false, false), ElementsAre(0xC3, 0xBC));
  EXPECT_THAT(tokenizer->encode("\xFF", false, false), ElementsAre(0xFF));
  EXPECT_THAT(tokenizer->encode("<", false, false), ElementsAre('<'));
  EXPECT_EQ(tokenizer->encode("<0x41>", false, false).size(), 6U);
  EXPECT_THAT(tokenizer->encode("b", true, false), ElementsAre(256, tokenizer->find("b")));
}

TEST(CharacterBpe, EveryByteComesBack) {
  const auto tokenizer = make(character_spec());
  std::mt19937 random(6);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (std::size_t n = random() % 60; n > 0; --n) text += " ab\n\xC3\xA9z\xE2\x82"[random() % 9];
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false, false)), text);
  }
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" ab", false, false)), " ab");
}

TEST(Spm, MergesByScore) {
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    VocabularySpec spec = spm_spec();
    spec.add_space_prefix = false;
    std::vector<std::string> known{"a", "b", "é", std::string(kSpaceMark)};
    std::map<std::string, float> scores;
    for (const std::string& each : known) scores[each] = -100;
    for (int i = 0; i < 14; ++i) {
      known.push_back(known[random() % known.size()] + known[random() % known.size()]);
      scores.emplace(known.back(), -static_cast<float>(random() % 9));
    }
    for (const auto& [text, score] : scores) add(spec, text, TokenKind::kNormal, score);
    const auto tokenizer = make(spec);
    for (int texts = 0; texts < 20; ++texts) {
      std::vector<std::string> symbols;
      std::string text;
      for (std::size_t n = random() % 30; n > 0; --n) {
        symbols.push_back(known[random() % 4]);
        text += symbols.back();
      }
      for (;;) {
        std::size_t best = symbols.size();
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
          const auto found = scores.find(symbols[i] + symbols[i + 1]);
          if (found == scores.end()) continue;
          if (best == symbols.size() ||
              found->second > scores.at(symbols[best] + symbols[best + 1]))
            best = i;
        }
        if (best == symbols.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      }
      const std::string plain = replace_all(text, kSpaceMark, " ");
      for (std::string& each : symbols) each = replace_all(each, kSpaceMark, " ");
      ASSERT_EQ(pieces(*tokenizer, tokenizer->encode(plain, false, false)), symbols) << plain;
    }
  }
}

TEST(Spm, SpaceBeforeTheFirstWordAndAfterMarkers) {
  VocabularySpec spec = spm_spec();
  add(spec, "▁a", TokenKind::kNormal, -1);
  add(spec, "▁", TokenKind::kNormal, -2);
  add(spec, "a", TokenKind::kNormal, -2);
  add(spec, "<x>", TokenKind::kControl);
  auto tokenizer = make(spec);
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("a<x>aa", true, true)),
              ElementsAre("<s>", " a", "<x>", " a", "a"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a<x>a", true, true)), "a a");
  EXPECT_THAT(tokenizer->encode("", false, true), IsEmpty());
  spec.add_space_prefix = false;
  tokenizer = make(spec);
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("a<x>a", false, true)),
              ElementsAre("a", "<x>", "a"));
  spec.add_space_prefix = true;
  spec.strip_after_control = true;
  EXPECT_EQ(make(spec)->encode("<x> \n a", false, true), make(spec)->encode("<x>a", false, true));
}

TEST(Spm, UnknownCharactersBecomeBytesAndControlTokensNeverComeFromMerges) {
  VocabularySpec spec = spm_spec();
  for (const char* text : {"<", "s", ">", "<s"}) add(spec, text, TokenKind::kNormal, -1);
  spec.add_space_prefix = false;
  const auto tokenizer = make(spec);
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("<s>", false, false)), ElementsAre("<s", ">"));
  EXPECT_EQ(tokenizer->encode("é", false, false).size(), 2U);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("é\xFF🦙", false, false)), "é\xFF🦙");
  spec.kinds[10] = TokenKind::kNormal;  // without all bytes: one unknown a character
  EXPECT_THAT(make(spec)->encode("\a", false, false), ElementsAre(0));
}

TEST(WordPiece, NormalizesAndTakesTheLongestFromTheLeft) {
  VocabularySpec spec;
  spec.model = "bert";
  for (const char* text : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"})
    add(spec, text, TokenKind::kControl);
  for (const char* text : {"▁hel", "▁hello", "lo", "▁,", "▁中", "▁a", "b", "▁\u1112", "\u1161"})
    add(spec, text);
  spec.unknown = 1;
  spec.cls = 2;
  spec.separator = 3;
  const auto tokenizer = make(spec);
  const auto texts = [&](std::string_view text) {
    return pieces(*tokenizer, tokenizer->encode(text, true, false));
  };
  EXPECT_THAT(texts("HÉLLO,hello"), ElementsAre("[CLS]", " hello", " ,", " hello", "[SEP]"));
  EXPECT_THAT(texts("a中ab\tax"), ElementsAre("[CLS]", " a", " 中", " a", "b", "[UNK]", "[SEP]"));
  EXPECT_THAT(texts("하"), ElementsAre("[CLS]", " \u1112", "\u1161", "[SEP]"));
  EXPECT_THAT(texts("[CLS]"), ElementsAre("[CLS]", "[UNK]", "[UNK]", "[UNK]", "[SEP]"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("hello, hello", true, false)), "hello , hello");
}

VocabularySpec chat_spec() {
  VocabularySpec spec = bpe_spec({{"h", "i"}, {"i", "n"}});
  add(spec, "<|im_start|>", TokenKind::kControl);
  add(spec, "<|im_end|>", TokenKind::kControl);
  add(spec, "<|im_", TokenKind::kControl);
  add(spec, "<think>", TokenKind::kUserDefined);
  spec.eos = static_cast<TokenId>(spec.tokens.size()) - 3;
  return spec;
}

TEST(Special, ControlTokensOnlyWhereTheyMayBeNamed) {
  const auto tokenizer = make(chat_spec());
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("<|im_start|>hi<think>", false, true)),
              ElementsAre("<|im_start|>", "hi", "<think>"));
  const Ids plain = tokenizer->encode("<|im_start|>hi<think>", false, false);
  EXPECT_EQ(plain.size(), std::string_view("<|im_start|>").size() + 2);
  EXPECT_FALSE(std::ranges::any_of(plain, [&](TokenId id) { return tokenizer->is_control(id); }));
  EXPECT_THAT(pieces(*tokenizer, tokenizer->encode("<|im_x", false, true)),
              ElementsAre("<|im_", "x"));
}

TEST(Special, WhatAUserWroteNamesNoControlToken) {
  const auto tokenizer = make(chat_spec());
  const std::vector<PromptPart> parts{{"<|im_st", true}, {"art|>h", true},      {"", false},
                                      {"i", true},       {"<|im_end|>", false}, {"<|im_end", true},
                                      {"|>", false}};
  const Ids ids = tokenizer->encode(parts, false);
  EXPECT_EQ(ids[0], tokenizer->find("<|im_start|>"));
  EXPECT_EQ(tokenizer->piece(ids[1]), "hi");  // parts are one text
  const std::vector<PromptPart> border{{"<|im_start|>h", true}, {"i<|im_end|>", false}};
  EXPECT_EQ(tokenizer->piece(tokenizer->encode(border, false)[1]), "hi");  // of any trust
  EXPECT_EQ(std::ranges::count(ids, tokenizer->find("<|im_end|>")), 0);
  std::string text;
  for (const PromptPart& part : parts) text += part.text;
  EXPECT_EQ(tokenizer->decode(ids, true), text);
}

TEST(Special, BosOnce) {
  VocabularySpec spec = chat_spec();
  spec.bos = static_cast<TokenId>(spec.tokens.size()) - 4;
  const std::string bos = spec.tokens[static_cast<std::size_t>(spec.bos)];
  EXPECT_EQ(make(spec)->encode("h", true, true).size(), 1U);  // gpt-2 adds none by itself
  spec.add_bos = true;
  EXPECT_THAT(make(spec)->encode("h", true, true), ElementsAre(spec.bos, 'h'));
  EXPECT_THAT(make(spec)->encode(bos + "h", true, true), ElementsAre(spec.bos, 'h'));
  spec.add_eos = true;
  EXPECT_THAT(make(spec)->encode("h", true, true), ElementsAre(spec.bos, 'h', spec.eos));
}

TEST(Special, EndsOfAGeneration) {
  const auto tokenizer = make(chat_spec());
  EXPECT_TRUE(tokenizer->is_end(tokenizer->find("<|im_end|>")));
  EXPECT_FALSE(tokenizer->is_end(tokenizer->find("<|im_start|>")));
  EXPECT_EQ(tokenizer->spec().eot, tokenizer->find("<|im_end|>"));

  VocabularySpec harmony = bpe_spec({});
  for (const char* text : {"<|return|>", "<|call|>", "<|end|>", "<|channel|>", "<|message|>"})
    add(harmony, text, TokenKind::kControl);
  harmony.eos = 256;
  const auto oss = make(harmony);
  EXPECT_THAT(oss->end_tokens(), ElementsAre(256, 257));
  EXPECT_EQ(oss->piece(259), "<|channel|>");
  EXPECT_EQ(oss->piece(256), "");
  EXPECT_EQ(oss->piece(256, true), "<|return|>");
  // Shown, but still not for a user to write.
  EXPECT_EQ(oss->encode("<|channel|>", false, false).size(), 11U);

  VocabularySpec gemma = bpe_spec({});
  for (const char* text : {"</s>", "<|tool_response>", "<turn|>"}) add(gemma, text);
  EXPECT_THAT(make(gemma)->end_tokens(), ElementsAre(257, 258));
  EXPECT_TRUE(make(gemma)->is_control(258));
}

TEST(Special, MarkersOfAnswersAreShown) {
  VocabularySpec spec = bpe_spec({});
  for (const char* text : {"[TOOL_CALLS]", "[INST]", "<|channel|>"})
    add(spec, text, TokenKind::kControl);
  const auto tokenizer = make(spec);
  EXPECT_EQ(tokenizer->piece(256), "[TOOL_CALLS]");
  EXPECT_EQ(tokenizer->piece(257), "");
  EXPECT_EQ(tokenizer->piece(258), "");  // of gpt-oss alone
  EXPECT_EQ(tokenizer->encode("[TOOL_CALLS]", false, false).size(), 12U);
}

TEST(TextStream, NeverSplitsASequence) {
  const auto tokenizer = make(bpe_spec({}));
  std::mt19937 random(9);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::size_t n = random() % 20; n > 0; --n)
      text += std::vector<std::string>{"a",    "é",        "中",       "🦙", "\xFF",
                                       "\xE4", "\xF0\x9F", "\xED\xA0", "\xC0"}[random() % 9];
    TextStream stream(*tokenizer);
    std::string out, all;
    for (const TokenId id : tokenizer->encode(text, false, false)) {
      out = stream.push(id);
      ASSERT_EQ(find_invalid_utf8(out), out.npos);
      all += out;
    }
    all += stream.finish();
    ASSERT_EQ(all, make_valid_utf8(text));
  }
}

TEST(TextStream, HoldsBackOnlyWhatMayStillBecomeASequence) {
  const auto tokenizer = make(bpe_spec({}));
  const auto push = [&](TextStream& stream, unsigned char byte) {
    return stream.push(tokenizer->encode(std::string(1, static_cast<char>(byte)), false, false)[0]);
  };
  TextStream stream(*tokenizer);
  EXPECT_EQ(push(stream, 0xF0), "");
  EXPECT_EQ(push(stream, 0x9F), "");
  EXPECT_EQ(push(stream, 0xA6), "");
  EXPECT_EQ(push(stream, 0x99), "🦙");
  EXPECT_EQ(push(stream, 0xF0), "");
  EXPECT_EQ(push(stream, 0x80), "\uFFFD\uFFFD");  // overlong: no end would make it valid
  EXPECT_EQ(push(stream, 0xC1), "\uFFFD");
  EXPECT_EQ(push(stream, 0xC3), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(Tokenizer, LongRunsOfOneCharacter) {
  VocabularySpec spm = spm_spec();
  for (const char* text : {"▁", "▁▁", "▁▁▁▁", "a", "aa", "aaaa", "aaaaaaaa"})
    add(spm, text, TokenKind::kNormal, static_cast<float>(std::string_view(text).size()));
  VocabularySpec word;
  word.model = "bert";
  for (const char* text : {"▁", "▁a", "a", "aa", "[UNK]"}) add(word, text);
  word.unknown = 4;
  const std::vector<std::unique_ptr<Tokenizer>> all = [&] {
    std::vector<std::unique_ptr<Tokenizer>> made;
    made.push_back(make(bpe_spec({{"a", "a"}, {"aa", "aa"}, {" ", " "}, {"  ", "  "}})));
    made.push_back(make(spm));
    made.push_back(make(word));
    made.push_back(make(character_spec()));
    return made;
  }();
  for (const auto& tokenizer : all)
    for (const std::string bit : {" ", "a", "\n", "🦙", "\u0301", "<", "\xFF"}) {
      std::string text;
      for (int i = 0; i < 200'000; ++i) text += bit;
      const Ids ids = tokenizer->encode(text, false, true);
      if (tokenizer->spec().model == "gpt2") {
        EXPECT_EQ(tokenizer->decode(ids), text);
      }
      EXPECT_LE(ids.size(), text.size() + 1);
    }
}

TEST(Tokenizer, RefusesByName) {
  const auto error = [](const std::function<void(VocabularySpec&)>& damage) {
    VocabularySpec spec = chat_spec();
    damage(spec);
    const auto made = Tokenizer::make(std::move(spec));
    return made ? std::string("accepted") : made.error().message;
  };
  EXPECT_THAT(error([](auto& spec) { spec.model = "rwkv"; }), HasSubstr("'rwkv' is not supported"));
  EXPECT_THAT(error([](auto& spec) { spec.pre = "afmoe"; }),
              ::testing::AllOf(HasSubstr("'afmoe'"), HasSubstr("llama-bpe")));
  EXPECT_THAT(error([](auto& spec) { spec.tokens.clear(); }), HasSubstr("empty"));
  EXPECT_THAT(error([](auto& spec) { spec.scores.pop_back(); }), HasSubstr("scores"));
  EXPECT_THAT(error([](auto& spec) { spec.kinds.pop_back(); }), HasSubstr("token_type"));
  EXPECT_THAT(error([](auto& spec) { spec.eos = 100000; }), HasSubstr("eos_token_id: 100000"));
  EXPECT_THAT(error([](auto& spec) { spec.padding = -5; }), HasSubstr("padding_token_id: -5"));
  EXPECT_THAT(error([](auto& spec) { spec.merges.push_back("ab"); }), HasSubstr("merges[2]: 'ab'"));
  EXPECT_THAT(error([](auto& spec) { spec.merges.push_back("a "); }), HasSubstr("merges[2]"));
  EXPECT_THAT(error([](auto& spec) { spec.tokens[3] = std::string(5000, 'x'); }),
              HasSubstr("tokens[3]: 5000 bytes"));
  EXPECT_THAT(error([](auto& spec) {
                spec.model = "llama";
                spec.scores.clear();
              }),
              HasSubstr("scores: missing"));
  EXPECT_THAT(error([](auto& spec) { spec.scores[0] = std::nanf(""); }), HasSubstr("not a number"));
}

TEST(Tokenizer, ForeignIdsHaveNoText) {
  const auto tokenizer = make(chat_spec());
  for (const TokenId id : {-1, 100000, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->piece(id, true), "");
    EXPECT_FALSE(tokenizer->is_control(id));
    EXPECT_FALSE(tokenizer->is_end(id));
  }
  EXPECT_EQ(tokenizer->decode(Ids{'h', 99999, 'h'}), "hh");
}

TEST(Tokenizer, EmptyTokensHaveANameOfTheirOwn) {
  VocabularySpec spec = bpe_spec({});
  add(spec, "");
  EXPECT_EQ(make(spec)->find("[EMPTY_256]"), 256);
}

}  // namespace
}  // namespace lathe::infer
