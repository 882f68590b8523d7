// Trees of processes and their memory, read from /proc.
#include "ground/sys/process_tree.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "ground/base/text.h"

namespace lathe {
namespace {

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

struct Parentage {
  pid_t process, parent;
};

// Of /proc/PID/stat, where a program may have named itself "a) b": "PID (NAME) STATE PARENT …".
std::optional<pid_t> parent_in(std::string_view stat) {
  const auto name_end = stat.rfind(')');
  if (name_end == stat.npos || name_end + 4 > stat.size()) return std::nullopt;
  return number_of<pid_t>(stat.substr(name_end + 4));
}

std::vector<Parentage> parentages(const fs::path& proc) {
  std::vector<Parentage> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(proc, error); entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    const auto process = number_of<pid_t>(name);
    const auto parent = parent_in(read_text(entry->path() / "stat"));
    if (process && parent) found.push_back({*process, *parent});
  }
  return found;
}

// A line "Pss:   1234 kB" in bytes.
std::optional<std::uint64_t> line_of(std::string_view rollup, std::string_view key) {
  const auto found = rollup.find(fmt::format("\n{}:", key));
  if (found == rollup.npos) return std::nullopt;
  const auto kilobytes = number_of<std::uint64_t>(trim(rollup.substr(found + key.size() + 2, 40)));
  return kilobytes ? std::optional(*kilobytes * 1024) : std::nullopt;
}

std::optional<std::uint64_t> memory_of(const fs::path& process) {
  const std::string rollup = read_text(process / "smaps_rollup");
  if (const auto share = line_of(rollup, "Pss"))
    return *share + line_of(rollup, "Private_Hugetlb").value_or(0) +
           line_of(rollup, "Shared_Hugetlb").value_or(0);
  // "SIZE RESIDENT …" in pages.
  const std::string sizes = read_text(process / "statm");
  const auto blank = sizes.find(' ');
  if (blank == sizes.npos) return std::nullopt;
  const auto pages = number_of<std::uint64_t>(std::string_view(sizes).substr(blank + 1));
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return pages ? std::optional(*pages * page) : std::nullopt;
}

}  // namespace

std::vector<pid_t> descendants_of(pid_t ancestor, const fs::path& root) {
  const std::vector<Parentage> all = parentages(root / "proc");
  std::vector<pid_t> found{ancestor};
  for (std::size_t next = 0; next < found.size(); ++next)
    for (const Parentage& each : all)
      if (each.parent == found[next] && std::ranges::find(found, each.process) == found.end())
        found.push_back(each.process);
  found.erase(found.begin());
  return found;
}

std::optional<std::uint64_t> memory_of_processes(std::span<const pid_t> processes,
                                                 const fs::path& root) {
  std::optional<std::uint64_t> sum;
  for (const pid_t process : processes)
    if (const auto bytes = memory_of(root / "proc" / std::to_string(process)))
      sum = sum.value_or(0) + *bytes;
  return sum;
}

}  // namespace lathe
