// Facts in SQLite.
#include "books/memory/memory.h"

#include <algorithm>

#include "books/sqlite/match.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::size_t kMaxSubject = 80;
constexpr Remedies kRemedies{
    .full = "; free some space and try again",
    .damaged = "; move the file away, or give another directory with --journal",
    .refused = "; check its permissions, or give another directory with --journal",
};

// Numbers are never used twice. `words` holds accepted facts alone, each under its number.
constexpr Tables kTables{0x4C414D45 /* "LAME" */, 1, R"sql(
  CREATE TABLE facts (id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL,
    text TEXT NOT NULL, run TEXT NOT NULL, seq INTEGER NOT NULL, blob TEXT NOT NULL,
    state TEXT NOT NULL, by TEXT NOT NULL, made_ms INTEGER NOT NULL, expires_ms INTEGER,
    uses INTEGER NOT NULL, last_used_ms INTEGER);
  CREATE VIRTUAL TABLE words USING fts5(text, tokenize='unicode61 remove_diacritics 2');
)sql",
                         "memory"};
constexpr const char* kColumns =
    "id, scope, text, run, seq, blob, state, by, made_ms, expires_ms, uses, last_used_ms";

constexpr std::pair<FactState, std::string_view> kStates[] = {
    {FactState::kProposed, "proposed"},
    {FactState::kAccepted, "accepted"},
    {FactState::kRetired, "retired"},
    {FactState::kForgotten, "forgotten"},
};

std::optional<std::int64_t> time_at(const Statement& statement, int column) {
  return statement.real(column) ? std::optional(statement.integer(column)) : std::nullopt;
}

Fact fact_of(const Statement& statement) {
  Fact fact;
  fact.id = statement.integer(0);
  fact.scope = statement.text(1);
  fact.text = statement.text(2);
  fact.run = statement.text(3);
  fact.seq = statement.integer(4);
  fact.blob = statement.text(5);
  for (const auto& [state, name] : kStates)
    if (name == statement.text(6)) fact.state = state;
  fact.by = statement.text(7);
  fact.made_ms = statement.integer(8);
  fact.expires_ms = time_at(statement, 9);
  fact.uses = statement.integer(10);
  fact.last_used_ms = time_at(statement, 11);
  return fact;
}

std::optional<double> number(std::optional<std::int64_t> value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

// All words of a subject in lower case, one blank between them.
std::string plain(std::string_view text) {
  std::string words;
  for (const std::string& word : split(replace_all(to_lower_ascii(text), "\t", " "), ' '))
    if (!word.empty()) words += (words.empty() ? "" : " ") + word;
  return words;
}

}  // namespace

std::string_view fact_state_name(FactState state) {
  for (const auto& [known, name] : kStates)
    if (known == state) return name;
  return "";
}

std::string Fact::subject() const {
  const auto colon = text.find(':');
  return colon == text.npos || colon > kMaxSubject ? "" : plain(text.substr(0, colon));
}

Result<Memory> Memory::open(const fs::path& directory) {
  LATHE_TRY(Database db, open_database(directory / "memory.db", kTables, kRemedies));
  return Memory(std::move(db));
}

Result<std::optional<std::int64_t>> Memory::propose(const Fact& fact) {
  const std::string text(trim(make_valid_utf8(fact.text)));
  if (text.empty()) return invalid("a fact without a text");
  if (text.size() > kMaxFactBytes)
    return invalid("a fact of {} bytes; {} are the most", text.size(), kMaxFactBytes);
  Transaction change(db_);
  if (!change.begun()) return db_.error("write it");
  {
    // By its blob, too, as the text of a forgotten one is gone.
    Statement there(db_, "SELECT 1 FROM facts WHERE run=? AND seq=? AND blob=?");
    there.bind(fact.run).bind(fact.seq).bind(fact.blob);
    if (there.row()) return std::nullopt;
    if (!there.ok()) return db_.error("read it");
  }
  const bool ok = Statement(db_,
                            "INSERT INTO facts (scope, text, run, seq, blob, state, by, made_ms, "
                            "uses) VALUES (?,?,?,?,?,'proposed','',?,0)")
                      .bind(fact.scope)
                      .bind(text)
                      .bind(fact.run)
                      .bind(fact.seq)
                      .bind(fact.blob)
                      .bind(fact.made_ms)
                      .run();
  const std::int64_t id = sqlite3_last_insert_rowid(db_.handle());
  if (!ok || !change.commit()) return db_.error("write it");
  return id;
}

Status Memory::change(std::int64_t id, FactState state, const std::string& by) const {
  const bool ok =
      Statement(db_, "UPDATE facts SET state=?, by=? WHERE id=?")
          .bind(fact_state_name(state))
          .bind(by)
          .bind(id)
          .run() &&
      Statement(db_, "DELETE FROM words WHERE rowid=?").bind(id).run() &&
      (state != FactState::kAccepted ||
       Statement(db_, "INSERT INTO words (rowid, text) SELECT id, text FROM facts WHERE id=?")
           .bind(id)
           .run());
  return ok ? Status() : Status(db_.error("write it"));
}

