// Models found by name in files and directories, and every problem with its place.
#include "serve/pool/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

class CatalogTest : public ::testing::Test {
 protected:
  CatalogTest() : dir(*TempDir::make()) {}
  fs::path put(const std::string& name, const std::string& text = "GGUF") {
    const fs::path path = dir.path() / name;
    fs::create_directories(path.parent_path());
    EXPECT_TRUE(write_file_atomic(path, text).has_value());
    return path;
  }
  std::string problem(const std::string& settings) {
    put("models.toml", settings);
    const auto catalog = Catalog::read(dir.path());
    return catalog ? "none" : catalog.error().message;
  }
  TempDir dir;
};

TEST_F(CatalogTest, FilesAndSplitFilesByName) {
  put("a.gguf");
  put("big-00001-of-00003.gguf");
  put("big-00002-of-00003.gguf");
  put("big-00003-of-00003.gguf");
  put("one-of-a-kind.gguf");
  put("notes.txt");
  const auto catalog = *Catalog::read(dir.path());
  ASSERT_EQ(catalog.models().size(), 3u);
  EXPECT_EQ(catalog.models()[0].name, "a");
  EXPECT_EQ(catalog.models()[1].name, "big");
  EXPECT_EQ(catalog.models()[2].name, "one-of-a-kind");
  EXPECT_EQ(catalog.find("a:latest")->name, "a");
}

TEST_F(CatalogTest, WhisperFilesAreKnownByTheirFirstBytes) {
  put("ggml-base.en.bin", "lmgg and so on");
  put("pytorch_model.bin", "PK and so on");
  put("empty.bin", "");
  put("talk.gguf");
  put("mmproj-model-f16.gguf");
  put("models.toml", "[model.ear]\nfile = \"ggml-base.en.bin\"\naliases = [\"whisper-1\"]\n");
  const auto catalog = *Catalog::read(dir.path());
  ASSERT_EQ(catalog.models().size(), 2u);
  const CatalogModel& ear = *catalog.find("whisper-1");
  EXPECT_EQ(ear.name, "ear");
  EXPECT_TRUE(ear.transcribes);
  EXPECT_TRUE(ear.eyes.empty());
  EXPECT_FALSE(catalog.find("talk")->transcribes);
  EXPECT_EQ(catalog.only_text_model()->name, "talk");
}

TEST_F(CatalogTest, TalkersAreKnownByTheirArchitecture) {
  const fs::path data = fs::path(LATHE_SOURCE_DIR) / "tests/data";
  fs::copy(data / "models/qwen3tts.gguf", dir.path() / "voice.gguf");
  put("voice-mmproj-f16.gguf");
  put("anna.wav");
  put("talk.gguf");
  const auto refused = [&](const std::string& settings) {
    put("models.toml", settings);
    const auto read = Catalog::read(dir.path());
    return read ? "none" : read.error().message;
  };
  EXPECT_THAT(refused("[model.voice]\nvoices = {anna = \"bert.wav\"}\n"), HasSubstr("bert.wav"));
  EXPECT_THAT(refused("[model.voice]\nvoices = {anna = 3}\n"), HasSubstr("voices.anna"));
  EXPECT_THAT(refused("[model.voice]\nvoices = \"anna.wav\"\n"), HasSubstr("a table"));
  EXPECT_THAT(refused("[model.talk]\nvoices = {anna = \"anna.wav\"}\n"),
              HasSubstr("none that speaks"));
  EXPECT_THAT(refused("default = \"voice\"\n"), HasSubstr("speaks texts and answers none"));
  put("models.toml", "[model.voice]\nvoices = {anna = \"anna.wav\"}\n");
  const auto catalog = *Catalog::read(dir.path());
  const CatalogModel& voice = *catalog.find("voice");
  EXPECT_TRUE(voice.speaks);
  EXPECT_EQ(voice.eyes.filename(), "voice-mmproj-f16.gguf");
  EXPECT_EQ(voice.voices.at("anna").filename(), "anna.wav");
  EXPECT_FALSE(catalog.find("talk")->speaks);
  EXPECT_EQ(catalog.only_text_model()->name, "talk");
}

TEST_F(CatalogTest, EncodersGoWithTheModelsTheyAreNamedAfter) {
  for (const char* name :
       {"gemma-4b-Q4_K.gguf", "gemma-4b-mmproj-F16.gguf", "gemma-4b-mmproj-BF16.gguf",
        "mmproj-gemma-f16.gguf", "gemma-27b.gguf", "qwen-00001-of-00002.gguf",
        "qwen-00002-of-00002.gguf", "MMPROJ-Qwen.gguf", "plain.gguf", "told.gguf", "none.gguf"})
    put(name);
  put("sub/any.gguf");
  put("sub/mmproj-model-f16.gguf");
  put("models.toml",
      "[model.told]\neyes = \"MMPROJ-Qwen.gguf\"\n[model.none]\neyes = \"\"\n"
      "[model.qwen]\nfile = \"qwen-00001-of-00002.gguf\"\n");
  const TempDir elsewhere = *TempDir::make();
  ASSERT_TRUE(write_file_atomic(elsewhere.path() / "x.gguf", "GGUF").has_value());
  fs::create_symlink(elsewhere.path() / "x.gguf", dir.path() / "plain-mmproj.gguf");
  const auto catalog = *Catalog::read({dir.path(), dir.path() / "sub/any.gguf"});
  std::map<std::string, std::string> eyes;
  for (const CatalogModel& model : catalog.models()) eyes[model.name] = model.eyes.filename();
  EXPECT_EQ(eyes,
            (std::map<std::string, std::string>{{"any", "mmproj-model-f16.gguf"},
                                                {"gemma-27b", "mmproj-gemma-f16.gguf"},
                                                {"gemma-4b-Q4_K", "gemma-4b-mmproj-BF16.gguf"},
                                                {"none", ""},
                                                {"plain", ""},
                                                {"qwen", "MMPROJ-Qwen.gguf"},
                                                {"told", "MMPROJ-Qwen.gguf"}}));
  EXPECT_THAT(problem("[model.a]\nfile = \"plain.gguf\"\neyes = \"nothing.gguf\"\n"),
              HasSubstr("there is no file"));
}

