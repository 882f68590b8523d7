// Signatures by the real ssh-keygen: what holds, what does not, and keys that others can read.
#include "app/bench/signature.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "ground/sys/subprocess.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Signature : ::testing::Test {
  void SetUp() override {
    const auto program = find_program("ssh-keygen");
    if (!program) GTEST_SKIP() << program.error().message;
    keygen = {*program, plain_environment()};
    key = dir.path() / "key";
    run({"-q", "-t", "ed25519", "-N", "", "-C", "box", "-f", key.string()});
    const std::string open = *read_file(key.string() + ".pub");
    allowed = dir.path() / "allowed";
    ASSERT_TRUE(write_file_atomic(allowed, "box " + open));
  }
  void run(std::vector<std::string> arguments, std::string input = {}) {
    Command command{
        .argv = {keygen.program.string()}, .env = keygen.env, .cwd = {}, .input = std::move(input)};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    const auto exit = run_command(command, stop);
    ASSERT_TRUE(exit && exit->ok()) << exit->err;
    out = exit->out;
  }
  Result<std::string> verify(std::string_view said, const std::string& who = "box",
                             bool known = true) {
    return verify_signature(keygen, said, dir.path() / "sig", known ? allowed : fs::path(), who,
                            stop);
  }
  void keep(const std::string& signature) {
    ASSERT_TRUE(write_file_atomic(dir.path() / "sig", signature));
  }

  TempDir dir = *TempDir::make();
  SshKeygen keygen;
  fs::path key, allowed;
  StopFlag stop;
  std::string out;
  const std::string text = "{\"median\":\"12.5\"}\n";
};

TEST_F(Signature, HoldsForThisTextAndThisKeyAlone) {
  const auto signature = sign(keygen, key, text, stop);
  ASSERT_TRUE(signature) << signature.error().message;
  keep(*signature);
  const auto good = verify(text);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_THAT(*good, StartsWith("Good \"lathe-bench\" signature for box"));
  // One digit, another person, a key that nobody allowed.
  EXPECT_FALSE(verify("{\"median\":\"12.6\"}\n"));
  EXPECT_FALSE(verify(text, "somebody"));
  ASSERT_TRUE(write_file_atomic(allowed,
                                "box ssh-ed25519 "
                                "AAAAC3NzaC1lZDI1NTE5AAAAIGVnwWZqjM0jVZhtX2dpMFZpZGp0"
                                "aGlzaXNub2tleWF0YWxs\n"));
  EXPECT_FALSE(verify(text));
  // Whose it is, is not asked: only that nothing changed.
  const auto whole = verify(text, "", false);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_THAT(*whole, HasSubstr("SHA256:"));
  EXPECT_THAT(*whole, HasSubstr("--allowed"));
  EXPECT_FALSE(verify(text + " ", "", false));
}

TEST_F(Signature, OfAnotherNamespaceIsRefused) {
  run({"-Y", "sign", "-n", "file", "-f", key.string()}, text);
  keep(out);
  EXPECT_FALSE(verify(text));
  const auto unnamed = verify(text, "", false);
  ASSERT_FALSE(unnamed);
  EXPECT_THAT(unnamed.error().message, HasSubstr("namespace"));
}

TEST_F(Signature, AKeyThatOthersCanReadIsRefusedByName) {
  ASSERT_EQ(::chmod(key.c_str(), 0644), 0);
  const auto refused = sign(keygen, key, text, stop);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr(key.string()));
  EXPECT_THAT(refused.error().message, HasSubstr("chmod 600"));
  EXPECT_EQ(check_key(dir.path() / "none").error().kind, ErrorKind::kNotFound);
  // A public key may be read by all: it stands for one that an agent holds, and here is none.
  EXPECT_TRUE(check_key(key.string() + ".pub"));
}

}  // namespace
}  // namespace lathe::app
