// What is kept of a pairing, and what its texts may be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "serve/pairing/identity.h"
#include "serve/pairing/invitation.h"
#include "serve/pairing/messages.h"
#include "serve/pairing/settings.h"

namespace lathe::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string base64_of_pem(const std::string& pem) {
  std::string text;
  for (const std::string_view line : split_lines(pem))
    if (!line.starts_with("-----")) text += line;
  return text;
}

std::string why(const auto& result) {
  return result ? "fine" : result.error().message;
}

struct Config {
  TempDir directory = TempDir::make("lathe-pairing").value();
  fs::path path = directory.path() / "config";
};

TEST(Identity, IsMadeOnceAndReadAgain) {
  const Config config;
  const Identity made = own_identity(config.path).value();
  EXPECT_TRUE(is_sha256_hex(made.fingerprint));
  EXPECT_EQ(made.id.size(), 32u);
  EXPECT_EQ(made.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos);
  for (const char* file : {"node.key", "node.crt"}) {
    struct stat status {};
    ASSERT_EQ(::stat((config.path / file).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << file;
  }
  EXPECT_EQ(own_identity(config.path).value().id, made.id);
  // A certificate can be made again; the key is what counts.
  fs::remove(config.path / "node.crt");
  EXPECT_EQ(own_identity(config.path).value().fingerprint, made.fingerprint);
  const Config other;
  EXPECT_NE(own_identity(other.path).value().id, made.id);
}

// By other programs: printf abc | sha256sum | xxd -r -p | head -c 20 | base32.
TEST(Identity, TheIdIsTheBeginningOfTheHashInBase32) {
  EXPECT_EQ(node_id_of(sha256_hex("abc")), "xj4bnp4pahh6uqkbidpf3lrceoyagynd");
}

TEST(Identity, WhatIsWrongIsSaid) {
  const Config config;
  const Identity made = own_identity(config.path).value();
  const auto put = [&](const char* file, const std::string& text, fs::perms mode) {
    ASSERT_TRUE(write_file_atomic(config.path / file, text));
    fs::permissions(config.path / file, mode);
  };
  const fs::perms own = fs::perms::owner_read | fs::perms::owner_write;
  put("node.key", made.key_pem, own | fs::perms::group_read);
  EXPECT_THAT(why(own_identity(config.path)), AllOf(HasSubstr("node.key"), HasSubstr("chmod 600")));
  put("node.key", new_identity().value().key_pem, own);
  EXPECT_THAT(why(own_identity(config.path)), HasSubstr("does not belong to the key"));
  put("node.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", own);
  EXPECT_THAT(why(own_identity(config.path)), HasSubstr("no Ed25519 key"));
  put("node.key", std::string(20'000, 'x'), own);
  EXPECT_THAT(why(own_identity(config.path)), HasSubstr("node.key"));
  put("node.key", made.key_pem, own);
  put("node.crt", "prose", own);
  EXPECT_THAT(why(own_identity(config.path)), HasSubstr("no certificate"));
  EXPECT_EQ(read_file(config.path / "node.key").value(), made.key_pem) << "overwritten";
}

TEST(Addresses, AreReadAndShown) {
  for (const char* text : {"desk:8443", "desk.local:1", "192.168.1.5:65535", "[fd00::7]:8443",
                           "[fe80::1%eth0]:8443", "169.254.7.8%eth0:8443"})
    EXPECT_EQ(to_text(parse_host_port(text).value()), text);
  for (const char* text :
       {"", ":", "desk", "desk:", "desk:65536", "desk:-1", "desk:8x", ":8443", "fd00::7:8443x",
        "[]:1", "a b:1", "a/b:1", "desk%eth0:1", "a\n:1", "[fe80::1%]:1", "desk:8443#x"})
    EXPECT_FALSE(parse_host_port(text)) << text;
  EXPECT_FALSE(parse_host_port(std::string(100'000, 'a') + ":1"));
}

TEST(Addresses, LinkLocalOnesNeedTheirInterface) {
  EXPECT_THAT(why(parse_host_port("[fe80::1]:8443")), HasSubstr("[fe80::1%eth0]:8443"));
  EXPECT_THAT(why(parse_host_port("169.254.7.8:8443")), HasSubstr("169.254.7.8%eth0:8443"));
  EXPECT_TRUE(parse_host_port("169.253.7.8:8443"));
}

TEST(Invitations, AreOneLine) {
  const std::string text =
      "lathe-join:desk:8443#" + sha256_hex("key") + "#0123456789abcdef0123456789abcdef";
  const Invitation read = parse_invitation(text).value();
  EXPECT_EQ(to_text(read), text);
  EXPECT_EQ(read.address.host, "desk");
  EXPECT_EQ(read.fingerprint, sha256_hex("key"));
}

TEST(Invitations, WithoutAFingerprintThereIsNoJoin) {
  for (const char* text : {"desk:8443", "lathe-join:desk:8443", "desk"})
    EXPECT_THAT(why(parse_invitation(text)),
                AllOf(HasSubstr("no fingerprint"), HasSubstr("lathe fleet invite")));
  const std::string print = sha256_hex("key");
  for (const std::string& text : std::initializer_list<std::string>{
           "lathe-join:desk:8443#" + print, "lathe-join:desk:8443#" + print + "#short",
           "lathe-join:desk:8443#abc#0123456789abcdef0123456789abcdef",
           "desk:8443#" + print + "#0123456789abcdef0123456789abcdef",
           "lathe-join:desk:0#" + print + "#0123456789abcdef0123456789abcdef",
           "lathe-join:desk:8443#" + print + "#0123456789abcdef0123456789abcdef#",
           std::string(100'000, '#')})
    EXPECT_FALSE(parse_invitation(text)) << clip_utf8(text, 200);
}

TEST(Settings, AreKeptForTheirOwnerAlone) {
  const Config config;
  EXPECT_FALSE(read_fleet_settings(config.path).value());
  FleetSettings settings;
  settings.node = node_id_of(sha256_hex("key"));
  settings.name = "laptop";
  settings.tier = "desk";
  settings.database = "postgresql://x@desk/lathe";
  settings.password = "00ff";
  settings.root_certificate = "/home/a b/fleet-root.crt";
  settings.inviter = "desk:8443";
  settings.inviter_fingerprint = sha256_hex("inviter");
  ASSERT_TRUE(write_fleet_settings(config.path, settings));
  struct stat status {};
  ASSERT_EQ(::stat(fleet_settings_path(config.path).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const FleetSettings read = read_fleet_settings(config.path).value().value();
  EXPECT_EQ(read.node, settings.node);
  EXPECT_EQ(read.name, "laptop");
  EXPECT_EQ(read.inviter_fingerprint, settings.inviter_fingerprint);
  EXPECT_EQ(read.libpq_address(),
            "postgresql://x@desk/lathe?password=00ff&sslrootcert=/home/a%20b/fleet-root.crt");
  fs::permissions(fleet_settings_path(config.path), fs::perms::others_read, fs::perm_options::add);
  EXPECT_THAT(why(read_fleet_settings(config.path)), HasSubstr("chmod 600"));
}

TEST(Settings, WhatIsWrongIsSaid) {
  const Config config;
  FleetSettings fine;
  fine.node = node_id_of(sha256_hex("key"));
  fine.name = fine.tier = "desk";
  fine.database = "postgresql://x@desk/lathe";
  ASSERT_TRUE(write_fleet_settings(config.path, fine));
  const fs::path path = fleet_settings_path(config.path);
  const std::string good = read_file(path).value();
  const auto refused = [&](const std::string& from, const std::string& to) {
    const std::string text = from.empty() ? good + to : replace_all(good, from, to);
    EXPECT_TRUE(write_file_atomic(path, text));
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    return why(read_fleet_settings(config.path));
  };
  EXPECT_THAT(refused("name = \"desk\"\n", ""), AllOf(HasSubstr("fleet.toml"), HasSubstr("name")));
  EXPECT_THAT(refused("name = \"desk\"", "name = \"a b\""), HasSubstr("name"));
  EXPECT_THAT(refused("name = \"desk\"", "name = 3"), HasSubstr("is a string"));
  EXPECT_THAT(refused("postgresql:", "http:"), HasSubstr("postgresql://"));
  EXPECT_THAT(refused(fine.node, fine.node.substr(1)), HasSubstr("'node'"));
  EXPECT_THAT(refused("", "more = \"x\"\n"), HasSubstr("'more'"));
  EXPECT_THAT(refused("", "inviter = \"desk:1\"\n"), HasSubstr("stand together"));
  EXPECT_THAT(refused("", "inviter = \"169.254.1.1:1\"\ninviter_fingerprint = \"" +
                              sha256_hex("x") + "\"\n"),
              HasSubstr("link-local"));
  EXPECT_NE(refused("", std::string(100'000, '#')), "fine");
  EXPECT_NE(refused("", "[[[["), "fine");
  EXPECT_EQ(refused("", ""), "fine");
}

TEST(Messages, WhatIsNoneIsRefused) {
  Welcome welcome;
  welcome.tier = "desk";
  welcome.database = "postgresql://x@desk/lathe";
  welcome.password = "p";
  EXPECT_EQ(parse_answer_line(to_line(welcome)).value().database, welcome.database);
  EXPECT_EQ(parse_join_line(to_line(JoinLine{"t", "laptop"})).value().name, "laptop");
  EXPECT_THAT(why(parse_answer_line(to_line(Error{ErrorKind::kDenied, "no \x1b[31m", "x"}))),
              HasSubstr("refuses: no"));
  for (const char* text : {"", "hello", "[]", "{}", "{\"lathe_join\":2}",
                           "{\"lathe_join\":1,\"token\":\"x\",\"name\":\"a b\"}",
                           "{\"lathe_join\":1,\"token\":\"x\",\"name\":[[[[[[[[1]]]]]]]]}"}) {
    EXPECT_FALSE(parse_join_line(text)) << text;
    EXPECT_FALSE(parse_answer_line(text)) << text;
  }
  EXPECT_THAT(why(parse_join_line("{\"lathe_join\":2}")), HasSubstr("another version"));
}

TEST(Certificates, AreSmall) {
  const Identity made = new_identity().value();
  EXPECT_THAT(made.key_pem, HasSubstr("BEGIN PRIVATE KEY"));
  EXPECT_LT(base64_of_pem(made.certificate_pem).size(), 600u);
  EXPECT_THAT(made.certificate_pem, Not(HasSubstr("PRIVATE")));
}

}  // namespace
}  // namespace lathe::serve
