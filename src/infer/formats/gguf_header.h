// One GGUF file's header, and what its fields may be: shared by the reader and the writer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "infer/formats/gguf.h"
#include "infer/formats/input_file.h"

namespace lathe::infer {

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr std::uint32_t kGgufVersion = 3;
inline constexpr std::uint64_t kGgufAlignment = 32;
inline constexpr std::size_t kGgufMaxTensorName = 63;
inline constexpr std::size_t kGgufMaxKey = std::size_t{64} << 10;

enum class GgufValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

struct GgufHeader {
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<GgufTensor> tensors;  // of part 0, with absolute offsets
};

Result<GgufHeader> read_gguf_header(const InputFile& file);
// Its type, by GGUF's number, and how many bytes its shape then takes: as many as the file can
// hold. `name` is how errors call it.
Status set_size(const InputFile& file, GgufTensor& tensor, std::string_view name,
                std::uint32_t type);

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

// "a string", "an array of integers"
std::string_view gguf_kind(const GgufValue& value);

}  // namespace lathe::infer
