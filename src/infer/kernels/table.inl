// The table of an instruction set whose vectors are included before. Matmul::run<kType> multiplies.
#include <utility>

#include "infer/kernels/attend.inl"
#include "infer/kernels/recurrent.inl"
#include "infer/kernels/tile.inl"
#include "infer/kernels/train.inl"

namespace lathe::infer {
namespace {

// F32, F16 and BF16, then the types of kPackedFormats: the same order in every table made here.
constexpr TensorType kFloatTypes[] = {TensorType::kF32, TensorType::kF16, TensorType::kBF16};
constexpr std::size_t kTypeCount = std::size(kFloatTypes) + std::size(kPackedFormats);

constexpr TensorType type_at(std::size_t i) {
  return i < std::size(kFloatTypes) ? kFloatTypes[i]
                                    : kPackedFormats[i - std::size(kFloatTypes)].type;
}

template <class Matmul, TensorType kType>
constexpr PackedType packed_of() {
  using Codec = PackedCodec<kType>;
  constexpr bool kInteger =
      kType != TensorType::kF32 && kType != TensorType::kF16 && kType != TensorType::kBF16;
  return {kType,       kInteger,      Codec::panel_bytes,
          Codec::pack, Codec::unpack, Matmul::template run<kType>};
}

struct TypeTable {
  PackedType types[kTypeCount];
};

template <class Matmul, std::size_t... kI>
constexpr TypeTable make_types(std::index_sequence<kI...>) {
  return {{packed_of<Matmul, type_at(kI)>()...}};
}

template <class Matmul>
constexpr TypeTable kTypes = make_types<Matmul>(std::make_index_sequence<kTypeCount>());

template <class Matmul>
constexpr KernelTable make_table(std::string_view name) {
  return {name,
          kTypes<Matmul>.types,
          {kv_format<FloatKv<TensorType::kF32>>(KvType::kF32),
           kv_format<FloatKv<TensorType::kF16>>(KvType::kF16), kv_format<Q8Kv>(KvType::kQ8_0),
           kv_format<FewBitKv<TensorType::kQ5_1>>(KvType::kQ5_1),
           kv_format<FewBitKv<TensorType::kQ4_0>>(KvType::kQ4_0)},
          quantize,
          rms_norm,
          layer_norm,
          silu_mul,
          relu_squared,
          gelu_mul,
          gelu,
          clamped_silu_mul,
          sigmoid_mul,
          soft_cap,
          add,
          mul,
          add_scaled,
          rope,
          merge,
          exp_sum,
          max_of,
          recurrent_kernels(),
          train_kernels<tile>()};
}

// What panel.inl does for every instruction set; Wide multiplies the integers of many tokens.
template <class Wide = TileProducts>
struct PanelMatmul {
  template <TensorType kType>
  static void run(const MatmulArgs& args) {
    if constexpr (kType == TensorType::kF32 || kType == TensorType::kF16 ||
                  kType == TensorType::kBF16)
      matmul_floats<kType>(args);
    else
      matmul_integers<kType, Wide>(args);
  }
};

// Products of more than kDirect tokens by Wide, all others as Wide::plain() has them. Wide::takes
// says of which types, Wide::Session what the processor must be told for them.
template <class Wide>
struct WideMatmul {
  template <TensorType kType>
  static void run_plain(const MatmulArgs& args) {
    static constexpr auto place = [] {
      std::size_t i = 0;
      while (type_at(i) != kType) ++i;
      return i;
    }();
    Wide::plain().types.data()[place].matmul(args);
  }

  template <TensorType kType>
  static void run(const MatmulArgs& args) {
    if constexpr (!Wide::takes(kType)) {
      run_plain<kType>(args);
    } else {
      if (args.tokens <= kDirect) return run_plain<kType>(args);
      [[maybe_unused]] const typename Wide::Session session;
      for (std::size_t t = 0; t < args.tokens;) {
        const MatmulArgs part = part_of(args, t, kTile * kTiles);
        if (part.tokens <= kDirect)
          run_plain<kType>(part);
        else
          Wide::template multiply<kType>(part);
        t += part.tokens;
      }
    }
  }
};

}  // namespace
}  // namespace lathe::infer
