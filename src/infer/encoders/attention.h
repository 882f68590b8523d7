// Attention in which rows see what they are told to, before and behind them. Memory grows with the
// rows, not with their square: queries walk over keys and values chunk by chunk, with the engine's
// kernels (KvFormat, in f32). The chunks that a row sees are folded one after the other, whoever
// computes them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ground/base/result.h"
#include "infer/kernels/kernels.h"
#include "infer/tensor/memory.h"

namespace lathe::infer {

// What some heads know of rows: keys and values in chunks, head by head. Heads are filled up with
// zeros to vectors of 16. Movable; different rows and heads may be stored at once.
class HeadMemory {
 public:
  // Only reserves: pages are taken as they are written.
  Status reserve(const KernelTable& kernels, std::size_t heads, std::size_t head_dim,
                 std::size_t rows);
  static std::uint64_t bytes_for(const KernelTable& kernels, std::size_t heads,
                                 std::size_t head_dim, std::size_t rows);
  // k and v (head_dim) of one head of a row; `room` for attention_floats(head_dim).
  void store(std::size_t row, std::size_t head, const float* k, const float* v, float* room);
  // The first so many rows of another of the same size.
  void copy_rows(const HeadMemory& other, std::size_t rows);

  std::size_t heads() const { return heads_; }
  std::size_t head_dim() const { return head_dim_; }
  std::size_t rows() const { return rows_; }
  const std::byte* chunk(std::size_t index, std::size_t head) const {
    return chunks_.data() + (head * chunks_a_head_ + index) * chunk_bytes_;
  }

 private:
  const KvFormat* format_ = nullptr;
  std::size_t heads_ = 0, head_dim_ = 0, rows_ = 0;
  std::size_t chunks_a_head_ = 0, chunk_bytes_ = 0;
  Scratch<std::byte> chunks_;
};

// Floats that a thread computes in.
std::size_t attention_floats(std::size_t head_dim);

// Rows [begin, end) of a memory. Of rows that follow one another neither goes back.
struct SeenRows {
  std::size_t begin = 0, end = 0;
};

struct EncoderPass;
// q (rows, heads · head_dim), scaled: each head's queries become what it gives.
void attend(EncoderPass& pass, const HeadMemory& memory, float* q, std::size_t rows,
            const std::function<SeenRows(std::size_t row)>& seen);

// Rows [0, ends[0]) see each other, then [ends[0], ends[1]) …
using Spans = std::vector<std::size_t>;
SeenRows seen_in(const Spans& spans, std::size_t row);

}  // namespace lathe::infer
