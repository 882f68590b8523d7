// Memory in huge pages where there are some.
#include "infer/tensor/memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "ground/base/units.h"

namespace lathe::infer {
namespace {
constexpr std::size_t kHuge = std::size_t{2} << 20;
}

Result<Pages> Pages::allocate(std::size_t bytes) {
  Pages pages;
  if (bytes == 0) return pages;
  // Small buffers stay on small pages: a huge one each would be waste.
  const std::size_t align = bytes >= kHuge ? kHuge : 4096;
  const std::size_t size = rounded(bytes);
  const std::size_t mapped = size + (align == kHuge ? kHuge : 0);
  if (size < bytes)
    return fail(ErrorKind::kUnavailable, "cannot reserve {} bytes of memory", bytes);
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return fail(ErrorKind::kUnavailable,
                "cannot reserve {} of memory: {}; free some, or use a smaller context",
                format_bytes(bytes), std::strerror(errno));
  }
  auto begin = reinterpret_cast<std::uintptr_t>(base);
  const std::uintptr_t aligned = (begin + align - 1) / align * align;
  if (aligned > begin) munmap(base, aligned - begin);
  const std::uintptr_t end = aligned + size;
  if (begin + mapped > end) munmap(reinterpret_cast<void*>(end), begin + mapped - end);
  pages.data_ = reinterpret_cast<std::byte*>(aligned);
  pages.size_ = size;
  if (align == kHuge) madvise(pages.data_, size, MADV_HUGEPAGE);
  return pages;
}

void discard_pages(std::byte* data, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t from = (begin + 4095) / 4096 * 4096, to = (begin + bytes) / 4096 * 4096;
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void read_all(std::span<const std::byte> bytes) {
  using Line [[gnu::vector_size(64), gnu::may_alias]] = std::uint64_t;
  const auto* at = reinterpret_cast<const Line*>(bytes.data());
  Line sums[4] = {};
  for (std::size_t left = bytes.size() / sizeof sums; left > 0; --left, at += 4)
    for (std::size_t i = 0; i < 4; ++i) sums[i] ^= at[i];
  asm volatile("" : : "m"(sums));  // the sums are wanted
}

Pages& Pages::operator=(Pages&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

void Pages::release() {
  if (data_ != nullptr) munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace lathe::infer
