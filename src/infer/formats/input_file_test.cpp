// Large reads in any piece, and beyond the end of a file.
#include "infer/formats/input_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <random>

namespace lathe::infer {
namespace {

// In the working directory, which is on a disk where tests are run from a build: there O_DIRECT can
// work.
class ReadLarge : public ::testing::Test {
 protected:
  ReadLarge() {
    std::mt19937 random(1);
    bytes.resize(1'000'001);
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_TRUE(write_file_atomic(path, bytes).has_value());
  }
  ~ReadLarge() override { fs::remove(path); }
  void drop_cache() {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
  }
  fs::path path = fs::current_path() / fmt::format("read_large_{}.bin", getpid());
  std::string bytes;
};

TEST_F(ReadLarge, AnyPieceColdOrWarm) {
  const auto file = InputFile::open(path);
  ASSERT_TRUE(file.has_value());
  ReadBuffer buffer;
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    if (round % 3 == 0) drop_cache();
    const std::size_t offset = round % 5 == 0 ? random() % 245 * 4096 : random() % bytes.size();
    const std::size_t left = bytes.size() - offset;
    const std::size_t count = round % 7 == 0 ? left : random() % (left + 1);
    const auto got = file->read_large(offset, count, buffer);
    ASSERT_TRUE(got.has_value()) << got.error().message;
    ASSERT_EQ(got->size(), count);
    EXPECT_EQ(std::memcmp(got->data(), bytes.data() + offset, count), 0) << offset << " " << count;
  }
}

TEST_F(ReadLarge, BeyondTheEndIsAnErrorThatNamesTheFile) {
  const auto file = InputFile::open(path);
  ReadBuffer buffer;
  for (const std::size_t offset : {bytes.size() - 10, bytes.size(), bytes.size() + 5000}) {
    const auto got = file->read_large(offset, 100, buffer);
    ASSERT_FALSE(got.has_value());
    EXPECT_NE(got.error().message.find(path.string()), std::string::npos) << got.error().message;
  }
}

}  // namespace
}  // namespace lathe::infer
