// Only plain files inside the tree are read, whatever links stand there.
#include "ground/sys/beneath.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace lathe {
namespace {

TEST(ReadBeneath, OnlyPlainFilesInsideTheTree) {
  const TempDir outside = TempDir::make().value();
  const TempDir tree = TempDir::make().value();
  const fs::path root = tree.path();
  std::ofstream(outside.path() / "secret") << "secret";
  fs::create_directory(root / "sub");
  std::ofstream(root / "sub/file") << "plain";
  fs::create_symlink(outside.path() / "secret", root / "link");
  fs::create_symlink("sub/file", root / "inner_link");
  fs::create_directory_symlink(outside.path(), root / "way");
  ASSERT_EQ(::mkfifo((root / "pipe").c_str(), 0600), 0);

  EXPECT_EQ(read_beneath(root, "sub/file").value(), "plain");
  EXPECT_EQ(read_beneath(root, "sub/file", 5).value(), "plain");
  EXPECT_FALSE(read_beneath(root, "sub/file", 4));
  for (const char* path : {"link", "inner_link", "way/secret", "pipe", "sub", "../x", "/etc/passwd",
                           "", "sub/../sub/file"})
    EXPECT_FALSE(read_beneath(root, path)) << path;
  EXPECT_EQ(read_beneath(root, "none").error().kind, ErrorKind::kNotFound);
  EXPECT_NE(read_beneath(root, "link").error().message.find("symbolic link"), std::string::npos);
}

}  // namespace
}  // namespace lathe
