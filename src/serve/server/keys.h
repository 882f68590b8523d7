// The keys by which people call a server: whose each is, and what it may. A file of them, written
// by `lathe key`, holds no key, only its hash:
//
//   [[key]]
//   name = "anna"
//   sha256 = "…"
//   created = 1796083200         # Unix seconds, as are `expires` and `revoked`
//   class = "background"         # default: interactive
//   weight = 2.0                 # of its turns; default: 1
//   tokens_day = 200000          # and joules_day, parallel: quotas; default: none
//   models = ["coder"]           # names or aliases; default: all
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ground/base/file.h"
#include "work/caller.h"

namespace lathe::serve {

struct Key {
  std::string name;
  std::string sha256;        // of the key itself, in hex
  std::int64_t created = 0;  // Unix seconds
  std::optional<std::int64_t> expires = {}, revoked = {};
  CallClass call_class = CallClass::kInteractive;
  double weight = 1;
  std::optional<std::int64_t> tokens_day = {}, joules_day = {}, parallel = {};
  std::vector<std::string> models = {};  // empty: all

  Caller caller() const { return {name, call_class, weight}; }
  bool operator==(const Key&) const = default;
};

// The name of whoever has the server's own key (--api-key-env). No other key may have it.
inline constexpr std::string_view kOwnerName = "owner";
inline constexpr double kLeastWeight = 0.01, kMostWeight = 100;

// What is wrong with it, with the remedy: names, weights, quotas; what has expired is fine.
Status check_key(const Key& key);
// Every key is sound, and no two are of one name or hash. Errors name `place` and the line.
Result<std::vector<Key>> parse_keys(std::string_view text, std::string_view place);
std::string keys_text(std::span<const Key> keys);

// Found by their hashes, so that nothing is compared with a secret, and a million are as fast as
// one. Immutable; any thread.
class KeyRing {
 public:
  KeyRing() = default;
  explicit KeyRing(std::vector<Key> keys);
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  const Key* find(std::string_view secret) const;  // revoked and expired ones too; null: none
  std::span<const Key> keys() const { return keys_; }
  bool empty() const { return keys_.empty(); }

 private:
  std::vector<Key> keys_;
  std::unordered_map<std::string_view, const Key*> by_hash_;
};

// The keys of a file, as it is now: it is looked at again for each request and read where it has
// changed. A file that has become unreadable changes nothing, and is told of once. Any thread.
class KeyFile {
 public:
  // No file there: no keys, until there is one. Errors: it is there and cannot be read.
  static Result<std::unique_ptr<KeyFile>> open(fs::path path,
                                               std::function<void(const std::string&)> log);
  std::shared_ptr<const KeyRing> current();

 private:
  struct Version {  // of the file
    std::uint64_t device = 0, inode = 0, bytes = 0;
    std::int64_t seconds = 0, nanoseconds = 0;
    bool operator==(const Version&) const = default;
  };
  KeyFile(fs::path path, std::function<void(const std::string&)> log)
      : path_(std::move(path)), log_(std::move(log)) {}
  Version version() const;
  Result<std::shared_ptr<const KeyRing>> read() const;

  const fs::path path_;
  const std::function<void(const std::string&)> log_;
  std::mutex mutex_;  // guards what follows
  Version read_ = {};
  std::shared_ptr<const KeyRing> ring_;
};

}  // namespace lathe::serve
