// One write and one sync a line.
#include "app/cli/talk_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>

#include "ground/base/text.h"

namespace lathe::app {

Result<std::unique_ptr<TalkLog>> TalkLog::begin(const App& app) {
  const fs::path directory = app.journal_dir / "talks";
  LATHE_TRY_STATUS(make_directories(directory));
  const std::string utc = format_utc(system_clock().unix_ms());  // 2026-01-31T12:00:00Z
  std::random_device random;
  const fs::path file =
      directory / fmt::format("{}-{:04x}.jsonl", replace_all(replace_all(utc, ":", ""), "-", ""),
                              random() & 0xFFFFU);
  const int descriptor =
      ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0)
    return fail(ErrorKind::kUnavailable, "{}: cannot be written ({})", file.string(),
                std::strerror(errno));
  return std::unique_ptr<TalkLog>(new TalkLog(file, descriptor));
}

TalkLog::~TalkLog() {
  ::close(descriptor_);
}

Status TalkLog::append(Json event) {
  event["unix_ms"] = system_clock().unix_ms();
  const std::string line = dump_json(event) + "\n";
  const std::lock_guard lock(mutex_);
  if (::write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
      ::fdatasync(descriptor_) != 0)
    return fail(ErrorKind::kUnavailable,
                "{}: cannot be written ({}), and nothing is said that is not written down",
                file_.string(), std::strerror(errno));
  return {};
}

}  // namespace lathe::app
