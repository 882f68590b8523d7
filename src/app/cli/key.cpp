// lathe key add | list | revoke: who may call this machine's server, and how much. The file of keys
// is written whole, under a lock; a running server sees the change with its next request.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "app/cli/key_file.h"
#include "books/chats/chats.h"
#include "ground/base/hash.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/sys/energy.h"
#include "serve/server/keys.h"

namespace lathe::app {
namespace {

using serve::Key;

struct KeyFlags {
  std::string name, call_class = "interactive", expires;
  double weight = 1;
  std::optional<std::int64_t> tokens_day, joules_day, parallel;
  std::vector<std::string> models;
};

std::int64_t unix_now() {
  return system_clock().unix_ms() / 1000;
}

// Nobody guesses 256 bits.
Result<std::string> new_secret() {
  unsigned char bytes[32];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    return fail(ErrorKind::kUnavailable, "this machine gives no random bytes for a key");
  std::string secret = "lathe-";
  for (const unsigned char byte : bytes) secret += fmt::format("{:02x}", byte);
  return secret;
}

// Of whoever changes the keys, until it is done.
class KeysLock {
 public:
  static Result<KeysLock> take(const App& app) {
    LATHE_TRY_STATUS(make_directories(app.config_dir));
    const std::string path = (keys_path(app).string() + ".lock");
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ::flock(fd, LOCK_EX) != 0) {
      if (fd >= 0) ::close(fd);
      return fail(ErrorKind::kUnavailable, "{}: cannot be locked", path);
    }
    return KeysLock(fd);
  }
  KeysLock(KeysLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  KeysLock& operator=(KeysLock&&) = delete;
  ~KeysLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit KeysLock(int fd) : fd_(fd) {}
  int fd_;
};

Result<std::vector<Key>> read_keys(const App& app) {
  const auto text = read_file(keys_path(app));
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::vector<Key>{};
  if (!text) return std::unexpected(text.error());
  return serve::parse_keys(*text, keys_path(app).string());
}

// For the owner's eyes: hashes give no key away, but who has one is nobody else's business.
Status write_keys(const App& app, std::span<const Key> keys) {
  LATHE_TRY_STATUS(write_file_atomic(keys_path(app), serve::keys_text(keys)));
  std::error_code error;
  fs::permissions(keys_path(app), fs::perms::owner_read | fs::perms::owner_write, error);
  if (error)
    return fail(ErrorKind::kUnavailable, "{}: cannot be made readable by you alone: {}",
                keys_path(app).string(), error.message());
  return {};
}

Result<Key> key_of(const KeyFlags& flags) {
  Key key;
  key.name = flags.name;
  key.created = unix_now();
  key.call_class = parse_class(flags.call_class).value_or(CallClass::kInteractive);
  key.weight = flags.weight;
  key.tokens_day = flags.tokens_day;
  key.joules_day = flags.joules_day;
  key.parallel = flags.parallel;
  key.models = flags.models;
  LATHE_TRY_STATUS(serve::check_key(key));
  if (!flags.expires.empty()) {
    const auto expires = parse_utc(flags.expires);
    if (!expires) return at("--expires", expires.error());
    key.expires = *expires / 1000;
    if (*key.expires <= key.created)
      return invalid("--expires {} is past; give a day to come", flags.expires);
  }
  if (key.joules_day) {
    const EnergyMeter meter;
    if (meter.scope() == EnergyScope::kNone)
      return invalid("--joules-day: energy is {}; --tokens-day limits a key everywhere",
                     meter.description());
  }
  return key;
}

Status make_key(const App& app, const KeyFlags& flags) {
  LATHE_TRY(Key key, key_of(flags));
  LATHE_TRY(const KeysLock lock, KeysLock::take(app));
  LATHE_TRY(std::vector<Key> keys, read_keys(app));
  for (const Key& other : keys)
    if (other.name == key.name)
      return invalid(
          "there is a key '{}' already{}; choose another name", key.name,
          other.revoked ? ", which was revoked, and what it used stays under its name" : "");
  LATHE_TRY(const std::string secret, new_secret());
  key.sha256 = sha256_hex(secret);
  keys.push_back(key);
  LATHE_TRY_STATUS(write_keys(app, keys));
  if (app.json) {
    print_json({{"name", key.name}, {"key", secret}});
  } else {
    print(secret + "\n");
    print_note(fmt::format("this is the key of '{}'; it is shown this once", key.name));
  }
  return {};
}

std::string state_of(const Key& key) {
  if (key.revoked) return "revoked";
  return key.expires && *key.expires <= unix_now() ? "expired" : "valid";
}

Json to_json(const Key& key) {
  const auto time = [](const std::optional<std::int64_t>& at) {
    return at ? Json(format_utc(*at * 1000)) : Json();
  };
  const auto number = [](const std::optional<std::int64_t>& value) {
    return value ? Json(*value) : Json();
  };
  return {{"name", key.name},
          {"state", state_of(key)},
          {"class", class_name(key.call_class)},
          {"weight", key.weight},
          {"tokens_day", number(key.tokens_day)},
          {"joules_day", number(key.joules_day)},
          {"parallel", number(key.parallel)},
          {"models", key.models},
          {"created", format_utc(key.created * 1000)},
          {"expires", time(key.expires)},
          {"revoked", time(key.revoked)}};
}

Status list_keys(const App& app) {
  LATHE_TRY(const std::vector<Key> keys, read_keys(app));
  if (app.json) {
    for (const Key& key : keys) print_json(to_json(key));
    return {};
  }
  if (keys.empty()) {
    print("there are no keys; `lathe key add NAME` makes one\n");
    return {};
  }
  const auto number = [](const std::optional<std::int64_t>& value) {
    return value ? std::to_string(*value) : std::string("-");
  };
  print(fmt::format("{:<24} {:<8} {:<12} {:>6} {:>12} {:>12} {:>8}  {:<10} {}\n", "NAME", "STATE",
                    "CLASS", "WEIGHT", "TOKENS/DAY", "JOULES/DAY", "AT ONCE", "EXPIRES", "MODELS"));
  for (const Key& key : keys)
    print(fmt::format("{:<24} {:<8} {:<12} {:>6} {:>12} {:>12} {:>8}  {:<10} {}\n", key.name,
                      state_of(key), class_name(key.call_class), key.weight, number(key.tokens_day),
                      number(key.joules_day), number(key.parallel),
                      key.expires ? format_utc(*key.expires * 1000).substr(0, 10) : "-",
                      key.models.empty() ? "all" : join(key.models, ",")));
  return {};
}

// Nobody else sees them, so that nobody else would think of them.
Status name_chats_left(const App& app, const std::string& name) {
  std::error_code error;
  if (app.json || !fs::exists(app.journal_dir / "chats.db", error)) return {};
  LATHE_TRY(const books::Chats chats, books::Chats::open(app.journal_dir));
  LATHE_TRY(const auto sums, chats.sums());
  for (const books::ChatSum& sum : sums)
    if (sum.key == name)
      print(fmt::format("{} of it stay{}: `lathe chats forget {}` removes {}\n",
                        counted(static_cast<std::size_t>(sum.chats), "chat"),
                        sum.chats == 1 ? "s" : "", name, sum.chats == 1 ? "it" : "them"));
  return {};
}

Status revoke_key(const App& app, const std::string& name) {
  LATHE_TRY(const KeysLock lock, KeysLock::take(app));
  LATHE_TRY(std::vector<Key> keys, read_keys(app));
  std::vector<std::string> names;
  for (Key& key : keys) {
    names.push_back(key.name);
    if (key.name != name) continue;
    if (key.revoked)
      return invalid("the key '{}' was revoked on {}", name, format_utc(*key.revoked * 1000));
    key.revoked = unix_now();
    LATHE_TRY_STATUS(write_keys(app, keys));
    if (app.json)
      print_json(to_json(key));
    else
      print(fmt::format("'{}' is revoked; a running server refuses it from now on\n", name));
    LATHE_TRY_STATUS(name_chats_left(app, name));
    return {};
  }
  return fail(ErrorKind::kNotFound, "there is no key '{}'{}", clip_utf8(name, 100),
              did_you_mean(name, names));
}

}  // namespace

fs::path keys_path(const App& app) {
  return app.config_dir / "keys.toml";
}

void add_key(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<KeyFlags>();
  CLI::App* command = cli.add_subcommand("key",
                                         "Say who may call this machine's server, and how "
                                         "much");
  command->require_subcommand(1);
  const auto does = [&app, &action](CLI::App* sub, std::function<Status()> run) {
    sub->callback([&app, &action, run = std::move(run)] {
      action = [&app, run] {
        const Status status = run();
        return status ? kExitPassed : report_error(app, status.error());
      };
    });
  };
  CLI::App* add = command->add_subcommand("add", "Make a key; it is shown once");
  add->add_option("name", flags->name, "Whose it is")->required();
  add->add_option("--class", flags->call_class,
                  "interactive, or background: rests beside interactive work")
      ->check(CLI::IsMember({"interactive", "background"}))
      ->capture_default_str();
  add->add_option("--weight", flags->weight, "Of its turns: 2 gets twice as much as 1")
      ->capture_default_str();
  add->add_option("--tokens-day", flags->tokens_day,
                  "Tokens of prompts and answers a day, UTC (default: no limit)");
  add->add_option("--joules-day", flags->joules_day,
                  "Joules a day, where they can be read (default: no limit)");
  add->add_option("--parallel", flags->parallel, "Requests at once (default: no limit)");
  add->add_option("--models", flags->models, "Models that it may use (default: all)")
      ->delimiter(',');
  add->add_option("--expires", flags->expires,
                  "Day from which it is refused, like 2027-01-31 (default: never)");
  does(add, [&app, flags] { return make_key(app, *flags); });
  does(command->add_subcommand("list", "List the keys: names and limits"),
       [&app] { return list_keys(app); });
  CLI::App* revoke = command->add_subcommand("revoke", "End a key, from now on");
  revoke->add_option("name", flags->name, "Whose it is")->required();
  does(revoke, [&app, flags] { return revoke_key(app, flags->name); });
}

}  // namespace lathe::app
