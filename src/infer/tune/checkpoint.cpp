// A training's state as a file that is whole or not there.
#include "infer/tune/checkpoint.h"

#include <algorithm>

#include "infer/formats/gguf_writer.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kPrefix = "lathe.checkpoint.";
constexpr std::string_view kFingerprint = "lathe.checkpoint_of";

}  // namespace

const std::vector<std::uint64_t>& CheckpointState::list(std::string_view name) const {
  static const std::vector<std::uint64_t> kNone;
  for (const auto& [key, values] : numbers)
    if (key == name) return values;
  return kNone;
}

std::uint64_t CheckpointState::number(std::string_view name) const {
  const auto& values = list(name);
  return values.empty() ? 0 : values.front();
}

Status write_checkpoint(const fs::path& path, const CheckpointState& state,
                        std::span<const CheckpointArray> arrays) {
  LATHE_TRY(GgufWriter writer, GgufWriter::create(path));
  writer.add("general.type", std::string("checkpoint"));
  writer.add(kFingerprint, state.fingerprint);
  for (const auto& [name, values] : state.numbers)
    if (!values.empty()) writer.add(std::string(kPrefix) + name, values);
  for (const CheckpointArray& array : arrays) {
    const std::uint64_t shape[] = {array.values.size()};
    if (!array.values.empty()) writer.add_tensor(array.name, TensorType::kF32, shape);
  }
  LATHE_TRY_STATUS(writer.begin_data());
  for (const CheckpointArray& array : arrays)
    LATHE_TRY_STATUS(writer.write(std::as_bytes(array.values)));
  return writer.finish();
}

Result<std::optional<CheckpointState>> read_checkpoint(const fs::path& path,
                                                       std::string_view fingerprint,
                                                       std::span<const CheckpointArray> arrays) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  LATHE_TRY(const Gguf file, Gguf::open(path));
  CheckpointState state;
  LATHE_TRY(state.fingerprint, file.text_or(kFingerprint, ""));
  if (state.fingerprint != fingerprint)
    return invalid(
        "{} is the checkpoint of another training (other data, another base or other options); "
        "give the same ones to go on, or --fresh to start again",
        path.string());
  for (const auto& [key, value] : file.metadata())
    if (const auto* list = std::get_if<std::vector<std::uint64_t>>(&value);
        list != nullptr && key.starts_with(kPrefix))
      state.numbers.emplace_back(key.substr(kPrefix.size()), *list);
  for (const CheckpointArray& array : arrays) {
    if (array.values.empty()) continue;
    const GgufTensor* tensor = file.find_tensor(array.name);
    if (tensor == nullptr || tensor->type != TensorType::kF32 ||
        tensor->elements() != array.values.size())
      return invalid("{}: '{}' is not the {} numbers that this training has; --fresh starts again",
                     path.string(), array.name, array.values.size());
    LATHE_TRY_STATUS(file.read(*tensor, 0, std::as_writable_bytes(array.values)));
  }
  return state;
}

}  // namespace lathe::infer
