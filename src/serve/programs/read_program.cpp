// Programs as files name them.
#include "serve/programs/read_program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "ground/base/text.h"
#include "ground/sys/subprocess.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kKeys[] = {"command", "memory", "ready", "ready_timeout",
                                      "port",    "api",    "model"};

class Table {
 public:
  Table(const toml::table& table, const fs::path& file) : table_(table), file_(file.string()) {}

  std::string place(std::string_view key) const {
    const toml::node* node = table_.get(key);
    return toml_place(file_, node == nullptr ? table_.source() : node->source());
  }
  // Absent: `text` stays as it is.
  Status text(std::string_view key, std::string& text) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return {};
    const auto read = node->value_exact<std::string>();
    if (!read || read->empty())
      return invalid("{}: '{}' must be a string that is not empty", place(key), key);
    text = *read;
    return {};
  }
  Status path(std::string_view key, std::string& path) const {
    LATHE_TRY_STATUS(text(key, path));
    if (path.starts_with('/') && path.find_first_of(" \r\n\t") == path.npos) return {};
    return invalid("{}: {} is '{}'; it must be a path that begins with '/', like \"/health\"",
                   place(key), key, clip_utf8(path, 100));
  }
  Status duration(std::string_view key, Milliseconds& duration) const {
    std::string said;
    LATHE_TRY_STATUS(text(key, said));
    if (said.empty()) return {};
    auto read = parse_duration(said);
    if (!read || *read <= Milliseconds(0) || *read > kLongest)
      return invalid("{}: {} is '{}'; it must be a duration up to 30 days, like \"5m\"", place(key),
                     key, clip_utf8(said, 100));
    duration = *read;
    return {};
  }
  Status command(std::vector<std::string>& command) const {
    const toml::array* list = table_["command"].as_array();
    bool sound = list != nullptr && !list->empty();
    if (sound) {
      for (const toml::node& each : *list) {
        command.push_back(each.value_exact<std::string>().value_or(""));
        sound = sound && each.is_string() && command.back().find('\0') == std::string::npos;
      }
    }
    if (sound && !command.front().empty()) return {};
    return invalid(
        "{}: 'command' must be a list of strings, a program and its arguments; there is no shell",
        place("command"));
  }

 private:
  static constexpr Milliseconds kLongest = std::chrono::hours(24 * 30);
  const toml::table& table_;
  const std::string file_;
};

// Whoever may write the file could start programs as the one who runs this.
Status check_owned(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    return fail(ErrorKind::kDenied,
                "{}: it names programs and is another user's file, so none is started; copy it",
                file.string());
  if ((info.st_mode & S_IWOTH) != 0)
    return fail(ErrorKind::kDenied,
                "{}: it names programs and everybody may write it, so none is started; chmod o-w",
                file.string());
  return {};
}

}  // namespace

std::span<const std::string_view> program_keys() {
  return kKeys;
}

std::vector<std::string> ProgramSpec::command_at(std::uint16_t where) const {
  std::vector<std::string> filled;
  for (const std::string& argument : command)
    filled.push_back(replace_all(argument, kPortPlace, std::to_string(where)));
  return filled;
}

Result<ProgramSpec> read_program(const toml::table& table, const fs::path& file) {
  LATHE_TRY_STATUS(check_owned(file));
  const Table read(table, file);
  ProgramSpec spec;
  std::error_code error;
  spec.directory = fs::absolute(file, error).parent_path();
  LATHE_TRY_STATUS(read.command(spec.command));
  std::string memory;
  LATHE_TRY_STATUS(read.text("memory", memory));
  const auto bytes = parse_bytes(memory);
  if (!bytes || *bytes == 0)
    return invalid(
        "{}: a program needs memory = \"24GiB\": what it may take, which is booked before it is "
        "started{}",
        read.place("memory"),
        memory.empty() ? "" : fmt::format(" ('{}' is no size)", clip_utf8(memory, 60)));
  spec.memory = *bytes;
  LATHE_TRY_STATUS(read.path("ready", spec.ready));
  LATHE_TRY_STATUS(read.path("api", spec.api));
  LATHE_TRY_STATUS(read.duration("ready_timeout", spec.ready_timeout));
  LATHE_TRY_STATUS(read.text("model", spec.model));
  const bool placed = std::ranges::any_of(spec.command, [](const std::string& argument) {
    return argument.find(kPortPlace) != argument.npos;
  });
  if (const toml::node* port = table.get("port")) {
    const auto number = port->value_exact<std::int64_t>().value_or(0);
    if (number < 1 || number > 65535)
      return invalid("{}: port must be a number in [1, 65535]", read.place("port"));
    spec.port = static_cast<std::uint16_t>(number);
  } else if (!placed) {
    return invalid(
        "{}: the command does not say where its server listens: put {} where the port stands, or "
        "name its port with port = 8000",
        read.place("command"), kPortPlace);
  }
  return spec;
}

Status check_program(const ProgramSpec& spec) {
  const std::string& name = spec.command.front();
  const bool relative = name.find('/') != name.npos && fs::path(name).is_relative();
  const auto found = find_program(relative ? (spec.directory / name).string() : name);
  return found ? Status() : std::unexpected(found.error());
}

Result<Milliseconds> read_keep_alive(const toml::table& table, const fs::path& file) {
  Milliseconds duration{0};
  LATHE_TRY_STATUS(Table(table, file).duration("keep_alive", duration));
  return duration;
}

}  // namespace lathe::serve
