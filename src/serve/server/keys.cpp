// Keys as a file has them, and found by their hashes.
#include "serve/server/keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ground/base/hash.h"
#include "ground/base/json.h"
#include "ground/base/text.h"
#include "ground/base/toml.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostNameBytes = 64;

// Letters, digits, '-', '_', '.' and '@': what a log, a header and a shell take as it is.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMostNameBytes && name[0] != '-' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.' || c == '@';
         });
}

Status check_quota(std::string_view what, const std::optional<std::int64_t>& quota) {
  if (quota && *quota < 1)
    return invalid(
        "{} is {}; give at least 1, or leave it out for no limit (`lathe key revoke` "
        "ends a key)",
        what, *quota);
  return {};
}

class KeyTable {
 public:
  KeyTable(std::string_view file, const toml::table& table) : file_(file), table_(table) {}

  Result<Key> read() const {
    static constexpr std::string_view kKnown[] = {"name",       "sha256",   "created", "expires",
                                                  "revoked",    "class",    "weight",  "tokens_day",
                                                  "joules_day", "parallel", "models"};
    for (const auto& [name, node] : table_)
      if (std::ranges::find(kKnown, name.str()) == std::end(kKnown))
        return invalid("{}: '{}' is not known of a key", toml_place(file_, name.source()),
                       name.str());
    Key key;
    std::string call_class = "interactive";
    std::optional<std::int64_t> created;
    std::optional<double> weight;
    LATHE_TRY_STATUS(value("name", "a text", key.name));
    LATHE_TRY_STATUS(value("sha256", "a text", key.sha256));
    LATHE_TRY_STATUS(value("class", "a text", call_class));
    LATHE_TRY_STATUS(value("created", "a whole number", created));
    LATHE_TRY_STATUS(value("expires", "a whole number", key.expires));
    LATHE_TRY_STATUS(value("revoked", "a whole number", key.revoked));
    LATHE_TRY_STATUS(value("tokens_day", "a whole number", key.tokens_day));
    LATHE_TRY_STATUS(value("joules_day", "a whole number", key.joules_day));
    LATHE_TRY_STATUS(value("parallel", "a whole number", key.parallel));
    LATHE_TRY_STATUS(value("weight", "a number", weight));
    LATHE_TRY_STATUS(read_models(key.models));
    const auto parsed = parse_class(call_class);
    if (!parsed)
      return invalid("{}: class is '{}'; it may be interactive or background", place("class"),
                     call_class);
    key.call_class = *parsed;
    key.created = created.value_or(0);
    key.weight = weight.value_or(1);
    if (!is_sha256_hex(key.sha256))
      return invalid("{}: sha256 must be 64 digits in hex", place("sha256"));
    if (const Status sound = check_key(key); !sound)
      return invalid("{}: {}", place("name"), sound.error().message);
    return key;
  }
  std::string place(std::string_view name) const {
    const toml::node* node = table_.get(name);
    return toml_place(file_, node == nullptr ? table_.source() : node->source());
  }

 private:
  template <class T>
  Status value(std::string_view name, std::string_view what, T& out) const {
    const toml::node* node = table_.get(name);
    if (node == nullptr) return {};
    if constexpr (requires {
                    typename T::value_type;
                    typename T::traits_type;
                  } ||
                  std::is_same_v<T, bool>) {
      const auto read = node->value_exact<T>();
      if (!read) return invalid("{}: '{}' must be {}", place(name), name, what);
      out = *read;
    } else {
      // A weight may be written as a whole number.
      out = std::is_same_v<T, std::optional<double>> ? node->value<typename T::value_type>()
                                                     : node->value_exact<typename T::value_type>();
      if (!out) return invalid("{}: '{}' must be {}", place(name), name, what);
    }
    return {};
  }
  Status read_models(std::vector<std::string>& models) const {
    const toml::node* node = table_.get("models");
    if (node == nullptr) return {};
    const toml::array* list = node->as_array();
    if (list == nullptr) return invalid("{}: 'models' must be a list of texts", place("models"));
    for (const toml::node& each : *list) {
      const auto text = each.value_exact<std::string>();
      if (!text) return invalid("{}: 'models' must be a list of texts", place("models"));
      models.push_back(*text);
    }
    return {};
  }

  const std::string_view file_;
  const toml::table& table_;
};

}  // namespace

