// Small files of the kernel.
#include "ground/sys/sysfs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "ground/base/text.h"
#include "ground/sys/process.h"

namespace lathe {

std::optional<std::uint64_t> to_unsigned(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::string> sysfs_text(const fs::path& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::string text;
  std::array<char, 16384> buffer;
  while (file && text.size() < (1U << 20)) {
    const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
    if (n == 0) return std::string(trim(text));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  if (text.size() >= (1U << 20)) return std::string(trim(text));
  const int error = errno;
  return fail(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kDenied, "{}: {}", path.string(),
              errno_text(error));
}

std::optional<std::uint64_t> sysfs_number(const fs::path& path) {
  const auto text = sysfs_text(path);
  return text ? to_unsigned(*text) : std::nullopt;
}

std::vector<fs::path> sysfs_entries(const fs::path& directory, std::string_view prefix) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with(prefix)) entries.push_back(it->path());
  std::ranges::sort(entries);
  return entries;
}

}  // namespace lathe
