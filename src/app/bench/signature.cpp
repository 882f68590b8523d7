// ssh-keygen, asked to sign and to verify.
#include "app/bench/signature.h"

#include <sys/stat.h>

#include "ground/base/text.h"
#include "ground/sys/subprocess.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kLimit{120'000};  // a hardware key waits for a touch

Result<Exit> run(const SshKeygen& keygen, std::vector<std::string> arguments,
                 std::string_view input, const StopFlag& stop) {
  Command command{.argv = {keygen.program.string(), "-Y"},
                  .env = keygen.env,
                  .cwd = {},
                  .input = std::string(input)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.time_limit = kLimit;
  return run_command(command, stop);
}

std::string words_of(const Exit& exit) {
  const std::string said(trim(exit.err.empty() ? exit.out : exit.err));
  return said.empty() ? exit.describe() : clip_utf8(make_valid_utf8(said), 500);
}

}  // namespace

Status check_key(const fs::path& key) {
  struct stat info {};
  if (::stat(key.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(ErrorKind::kNotFound, "{}: there is no such key file", key.string());
  LATHE_TRY(const std::string text, read_file(key, 1 << 20));
  if (!text.starts_with("-----BEGIN")) return {};
  if ((info.st_mode & 077) != 0)
    return fail(ErrorKind::kDenied,
                "{}: others can read this private key (mode {:o}); nothing is signed with it: "
                "chmod 600 it, or better make a new one",
                key.string(), info.st_mode & 07777);
  return {};
}

Result<std::string> sign(const SshKeygen& keygen, const fs::path& key, std::string_view text,
                         const StopFlag& stop) {
  LATHE_TRY_STATUS(check_key(key));
  LATHE_TRY(const Exit exit,
            run(keygen, {"sign", "-n", std::string(kSignatureNamespace), "-f", key.string()}, text,
                stop));
  if (!exit.ok() || !exit.out.starts_with("-----BEGIN SSH SIGNATURE-----"))
    return fail(ErrorKind::kUnavailable, "{}: ssh-keygen did not sign: {}", key.string(),
                words_of(exit));
  return exit.out;
}

Result<std::string> verify_signature(const SshKeygen& keygen, std::string_view text,
                                     const fs::path& signature, const fs::path& allowed,
                                     const std::string& identity, const StopFlag& stop) {
  std::vector<std::string> arguments{"check-novalidate"};
  if (!allowed.empty()) arguments = {"verify", "-f", allowed.string(), "-I", identity};
  arguments.insert(arguments.end(),
                   {"-n", std::string(kSignatureNamespace), "-s", signature.string()});
  LATHE_TRY(const Exit exit, run(keygen, arguments, text, stop));
  if (!exit.ok())
    return invalid("{}: this signature does not hold: {}", signature.string(), words_of(exit));
  const std::string said(trim(exit.out));
  if (!allowed.empty()) return said;
  return said + "; whose key that is, --allowed FILE --identity WHO tells";
}

}  // namespace lathe::app
