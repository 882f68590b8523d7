// Signatures of records, by ssh-keygen as a program: agents, passphrases and hardware keys are its
// business, and whoever has OpenSSH can verify them with nothing of ours:
//   ssh-keygen -Y verify -f ALLOWED -I WHO -n lathe-bench -s r.json.sig < r.json
// A signature says who, and that nothing changed; not that it is true. Any thread.
#pragma once

#include <map>
#include <string>

#include "ground/base/file.h"
#include "ground/base/stop.h"

namespace lathe::app {

inline constexpr std::string_view kSignatureNamespace = "lathe-bench";

struct SshKeygen {
  fs::path program;                        // found in PATH
  std::map<std::string, std::string> env;  // with SSH_AUTH_SOCK and SSH_ASKPASS where they are set
};

// That a key can be signed with: it is there, and a private one only its owner can read. A public
// key stands for the one in an agent.
Status check_key(const fs::path& key);
// The signature of `text`, as its file has it.
Result<std::string> sign(const SshKeygen& keygen, const fs::path& key, std::string_view text,
                         const StopFlag& stop);
// What was found, in words: whose signature it is. `allowed`: OpenSSH's ALLOWED SIGNERS, with
// `identity` one of its principals; without one only that nothing changed since it was signed, and
// by which key.
Result<std::string> verify_signature(const SshKeygen& keygen, std::string_view text,
                                     const fs::path& signature, const fs::path& allowed,
                                     const std::string& identity, const StopFlag& stop);

}  // namespace lathe::app
