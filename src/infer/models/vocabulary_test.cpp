// Real vocabularies against the ids of their models' own tokenizers (tests/data/tokenizer), and
// damaged ones written here.
#include "infer/models/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ground/base/text.h"
#include "infer/formats/gguf_writer.h"

namespace lathe::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path kData = fs::path(LATHE_SOURCE_DIR) / "tests/data/tokenizer";

std::unique_ptr<Tokenizer> open(const std::string& name) {
  const auto file = Gguf::open(kData / (name + ".gguf"));
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  auto spec = read_vocabulary(*file);
  EXPECT_TRUE(spec) << (spec ? "" : spec.error().message);
  auto tokenizer = Tokenizer::make(std::move(*spec));
  EXPECT_TRUE(tokenizer) << (tokenizer ? "" : tokenizer.error().message);
  return std::move(*tokenizer);
}

std::vector<std::string> texts() {
  constexpr std::string_view kEnd = "\n__ggml_vocab_test__\n";
  const std::string all = *read_file(kData / "texts.inp");
  std::vector<std::string> out;
  for (std::size_t at = 0; at < all.size();) {
    const auto end = all.find(kEnd, at);
    out.push_back(all.substr(at, end - at));
    at = end + kEnd.size();
  }
  return out;
}

class Vectors : public ::testing::TestWithParam<const char*> {};

TEST_P(Vectors, IdsAreThoseOfTheModel) {
  const auto tokenizer = open(GetParam());
  const std::string out = *read_file(kData / (std::string(GetParam()) + ".out"));
  const auto lines = split_lines(out);
  const auto all = texts();
  ASSERT_EQ(lines.size(), 46U);
  ASSERT_EQ(all.size(), lines.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto ids = tokenizer->encode(all[i], false, true);
    std::string line;
    for (const TokenId id : ids) line += fmt::format(" {}", id);
    EXPECT_EQ(line, lines[i]) << "'" << all[i] << "'";
    if (tokenizer->spec().model == "bert") continue;  // its normalizer loses case and accents
    EXPECT_EQ(tokenizer->decode(ids), all[i]);
    TextStream stream(*tokenizer);
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    streamed += stream.finish();
    if (tokenizer->spec().model == "llama" && !all[i].empty()) streamed.erase(0, 1);
    EXPECT_EQ(streamed, all[i]);
  }
}
INSTANTIATE_TEST_SUITE_P(Vocabulary, Vectors,
                         ::testing::Values("gpt-2", "deepseek-coder", "phi-3", "bert-bge"));

TEST(Vocabulary, WhatTheFilesSayOfThemselves) {
  const auto gpt2 = open("gpt-2"), phi3 = open("phi-3"), bert = open("bert-bge"),
             deepseek = open("deepseek-coder");
  EXPECT_EQ(gpt2->size(), 50257U);
  EXPECT_THAT(gpt2->end_tokens(), ElementsAre(50256));
  EXPECT_EQ(gpt2->encode("<|endoftext|>", true, false).size(), 7U);
  EXPECT_THAT(gpt2->encode("<|endoftext|>", true, true), ElementsAre(50256));
  EXPECT_EQ(phi3->encode("Hi", true, true)[0], phi3->find("<s>"));
  // White space behind a marker is the marker's.
  EXPECT_EQ(phi3->encode("<|user|>\nHi<|end|>", true, true),
            phi3->encode("<|user|>Hi<|end|>", true, true));
  EXPECT_TRUE(phi3->is_end(phi3->find("<|end|>")));
  EXPECT_THAT(bert->encode("hi", true, true), ElementsAre(101, 7632, 102));
  EXPECT_EQ(deepseek->encode("a", true, true)[0], deepseek->spec().bos);
}

