// Talks that people had with models on the page: each belongs to the key that wrote it, and no
// other one finds it. One SQLite file; what is forgotten is in no byte of it. One thread; any
// number of processes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "books/sqlite/database.h"

namespace lathe::books {

inline constexpr std::size_t kMaxChatBytes = std::size_t{48} << 20;

struct ChatRow {
  std::string id;
  std::string title, model;
  std::int64_t begun_ms = 0, changed_ms = 0;
  std::int64_t revision = 0;  // grows by one each time it is written
  std::int64_t bytes = 0;     // of its body
};

// What is written of one.
struct ChatText {
  std::string title, model;
  std::string words;  // what it is found by
  std::string body;   // as whoever wrote it wants it back
};

// What one key has; no word of it.
struct ChatSum {
  std::string key;  // "": whoever runs this machine
  std::int64_t chats = 0, bytes = 0, changed_ms = 0;
};

class Chats {
 public:
  // DIRECTORY/chats.db, made where there is none.
  static Result<Chats> open(const fs::path& directory);

  // → its id. Errors: more than kMaxChatBytes.
  Result<std::string> add(const std::string& key, const ChatText& text, std::int64_t now_ms);
  // → its revision now. nullopt: it is no longer at revision `seen`. kNotFound: this key has none
  // of that name.
  Result<std::optional<std::int64_t>> change(const std::string& key, const std::string& id,
                                             std::int64_t seen, const ChatText& text,
                                             std::int64_t now_ms);
  // What was written last comes first. `typed`: words that each begin a word of it; "": all.
  Result<std::vector<ChatRow>> list(const std::string& key, std::string_view typed,
                                    std::int64_t from, std::int64_t limit) const;
  // kNotFound: this key has none of that name.
  Result<std::pair<ChatRow, std::string>> get(const std::string& key, const std::string& id) const;
  Status forget(const std::string& key, const std::string& id);
  // → how many there were.
  Result<std::int64_t> forget_all(const std::string& key);
  Result<std::int64_t> forget_before(std::int64_t changed_ms);
  Result<std::vector<ChatSum>> sums() const;  // by key

 private:
  explicit Chats(Database db) : db_(std::move(db)) {}
  Result<std::int64_t> remove(const char* which, const std::string& first,
                              const std::string& second);
  Database db_;
};

}  // namespace lathe::books
