// Reads keys where people keep them.
#include "app/cli/foreign_key.h"

#include <cstdlib>

#include "ground/base/text.h"

namespace lathe::app {
namespace {

Result<std::string> key_in_file(const fs::path& file) {
  std::error_code wrong;
  const fs::perms others =
      fs::status(file, wrong).permissions() & (fs::perms::group_all | fs::perms::others_all);
  if (wrong) return fail(ErrorKind::kNotFound, "{}: {}", file.string(), wrong.message());
  if (others != fs::perms::none)
    return fail(ErrorKind::kDenied,
                "{}: others may read or write this key; `chmod 600 {}` keeps it to you",
                file.string(), file.string());
  LATHE_TRY(const std::string text, read_file(file, 64 << 10));
  const std::string key(trim(text));
  if (key.empty()) return invalid("{}: holds no API key", file.string());
  return key;
}

}  // namespace

Result<std::string> foreign_key(const std::string& variable, const fs::path& file) {
  if (!file.empty()) return key_in_file(file);
  if (variable.empty()) return std::string();
  const char* key = std::getenv(variable.c_str());
  if (!key || !*key)
    return invalid("the environment variable {} is not set; it should hold the API key", variable);
  return std::string(key);
}

}  // namespace lathe::app
