// Memory that does not come from the heap: anonymous pages, 2 MiB aligned and advised to be huge,
// zero until touched and given back to the system in one piece. Failure to get it is an error,
// never an abort.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "ground/base/result.h"

namespace lathe::infer {

class Pages {
 public:
  Pages() = default;
  // Only reserves: the pages are taken when they are first written.
  static Result<Pages> allocate(std::size_t bytes);
  static constexpr std::uint64_t rounded(std::uint64_t bytes) {  // to whole pages
    return (bytes + 4095) / 4096 * 4096;
  }
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept;
  ~Pages() { release(); }

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void release();
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// The whole pages within go back to the system; they are zero when they are next touched.
void discard_pages(std::byte* data, std::size_t bytes);

// Reads everything and throws it away, as fast as memory gives it to one thread. From a 64-byte
// boundary on; what is beyond the last whole 256 bytes is left out.
void read_all(std::span<const std::byte> bytes);

// A float or byte array of which only the size changes; contents are lost when it grows. For
// scratch.
template <class T>
class Scratch {
 public:
  Status reserve(std::size_t count) {
    if (count <= count_) return {};
    pages_ = {};  // the old one goes first: both at once would double the peak
    count_ = 0;
    LATHE_TRY(pages_, Pages::allocate(count * sizeof(T)));
    count_ = count;
    return {};
  }
  T* data() const { return reinterpret_cast<T*>(pages_.data()); }
  std::size_t bytes() const { return count_ * sizeof(T); }
  std::span<std::byte> memory() const { return {pages_.data(), pages_.size()}; }  // whole pages

 private:
  Pages pages_;
  std::size_t count_ = 0;
};

}  // namespace lathe::infer
