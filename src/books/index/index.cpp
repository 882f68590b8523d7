// The index in SQLite: its tables, updates and searches.
#include "books/index/index.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "books/index/chunks.h"
#include "books/index/vectors.h"
#include "books/index/walk.h"
#include "books/sqlite/match.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/sys/beneath.h"

namespace lathe::books {
namespace {

constexpr int kApplicationId = 0x4C415849;  // "LAXI"
constexpr int kVersion = 1;
constexpr std::size_t kCandidates = 100;  // of each ranking that are made one
constexpr std::size_t kBatch = 32;        // texts that are embedded at once
constexpr Milliseconds kPatience{10'000};
constexpr Remedies kRemedies{
    .full = "; free some space and index again: the index is what it was",
    .damaged = "; remove the file and index again",
    .refused = "; check its permissions, or name another place with --name",
};

// A content is a file's bytes read in one way; copies share it. Its chunks' order is theirs in the
// text. The full-text table holds no text of its own.
constexpr const char* kTables = R"sql(
  CREATE TABLE about (root TEXT, pattern TEXT, embedder TEXT, identity TEXT);
  CREATE TABLE contents (id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, way TEXT NOT NULL,
    UNIQUE (sha256, way));
  CREATE TABLE files (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, changed INTEGER NOT NULL,
    content INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX files_by_content ON files (content, path);
  CREATE TABLE chunks (id INTEGER PRIMARY KEY, content INTEGER NOT NULL, begin INTEGER NOT NULL,
    "end" INTEGER NOT NULL, first_line INTEGER NOT NULL, last_line INTEGER NOT NULL,
    page INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL,
    x0 REAL, y0 REAL, x1 REAL, y1 REAL);
  CREATE INDEX chunks_by_content ON chunks (content);
  CREATE VIRTUAL TABLE words USING fts5(heading, text, content='chunks', content_rowid='id',
    tokenize='unicode61 remove_diacritics 2');
  CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, scale REAL NOT NULL, bytes BLOB NOT NULL);
)sql";

// 0: there are no tables yet. Errors: another's database.
Result<int> version_of(const Database& db) {
  Statement statement(db,
                      "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master) "
                      "FROM pragma_user_version, pragma_application_id");
  if (!statement.row()) return db.error("read it");
  const bool empty = statement.integer(1) == 0 && statement.integer(2) == 0;
  if (!empty && statement.integer(1) != kApplicationId)
    return invalid("{}: is no index of lathe's; name another place with --name",
                   db.file().string());
  if (!empty && statement.integer(0) != kVersion)
    return invalid("{}: was written by another lathe; remove the file and index again",
                   db.file().string());
  return empty ? 0 : kVersion;
}

// For its owner alone from its first moment: it holds texts.
Status make_file(const fs::path& file) {
  LATHE_TRY_STATUS(make_directories(file.parent_path()));
  const int fd = ::open(file.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  return {};
}

std::size_t count_of(const Database& db, const char* sql) {
  Statement statement(db, sql);
  return statement.row() ? static_cast<std::size_t>(statement.integer(0)) : 0;
}

// --- Updates ---

class Update {
 public:
  Update(const Database& db, const IndexSource& source, const DocumentReader& reader,
         const StopFlag& stop)
      : db_(db), source_(source), reader_(reader), stop_(stop) {}

  Result<IndexChange> run(const Embedder* embedder,
                          const std::function<void(std::string_view)>& on_file) {
    Transaction transaction(db_);
    if (!transaction.begun()) return db_.error("write it");
    LATHE_TRY(const std::vector<IndexedFile> files, walk(source_, change_));
    LATHE_TRY_STATUS(mark_old_files());
    for (const IndexedFile& file : files) {
      if (stop_.raised()) return fail(ErrorKind::kCancelled, "stopped: the index is what it was");
      LATHE_TRY_STATUS(take(file, on_file));
    }
    LATHE_TRY_STATUS(drop_what_is_gone());
    LATHE_TRY_STATUS(drop_strange_vectors(embedder));
    if (embedder) LATHE_TRY_STATUS(embed(*embedder));
    LATHE_TRY_STATUS(say_about(embedder));
    change_.files = count_of(db_, "SELECT count(*) FROM files");
    change_.chunks = count_of(db_, "SELECT count(*) FROM chunks");
    std::ranges::sort(change_.unread, {}, &IndexChange::Unread::path);
    if (!transaction.commit()) return db_.error("write it");
    return std::move(change_);
  }

 private:
  Status done(bool ok) const { return ok ? Status() : Status(db_.error("write it")); }

  Status mark_old_files() {
    Statement statement(db_, "SELECT path FROM files");
    while (statement.row()) old_.insert(statement.text(0));
    return done(statement.ok());
  }

  Status take(const IndexedFile& file, const std::function<void(std::string_view)>& on_file) {
    const auto bytes = read_beneath(source_.root, file.path, kMaxIndexedFile);
    if (!bytes) {
      change_.unread.push_back({file.path, bytes.error().message});
      return {};
    }
    const std::string sha256 = sha256_hex(*bytes), way = reader_.way(file.path);
    LATHE_TRY(std::int64_t content, content_of(sha256, way));
    if (content != 0) {
      ++change_.kept;
    } else {
      if (on_file) on_file(file.path);
      const auto document = reader_.read(file.path, *bytes, stop_);
      if (!document && document.error().kind == ErrorKind::kCancelled)
        return std::unexpected(document.error());
      if (!document) {
        change_.unread.push_back({file.path, document.error().message});
        return {};
      }
      LATHE_TRY(content, add(*document, sha256, way));
      ++change_.read;
    }
    old_.erase(file.path);
    return done(Statement(db_, "INSERT OR REPLACE INTO files VALUES (?,?,?,?)")
                    .bind(file.path)
                    .bind(static_cast<std::int64_t>(file.bytes))
                    .bind(file.changed)
                    .bind(content)
                    .run());
  }

  Result<std::int64_t> content_of(const std::string& sha256, const std::string& way) const {
    Statement statement(db_, "SELECT id FROM contents WHERE sha256=? AND way=?");
    statement.bind(sha256).bind(way);
    const std::int64_t id = statement.row() ? statement.integer(0) : 0;
    LATHE_TRY_STATUS(done(statement.ok()));
    return id;
  }

  Result<std::int64_t> add(const DocumentText& document, const std::string& sha256,
                           const std::string& way) const {
    LATHE_TRY_STATUS(done(Statement(db_, "INSERT INTO contents (sha256, way) VALUES (?,?)")
                              .bind(sha256)
                              .bind(way)
                              .run()));
    const std::int64_t content = sqlite3_last_insert_rowid(db_.handle());
    if (document.pages.empty()) {
      LATHE_TRY_STATUS(add_chunks(content, document, 0, document.text.size(), 0));
    }
    for (std::size_t i = 0; i < document.pages.size(); ++i) {
      const std::size_t end =
          i + 1 < document.pages.size() ? document.pages[i + 1] : document.text.size();
      LATHE_TRY_STATUS(add_chunks(content, document, document.pages[i], end, i + 1));
    }
    return content;
  }

  Status add_chunks(std::int64_t content, const DocumentText& document, std::size_t begin,
                    std::size_t end, std::size_t page) const {
    const std::string_view text = std::string_view(document.text).substr(begin, end - begin);
    for (const Chunk& chunk : chunks_of(text, document.markdown)) {
      const std::string_view own = text.substr(chunk.begin, chunk.end - chunk.begin);
      const auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
      const auto box = box_of(document, begin + chunk.begin, begin + chunk.end);
      const auto side = [&](std::size_t i) {
        return box ? std::optional((*box)[i]) : std::nullopt;
      };
      const bool ok =
          Statement(db_,
                    "INSERT INTO chunks (content, begin, \"end\", first_line, last_line, page, "
                    "heading, text, x0, y0, x1, y1) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)")
              .bind(content)
              .bind(number(begin + chunk.begin))
              .bind(number(begin + chunk.end))
              .bind(number(chunk.first_line))
              .bind(number(chunk.last_line))
              .bind(number(page))
              .bind(chunk.heading)
              .bind(own)
              .bind(side(0))
              .bind(side(1))
              .bind(side(2))
              .bind(side(3))
              .run() &&
          Statement(db_, "INSERT INTO words (rowid, heading, text) VALUES (?,?,?)")
              .bind(sqlite3_last_insert_rowid(db_.handle()))
              .bind(chunk.heading)
              .bind(own)
              .run();
      LATHE_TRY_STATUS(done(ok));
    }
    return {};
  }

  // Around the lines in a range of the text.
  static std::optional<PageBox> box_of(const DocumentText& document, std::size_t begin,
                                       std::size_t end) {
    std::optional<PageBox> box;
    const auto first = std::ranges::partition_point(
        document.lines, [&](const DocumentText::Line& line) { return line.end <= begin; });
    for (const auto& line : std::ranges::subrange(first, document.lines.end())) {
      if (line.begin >= end) break;
      if (!box) box = line.box;
      box = PageBox{std::min((*box)[0], line.box[0]), std::min((*box)[1], line.box[1]),
                    std::max((*box)[2], line.box[2]), std::max((*box)[3], line.box[3])};
    }
    return box;
  }

  Status drop_what_is_gone() {
    change_.gone = old_.size();
    for (const std::string& path : old_)
      LATHE_TRY_STATUS(done(Statement(db_, "DELETE FROM files WHERE path=?").bind(path).run()));
    LATHE_TRY_STATUS(
        done(db_.execute("DELETE FROM contents WHERE id NOT IN (SELECT content FROM files)")));
    if (sqlite3_changes(db_.handle()) == 0) return {};
    // Merged, the full-text table no longer has the words of what was deleted.
    return done(db_.execute(R"sql(
      INSERT INTO words (words, rowid, heading, text) SELECT 'delete', id, heading, text
        FROM chunks WHERE content NOT IN (SELECT id FROM contents);
      DELETE FROM chunks WHERE content NOT IN (SELECT id FROM contents);
      DELETE FROM vectors WHERE chunk NOT IN (SELECT id FROM chunks);
      INSERT INTO words (words) VALUES ('optimize');
    )sql"));
  }

  Status drop_strange_vectors(const Embedder* embedder) const {
    std::string identity;
    Statement statement(db_, "SELECT identity FROM about");
    if (statement.row()) identity = statement.text(0);
    if (embedder && embedder->identity == identity) return {};
    return done(db_.execute("DELETE FROM vectors"));
  }

  Status embed(const Embedder& embedder) const {
    std::vector<std::int64_t> ids;
    std::vector<std::string> texts;
    Statement missing(db_,
                      "SELECT id, heading, text FROM chunks WHERE id NOT IN (SELECT chunk FROM "
                      "vectors) ORDER BY id");
    bool more = true;
    while (more) {
      more = missing.row();
      if (more) {
        ids.push_back(missing.integer(0));
        const std::string heading = missing.text(1);
        texts.push_back(heading.empty() ? missing.text(2) : heading + "\n" + missing.text(2));
      }
      if (ids.empty() || (more && ids.size() < kBatch)) continue;
      if (stop_.raised()) return fail(ErrorKind::kCancelled, "stopped: the index is what it was");
      LATHE_TRY_STATUS(put_vectors(embedder, ids, texts));
      ids.clear();
      texts.clear();
    }
    return done(missing.ok());
  }

  Status put_vectors(const Embedder& embedder, const std::vector<std::int64_t>& ids,
                     const std::vector<std::string>& texts) const {
    LATHE_TRY(const auto vectors, embedder.embed(texts));
    if (vectors.size() != ids.size())
      return invalid("{}: made {} embeddings of {} texts", embedder.name, vectors.size(),
                     ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto bytes = to_bytes(vectors[i]);
      if (!bytes) return at(embedder.name, bytes.error());
      LATHE_TRY_STATUS(done(Statement(db_, "INSERT INTO vectors VALUES (?,?,?)")
                                .bind(ids[i])
                                .bind(std::optional(bytes->scale))
                                .bind_bytes({reinterpret_cast<const char*>(bytes->values.data()),
                                             bytes->values.size()})
                                .run()));
    }
    return {};
  }

  Status say_about(const Embedder* embedder) const {
    return done(db_.execute("DELETE FROM about") &&
                Statement(db_, "INSERT INTO about VALUES (?,?,?,?)")
                    .bind(source_.root.string())
                    .bind(source_.pattern)
                    .bind(embedder ? embedder->name : "")
                    .bind(embedder ? embedder->identity : "")
                    .run());
  }

  const Database& db_;
  const IndexSource& source_;
  const DocumentReader& reader_;
  const StopFlag& stop_;
  IndexChange change_;
  std::set<std::string> old_;  // files that were in the index and have not been seen again
};

// --- Searches ---

// Chunks of both rankings, numbered in the order of their ids.
class Search {
 public:
  explicit Search(const Database& db) : db_(db) {}

  Result<std::vector<Hit>> run(std::string_view query, std::size_t k, const Embedder* embedder) {
    std::vector<std::vector<std::int64_t>> rankings(1);
    LATHE_TRY(rankings[0], by_words(query));
    if (embedder) {
      LATHE_TRY(rankings.emplace_back(), by_vectors(query, *embedder));
    }
    std::map<std::string, Hit> hits;  // by what orders equal ones
    std::map<std::int64_t, std::string> keys;
    for (const auto& ranking : rankings)
      for (const std::int64_t chunk : ranking) {
        if (keys.contains(chunk)) continue;
        LATHE_TRY(auto found, hit_of(chunk));
        keys[chunk] = found.first;
        hits.insert(std::move(found));
      }
    std::vector<std::vector<std::size_t>> numbered(rankings.size());
    for (std::size_t i = 0; i < rankings.size(); ++i)
      for (const std::int64_t chunk : rankings[i])
        numbered[i].push_back(
            static_cast<std::size_t>(std::distance(hits.begin(), hits.find(keys[chunk]))));
    std::vector<Hit> best;
    for (const auto& [number, score] : fused(numbered)) {
      if (best.size() == std::min(k, kMostHits)) break;
      best.push_back(std::next(hits.begin(), static_cast<std::ptrdiff_t>(number))->second);
      best.back().score = score;
    }
    return best;
  }

 private:
  Result<std::vector<std::int64_t>> by_words(std::string_view query) const {
    std::vector<std::int64_t> ranking;
    const std::string expression = match_expression(query);
    if (expression.empty()) return ranking;
    Statement statement(db_,
                        "SELECT chunks.id FROM words JOIN chunks ON chunks.id=words.rowid JOIN "
                        "contents ON contents.id=chunks.content WHERE words MATCH ? ORDER BY "
                        "bm25(words), sha256, begin, way LIMIT ?");
    statement.bind(expression).bind(static_cast<std::int64_t>(kCandidates));
    while (statement.row()) ranking.push_back(statement.integer(0));
    if (!statement.ok()) return db_.error("search it");
    return ranking;
  }

  Result<std::vector<std::int64_t>> by_vectors(std::string_view query,
                                               const Embedder& embedder) const {
    LATHE_TRY(const auto vectors, embedder.embed({std::string(query)}));
    if (vectors.size() != 1) return invalid("{}: made no embedding", embedder.name);
    const auto wanted = to_bytes(vectors[0]);
    if (!wanted) return at(embedder.name, wanted.error());
    std::vector<std::pair<double, std::int64_t>> all;
    Statement statement(db_,
                        "SELECT chunk, scale, bytes FROM vectors JOIN chunks ON "
                        "chunks.id=vectors.chunk JOIN contents ON contents.id=chunks.content "
                        "ORDER BY sha256, begin, way");
    while (statement.row()) {
      const std::string bytes = statement.text(2);
      ByteVector vector;
      vector.scale = statement.real(1).value_or(0);
      vector.values.assign(bytes.begin(), bytes.end());
      if (vector.values.size() != wanted->values.size())
        return invalid("{}: its vectors have {} numbers, and {} makes {}; index again",
                       db_.file().string(), vector.values.size(), embedder.name,
                       wanted->values.size());
      all.emplace_back(similarity(vector, *wanted), statement.integer(0));
    }
    if (!statement.ok()) return db_.error("search it");
    std::ranges::stable_sort(all, [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::int64_t> ranking;
    for (std::size_t i = 0; i < std::min(all.size(), kCandidates); ++i)
      ranking.push_back(all[i].second);
    return ranking;
  }

  Result<std::pair<std::string, Hit>> hit_of(std::int64_t chunk) const {
    Statement statement(db_,
                        "SELECT sha256, begin, \"end\", way, (SELECT min(path) FROM files WHERE "
                        "content=contents.id), first_line, last_line, page, heading, text, x0, y0, "
                        "x1, y1 FROM "
                        "chunks JOIN contents ON contents.id=chunks.content WHERE chunks.id=?");
    statement.bind(chunk);
    if (!statement.row()) return db_.error("search it");
    const auto number = [&](int column) {
      return static_cast<std::size_t>(statement.integer(column));
    };
    Hit hit;
    hit.id = fmt::format("{}:{}-{}", statement.text(0), number(1), number(2));
    hit.file = statement.text(4);
    hit.first_line = number(5);
    hit.last_line = number(6);
    hit.page = number(7);
    hit.heading = statement.text(8);
    hit.text = statement.text(9);
    if (const auto x0 = statement.real(10))
      hit.box = PageBox{*x0, statement.real(11).value_or(0), statement.real(12).value_or(0),
                        statement.real(13).value_or(0)};
    return std::pair(fmt::format("{}:{:020}:{}", statement.text(0), number(1), statement.text(3)),
                     std::move(hit));
  }

  const Database& db_;
};

}  // namespace

Result<DocumentIndex> DocumentIndex::make(const fs::path& file) {
  LATHE_TRY_STATUS(make_file(file));
  Database db(file, kRemedies);
  LATHE_TRY_STATUS(db.open(file.string(), SQLITE_OPEN_READWRITE, kPatience));
  LATHE_TRY_STATUS(version_of(db));  // before anything of another's is changed
  // What is no longer in the files is no longer here either.
  // NORMAL: a power cut may take the last update back, and it is made again.
  if (!db.execute("PRAGMA journal_mode=WAL") || !db.execute("PRAGMA synchronous=NORMAL") ||
      !db.execute("PRAGMA secure_delete=ON"))
    return db.error("open it");
  {
    Transaction change(db);
    if (!change.begun()) return db.error("open it");
    LATHE_TRY(const int version, version_of(db));
    const std::string stamp =
        fmt::format("PRAGMA user_version={}; PRAGMA application_id={}", kVersion, kApplicationId);
    if (version == 0 && !(db.execute(kTables) && db.execute(stamp))) return db.error("lay it out");
    if (!change.commit()) return db.error("lay it out");
  }
  return DocumentIndex(std::move(db));
}

Result<DocumentIndex> DocumentIndex::open(const fs::path& file) {
  if (std::error_code ignored; !fs::exists(file, ignored))
    return fail(ErrorKind::kNotFound, "{}: there is no such index; `lathe index DIR` makes one",
                file.string());
  return make(file);
}

Result<IndexChange> DocumentIndex::update(const IndexSource& source, const DocumentReader& reader,
                                          const Embedder* embedder, const StopFlag& stop,
                                          const std::function<void(std::string_view)>& on_file) {
  return Update(db_, source, reader, stop).run(embedder, on_file);
}

Result<std::vector<Hit>> DocumentIndex::search(std::string_view query, std::size_t k,
                                               const Embedder* embedder) const {
  return Search(db_).run(query, k, embedder);
}

Result<std::vector<std::string>> DocumentIndex::stale() const {
  LATHE_TRY(const IndexFacts about, facts());
  std::vector<std::string> stale;
  Statement statement(db_,
                      "SELECT path, bytes, changed, sha256 FROM files JOIN contents ON "
                      "contents.id=files.content ORDER BY path");
  while (statement.row()) {
    const std::string path = statement.text(0);
    const auto file = look_at(about.source.root, path);
    if (file && static_cast<std::int64_t>(file->bytes) == statement.integer(1) &&
        file->changed == statement.integer(2))
      continue;
    const auto bytes = read_beneath(about.source.root, path, kMaxIndexedFile);
    if (!bytes || sha256_hex(*bytes) != statement.text(3)) stale.push_back(path);
  }
  if (!statement.ok()) return db_.error("read it");
  return stale;
}

Result<IndexFacts> DocumentIndex::facts() const {
  IndexFacts facts;
  Statement statement(db_, "SELECT root, pattern, embedder FROM about");
  if (statement.row()) {
    facts.source = {statement.text(0), statement.text(1)};
    facts.embedder = statement.text(2);
  }
  if (!statement.ok()) return db_.error("read it");
  facts.files = count_of(db_, "SELECT count(*) FROM files");
  facts.chunks = count_of(db_, "SELECT count(*) FROM chunks");
  return facts;
}

}  // namespace lathe::books
