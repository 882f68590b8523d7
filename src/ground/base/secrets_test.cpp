// Secrets by their forms, and texts that only look like one.
#include "ground/base/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ground/base/text.h"

namespace lathe {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> kinds(std::string_view text) {
  std::vector<std::string> out;
  for (const FoundSecret& secret : find_secrets(text)) out.emplace_back(secret.kind);
  return out;
}

TEST(Secrets, HaveForms) {
  // Put together here, so that no scanner of repositories takes this file for a leak.
  const std::string aws = std::string("AKIA") + "IOSFODNN7EXAMPLE";
  EXPECT_THAT(kinds("The key is " + aws + "."), ElementsAre("a key of AWS"));
  EXPECT_THAT(kinds(std::string("ghp") + "_" + std::string(36, 'a')),
              ElementsAre("a token of GitHub"));
  EXPECT_THAT(kinds(std::string("OPENAI=sk") + "-" + std::string(48, 'b')),
              ElementsAre("an API key"));
  EXPECT_THAT(kinds(std::string("eyJ") + "hbGciOi.eyJzdWIi.s1gn-atu_re"),
              ElementsAre("a web token"));
  EXPECT_THAT(kinds("postgres://me:hunter2@db/x"), ElementsAre("a password in an address"));
  EXPECT_THAT(kinds("x\n-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\ny"),
              ElementsAre("a private key"));
  EXPECT_THAT(kinds("-----BEGIN PRIVATE KEY-----\ncut off"), ElementsAre("a private key"));
  EXPECT_THAT(kinds("The password is hunter22."), ElementsAre("a password"));
  EXPECT_THAT(kinds("DB_PASSWORD=\"c0rrecthorse\""), ElementsAre("a password"));
  EXPECT_THAT(kinds("\"api_key\": \"1234abcd5678\","), ElementsAre("a password"));
  EXPECT_THAT(kinds("Pay with 4111 1111 1111 1111 today"),
              ElementsAre("the number of a payment card"));
}

TEST(Secrets, AreNotWhatOnlyLooksLikeThem) {
  for (const char* text :
       {"The password is not known.", "password = read_password(1)", "token: ${TOKEN_1234}",
        "Pay with 4111 1111 1111 1112 today", "call 0800 123 456 789", "https://example.org/a:b@c",
        "a tokenizer of 128000 tokens", "sk-short", "AKIA", "-----BEGIN CERTIFICATE-----\nx",
        "2026-12-01 10:20:30", "secret: ********", "eyJust a word.", "12345678901234567890123"})
    EXPECT_THAT(kinds(text), IsEmpty()) << text;
}

TEST(Secrets, AreTakenOut) {
  EXPECT_EQ(without_secrets("Use ftp://me:pa55word@box now: token = abcd1234efgh."),
            "Use ftp://me:[a password in an address]@box now: token = [a password].");
  EXPECT_EQ(without_secrets("nothing"), "nothing");
  EXPECT_EQ(without_secrets(""), "");
}

// Bytes of any kind, in any order: places lie within the text, in order, and nothing is found
// twice.
TEST(Secrets, KeepToTheText) {
  const std::string_view pieces[] = {"AKIA",  "://",      "a:b@", "-----BEGIN ", "PRIVATE KEY",
                                     "4111 ", "password", "=",    " is ",        "\"",
                                     "eyJ",   ".",        "\xFF", "x1x1x1x1x1"};
  std::uint64_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      text += pieces[(state >> 33U) % std::size(pieces)];
    }
    std::size_t last = 0;
    for (const FoundSecret& secret : find_secrets(text)) {
      EXPECT_LE(last, secret.begin) << text;
      EXPECT_LT(secret.begin, secret.end) << text;
      EXPECT_LE(secret.end, text.size()) << text;
      last = secret.end;
    }
  }
}

}  // namespace
}  // namespace lathe
