// AVX-512-VNNI, and tiles (AMX) for many tokens: the same panels and the same float operations, but
// the integer sums of 16 rows × 16 tokens × one block come from one tile product. Those are exact
// in any order. What bounds it is turning the sums into floats; types with a scale per 16 would
// need two half-empty tiles a block, which is slower than without (docs/kernels.md).
#include "infer/kernels/avx512.inl"
#include "infer/kernels/table.inl"

namespace lathe {
namespace {

constexpr std::size_t kRing = 4;       // tile products under way
constexpr std::size_t kTilesFrom = 8;  // tokens up to which a tile does not pay

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

// What add_slab_block of panel.inl does once it has the integer sums.
template <Scaling kScaling>
inline void add_sums(VF* acc, const Sums& sums, const BlockScales& scales, const TileBlock& tile) {
  const VF scale = vf_load(scales.scale[0]);
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTile; ++t) {
    const VF factor = vf_mul(scale, vf_set1(tile.scale[t]));
    acc[t] = vf_fma(vf_from_i(vi_load(sums[t])), factor, acc[t]);
    if constexpr (has_min(kScaling))
      acc[t] = vf_fma(vf_load(scales.min[0]), vf_set1(tile.sums[0][t]), acc[t]);
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
      add_sums<kScaling>(acc, ring[done % kRing], job.slab.scales[done], job.tile[done]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t t = 0; t < kTile; ++t)
    if (t < job.tokens) vf_store_n(job.out + t * job.out_stride, acc[t], job.rows);
}

// The weights as they are, not as vpdpbusd takes them.
template <int kRaised>
inline VB lowered(VB w) {
  return kRaised == 0 ? w : _mm512_sub_epi8(w, _mm512_set1_epi8(static_cast<char>(kRaised)));
}

struct TileMatmul {
  // As without tiles.
  template <TensorType kType>
  static void run_plain(const MatmulArgs& args) {
    static constexpr auto place = [] {
      std::size_t i = 0;
      while (type_at(i) != kType) ++i;
      return i;
    }();
    kAvx512VnniTable.types.data()[place].matmul(args);
  }

  template <TensorType kType>
  static constexpr bool uses_tiles() {
    for (const PackedFormat& format : kPackedFormats)
      if (format.type == kType) return !per16(format.scaling);
    return false;
  }

  template <TensorType kType>
  static void run(const MatmulArgs& args) {
    if constexpr (!uses_tiles<kType>()) {
      run_plain<kType>(args);
    } else {
      constexpr Scaling kScaling = packed_format<kType>().scaling;
      if (args.tokens <= kTilesFrom) return run_plain<kType>(args);
      configure_tiles();
      for (std::size_t t = 0; t < args.tokens;) {
        const MatmulArgs part = part_of(args, t, kTile * kTiles);
        if (part.tokens <= kTilesFrom)
          run_plain<kType>(part);
        else
          matmul_wide<kType, 0, unpack_slab<kType, lowered<kOffset<kType>>>,
                      multiply_by_tiles<kScaling>>(part);
        t += part.tokens;
      }
      _tile_release();
    }
  }
};

}  // namespace

constinit const KernelTable kAvx512AmxTable = make_table<TileMatmul>("avx512amx");

}  // namespace lathe
