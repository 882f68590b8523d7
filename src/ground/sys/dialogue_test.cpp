// Programs that are spoken with: lines there and back, how they end, what they are kept from.
#include "ground/sys/dialogue.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

namespace lathe {
namespace {

using ::testing::HasSubstr;

const StopFlag kNever;
constexpr Milliseconds kLong{60'000};

struct Talk {
  TempDir directory = TempDir::make("lathe-dialogue-test").value();
  Sandbox sandbox() const {
    Sandbox result;
    result.tree = directory.path();
    return result;
  }
  std::unique_ptr<Dialogue> with(std::string script, std::size_t max_line = 1 << 20) const {
    Command command;
    command.argv = {"sh", "-c", std::move(script)};
    command.time_limit = kLong;
    return Dialogue::start(sandbox(), std::move(command), max_line).value();
  }
};

std::string heard(Dialogue& dialogue) {
  const auto line = dialogue.hear(kLong, kNever);
  EXPECT_TRUE(line) << line.error().message;
  return line && *line ? **line : "(nothing)";
}

std::string error_of(Dialogue& dialogue) {
  for (;;) {
    const auto line = dialogue.hear(kLong, kNever);
    if (!line) return line.error().message;
  }
}

TEST(Dialogue, LinesGoThereAndBack) {
  const Talk talk;
  const auto cat = talk.with("while read -r line; do echo \"<$line>\"; echo; done");
  for (const std::string line : {"a", "", "über"}) {
    ASSERT_TRUE(cat->say(line, kLong, kNever));
    EXPECT_EQ(heard(*cat), "<" + line + ">");
    EXPECT_EQ(heard(*cat), "");
  }
  const auto none = cat->hear(Milliseconds(20), kNever);
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, std::nullopt);
}

TEST(Dialogue, ALineMayBeLongButHasAnEnd) {
  const Talk talk;
  const auto two = talk.with("head -c 900000 /dev/zero | tr '\\0' x; echo; read -r stay");
  EXPECT_EQ(heard(*two).size(), 900'000U);
  const Talk other;  // a tree is one program's at a time
  const auto flood = other.with("head -c 100000000 /dev/zero | tr '\\0' x; echo");
  EXPECT_THAT(error_of(*flood), HasSubstr("a line of more than 1.0 MiB"));
}

TEST(Dialogue, HowItEndedIsSaid) {
  const Talk talk;
  const auto fails = talk.with("echo last; echo why it went >&2; exit 3");
  EXPECT_EQ(heard(*fails), "last");
  EXPECT_EQ(error_of(*fails), "it ended: exit code 3: why it went");
  EXPECT_EQ(error_of(*fails), "it ended: exit code 3: why it went");
  EXPECT_TRUE(fails->say("x", kLong, kNever));
  StopFlag stop;
  stop.raise();
  const Talk second, third;  // a tree is one program's at a time
  const auto waits = second.with("read -r stay");
  EXPECT_EQ(waits->hear(kLong, stop).error().kind, ErrorKind::kCancelled);
  const auto deaf = third.with("exec sleep 600");
  const auto told = deaf->say(std::string(4 << 20, 'x'), Milliseconds(50), kNever);
  ASSERT_FALSE(told) << error_of(*deaf);
  EXPECT_EQ(told.error().kind, ErrorKind::kTimeout);
}

// The sandbox's own tests say what it keeps from whom; here, that this is in it.
TEST(Dialogue, IsConfinedAndEndsWithItsObject) {
  const Talk talk;
  std::ofstream(talk.directory.path() / "here") << "seen\n";
  auto in = talk.with(
      "cat here; ls -A /home 2>/dev/null | wc -l; "
      "touch begun; read -r word; sleep 600 & sleep 600");
  EXPECT_EQ(heard(*in), "seen");
  EXPECT_EQ(heard(*in), "0");
  in.reset();  // which ends its input, and then what goes on in spite of it
  EXPECT_TRUE(fs::exists(talk.directory.path() / "begun"));
}

TEST(Dialogue, TheNetworkIsThereOnlyWhereItIsAskedFor) {
  const Talk talk;
  const std::string ours = fs::read_symlink("/proc/self/ns/net").string();
  for (const bool network : {false, true}) {
    Sandbox sandbox = talk.sandbox();
    sandbox.network = network;
    Command command;
    command.argv = {"readlink", "/proc/self/ns/net"};
    const auto says = Dialogue::start(std::move(sandbox), std::move(command), 1000).value();
    EXPECT_EQ(heard(*says) == ours, network);
  }
}

}  // namespace
}  // namespace lathe