Status check_key(const Key& key) {
  if (!is_name(key.name))
    return invalid(
        "a key's name has 1 to {} letters, digits, '-', '_', '.' or '@', and does not "
        "begin with '-'; '{}' is none",
        kMostNameBytes, clip_utf8(make_valid_utf8(key.name), 100));
  if (key.name == kOwnerName)
    return invalid("'{}' is the name of the server's own key (--api-key-env); choose another",
                   kOwnerName);
  if (!(key.weight >= kLeastWeight && key.weight <= kMostWeight))
    return invalid(
        "the weight of '{}' is {}; it must lie in [{}, {}], and 1 is as much as "
        "everybody else",
        key.name, key.weight, kLeastWeight, kMostWeight);
  LATHE_TRY_STATUS(check_quota(fmt::format("tokens_day of '{}'", key.name), key.tokens_day));
  LATHE_TRY_STATUS(check_quota(fmt::format("joules_day of '{}'", key.name), key.joules_day));
  LATHE_TRY_STATUS(check_quota(fmt::format("parallel of '{}'", key.name), key.parallel));
  for (const std::string& model : key.models)
    if (model.empty()) return invalid("a model of '{}' has no name", key.name);
  return {};
}

Result<std::vector<Key>> parse_keys(std::string_view text, std::string_view place) {
  LATHE_TRY(const toml::table table, parse_toml(text, place));
  for (const auto& [name, node] : table)
    if (name.str() != "key" || !node.is_array_of_tables())
      return invalid("{}: only [[key]] stands in a file of keys", toml_place(place, name.source()));
  std::vector<Key> keys;
  std::set<std::string> names, hashes;
  const toml::array* list = table["key"].as_array();
  if (list == nullptr) return keys;
  for (const toml::node& each : *list) {
    const KeyTable read(place, *each.as_table());
    LATHE_TRY(Key key, read.read());
    if (!names.insert(key.name).second)
      return invalid("{}: two keys have the name '{}'; rename one", read.place("name"), key.name);
    if (!hashes.insert(key.sha256).second)
      return invalid("{}: '{}' has the hash of another key; make a new one with `lathe key add`",
                     read.place("sha256"), key.name);
    keys.push_back(std::move(key));
  }
  return keys;
}

std::string keys_text(std::span<const Key> keys) {
  std::string text = "# Written by `lathe key`. No key is in here, only hashes of them.\n";
  const auto number = [&](std::string_view name, const std::optional<std::int64_t>& value) {
    if (value) text += fmt::format("{} = {}\n", name, *value);
  };
  for (const Key& key : keys) {
    text += fmt::format("\n[[key]]\nname = \"{}\"\nsha256 = \"{}\"\ncreated = {}\n", key.name,
                        key.sha256, key.created);
    number("expires", key.expires);
    number("revoked", key.revoked);
    if (key.call_class != CallClass::kInteractive)
      text += fmt::format("class = \"{}\"\n", class_name(key.call_class));
    if (key.weight != 1) text += fmt::format("weight = {}\n", key.weight);
    number("tokens_day", key.tokens_day);
    number("joules_day", key.joules_day);
    number("parallel", key.parallel);
    if (!key.models.empty()) {
      text += "models = [";
      for (std::size_t i = 0; i < key.models.size(); ++i)
        text += (i == 0 ? "" : ", ") + dump_json(key.models[i]);
      text += "]\n";
    }
  }
  return text;
}

KeyRing::KeyRing(std::vector<Key> keys) : keys_(std::move(keys)) {
  by_hash_.reserve(keys_.size());
  for (const Key& key : keys_) by_hash_.emplace(key.sha256, &key);
}

const Key* KeyRing::find(std::string_view secret) const {
  const auto found = by_hash_.find(sha256_hex(secret));
  return found == by_hash_.end() ? nullptr : found->second;
}

Result<std::unique_ptr<KeyFile>> KeyFile::open(fs::path path,
                                               std::function<void(const std::string&)> log) {
  std::unique_ptr<KeyFile> file(new KeyFile(std::move(path), std::move(log)));
  file->read_ = file->version();
  LATHE_TRY(file->ring_, file->read());
  return file;
}

KeyFile::Version KeyFile::version() const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) return {};
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = static_cast<std::uint64_t>(status.st_size),
          .seconds = status.st_mtim.tv_sec,
          .nanoseconds = status.st_mtim.tv_nsec};
}

Result<std::shared_ptr<const KeyRing>> KeyFile::read() const {
  auto text = read_file(path_);
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::make_shared<const KeyRing>();
  if (!text) return std::unexpected(text.error());
  LATHE_TRY(std::vector<Key> keys, parse_keys(*text, path_.string()));
  return std::make_shared<const KeyRing>(std::move(keys));
}

std::shared_ptr<const KeyRing> KeyFile::current() {
  const Version now = version();
  const std::scoped_lock lock(mutex_);
  if (now == read_) return ring_;
  read_ = now;
  auto ring = read();
  // A file that is gone opens nothing: who removes keys revokes them.
  if (ring && (*ring)->empty() && !ring_->empty())
    ring = fail(ErrorKind::kNotFound, "{}: has no keys any more", path_.string());
  if (ring)
    ring_ = std::move(*ring);
  else if (log_)
    log_(fmt::format("{}; the keys that were read before still count", ring.error().message));
  return ring_;
}

}  // namespace lathe::serve