TEST(Vocabulary, LongRunsOfOneCharacterInRealVocabularies) {
  for (const char* name : {"gpt-2", "deepseek-coder", "phi-3", "bert-bge"}) {
    const auto tokenizer = open(name);
    for (const std::string bit : {" ", "a", "\n", "🦙", "\u0301", "=", "1"}) {
      std::string text;
      for (int i = 0; i < 200'000; ++i) text += bit;
      const auto ids = tokenizer->encode(text, false, true);
      if (tokenizer->spec().model != "bert") {
        EXPECT_EQ(tokenizer->decode(ids), text) << name;
      }
    }
  }
}

// A small vocabulary with one thing changed, written and read again.
using Metadata = std::vector<std::pair<std::string, GgufValue>>;

Metadata sound() {
  return {{"general.architecture", std::string("llama")},
          {"tokenizer.ggml.model", std::string("llama")},
          {"tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "a"}},
          {"tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -1}},
          {"tokenizer.ggml.token_type", std::vector<std::int64_t>{2, 3, 3, 1}},
          {"tokenizer.chat_template", std::string("{{ messages }}")},
          {"tokenizer.chat_template.tool_use", std::string("tools")},
          {"tokenizer.chat_templates", std::vector<std::string>{"tool_use"}}};
}

struct Written {
  TempDir dir;
  Gguf file;
};

Written write(const Metadata& metadata) {
  TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "v.gguf";
  auto writer = *GgufWriter::create(path);
  for (const auto& [key, value] : metadata) writer.add(key, value);
  EXPECT_TRUE(writer.begin_data());
  EXPECT_TRUE(writer.finish());
  auto file = Gguf::open(path);
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  return {std::move(dir), std::move(*file)};
}

std::string error_with(const std::string& key, GgufValue value) {
  Metadata metadata = sound();
  const auto found = std::ranges::find(metadata, key, &Metadata::value_type::first);
  if (found != metadata.end())
    found->second = std::move(value);
  else
    metadata.emplace_back(key, std::move(value));
  const Written written = write(metadata);
  const auto spec = read_vocabulary(written.file);
  return spec ? "accepted" : spec.error().message;
}

TEST(Vocabulary, DefaultsOfItsKind) {
  const Written written = write(sound());
  const auto spec = read_vocabulary(written.file);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->eos, 2);
  EXPECT_EQ(spec->unknown, 0);
  EXPECT_EQ(spec->add_bos, std::nullopt);
  EXPECT_EQ(spec->scores[3], -1);
  const auto templates = read_chat_templates(written.file);
  ASSERT_TRUE(templates);
  ASSERT_EQ(templates->size(), 2U);
  EXPECT_EQ((*templates)[0].name, "");
  EXPECT_EQ((*templates)[1].name, "tool_use");
  EXPECT_EQ((*templates)[1].source, "tools");
}

TEST(Vocabulary, AnIdOfMinusOneIsNone) {
  Metadata metadata = sound();
  metadata.emplace_back("tokenizer.ggml.padding_token_id", std::uint64_t{4294967295});
  const Written written = write(metadata);
  const auto spec = read_vocabulary(written.file);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->padding, kNoToken);
  EXPECT_THAT(error_with("tokenizer.ggml.padding_token_id", std::uint64_t{4294967294}),
              HasSubstr("padding_token_id"));
}

TEST(Vocabulary, RefusalsNameTheKey) {
  EXPECT_THAT(error_with("tokenizer.ggml.model", std::string("none")), HasSubstr("no vocabulary"));
  EXPECT_THAT(error_with("tokenizer.ggml.model", std::uint64_t{3}),
              HasSubstr("tokenizer.ggml.model"));
  EXPECT_THAT(error_with("tokenizer.ggml.tokens", std::vector<std::string>{}),
              HasSubstr("tokenizer.ggml.tokens"));
  EXPECT_THAT(error_with("tokenizer.ggml.tokens", std::vector<std::int64_t>{1}),
              HasSubstr("tokenizer.ggml.tokens"));
  EXPECT_THAT(error_with("tokenizer.ggml.scores", std::vector<double>{1, 2}),
              HasSubstr("2 scores for 4 tokens"));
  EXPECT_THAT(error_with("tokenizer.ggml.token_type", std::vector<std::int64_t>{1, 1, 1, 1, 1}),
              HasSubstr("5 types for 4 tokens"));
  EXPECT_THAT(error_with("tokenizer.ggml.token_type", std::vector<std::int64_t>{1, 7, 1, 1}),
              HasSubstr("token_type[1]: 7"));
  EXPECT_THAT(error_with("tokenizer.ggml.token_type", std::vector<std::int64_t>{1, -1, 1, 1}),
              HasSubstr("token_type[1]: -1"));
  EXPECT_THAT(error_with("tokenizer.ggml.eos_token_id", std::uint64_t{4}),
              HasSubstr("tokenizer.ggml.eos_token_id"));
  EXPECT_THAT(error_with("tokenizer.ggml.bos_token_id", std::int64_t{-1}),
              HasSubstr("tokenizer.ggml.bos_token_id"));
  EXPECT_THAT(error_with("tokenizer.ggml.add_bos_token", std::string("yes")),
              HasSubstr("tokenizer.ggml.add_bos_token"));
  EXPECT_THAT(error_with("tokenizer.ggml.merges", std::vector<double>{1}),
              HasSubstr("tokenizer.ggml.merges"));
}

}  // namespace
}  // namespace lathe::infer
