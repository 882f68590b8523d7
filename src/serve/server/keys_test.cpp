// Keys as files have them, what cannot be one, and how they are found.
#include "serve/server/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "ground/base/hash.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

Key key_of(const std::string& name, const std::string& secret) {
  Key key;
  key.name = name;
  key.sha256 = sha256_hex(secret);
  key.created = 1'796'083'200;
  return key;
}

TEST(Keys, ComeBackAsTheyWereWritten) {
  Key much = key_of("anna@example.org", "a");
  much.expires = 1'900'000'000;
  much.revoked = 1'800'000'000;
  much.call_class = CallClass::kBackground;
  much.weight = 2.5;
  much.tokens_day = 1000;
  much.joules_day = 7;
  much.parallel = 3;
  much.models = {"coder", "a \"quoted\" one"};
  const std::vector<Key> keys{much, key_of("ben", "b")};
  const auto read = parse_keys(keys_text(keys), "keys.toml");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, keys);
  EXPECT_TRUE(parse_keys("", "keys.toml")->empty());
}

std::string problem(const Key& key) {
  const Status status = check_key(key);
  return status ? "" : status.error().message;
}

TEST(Keys, WhatCannotBeOneIsRefusedWithTheRemedy) {
  EXPECT_EQ(problem(key_of("anna", "a")), "");
  for (const char* name : {"", "an na", "a\nb", "ann\"a", "-anna", "änna", "owner"})
    EXPECT_NE(problem(key_of(name, "a")), "") << name;
  EXPECT_NE(problem(key_of(std::string(65, 'a'), "a")), "");
  for (const double weight : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::infinity()}) {
    Key key = key_of("anna", "a");
    key.weight = weight;
    EXPECT_THAT(problem(key), HasSubstr("must lie in [0.01, 100]")) << weight;
  }
  for (auto quota : {&Key::tokens_day, &Key::joules_day, &Key::parallel}) {
    Key key = key_of("anna", "a");
    key.*quota = 0;
    EXPECT_THAT(problem(key), HasSubstr("leave it out for no limit"));
  }
}

TEST(Keys, FilesThatAreNoneNameTheLine) {
  const auto error = [](const std::string& text) {
    const auto keys = parse_keys(text, "keys.toml");
    return keys ? "none" : keys.error().message;
  };
  const std::string hash = "sha256 = \"" + sha256_hex("x") + "\"\n";
  EXPECT_THAT(error("[[key]]\nname = \"a\"\n" + hash + "[[key]]\nname = \"a\"\n" + hash),
              HasSubstr("keys.toml:5: two keys have the name 'a'"));
  EXPECT_THAT(error("[[key]]\nname = \"a\"\n" + hash + "[[key]]\nname = \"b\"\n" + hash),
              HasSubstr("has the hash of another key"));
  EXPECT_THAT(error("[[key]]\nname = \"a\"\nsha256 = \"abc\"\n"), HasSubstr("keys.toml:3: sha256"));
  EXPECT_THAT(error("[[key]]\nname = \"a\"\nweigth = 1\n"), HasSubstr("'weigth' is not known"));
  EXPECT_THAT(error("[[key]]\nname = \"a\"\nweight = nan\n" + hash), HasSubstr("weight"));
  EXPECT_THAT(error("[[key]]\nname = \"a\"\nclass = \"batch\"\n" + hash), HasSubstr("class"));
  EXPECT_THAT(error("key = 3\n"), HasSubstr("only [[key]]"));
}

TEST(Keys, AMillionAreAsFastAsOne) {
  std::vector<Key> keys;
  keys.reserve(1'000'000);
  for (int i = 0; i < 1'000'000; ++i) {
    Key& key = keys.emplace_back();
    key.name = std::to_string(i);
    // As good as a hash here, and made sooner.
    key.sha256 = fmt::format("{:064x}", static_cast<unsigned>(i));
  }
  keys[777'777].sha256 = sha256_hex("the secret");
  const KeyRing ring(std::move(keys));
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(ring.find("another"), nullptr);
  ASSERT_NE(ring.find("the secret"), nullptr);
  EXPECT_EQ(ring.find("the secret")->name, "777777");
  EXPECT_EQ(ring.find(sha256_hex("the secret")), nullptr) << "the hash is no key";
}

TEST(Keys, AFileIsReadAgainWhereItHasChanged) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "keys.toml";
  std::vector<std::string> said;
  auto file = *KeyFile::open(path, [&](const std::string& line) { said.push_back(line); });
  EXPECT_TRUE(file->current()->empty());
  std::vector<Key> keys{key_of("anna", "a")};
  ASSERT_TRUE(write_file_atomic(path, keys_text(keys)));
  ASSERT_NE(file->current()->find("a"), nullptr);
  EXPECT_EQ(file->current()->find("a")->revoked, std::nullopt);
  keys[0].revoked = 1;
  ASSERT_TRUE(write_file_atomic(path, keys_text(keys)));
  EXPECT_EQ(file->current()->find("a")->revoked, 1);
  EXPECT_TRUE(said.empty());
  // Neither a slip nor a file that is gone opens anything.
  ASSERT_TRUE(write_file_atomic(path, "[[kee]]\n"));
  EXPECT_NE(file->current()->find("a"), nullptr);
  EXPECT_NE(file->current()->find("a"), nullptr);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("still count"));
  fs::remove(path);
  EXPECT_NE(file->current()->find("a"), nullptr);
  ASSERT_TRUE(write_file_atomic(path, "[[kee]]\n"));
  EXPECT_FALSE(KeyFile::open(path, {}));
}

}  // namespace
}  // namespace lathe::serve
