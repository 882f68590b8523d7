// Files are read whole or not at all, written whole or not at all, and listed; borders of safe
// paths.
#include "ground/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>

namespace lathe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  fs::path path(std::string_view name) const { return directory_->path() / name; }
  void put(std::string_view name, std::string_view bytes) const {
    ASSERT_TRUE(make_directories(path(name).parent_path()));
    ASSERT_TRUE(write_file_atomic(path(name), bytes));
  }

 private:
  Result<TempDir> directory_ = TempDir::make();
};

TEST_F(FileTest, WritesWhatIsRead) {
  const std::string bytes("a\0\xff\n", 4);
  put("f", bytes);
  EXPECT_EQ(*read_file(path("f")), bytes);
  put("f", "");
  EXPECT_EQ(*read_file(path("f")), "");
}

TEST_F(FileTest, LimitAtTheBorder) {
  put("f", "1234");
  EXPECT_TRUE(read_file(path("f"), 4));
  const auto over = read_file(path("f"), 3);
  ASSERT_FALSE(over);
  EXPECT_THAT(over.error().message, HasSubstr(path("f").string()));
}

TEST_F(FileTest, ErrorsNameThePathAndKind) {
  const auto absent = read_file(path("absent"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(absent.error().message, HasSubstr("absent"));
  EXPECT_THAT(read_file(path("")).error().message, HasSubstr("directory"));
  EXPECT_FALSE(write_file_atomic(path("no/such/dir"), "x"));
  EXPECT_EQ(read_file("/dev/zero").error().kind, ErrorKind::kInvalid);
}

TEST_F(FileTest, APipeDoesNotBlock) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(read_file(path("pipe")));
}

TEST_F(FileTest, ReadersNeverSeeAPart) {
  const std::string a(100'000, 'a'), b(200'000, 'b');
  put("f", a);
  std::jthread writer([&] {
    for (int i = 0; i < 20; ++i) (void)write_file_atomic(path("f"), i % 2 ? a : b);
  });
  for (int i = 0; i < 200; ++i) {
    const auto seen = read_file(path("f"));
    ASSERT_TRUE(seen);
    ASSERT_TRUE(*seen == a || *seen == b) << seen->size();
  }
}

TEST_F(FileTest, AFailedWriteLeavesNothingBeside) {
  ASSERT_TRUE(make_directories(path("target")));
  EXPECT_FALSE(write_file_atomic(path("target"), "x")) << "a directory stands there";
  EXPECT_THAT(*list_files(path("")), ElementsAre());
}

TEST_F(FileTest, ListsRegularFilesOnlySorted) {
  put("b/z", "");
  put("a", "");
  put("b/a/x", "");
  fs::create_symlink("/etc/passwd", path("link"));
  fs::create_directory_symlink("/etc", path("b/dirlink"));
  EXPECT_THAT(*list_files(path("")), ElementsAre("a", "b/a/x", "b/z"));
  EXPECT_TRUE(list_files(path(""), 3));
  EXPECT_FALSE(list_files(path(""), 2));
  EXPECT_FALSE(list_files(path("absent")));
}

TEST(SafeRelative, Borders) {
  using namespace std::string_view_literals;
  for (const std::string_view good : {"a", "a/b", "..a", "a..", ".hidden", "a b", "..."})
    EXPECT_TRUE(is_safe_relative(good)) << good;
  for (const std::string_view bad : {""sv, "/"sv, "/a"sv, "a/"sv, "a//b"sv, "."sv, ".."sv, "../a"sv,
                                     "a/../b"sv, "a/./b"sv, "a/.."sv, "a\0b"sv})
    EXPECT_FALSE(is_safe_relative(bad)) << bad;
}

TEST(TempDir, IsRemovedWithItsContents) {
  fs::path path;
  {
    auto made = TempDir::make("x");
    ASSERT_TRUE(made);
    path = made->path();
    ASSERT_TRUE(write_file_atomic(path / "f", "1"));
    const TempDir moved = std::move(*made);
    EXPECT_EQ(moved.path(), path);
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

// A process that dies with directories in use: the next one takes those away, and no others.
TEST(TempDir, WhatAKilledProcessLeftIsRemoved) {
  const auto mine = TempDir::make("mine");
  ASSERT_TRUE(mine);
  ASSERT_TRUE(write_file_atomic(mine->path() / "f", "1"));
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    auto left = TempDir::make("left");
    const std::string path = left ? left->path().string() : "";
    if (left && write_file_atomic(left->path() / "f", "1"))
      fs::permissions(left->path() / "f", fs::perms::none);
    static_cast<void>(!::write(ends[1], path.data(), path.size()));
    ::pause();
  }
  std::string path(1000, '\0');
  path.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(ends[0], path.data(), 1000), 0)));
  ASSERT_FALSE(path.empty());
  EXPECT_TRUE(TempDir::make("next"));
  EXPECT_TRUE(fs::exists(path)) << "its owner lives";
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  const fs::path outside = mine->path().parent_path().parent_path() / "lathe-tests-abcdef";
  fs::create_directory(outside);
  EXPECT_TRUE(TempDir::make("next"));
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::exists(mine->path() / "f"));
  EXPECT_TRUE(fs::exists(outside)) << "a person's own directory";
  fs::remove(outside);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(TempDir, AnotherUsersDirectoryIsNoPlaceForOurs) {
  const auto scratch = TempDir::make("scratch");
  ASSERT_TRUE(scratch);
  const char* before = std::getenv("TMPDIR");
  const std::string old = before ? before : "";
  ::setenv("TMPDIR", scratch->path().c_str(), 1);
  const fs::path shelf = scratch->path() / fmt::format("lathe-{}", ::geteuid());
  fs::create_directory(shelf);
  fs::permissions(shelf, fs::perms(0777));
  const auto refused = TempDir::make("x");
  fs::permissions(shelf, fs::perms(0700));
  { EXPECT_TRUE(TempDir::make("x")); }
  EXPECT_FALSE(fs::exists(shelf)) << "nothing is left behind";
  before ? ::setenv("TMPDIR", old.c_str(), 1) : ::unsetenv("TMPDIR");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("TMPDIR"));
}

