// lathe bench verify FILE: a record added up again from its samples, and its signature looked at.
#include <cstdlib>

#include "app/cli/bench_flags.h"
#include "ground/sys/subprocess.h"

namespace lathe::app {
namespace {

struct Verified {
  std::size_t models = 0;
  std::string signature;  // in words; "": there is none
};

Result<Verified> verify(const App& app, const VerifyFlags& flags) {
  LATHE_TRY(const std::string text, read_file(flags.file));
  const auto record = parse_record(text);
  if (!record) return at(flags.file, record.error());
  if (text != record_text(*record))
    return invalid("{}: is not written as records are (sorted keys, no blanks): it was changed",
                   flags.file);
  if (const Status good = check_record(*record); !good) return at(flags.file, good.error());
  Verified verified{.models = json_at(*record, "models").size(), .signature = {}};
  const fs::path signature = flags.file + ".sig";
  std::error_code error;
  if (!fs::exists(signature, error)) {
    if (flags.allowed.empty()) return verified;
    return fail(ErrorKind::kNotFound, "{}: there is no signature {}", flags.file,
                signature.string());
  }
  if (flags.allowed.empty() != flags.identity.empty())
    return invalid("--allowed and --identity belong together");
  LATHE_TRY(const SshKeygen keygen, find_ssh_keygen());
  LATHE_TRY(verified.signature,
            verify_signature(keygen, text, signature, flags.allowed, flags.identity, *app.stop));
  return verified;
}

}  // namespace

Result<SshKeygen> find_ssh_keygen() {
  SshKeygen keygen;
  LATHE_TRY(keygen.program, find_program("ssh-keygen"));
  keygen.env = plain_environment();
  for (const char* name : {"SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY",
                           "WAYLAND_DISPLAY", "XAUTHORITY"})
    if (const char* value = std::getenv(name)) keygen.env[name] = value;
  return keygen;
}

void add_bench_verify(CLI::App& bench, App& app, Action& action) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* command =
      bench.add_subcommand("verify", "Add a record up again and look at its signature");
  command->add_option("record", flags->file, "What --out wrote; FILE.sig beside it")->required();
  command->add_option("--allowed", flags->allowed, "OpenSSH's ALLOWED SIGNERS file");
  command->add_option("--identity", flags->identity, "Who of them must have signed");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const auto verified = verify(app, *flags);
      if (!verified) return report_error(app, verified.error());
      if (app.json) {
        print_json(
            {{"models", verified->models},
             {"signature", verified->signature.empty() ? Json() : Json(verified->signature)}});
      } else {
        print(fmt::format("{}: every figure follows from its samples\n{}\n", flags->file,
                          verified->signature.empty() ? "not signed" : verified->signature));
      }
      return int{kExitPassed};
    };
  });
}

}  // namespace lathe::app
