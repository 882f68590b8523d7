// What the programs of tool servers may read.
#include "serve/toolbox/server_program.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "ground/base/file.h"

namespace lathe::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ServerProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // The home of this test lies in its own directory, as a project does in a person's.
    ::setenv("HOME", (base_ / "home").c_str(), 1);
    for (const char* name : {"home/tool", "home/data", "elsewhere"})
      ASSERT_TRUE(make_directories(base_ / name));
    for (const char* name : {"home/tool/run", "home/tool/server.py", "home/alone.py"}) {
      ASSERT_TRUE(write_file_atomic(base_ / name, "#!/bin/sh\n"));
      fs::permissions(base_ / name, fs::perms::owner_all);
    }
  }
  std::vector<fs::path> readable(std::vector<std::string> command) const {
    ToolServer server;
    server.command = std::move(command);
    const auto paths = readable_by(server);
    EXPECT_TRUE(paths) << paths.error().message;
    return paths.value_or(std::vector<fs::path>());
  }

  TempDir directory_ = TempDir::make("lathe-readable").value();
  fs::path base_ = fs::canonical(directory_.path());
};

TEST_F(ServerProgramTest, TheSystemsProgramsNeedNothing) {
  EXPECT_THAT(readable({"sh", "-c", "true"}), IsEmpty());
}

TEST_F(ServerProgramTest, WhatACommandNamesIsThereWithWhatLiesBesideIt) {
  EXPECT_THAT(readable({(base_ / "home/tool/run").string()}), ElementsAre(base_ / "home/tool"));
  EXPECT_THAT(readable({"sh", (base_ / "home/tool/server.py").string(), "--x"}),
              ElementsAre(base_ / "home/tool"));
  fs::create_symlink(base_ / "home/tool/server.py", base_ / "elsewhere/link.py");
  EXPECT_THAT(readable({"sh", (base_ / "elsewhere/link.py").string()}),
              ElementsAre(base_ / "elsewhere", base_ / "home/tool"));
  // Directories that it names, and files that are not there, are not for it to read.
  EXPECT_THAT(readable({"sh", (base_ / "home/data").string(), "/nowhere/x"}), IsEmpty());
}

TEST_F(ServerProgramTest, TheHomeIsNot) {
  EXPECT_THAT(readable({"sh", (base_ / "home/alone.py").string()}),
              ElementsAre(base_ / "home/alone.py"));
  ASSERT_TRUE(write_file_atomic(base_ / "above.py", ""));
  EXPECT_THAT(readable({"sh", (base_ / "above.py").string()}), ElementsAre(base_ / "above.py"));
}

TEST_F(ServerProgramTest, APersonGivesItMore) {
  ToolServer server;
  server.command = {"sh"};
  server.root = (base_ / "home/data").string();
  server.read_only = {(base_ / "elsewhere").string()};
  EXPECT_THAT(readable_by(server).value(), ElementsAre(base_ / "home/data", base_ / "elsewhere"));
  server.root = (base_ / "home/tool/run").string();
  EXPECT_THAT(readable_by(server).error().message, HasSubstr("root: "));
  server.root.clear();
  server.command = {"no-such-program-here"};
  EXPECT_FALSE(readable_by(server));
}

}  // namespace
}  // namespace lathe::serve