Result<std::vector<Fact>> Memory::accept(std::int64_t id, const std::string& by,
                                         std::optional<std::int64_t> expires_ms) {
  Transaction transaction(db_);
  if (!transaction.begun()) return db_.error("write it");
  LATHE_TRY(const Fact accepted, fact(id));
  if (accepted.state == FactState::kForgotten) return invalid("fact {} is forgotten", id);
  std::vector<Fact> older;
  LATHE_TRY(const std::vector<Fact> all, facts());
  for (const Fact& other : all)
    if (other.id != id && other.state == FactState::kAccepted && other.scope == accepted.scope &&
        !other.subject().empty() && other.subject() == accepted.subject() &&
        plain(other.text) != plain(accepted.text)) {
      LATHE_TRY_STATUS(change(other.id, FactState::kRetired, fmt::format("fact {}", id)));
      older.push_back(other);
    }
  LATHE_TRY_STATUS(change(id, FactState::kAccepted, by));
  if (!Statement(db_, "UPDATE facts SET expires_ms=CAST(? AS INTEGER) WHERE id=?")
           .bind(number(expires_ms))
           .bind(id)
           .run() ||
      !transaction.commit())
    return db_.error("write it");
  return older;
}

Status Memory::retire(std::int64_t id, const std::string& by) {
  Transaction transaction(db_);
  if (!transaction.begun()) return db_.error("write it");
  LATHE_TRY(const Fact old, fact(id));
  if (old.state == FactState::kForgotten) return invalid("fact {} is forgotten", id);
  LATHE_TRY_STATUS(change(id, FactState::kRetired, by));
  return transaction.commit() ? Status() : Status(db_.error("write it"));
}

Result<Fact> Memory::forget(std::int64_t id) {
  LATHE_TRY(Fact old, fact(id));
  {
    Transaction transaction(db_);
    if (!transaction.begun()) return db_.error("write it");
    LATHE_TRY_STATUS(change(id, FactState::kForgotten, "person"));
    // Merged, the full-text table no longer has the words of what was deleted.
    if (!Statement(db_, "UPDATE facts SET text='' WHERE id=?").bind(id).run() ||
        !db_.execute("INSERT INTO words (words) VALUES ('optimize')") || !transaction.commit())
      return db_.error("write it");
  }
  LATHE_TRY_STATUS(db_.scrub("forget it once more when that has ended"));
  return old;
}

Result<Fact> Memory::fact(std::int64_t id) const {
  Statement statement(db_, fmt::format("SELECT {} FROM facts WHERE id=?", kColumns).c_str());
  statement.bind(id);
  if (statement.row()) return fact_of(statement);
  if (!statement.ok()) return db_.error("read it");
  return fail(ErrorKind::kNotFound, "there is no fact {}; `lathe memory list` shows them", id);
}

Result<std::vector<Fact>> Memory::facts() const {
  std::vector<Fact> all;
  Statement statement(db_, fmt::format("SELECT {} FROM facts ORDER BY id", kColumns).c_str());
  while (statement.row()) all.push_back(fact_of(statement));
  if (!statement.ok()) return db_.error("read it");
  return all;
}

Result<std::vector<Fact>> Memory::recall(std::string_view question,
                                         std::span<const std::string> scopes, std::int64_t now_ms) {
  std::vector<Fact> recalled;
  const std::string expression = match_expression(question);
  if (expression.empty()) return recalled;
  Transaction transaction(db_);
  if (!transaction.begun()) return db_.error("read it");
  std::size_t bytes = 0;
  Statement statement(
      db_, fmt::format("SELECT {} FROM (SELECT rowid AS number, bm25(words) AS rank FROM words "
                       "WHERE words MATCH ?) JOIN facts ON id=number WHERE expires_ms IS NULL OR "
                       "expires_ms>? ORDER BY rank, id",
                       kColumns)
               .c_str());
  statement.bind(expression).bind(now_ms);
  while (statement.row()) {
    Fact fact = fact_of(statement);
    if (std::ranges::find(scopes, fact.scope) == scopes.end()) continue;
    if (bytes + fact.text.size() > kRecalledBytes) continue;
    bytes += fact.text.size();
    recalled.push_back(std::move(fact));
  }
  if (!statement.ok()) return db_.error("read it");
  for (const Fact& fact : recalled)
    if (!Statement(db_, "UPDATE facts SET uses=uses+1, last_used_ms=? WHERE id=?")
             .bind(now_ms)
             .bind(fact.id)
             .run())
      return db_.error("write it");
  if (!transaction.commit()) return db_.error("write it");
  return recalled;
}

}  // namespace lathe::books
