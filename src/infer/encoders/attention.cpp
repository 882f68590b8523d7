// Queries of a tile walk over the chunks of what they see.
#include "infer/encoders/attention.h"

#include <algorithm>
#include <cstring>

#include "infer/encoders/layers.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kTile = 64;  // queries that walk together

// Heads as the kernels take them.
std::size_t padded(std::size_t head_dim) {
  return (head_dim + 15) / 16 * 16;
}
void pad(const float* head, std::size_t dim, std::size_t to_dim, float* to) {
  std::copy_n(head, dim, to);
  std::fill(to + dim, to + to_dim, 0.0f);
}

std::size_t chunks_of(std::size_t rows) {
  return (rows + kChunk - 1) / kChunk;
}

// What the queries of a tile have gathered: maximum, sum of exponentials (0: nothing yet), weighted
// sum of values.
struct Gathered {
  explicit Gathered(float* base) : m(base), l(base + kTile), o(base + 2 * kTile) {}
  static std::size_t floats(std::size_t dim) { return kTile * (dim + 2); }
  float *m, *l, *o;  // o (kTile, dim)
};

void fold(const KernelTable& kernels, std::size_t queries, std::size_t dim, const Gathered& part,
          const Gathered& total) {
  for (std::size_t c = 0; c < queries; ++c) {
    float* o = total.o + c * dim;
    if (part.l[c] == 0) continue;
    if (total.l[c] != 0) {
      kernels.merge(&total.m[c], &total.l[c], o, part.m[c], part.l[c], part.o + c * dim, dim);
      continue;
    }
    total.m[c] = part.m[c];
    total.l[c] = part.l[c];
    std::copy_n(part.o + c * dim, dim, o);
  }
}

class Walk {
 public:
  Walk(EncoderPass& pass, const HeadMemory& memory, float* q, std::size_t rows,
       const std::function<SeenRows(std::size_t)>& seen)
      : pass_(pass),
        format_(pass.kernels().kv_format(KvType::kF32)),
        memory_(memory),
        q_(q),
        rows_(rows),
        seen_(seen),
        dim_(padded(memory.head_dim())) {}

  void run(std::size_t first, std::size_t head, int thread) const {
    const std::size_t queries = std::min(kTile, rows_ - first);
    const std::size_t own = memory_.head_dim(), width = memory_.heads() * own;
    float* q = pass_.room(thread);
    const Gathered part(q + kTile * dim_);
    const Gathered total(q + kTile * dim_ + Gathered::floats(dim_));
    SeenRows seen[kTile];
    for (std::size_t c = 0; c < queries; ++c) {
      seen[c] = seen_(first + c);
      pad(q_ + (first + c) * width + head * own, own, dim_, q + c * dim_);
    }
    std::fill_n(total.l, queries, 0.0f);
    const std::size_t last = chunks_of(seen[queries - 1].end);
    for (std::size_t chunk = seen[0].begin / kChunk; chunk < last; ++chunk) {
      attend_chunk(chunk, head, chunk + 1 < last, {q, queries}, seen, part);
      fold(pass_.kernels(), queries, dim_, part, total);
    }
    for (std::size_t c = 0; c < queries; ++c) {
      float* out = q_ + (first + c) * width + head * own;
      const float inverse = 1 / total.l[c];
      for (std::size_t i = 0; i < own; ++i) out[i] = total.o[c * dim_ + i] * inverse;
    }
  }

 private:
  struct Queries {
    const float* q;
    std::size_t count;
  };
  void attend_chunk(std::size_t chunk, std::size_t head, bool more, const Queries& queries,
                    const SeenRows* seen, const Gathered& part) const {
    std::uint8_t from[kTile], to[kTile];
    const std::size_t start = chunk * kChunk;
    for (std::size_t c = 0; c < queries.count; ++c) {
      from[c] = static_cast<std::uint8_t>(std::clamp(seen[c].begin, start, start + kChunk) - start);
      to[c] = static_cast<std::uint8_t>(std::clamp(seen[c].end, start, start + kChunk) - start);
    }
    KvFormat::AttendArgs args{};
    args.chunk = memory_.chunk(chunk, head);
    args.shape = KvShape::of(dim_);
    args.columns = queries.count;
    args.q = queries.q;
    args.first = from;
    args.last = to;
    args.m = part.m;
    args.l = part.l;
    args.o = part.o;
    args.ahead = more ? memory_.chunk(chunk + 1, head) : nullptr;
    format_.attend(args);
  }

  EncoderPass& pass_;
  const KvFormat& format_;
  const HeadMemory& memory_;
  float* q_;
  std::size_t rows_;
  const std::function<SeenRows(std::size_t)>& seen_;
  std::size_t dim_;
};

}  // namespace

std::uint64_t HeadMemory::bytes_for(const KernelTable& kernels, std::size_t heads,
                                    std::size_t head_dim, std::size_t rows) {
  const KvFormat& format = kernels.kv_format(KvType::kF32);
  return std::uint64_t{heads} * chunks_of(rows) * format.chunk_bytes(KvShape::of(padded(head_dim)));
}

Status HeadMemory::reserve(const KernelTable& kernels, std::size_t heads, std::size_t head_dim,
                           std::size_t rows) {
  format_ = &kernels.kv_format(KvType::kF32);
  heads_ = heads;
  head_dim_ = head_dim;
  rows_ = rows;
  chunks_a_head_ = chunks_of(rows);
  chunk_bytes_ = format_->chunk_bytes(KvShape::of(padded(head_dim)));
  return chunks_.reserve(bytes_for(kernels, heads, head_dim, rows));
}

void HeadMemory::store(std::size_t row, std::size_t head, const float* k, const float* v,
                       float* room) {
  const std::size_t dim = padded(head_dim_);
  pad(k, head_dim_, dim, room);
  pad(v, head_dim_, dim, room + dim);
  std::byte* to = chunks_.data() + (head * chunks_a_head_ + row / kChunk) * chunk_bytes_;
  format_->store(to, KvShape::of(dim), row % kChunk, room, room + dim);
}

void HeadMemory::copy_rows(const HeadMemory& other, std::size_t rows) {
  LATHE_CHECK(other.heads_ == heads_ && other.rows_ == rows_ && rows <= rows_);
  for (std::size_t head = 0; head < heads_; ++head) {
    const std::size_t at = head * chunks_a_head_ * chunk_bytes_;
    std::memcpy(chunks_.data() + at, other.chunks_.data() + at, chunks_of(rows) * chunk_bytes_);
  }
}

std::size_t attention_floats(std::size_t head_dim) {
  const std::size_t dim = padded(head_dim);
  return kTile * dim + 2 * Gathered::floats(dim);
}

void attend(EncoderPass& pass, const HeadMemory& memory, float* q, std::size_t rows,
            const std::function<SeenRows(std::size_t row)>& seen) {
  LATHE_CHECK(rows > 0 && seen(rows - 1).end <= memory.rows());
  const Walk walk(pass, memory, q, rows, seen);
  // Items of one head lie together: they read the same keys and values.
  const std::size_t tiles = (rows + kTile - 1) / kTile;
  pass.team->run(tiles * memory.heads(), [&](std::size_t item, int thread) {
    walk.run(item % tiles * kTile, item / tiles, thread);
  });
}

SeenRows seen_in(const Spans& spans, std::size_t row) {
  const auto end = std::upper_bound(spans.begin(), spans.end(), row);
  LATHE_CHECK(end != spans.end());
  return {end == spans.begin() ? 0 : *std::prev(end), *end};
}

}  // namespace lathe::infer