TEST(RemoveTree, TakesWhatIsDeeperThanDescriptorsAndPathsGo) {
  auto dir = TempDir::make();
  ASSERT_TRUE(dir);
  const fs::path root = dir->path() / "deep";
  ASSERT_TRUE(fs::create_directory(root));
  int at = ::open(root.c_str(), O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 5000; ++depth) {
    ASSERT_EQ(::mkdirat(at, "d", 0700), 0);
    const int next = ::openat(at, "d", O_RDONLY | O_DIRECTORY);
    ::close(at);
    at = next;
  }
  ::close(at);
  const Status removed = remove_tree(root);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(fs::exists(root));
}

TEST(RemoveTree, FollowsNoLinkAndMindsNoPermission) {
  auto dir = TempDir::make();
  ASSERT_TRUE(dir);
  const fs::path root = dir->path() / "tree", kept = dir->path() / "kept";
  fs::create_directories(root / "closed" / "inner");
  fs::create_directory(kept);
  ASSERT_TRUE(write_file_atomic(kept / "file", "precious"));
  ASSERT_TRUE(write_file_atomic(root / "closed" / "file", "x"));
  fs::create_directory_symlink(kept, root / "link");
  fs::permissions(root / "closed", fs::perms::none);
  const Status removed = remove_tree(root);
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(fs::exists(root));
  EXPECT_EQ(read_file(kept / "file").value(), "precious");
  fs::create_directory_symlink(kept, root);
  EXPECT_TRUE(remove_tree(root));
  EXPECT_TRUE(fs::exists(kept / "file"));
  EXPECT_TRUE(remove_tree(root)) << "nothing there is nothing to do";
}

}  // namespace
}  // namespace lathe
