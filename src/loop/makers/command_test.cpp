// A program as a maker: what it gets, what counts as its answer, and that it runs in the sandbox.
#include <gtest/gtest.h>

#include <fstream>

#include "ground/base/text.h"
#include "loop/makers/maker.h"

namespace lathe::loop {
namespace {

struct Bench {
  TempDir recipe_dir = TempDir::make("lathe-recipe").value();
  StopFlag stop;
  Place place;
  std::vector<Unit> units{{"L7", "the {lap} text", {}}};

  Bench() { place.recipe_dir = recipe_dir.path(); }

  Result<Made> make(std::vector<std::string> command, Json options = Json::object()) const {
    const MakerKind& kind = *find_maker("command");
    options["command"] = std::move(command);
    const auto checked = check_options(options, kind.options);
    EXPECT_TRUE(checked) << checked.error().key << " " << checked.error().message;
    if (auto fine = kind.check(*checked, {}); !fine) return std::unexpected(fine.error());
    MakeTask task{*checked, units};
    task.lap = 3;
    task.n_index = 2;
    task.best = "old";
    task.critiques = {{"word 2", "must", "too long", "", ""}};
    return kind.make(task, {place, nullptr, stop});
  }
  std::string bytes(std::vector<std::string> command, Json options = Json::object()) const {
    const auto made = make(std::move(command), std::move(options));
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->bytes : "";
  }
};

TEST(CommandMaker, TheUnitGoesInAndTheOutputIsTheCandidate) {
  const Bench bench;
  EXPECT_EQ(bench.bytes({"cat"}), "the {lap} text");  // what the unit holds is not filled in
  const auto made = bench.make({"cat"}, {{"media_type", "text/markdown"}, {"extension", "md"}});
  EXPECT_EQ(made->media_type, "text/markdown");
  EXPECT_EQ(made->extension, "md");
}

TEST(CommandMaker, FillsInWhatItIsToldAbout) {
  const Bench bench;
  EXPECT_EQ(bench.bytes({"cat"}, {{"input", "{critique}|{unit}|{best}|{none}|{"}}),
            "word 2: too long\n|the {lap} text|old|{none}|{");
  EXPECT_EQ(bench.bytes({"echo", "{key} {lap} {n} {seed}"}), "L7 3 2 3002\n");
  EXPECT_EQ(
      bench.bytes({"sh", "-c", "echo $LATHE_UNIT $LATHE_LAP $LATHE_N $LATHE_SEED $LATHE_CRITIQUE"}),
      "L7 3 2 3002 word 2: too long\n");
}

TEST(CommandMaker, OutputFileAndFilesOfTheRecipe) {
  const Bench bench;
  std::ofstream(bench.recipe_dir.path() / "make.sh") << "echo noise; printf made >out/x.bin\n";
  EXPECT_EQ(bench.bytes({"sh", "-c", "mkdir out; . ./make.sh"},
                        {{"files", {"make.sh"}}, {"output", "out/x.bin"}}),
            "made");
  EXPECT_FALSE(bench.make({"true"}, {{"output", "out/x.bin"}}));
  EXPECT_FALSE(bench.make({"ln", "-s", "/etc/passwd", "x"}, {{"output", "x"}}));
  EXPECT_FALSE(bench.make({"mkfifo", "x"}, {{"output", "x"}}));
}

TEST(CommandMaker, FailuresHaveTheirKind) {
  const Bench bench;
  const auto kind_of = [&](std::vector<std::string> command, Json options = Json::object()) {
    const auto made = bench.make(std::move(command), std::move(options));
    EXPECT_FALSE(made);
    return made ? ErrorKind::kCancelled : made.error().kind;
  };
  EXPECT_EQ(kind_of({"no-such-program"}), ErrorKind::kUnavailable);
  EXPECT_EQ(kind_of({"false"}), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of({"true"}), ErrorKind::kInvalid);  // nothing made
  EXPECT_EQ(kind_of({"sleep", "600"}, {{"time", "200ms"}}), ErrorKind::kTimeout);
  EXPECT_EQ(kind_of({"sh", "-c", "while :; do sleep 60 & done"}), ErrorKind::kInvalid);
  const auto noisy = bench.make({"sh", "-c", "echo it broke here >&2; exit 2"});
  EXPECT_NE(noisy.error().message.find("it broke here"), std::string::npos);
}

TEST(CommandMaker, RunsInTheSandbox) {
  const Bench bench;
  EXPECT_FALSE(bench.make({"cat", "/etc/shadow"}));
  EXPECT_EQ(bench.bytes({"pwd"}), "/work\n");
}

TEST(CommandMaker, ChecksItsOptions) {
  const Bench bench;
  EXPECT_FALSE(bench.make({}));
  EXPECT_FALSE(bench.make({"cat"}, {{"output", "../x"}}));
  EXPECT_FALSE(bench.make({"cat"}, {{"extension", "a/b"}}));
}

}  // namespace
}  // namespace lathe::loop
