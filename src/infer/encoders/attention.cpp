// Queries of a tile walk over the chunks of what they see.
#include "infer/encoders/attention.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kTile = 64;  // queries that walk together

// Heads as the kernels take them: zeros fill them up to vectors of 16.
std::size_t padded(const EncoderSizes& sizes) {
  return (sizes.head_dim() + 15) / 16 * 16;
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

struct Span {
  std::size_t begin, end;
};
Span span_of(const Spans& spans, std::size_t row) {
  const auto end = std::upper_bound(spans.begin(), spans.end(), row);
  return {end == spans.begin() ? 0 : *std::prev(end), *end};
}

class Walk {
 public:
  Walk(EncoderPass& pass, std::size_t rows, const Spans& spans)
      : pass_(pass),
        format_(pass.kernels().kv_format(KvType::kF32)),
        rows_(rows),
        spans_(spans),
        dim_(padded(pass.sizes)) {}

  void run(std::size_t first, std::size_t head, int thread) const {
    const std::size_t queries = std::min(kTile, rows_ - first);
    const std::size_t own = pass_.sizes.head_dim(), width = pass_.sizes.width;
    float* q =
        pass_.threads.data() + static_cast<std::size_t>(thread) * attention_floats(pass_.sizes);
    const Gathered part(q + kTile * dim_);
    const Gathered total(q + kTile * dim_ + Gathered::floats(dim_));
    Span seen[kTile];
    for (std::size_t c = 0; c < queries; ++c) {
      seen[c] = span_of(spans_, first + c);
      pad(pass_.q.data() + (first + c) * width + head * own, own, dim_, q + c * dim_);
    }
    std::fill_n(total.l, queries, 0.0f);
    const std::size_t last = chunks_of(seen[queries - 1].end);
    for (std::size_t chunk = seen[0].begin / kChunk; chunk < last; ++chunk) {
      attend_chunk(chunk, head, chunk + 1 < last, {q, queries}, seen, part);
      fold(pass_.kernels(), queries, dim_, part, total);
    }
    for (std::size_t c = 0; c < queries; ++c) {
      float* out = pass_.q.data() + (first + c) * width + head * own;
      const float inverse = 1 / total.l[c];
      for (std::size_t i = 0; i < own; ++i) out[i] = total.o[c * dim_ + i] * inverse;
    }
  }

 private:
  const std::byte* chunk_at(std::size_t chunk, std::size_t head) const {
    const std::size_t bytes = format_.chunk_bytes(KvShape::of(dim_));
    return pass_.kv.data() + (head * chunks_of(pass_.sizes.rows) + chunk) * bytes;
  }

  struct Queries {
    const float* q;
    std::size_t count;
  };
  void attend_chunk(std::size_t chunk, std::size_t head, bool more, const Queries& queries,
                    const Span* seen, const Gathered& part) const {
    std::uint8_t from[kTile], to[kTile];
    const std::size_t start = chunk * kChunk;
    for (std::size_t c = 0; c < queries.count; ++c) {
      from[c] = static_cast<std::uint8_t>(std::clamp(seen[c].begin, start, start + kChunk) - start);
      to[c] = static_cast<std::uint8_t>(std::clamp(seen[c].end, start, start + kChunk) - start);
    }
    KvFormat::AttendArgs args{};
    args.chunk = chunk_at(chunk, head);
    args.shape = KvShape::of(dim_);
    args.columns = queries.count;
    args.q = queries.q;
    args.first = from;
    args.last = to;
    args.m = part.m;
    args.l = part.l;
    args.o = part.o;
    args.ahead = more ? chunk_at(chunk + 1, head) : nullptr;
    format_.attend(args);
  }

  EncoderPass& pass_;
  const KvFormat& format_;
  std::size_t rows_;
  const Spans& spans_;
  std::size_t dim_;
};

}  // namespace

std::uint64_t attention_bytes(const EncoderSizes& sizes) {
  const KvFormat& format = sizes.kernels->kv_format(KvType::kF32);
  return std::uint64_t{sizes.heads} * chunks_of(sizes.rows) *
         format.chunk_bytes(KvShape::of(padded(sizes)));
}

std::size_t attention_floats(const EncoderSizes& sizes) {
  const std::size_t dim = padded(sizes);
  return kTile * dim + 2 * Gathered::floats(dim);
}

void store_keys_values(EncoderPass& pass, std::size_t t, std::size_t head, const float* k,
                       const float* v, int thread) {
  const KvFormat& format = pass.kernels().kv_format(KvType::kF32);
  const std::size_t dim = padded(pass.sizes), own = pass.sizes.head_dim();
  const KvShape shape = KvShape::of(dim);
  float* room =
      pass.threads.data() + static_cast<std::size_t>(thread) * attention_floats(pass.sizes);
  pad(k, own, dim, room);
  pad(v, own, dim, room + dim);
  std::byte* chunk =
      pass.kv.data() + (head * chunks_of(pass.sizes.rows) + t / kChunk) * format.chunk_bytes(shape);
  format.store(chunk, shape, t % kChunk, room, room + dim);
}

void attend(EncoderPass& pass, std::size_t rows, const Spans& spans) {
  LATHE_CHECK(!spans.empty() && spans.back() == rows && rows <= pass.sizes.rows);
  const Walk walk(pass, rows, spans);
  // Items of one head lie together: they read the same keys and values.
  const std::size_t tiles = (rows + kTile - 1) / kTile;
  pass.team->run(tiles * pass.sizes.heads, [&](std::size_t item, int thread) {
    walk.run(item % tiles * kTile, item / tiles, thread);
  });
}

}  // namespace lathe::infer
