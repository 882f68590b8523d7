// Importance matrices from files and into them.
#include "infer/convert/importance.h"

#include <algorithm>
#include <cmath>

#include "infer/formats/gguf_writer.h"
#include "infer/formats/input_file.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kSquares = ".in_sum2", kCounts = ".counts";
constexpr std::uint64_t kMostEntries = 1 << 20, kMostName = 1024;

Status check_numbers(const fs::path& path, std::string_view name, std::span<const float> values) {
  for (const float value : values)
    if (!(value >= 0 && std::isfinite(value)))
      return invalid("{}: '{}' holds {}; sums of squares are finite and not negative",
                     path.string(), shown(name), value);
  return {};
}

Result<ImportanceMatrix> read_gguf(const fs::path& path) {
  LATHE_TRY(const Gguf file, Gguf::open(path));
  LATHE_TRY(const std::string type, file.text_or("general.type", "model"));
  if (type != "imatrix")
    return invalid("{}: its general.type is '{}', not 'imatrix'; `lathe imatrix` makes one",
                   path.string(), shown(type));
  ImportanceMatrix matrix;
  LATHE_TRY(const std::span<const std::string> datasets, file.texts("imatrix.datasets"));
  matrix.datasets.assign(datasets.begin(), datasets.end());
  LATHE_TRY(const std::uint64_t chunks, file.uint_or("imatrix.chunk_count", 0, 0, ~0u));
  LATHE_TRY(const std::uint64_t tokens, file.uint_or("imatrix.chunk_size", 0, 0, ~0u));
  matrix.chunks = static_cast<std::uint32_t>(chunks);
  matrix.chunk_tokens = static_cast<std::uint32_t>(tokens);
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string_view name = tensor.name;
    const bool squares = name.ends_with(kSquares), counts = name.ends_with(kCounts);
    if (!squares && !counts) continue;
    LATHE_TRY(std::vector<float> values, load_floats(file, tensor));
    LATHE_TRY_STATUS(check_numbers(path, name, values));
    const std::size_t ending = squares ? kSquares.size() : kCounts.size();
    Importance& entry = matrix.of[std::string(name.substr(0, name.size() - ending))];
    (squares ? entry.squares : entry.counts) = std::move(values);
  }
  for (const auto& [name, entry] : matrix.of)
    if (entry.squares.empty() || entry.counts.empty() ||
        entry.squares.size() % entry.counts.size() != 0)
      return invalid("{}: '{}' has {} sums for {} counts", path.string(), shown(name),
                     entry.squares.size(), entry.counts.size());
  return matrix;
}

// i32 entries; then each: i32 length, name, i32 calls, i32 values, f32 values (the mean squares
// times the calls). Behind them, in newer files: i32 chunks, i32 length, the text's name.
Result<ImportanceMatrix> read_legacy(const fs::path& path) {
  LATHE_TRY(const InputFile file, InputFile::open(path));
  Cursor cursor(file);
  const auto count = [&](std::string_view what, std::uint64_t most) -> Result<std::uint64_t> {
    LATHE_TRY(const std::int32_t value, cursor.scalar<std::int32_t>(what));
    if (value < 0 || static_cast<std::uint64_t>(value) > most)
      return invalid("{}: {} is {}; this is no importance matrix", path.string(), what, value);
    return static_cast<std::uint64_t>(value);
  };
  ImportanceMatrix matrix;
  LATHE_TRY(const std::uint64_t entries, count("the number of entries", kMostEntries));
  for (std::uint64_t i = 0; i < entries; ++i) {
    LATHE_TRY(const std::uint64_t length, count("the length of a name", kMostName));
    std::string name(length, '\0');
    LATHE_TRY_STATUS(cursor.bytes("a name", std::as_writable_bytes(std::span(name))));
    LATHE_TRY(const std::uint64_t calls, count("the number of calls", ~0u >> 1));
    LATHE_TRY(const std::uint64_t values,
              count("the number of values", cursor.remaining() / sizeof(float)));
    Importance entry{std::vector<float>(values), {static_cast<float>(calls)}};
    LATHE_TRY_STATUS(cursor.bytes("values", std::as_writable_bytes(std::span(entry.squares))));
    LATHE_TRY_STATUS(check_numbers(path, name, entry.squares));
    matrix.of[std::move(name)] = std::move(entry);
  }
  if (cursor.remaining() > 0) {
    LATHE_TRY(const std::uint64_t chunks, count("the number of chunks", ~0u >> 1));
    matrix.chunks = static_cast<std::uint32_t>(chunks);
    LATHE_TRY(const std::uint64_t length, count("the length of a text's name", kMostName));
    std::string name(length, '\0');
    LATHE_TRY_STATUS(cursor.bytes("a text's name", std::as_writable_bytes(std::span(name))));
    matrix.datasets.push_back(std::move(name));
  }
  return matrix;
}

}  // namespace

Result<ImportanceMatrix> read_importance(const fs::path& path) {
  LATHE_TRY(const InputFile file, InputFile::open(path));
  char magic[4] = {};
  if (file.size() >= sizeof magic) {
    LATHE_TRY_STATUS(file.read_at(0, std::as_writable_bytes(std::span(magic))));
  }
  return std::string_view(magic, sizeof magic) == "GGUF" ? read_gguf(path) : read_legacy(path);
}

Status write_importance(const ImportanceMatrix& matrix, const fs::path& path) {
  LATHE_TRY(GgufWriter writer, GgufWriter::create(path));
  writer.add("general.type", std::string("imatrix"));
  writer.add("imatrix.datasets", matrix.datasets);
  writer.add("imatrix.chunk_count", std::uint64_t{matrix.chunks});
  writer.add("imatrix.chunk_size", std::uint64_t{matrix.chunk_tokens});
  for (const auto& [name, entry] : matrix.of) {
    const std::uint64_t experts = entry.counts.size();
    const std::uint64_t squares[] = {entry.squares.size() / experts, experts};
    const std::uint64_t counts[] = {1, experts};
    writer.add_tensor(name + std::string(kSquares), TensorType::kF32, squares);
    writer.add_tensor(name + std::string(kCounts), TensorType::kF32, counts);
  }
  LATHE_TRY_STATUS(writer.begin_data());
  for (const auto& [name, entry] : matrix.of) {
    LATHE_TRY_STATUS(writer.write(std::as_bytes(std::span(entry.squares))));
    LATHE_TRY_STATUS(writer.write(std::as_bytes(std::span(entry.counts))));
  }
  return writer.finish();
}

Result<std::vector<float>> column_weights(const ImportanceMatrix& matrix,
                                          const GgufTensor& tensor) {
  const auto found = matrix.of.find(tensor.name);
  if (found == matrix.of.end()) return std::vector<float>();
  const Importance& entry = found->second;
  const std::uint64_t columns = tensor.shape[0], experts = tensor.shape[2] * tensor.shape[3];
  if (entry.squares.size() != columns * experts ||
      (entry.counts.size() != experts && entry.counts.size() != 1))
    return invalid(
        "the importance matrix has {} sums and {} counts for '{}', which has {} columns and {} "
        "experts; it was made for another model",
        entry.squares.size(), entry.counts.size(), tensor.name, columns, experts);
  std::vector<float> weights(entry.squares.size(), 1.0f);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const float count = entry.counts[entry.counts.size() == 1 ? 0 : i / columns];
    if (count > 0) weights[i] = entry.squares[i] / count;
  }
  return weights;
}

}  // namespace lathe::infer
