// Reading GGUF files, single or split, and Whisper's own (whisper_header.h), which are read as if
// they were some. `Gguf::open` checks everything that can be checked without the weights (see the
// list in docs/formats.md): counts against the bytes that are there before anything is allocated,
// sizes without overflow, every tensor inside its file. Errors name the file, the field and the
// value. Immutable once open; any thread may read. Holds one file descriptor per part.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "infer/formats/input_file.h"
#include "infer/quant/tensor_type.h"

namespace lathe::infer {

// A metadata value. Arrays keep one vector per element class: integers and booleans widened to 64
// bits.
using GgufValue =
    std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<bool>,
                 std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>,
                 std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  TensorType type;
  std::array<std::uint64_t, 4> shape;  // ne: shape[0] is the row length; unused dimensions are 1
  int dimensions;
  std::size_t part;      // which file
  std::uint64_t offset;  // absolute, in that file
  std::uint64_t bytes;

  std::uint64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
  std::uint64_t rows() const { return shape[1] * shape[2] * shape[3]; }
};

class Gguf {
 public:
  // `path` is the file, or part 1 of a split one: the other parts are found beside it.
  static Result<Gguf> open(const fs::path& path);
  Gguf(Gguf&&) noexcept;
  Gguf& operator=(Gguf&&) noexcept;
  ~Gguf();

  const fs::path& path() const;
  std::uint64_t file_bytes() const;                                     // of all parts
  std::span<const std::pair<std::string, GgufValue>> metadata() const;  // in file order
  std::span<const GgufTensor> tensors() const;                          // in file order
  const GgufTensor* find_tensor(std::string_view name) const;

  // Typed reads. An absent key gives the fallback (or, without one, an error that names the key); a
  // key of another type, or an integer out of range, is always an error.
  bool has(std::string_view key) const;
  const GgufValue* find(std::string_view key) const;
  Result<std::uint64_t> uint(std::string_view key, std::uint64_t min, std::uint64_t max) const;
  Result<std::uint64_t> uint_or(std::string_view key, std::uint64_t fallback, std::uint64_t min,
                                std::uint64_t max) const;
  Result<double> real(std::string_view key) const;  // finite
  Result<double> real_or(std::string_view key, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::string> text_or(std::string_view key, std::string_view fallback) const;
  Result<std::span<const std::string>> texts(
      std::string_view key) const;  // string array; absent: empty
  // A scalar repeated `count` times or an array of exactly `count` integers in [min, max].
  Result<std::vector<std::uint64_t>> per_layer(std::string_view key, std::size_t count,
                                               std::uint64_t min, std::uint64_t max) const;
  Result<std::vector<std::int64_t>> ints(std::string_view key) const;  // absent: empty
  Result<std::vector<double>> reals(std::string_view key) const;       // absent: empty

  // Reads bytes [from, from + out.size()) of the tensor. Fails, never faults, when the file has
  // shrunk.
  Status read(const GgufTensor& tensor, std::uint64_t from, std::span<std::byte> out) const;
  // The same for large pieces that are read once; see InputFile::read_large.
  Result<std::span<const std::byte>> read_large(const GgufTensor& tensor, std::uint64_t from,
                                                std::size_t count, ReadBuffer& buffer) const;
  const fs::path& part_path(std::size_t part) const;

 private:
  Status check_range(const GgufTensor& tensor, std::uint64_t from, std::size_t count) const;
  struct State;
  explicit Gguf(std::unique_ptr<State> state);
  std::unexpected<Error> missing(std::string_view key) const;
  std::unexpected<Error> wrong_kind(std::string_view key, std::string_view needed) const;
  std::unique_ptr<State> state_;
};

// A vector or small matrix, decoded to f32.
Result<std::vector<float>> load_floats(const Gguf& file, const GgufTensor& tensor);

}  // namespace lathe::infer
