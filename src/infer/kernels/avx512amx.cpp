// AVX-512-VNNI, and tiles (AMX) for many tokens: the same panels and the same float operations, but
// the integer sums of 16 rows × 16 tokens × one block come from one tile product. Those are exact
// in any order. What bounds it is turning the sums into floats; types with a scale per 16 would
// need two half-empty tiles a block, which is slower than without (docs/kernels.md).
#include "infer/kernels/avx512.inl"
#include "infer/kernels/table.inl"

namespace lathe::infer {
namespace {

constexpr std::size_t kRing = 4;  // tile products under way

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

using Sums = std::int32_t[kTile][kPanelRows];

// Tiles 0-3: sums. 4 and 6: activations, 16 tokens × 32 bytes. 5 and 7: weights, 4 bytes along k a
// row.
inline void configure_tiles() {
  TileConfig config;
  for (int i = 0; i < 8; ++i) config.row_bytes[i] = 64, config.rows[i] = 16;
  for (const int i : {4, 6}) config.row_bytes[i] = kActivationBlock;
  for (const int i : {5, 7}) config.rows[i] = kActivationBlock / 4;
  // The intrinsic of GCC 12 says that it reads 8 bytes, so that the others need not be written.
  asm volatile("ldtilecfg %0" : : "m"(config));
}

// The tile instructions, with what they read and write: GCC 12's intrinsics tell the compiler
// nothing of it.
template <int kSum>
inline void tile_product(const Slab& slab, std::size_t b, const TileBlock& tile, Sums& out) {
  constexpr int kA = 4 + kSum % 2 * 2, kB = kA + 1;
  asm volatile(
      "tilezero %%tmm%c[to]\n\t"
      "tileloadd (%[a],%[a_stride],1), %%tmm%c[ta]\n\t"
      "tileloadd (%[b],%[stride],1), %%tmm%c[tb]\n\t"
      "tdpbssd %%tmm%c[tb], %%tmm%c[ta], %%tmm%c[to]\n\t"
      "tilestored %%tmm%c[to], (%[out],%[stride],1)"
      : "=m"(out)
      : [a] "r"(&tile.q), [a_stride] "r"(32L), [b] "r"(&slab.w[b]), [stride] "r"(64L),
        [out] "r"(&out), [to] "n"(kSum), [ta] "n"(kA), [tb] "n"(kB), "m"(tile.q), "m"(slab.w[b]));
}

inline void product(const Slab& slab, std::size_t b, const TileBlock& tile, Sums& out) {
  switch (b % 4) {
    case 0:
      return tile_product<0>(slab, b, tile, out);
    case 1:
      return tile_product<1>(slab, b, tile, out);
    case 2:
      return tile_product<2>(slab, b, tile, out);
    default:
      return tile_product<3>(slab, b, tile, out);
  }
}

template <Scaling kScaling>
void multiply_by_tiles(const SlabJob& job) {
  constexpr std::size_t kLag = 2;
  alignas(64) Sums ring[kRing];
  VF acc[kTile];
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTile; ++t)
    acc[t] = job.start || t >= job.tokens ? vf_zero()
                                          : vf_load_n(job.out + t * job.out_stride, job.rows);
  for (std::size_t b = 0; b < job.count + kLag; ++b) {
    if (b < job.count) {
      product(job.slab, b, job.tile[b], ring[b % kRing]);
      job.prefetch_next(b);
    }
    if (b >= kLag) {
      const std::size_t done = b - kLag;
#pragma GCC unroll 16
      for (std::size_t t = 0; t < kTile; ++t)
        acc[t] = add_sums<kScaling>(acc[t], vi_load(ring[done % kRing][t]), vi_zero(),
                                    job.slab.scales[done], job.tile[done], t);
    }
  }
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTile; ++t)
    if (t < job.tokens) vf_store_n(job.out + t * job.out_stride, acc[t], job.rows);
}

// The weights as they are, not as vpdpbusd takes them.
template <int kRaised>
inline void lower(VB* w) {
  const VB raised = _mm512_set1_epi8(static_cast<char>(kRaised));
  for (std::size_t g = 0; g < 8; ++g) w[g] = _mm512_sub_epi8(w[g], raised);
}

struct Tiles {
  static const KernelTable& plain() { return kAvx512VnniTable; }

  static constexpr bool takes(TensorType type) {
    for (const PackedFormat& format : kPackedFormats)
      if (format.type == type) return !per16(format.scaling);
    return false;
  }

  struct Session {
    Session() { configure_tiles(); }
    ~Session() { _tile_release(); }
  };

  template <TensorType kType>
  static void multiply(const MatmulArgs& args) {
    matmul_wide<kType, 0, unpack_slab<kType, lower<kOffset<kType>>>,
                multiply_by_tiles<packed_format<kType>().scaling>>(args);
  }
};

}  // namespace

constinit const KernelTable kAvx512AmxTable = make_table<WideMatmul<Tiles>>("avx512amx");

}  // namespace lathe::infer
