// The table of an instruction set whose vectors and loops are included before.
#include "infer/kernels/attend.inl"

namespace lathe {
namespace {

template <TensorType kType>
constexpr PackedType packed_of(void (*matmul)(const MatmulArgs& args), bool integer) {
  using Codec = PackedCodec<kType>;
  return {kType, integer, Codec::panel_bytes, Codec::pack, Codec::unpack, matmul};
}

template <TensorType kType>
constexpr PackedType float_type() {
  return packed_of<kType>(matmul_floats<kType>, false);
}

template <TensorType kType>
constexpr PackedType integer_type() {
  return packed_of<kType>(matmul_integers<kType>, true);
}

constexpr PackedType kTypes[] = {
    float_type<TensorType::kF32>(),      float_type<TensorType::kF16>(),
    float_type<TensorType::kBF16>(),     integer_type<TensorType::kQ4_0>(),
    integer_type<TensorType::kQ4_1>(),   integer_type<TensorType::kQ5_0>(),
    integer_type<TensorType::kQ5_1>(),   integer_type<TensorType::kQ8_0>(),
    integer_type<TensorType::kQ2_K>(),   integer_type<TensorType::kQ3_K>(),
    integer_type<TensorType::kQ4_K>(),   integer_type<TensorType::kQ5_K>(),
    integer_type<TensorType::kQ6_K>(),   integer_type<TensorType::kIQ4_NL>(),
    integer_type<TensorType::kIQ4_XS>(), integer_type<TensorType::kMXFP4>(),
    integer_type<TensorType::kNVFP4>(),
};

constexpr KernelTable make_table(std::string_view name) {
  return {name,
          kTypes,
          {kv_format<FloatKv<TensorType::kF32>>(KvType::kF32),
           kv_format<FloatKv<TensorType::kF16>>(KvType::kF16), kv_format<Q8Kv>(KvType::kQ8_0)},
          quantize,
          rms_norm,
          silu_mul,
          add,
          add_scaled,
          rope,
          merge,
          exp_sum,
          max_of};
}

}  // namespace
}  // namespace lathe