TEST_F(CatalogTest, NamesAreLookedUpAndNeverPaths) {
  put("a.gguf");
  put("sub/b.gguf");
  const auto catalog = *Catalog::read(dir.path());
  for (const std::string& name :
       {std::string("../a"), std::string("./a"), std::string("a.gguf"), std::string("sub/b"),
        std::string("/etc/passwd"), std::string("a\0", 2), std::string(20000, 'a'), std::string()})
    EXPECT_EQ(catalog.find(name), nullptr) << name.substr(0, 40);
}

TEST_F(CatalogTest, LinksOutOfTheDirectoryAreLeftOut) {
  const TempDir elsewhere = *TempDir::make();
  ASSERT_TRUE(write_file_atomic(elsewhere.path() / "x.gguf", "GGUF").has_value());
  fs::create_symlink(elsewhere.path() / "x.gguf", dir.path() / "x.gguf");
  put("a.gguf");
  fs::create_symlink(dir.path() / "a.gguf", dir.path() / "inside.gguf");
  fs::create_directory(dir.path() / "dir.gguf");
  fs::create_symlink(dir.path() / "nowhere", dir.path() / "gone.gguf");
  const auto catalog = *Catalog::read(dir.path());
  EXPECT_EQ(catalog.models().size(), 2u);
  EXPECT_EQ(catalog.find("x"), nullptr);
  EXPECT_EQ(catalog.notes().size(), 3u);
  // Unless a person names it.
  put("models.toml",
      fmt::format("[model.x]\nfile = \"{}\"\n", (elsewhere.path() / "x.gguf").string()));
  EXPECT_NE(Catalog::read(dir.path())->find("x"), nullptr);
}

TEST_F(CatalogTest, Settings) {
  put("qwen-7b-q4.gguf");
  put("small.gguf");
  put("models.toml", R"(
default = "coder"
[model.coder]
file = "qwen-7b-q4.gguf"
aliases = ["gpt-4o", "claude-*"]
context = 4096
kv = "q8_0"
priority = 2
pinned = true
temperature = 0.25
top_k = 20
)");
  const auto catalog = *Catalog::read(dir.path());
  EXPECT_EQ(catalog.models().size(), 2u) << "the entry stands for its file";
  const CatalogModel* coder = catalog.find("claude-opus-9");
  ASSERT_NE(coder, nullptr);
  EXPECT_EQ(coder->name, "coder");
  EXPECT_EQ(catalog.find("gpt-4o"), coder);
  EXPECT_EQ(catalog.find("gpt-4o-mini"), nullptr);
  EXPECT_EQ(catalog.fallback(), coder);
  EXPECT_EQ(coder->context, 4096u);
  EXPECT_TRUE(coder->pinned);
  EXPECT_EQ(coder->sampling.temperature, 0.25);
  EXPECT_EQ(coder->sampling.top_k, 20);
  EXPECT_EQ(coder->sampling.top_p, std::nullopt);
}

TEST_F(CatalogTest, EveryProblemNamesItsPlace) {
  put("a.gguf");
  EXPECT_THAT(problem("[model.a]\ndraft = \"none.gguf\"\n"), HasSubstr("there is no"));
  EXPECT_THAT(problem("[model.a]\ncontxt = 1\n"),
              HasSubstr("models.toml:2: 'contxt' is not known"));
  EXPECT_THAT(problem("[model.a]\ncontxt = 1\n"), HasSubstr("did you mean 'context'"));
  EXPECT_THAT(problem("[model.a]\ncontext = 0\n"), HasSubstr(":2: context is 0; it must lie in"));
  EXPECT_THAT(problem("[model.a]\ncontext = \"x\"\n"), HasSubstr("must be a whole number"));
  EXPECT_THAT(problem("[model.a]\nkv = \"q4\"\n"),
              HasSubstr("it must be f16, q8_0, q5_1, q4_0 or f32"));
  EXPECT_THAT(problem("[model.a]\ntop_p = 2\n"), HasSubstr("top_p must be a number in [0, 1]"));
  EXPECT_THAT(problem("[model.a]\naliases = [1]\n"), HasSubstr("must be a list of strings"));
  EXPECT_THAT(problem("[model.b]\n"), HasSubstr("there is no file"));
  EXPECT_THAT(problem("default = \"b\"\n"), HasSubstr("there is no such model"));
  EXPECT_THAT(problem("colour = 1\n"), HasSubstr("'colour' is not known here"));
  EXPECT_THAT(problem("[model.a\n"), HasSubstr("models.toml"));
  EXPECT_THAT(Catalog::read(dir.path() / "none").error().message, HasSubstr("there is no such"));
  const auto twice = Catalog::read({dir.path() / "a.gguf", dir.path() / "a.gguf"});
  EXPECT_THAT(twice.error().message, HasSubstr("'a' is there twice"));
}

}  // namespace
}  // namespace lathe::serve
