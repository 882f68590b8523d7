// Talks in SQLite: a row each, and its words in a full-text table under the same number.
#include "books/chats/chats.h"

#include <random>

#include "books/sqlite/match.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr Remedies kRemedies{
    .full = "; free some space and try again",
    .damaged = "; move the file away, or give another directory with --journal",
    .refused = "; check its permissions, or give another directory with --journal",
};
constexpr Tables kTables{0x4C414348 /* "LACH" */, 1, R"sql(
  CREATE TABLE chats (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL, title TEXT NOT NULL, model TEXT NOT NULL, begun_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL);
  CREATE INDEX chats_by_key ON chats (key, changed_ms);
  CREATE VIRTUAL TABLE words USING fts5(text, tokenize='unicode61 remove_diacritics 2');
)sql",
                         "book of chats"};
constexpr const char* kColumns =
    "id, title, model, begun_ms, changed_ms, revision, length(body), number";

ChatRow row_of(const Statement& statement) {
  ChatRow row;
  row.id = statement.text(0);
  row.title = statement.text(1);
  row.model = statement.text(2);
  row.begun_ms = statement.integer(3);
  row.changed_ms = statement.integer(4);
  row.revision = statement.integer(5);
  row.bytes = statement.integer(6);
  return row;
}

std::unexpected<Error> none(const std::string& id) {
  return fail(ErrorKind::kNotFound, "there is no chat {}", id);
}

Status check(const ChatText& text) {
  if (text.body.size() > kMaxChatBytes)
    return invalid("a chat of {} bytes; {} are the most", text.body.size(), kMaxChatBytes);
  return {};
}

// Not to be guessed, nor to be counted by.
std::string new_id() {
  std::random_device random;
  std::string id = "chat-";
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

}  // namespace

Result<Chats> Chats::open(const fs::path& directory) {
  LATHE_TRY(Database db, open_database(directory / "chats.db", kTables, kRemedies));
  return Chats(std::move(db));
}

Result<std::string> Chats::add(const std::string& key, const ChatText& text, std::int64_t now_ms) {
  LATHE_TRY_STATUS(check(text));
  Transaction change(db_);
  if (!change.begun()) return db_.error("write it");
  const std::string id = new_id();
  const bool ok = Statement(db_,
                            "INSERT INTO chats (id, key, title, model, begun_ms, changed_ms, "
                            "revision, body) VALUES (?,?,?,?,?,?,1,?)")
                      .bind(id)
                      .bind(key)
                      .bind(text.title)
                      .bind(text.model)
                      .bind(now_ms)
                      .bind(now_ms)
                      .bind_bytes(text.body)
                      .run() &&
                  Statement(db_, "INSERT INTO words (rowid, text) VALUES (last_insert_rowid(), ?)")
                      .bind(text.words)
                      .run() &&
                  change.commit();
  if (!ok) return db_.error("write it");
  return id;
}

Result<std::optional<std::int64_t>> Chats::change(const std::string& key, const std::string& id,
                                                  std::int64_t seen, const ChatText& text,
                                                  std::int64_t now_ms) {
  LATHE_TRY_STATUS(check(text));
  Transaction change(db_);
  if (!change.begun()) return db_.error("write it");
  std::int64_t number = 0;
  {
    Statement known(db_, "SELECT number, revision FROM chats WHERE key=? AND id=?");
    known.bind(key).bind(id);
    if (!known.row()) return known.ok() ? none(id) : db_.error("read it");
    if (known.integer(1) != seen) return std::nullopt;
    number = known.integer(0);
  }
  const bool ok =
      Statement(db_,
                "UPDATE chats SET title=?, model=?, changed_ms=?, revision=revision+1, body=? "
                "WHERE number=?")
          .bind(text.title)
          .bind(text.model)
          .bind(now_ms)
          .bind_bytes(text.body)
          .bind(number)
          .run() &&
      Statement(db_, "UPDATE words SET text=? WHERE rowid=?").bind(text.words).bind(number).run() &&
      change.commit();
  if (!ok) return db_.error("write it");
  return seen + 1;
}

Result<std::vector<ChatRow>> Chats::list(const std::string& key, std::string_view typed,
                                         std::int64_t from, std::int64_t limit) const {
  const std::string expression = match_beginnings(typed);
  std::vector<ChatRow> rows;
  if (expression.empty() && !trim(typed).empty()) return rows;
  Statement statement(
      db_, fmt::format("SELECT {} FROM chats WHERE key=?1 AND (?2='' OR number IN (SELECT rowid "
                       "FROM words WHERE words MATCH ?3)) ORDER BY changed_ms DESC, number DESC "
                       "LIMIT ?4 OFFSET ?5",
                       kColumns));
  // FTS5 reads its expression even where it is not asked for.
  statement.bind(key).bind(expression).bind(expression.empty() ? "\"\"" : expression);
  statement.bind(limit).bind(from);
  while (statement.row()) rows.push_back(row_of(statement));
  if (!statement.ok()) return db_.error("read it");
  return rows;
}

Result<std::pair<ChatRow, std::string>> Chats::get(const std::string& key,
                                                   const std::string& id) const {
  Statement statement(db_,
                      fmt::format("SELECT {}, body FROM chats WHERE key=? AND id=?", kColumns));
  statement.bind(key).bind(id);
  if (statement.row()) return std::pair(row_of(statement), statement.text(8));
  if (!statement.ok()) return db_.error("read it");
  return none(id);
}

// `which`: a condition of ?1 and ?2.
Result<std::int64_t> Chats::remove(const char* which, const std::string& first,
                                   const std::string& second) {
  std::int64_t removed = 0;
  {
    Transaction change(db_);
    if (!change.begun()) return db_.error("write it");
    const auto run = [&](const std::string& sql) {
      return Statement(db_, sql).bind(first).bind(second).run();
    };
    if (!run(fmt::format("DELETE FROM words WHERE rowid IN (SELECT number FROM chats WHERE {})",
                         which)) ||
        !run(fmt::format("DELETE FROM chats WHERE {}", which)))
      return db_.error("write it");
    removed = sqlite3_changes64(db_.handle());
    // Merged, the full-text table no longer has the words of what was deleted.
    if (removed > 0 && !db_.execute("INSERT INTO words (words) VALUES ('optimize')"))
      return db_.error("write it");
    if (!change.commit()) return db_.error("write it");
  }
  if (removed > 0)
    LATHE_TRY_STATUS(db_.scrub("it is emptied when something else is forgotten, or that ends"));
  return removed;
}

Status Chats::forget(const std::string& key, const std::string& id) {
  LATHE_TRY(const std::int64_t removed, remove("key=?1 AND id=?2", key, id));
  return removed == 1 ? Status() : none(id);
}

Result<std::int64_t> Chats::forget_all(const std::string& key) {
  return remove("key=?1 AND ?2=''", key, "");
}

Result<std::int64_t> Chats::forget_before(std::int64_t changed_ms) {
  return remove("changed_ms<CAST(?1 AS INTEGER) AND ?2=''", std::to_string(changed_ms), "");
}

Result<std::vector<ChatSum>> Chats::sums() const {
  std::vector<ChatSum> sums;
  Statement statement(db_,
                      "SELECT key, count(*), sum(length(body)), max(changed_ms) FROM chats GROUP "
                      "BY key ORDER BY key");
  while (statement.row())
    sums.push_back(
        {statement.text(0), statement.integer(1), statement.integer(2), statement.integer(3)});
  if (!statement.ok()) return db_.error("read it");
  return sums;
}

}  // namespace lathe::books
