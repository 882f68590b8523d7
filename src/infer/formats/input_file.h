// A regular file that is read by position: what the model formats are read through. Errors name the
// path. A file that shrinks while it is open gives an error, never a signal. Owns one descriptor;
// any thread may read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"

namespace lathe::infer {

// Memory that O_DIRECT can read into. One thread at a time; grows as needed.
class ReadBuffer {
 public:
  std::byte* reserve(std::size_t bytes);  // aligned to kAlignment; contents are lost
  static constexpr std::size_t kAlignment = 4096;

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

class InputFile {
 public:
  static Result<InputFile> open(const fs::path& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const fs::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }  // when it was opened
  Status read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // For large pieces that are read once: out of the page cache where they lie there, past it where
  // they do not (a big file would only push out what others need, and reading past the cache is
  // faster; bench/load_bench.cpp). The view is good until the buffer's next use.
  Result<std::span<const std::byte>> read_large(std::uint64_t offset, std::size_t count,
                                                ReadBuffer& buffer) const;

 private:
  InputFile(fs::path path, int fd, std::uint64_t size)
      : path_(std::move(path)), fd_(fd), size_(size) {}

  fs::path path_;
  int fd_;
  int direct_fd_ = -1;  // the same file past the page cache; -1 where that cannot be
  std::uint64_t size_;
};

// Reads a header from front to back. `what` names the field in errors.
class Cursor {
 public:
  explicit Cursor(const InputFile& file) : file_(file), buffer_(kBuffer) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return file_.size() - position_; }
  Status bytes(std::string_view what, std::span<std::byte> out);
  void skip(std::uint64_t count) { position_ += count; }  // at most remaining()

  template <class T>
  Result<T> scalar(std::string_view what) {
    T value{};
    LATHE_TRY_STATUS(bytes(what, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  // A u64 length and that many bytes. The length is checked before anything is allocated.
  Result<std::string> text(std::string_view what, std::uint64_t max_bytes);

 private:
  static constexpr std::size_t kBuffer = std::size_t{64} << 10;

  const InputFile& file_;
  std::vector<std::byte> buffer_;
  std::uint64_t buffer_start_ = 0;
  std::size_t buffered_ = 0;
  std::uint64_t position_ = 0;
};

// A name from a foreign file as an error message may show it: printable, not endless.
std::string shown(std::string_view name);

}  // namespace lathe::infer
