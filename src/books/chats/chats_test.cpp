// Chats: whose they are, what finds them, two that write one, and that what is forgotten is
// nowhere.
#include "books/chats/chats.h"

#include <gmock/gmock.h>

namespace lathe::books {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ChatsTest : public ::testing::Test {
 protected:
  Chats open() const {
    auto chats = Chats::open(dir_.path());
    EXPECT_TRUE(chats) << chats.error().message;
    return *std::move(chats);
  }
  static std::string add(Chats& chats, const std::string& key, const std::string& words,
                         std::int64_t now) {
    const auto id = chats.add(key, {words.substr(0, 9), "m", words, "{\"" + words + "\"}"}, now);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or("");
  }
  static std::vector<std::string> found(const Chats& chats, const std::string& key,
                                        const std::string& typed, std::int64_t from = 0,
                                        std::int64_t limit = 50) {
    const auto rows = chats.list(key, typed, from, limit);
    EXPECT_TRUE(rows) << rows.error().message;
    std::vector<std::string> titles;
    for (const ChatRow& row : *rows) titles.push_back(row.title);
    return titles;
  }
  TempDir dir_ = *TempDir::make();
};

TEST_F(ChatsTest, AKeyFindsItsOwnAndNoOthers) {
  Chats chats = open();
  const std::string anna = add(chats, "anna", "apples and pears", 1);
  const std::string bert = add(chats, "bert", "apples alone", 2);
  add(chats, "anna", "quinces", 3);
  add(chats, "", "owner's apples", 4);
  EXPECT_THAT(found(chats, "anna", ""), ElementsAre("quinces", "apples an"));
  EXPECT_THAT(found(chats, "anna", "apples"), ElementsAre("apples an"));
  EXPECT_THAT(found(chats, "", "apples"), ElementsAre("owner's a"));
  EXPECT_THAT(found(chats, "carl", ""), IsEmpty());
  EXPECT_EQ(chats.get("anna", anna)->second, "{\"apples and pears\"}");
  EXPECT_EQ(chats.get("anna", bert).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(chats.get("", bert).error().kind, ErrorKind::kNotFound) << "the owner neither";
  EXPECT_EQ(chats.change("anna", bert, 1, {}, 9).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(chats.forget("anna", bert).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(chats.get("bert", bert)->first.revision, 1);
  const auto sums = *chats.sums();
  ASSERT_EQ(sums.size(), 3U);
  EXPECT_EQ(sums[1].key, "anna");
  EXPECT_EQ(sums[1].chats, 2);
  EXPECT_EQ(sums[1].changed_ms, 3);
}

TEST_F(ChatsTest, EachWordThatIsTypedBeginsOne) {
  Chats chats = open();
  add(chats, "k", "Überweisung für Ärzte, §4", 1);
  add(chats, "k", "the port is 8080", 2);
  EXPECT_THAT(found(chats, "k", "arz uberw"), ElementsAre("Überweis"));
  EXPECT_THAT(found(chats, "k", "PORT 80"), ElementsAre("the port "));
  EXPECT_THAT(found(chats, "k", "port 9"), IsEmpty());
  EXPECT_THAT(found(chats, "k", "\"; DROP -"), IsEmpty());
  EXPECT_THAT(found(chats, "k", "\" OR * NEAR("), IsEmpty());
  EXPECT_THAT(found(chats, "k", "\xff\xc3 port"), IsEmpty());
  EXPECT_THAT(found(chats, "k", "!?"), IsEmpty()) << "no word is not every word";
  EXPECT_THAT(found(chats, "k", "", 1, 1), ElementsAre("Überweis"));
}

TEST_F(ChatsTest, WhoHasNotSeenTheLastOneOverwritesNothing) {
  Chats chats = open();
  Chats other = open();
  const std::string id = add(chats, "k", "first words", 1);
  EXPECT_EQ(*chats.change("k", id, 1, {"t", "m2", "second words", "2"}, 5), 2);
  EXPECT_EQ(*other.change("k", id, 1, {"t", "m3", "third words", "3"}, 6), std::nullopt);
  const auto now = other.get("k", id);
  EXPECT_EQ(now->second, "2");
  EXPECT_EQ(now->first.model, "m2");
  EXPECT_EQ(now->first.begun_ms, 1);
  EXPECT_EQ(now->first.changed_ms, 5);
  EXPECT_THAT(found(chats, "k", "first"), IsEmpty());
  EXPECT_THAT(found(chats, "k", "second"), ElementsAre("t"));
  const std::string large(kMaxChatBytes + 1, 'x');
  EXPECT_THAT(chats.change("k", id, 2, {"t", "m", "w", large}, 7).error().message,
              HasSubstr("are the most"));
  EXPECT_FALSE(chats.add("k", {"t", "m", "w", large}, 7));
}

TEST_F(ChatsTest, WhatIsForgottenIsInNoFile) {
  const auto holds = [&](std::string_view text) {
    const auto files = list_files(dir_.path());
    for (const std::string& file : *files)
      if (read_file(dir_.path() / file)->contains(text)) return true;
    return false;
  };
  Chats chats = open();
  const std::string id = add(chats, "anna", "swordfish", 1);
  EXPECT_TRUE(chats.change("anna", id, 1, {"t", "m", "codfish", "codfish"}, 2));
  add(chats, "bert", "stays", 3);
  add(chats, "carl", "herring", 4);
  add(chats, "carl", "mackerel", 50);
  EXPECT_TRUE(holds("codfish"));
  const Status forgotten = chats.forget("anna", id);
  ASSERT_TRUE(forgotten) << forgotten.error().message;
  EXPECT_FALSE(holds("codfish"));
  EXPECT_FALSE(holds("swordfish")) << "what it once was, neither";
  EXPECT_FALSE(holds("wordfish"));
  EXPECT_EQ(chats.forget("anna", id).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(*chats.forget_before(4), 1);
  EXPECT_FALSE(holds("stays"));
  EXPECT_EQ(*chats.forget_all("carl"), 2);
  EXPECT_FALSE(holds("herring"));
  EXPECT_FALSE(holds("mackerel"));
  EXPECT_THAT(*chats.sums(), IsEmpty());
  EXPECT_EQ(fs::status(dir_.path() / "chats.db").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(ChatsTest, AnotherDatabaseIsNotTouched) {
  ASSERT_TRUE(write_file_atomic(dir_.path() / "chats.db", std::string(4096, 'x')));
  EXPECT_FALSE(Chats::open(dir_.path()));
  const TempDir other = *TempDir::make();
  {
    Database db(other.path() / "chats.db");
    ASSERT_TRUE(db.open((other.path() / "chats.db").string(),
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, Milliseconds(10)));
    ASSERT_TRUE(db.execute("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)"));
  }
  EXPECT_THAT(Chats::open(other.path()).error().message, HasSubstr("no book of chats"));
}

}  // namespace
}  // namespace lathe::books
