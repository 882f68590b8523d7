// An index of the files of a directory: their texts in chunks, found by words (FTS5) and, where a
// model makes embeddings, by vectors that are all looked at. The same question to the same files
// has the same answer, however the index came to be. One SQLite file; an update is one transaction,
// so that a reader and a process that dies have the old index or the new one. One thread.
#pragma once

#include <functional>
#include <optional>

#include "books/index/documents.h"
#include "books/sqlite/database.h"

namespace lathe::books {

inline constexpr std::uint64_t kMaxIndexedFile = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kMaxIndexedBytes = std::uint64_t{4} << 30;  // of all files
inline constexpr std::size_t kMaxIndexedFiles = 200'000;
inline constexpr std::size_t kMostHits = 50;

struct IndexSource {
  fs::path root;
  std::string pattern = "**";  // of paths below it
};

struct Embedder {
  std::string name;      // as a person named it
  std::string identity;  // vectors of another one are not compared with its
  std::function<Result<std::vector<std::vector<float>>>(const std::vector<std::string>& texts)>
      embed;
};

struct IndexChange {
  struct Unread {
    std::string path, why;
  };
  std::size_t files = 0, chunks = 0;         // that are in it now
  std::size_t read = 0, kept = 0, gone = 0;  // files: new or changed, unchanged, no longer there
  std::uint64_t bytes = 0;
  std::vector<Unread> unread;        // in the order of their paths
  std::vector<std::string> ignored;  // names that begin with a dot, and other programs' own
};

struct Hit {
  std::string id;    // SHA-256 of the file's bytes, and the range of its text: "ab12…:0-512"
  std::string file;  // relative to the root; of equal ones the first
  std::size_t first_line = 0, last_line = 0;  // of its text, or of the page
  std::size_t page = 0;                       // 0: the file has none
  std::optional<PageBox> box = {};            // on the page, where that is known
  std::string heading, text;
  double score = 0;
};

struct IndexFacts {
  IndexSource source;
  std::string embedder;  // its name; "": words alone
  std::size_t files = 0, chunks = 0;
};

class DocumentIndex {
 public:
  // Made where there is none. Errors: a file that is no index.
  static Result<DocumentIndex> make(const fs::path& file);
  static Result<DocumentIndex> open(const fs::path& file);

  // Reads what is new or has changed. Without an embedder: words alone. `on_file` is told of each
  // that is read.
  Result<IndexChange> update(const IndexSource& source, const DocumentReader& reader,
                             const Embedder* embedder, const StopFlag& stop,
                             const std::function<void(std::string_view path)>& on_file = {});
  // The `k` best chunks. With an embedder: the one that the index was made with.
  Result<std::vector<Hit>> search(std::string_view query, std::size_t k,
                                  const Embedder* embedder) const;
  // Files that are not what they were when they were read, or are gone.
  Result<std::vector<std::string>> stale() const;
  Result<IndexFacts> facts() const;

 private:
  explicit DocumentIndex(Database db) : db_(std::move(db)) {}
  Database db_;
};

}  // namespace lathe::books
