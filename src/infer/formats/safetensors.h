// Reading safetensors: one file, or a model directory whose index names several. `open` checks
// every range and shape without the data: ranges lie in their file, agree with dtype and shape, and
// cover it without holes or overlaps. Errors name the file, the tensor and the value. Immutable
// once open; any thread may read. Holds one file descriptor per file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/formats/input_file.h"

namespace lathe::infer {

struct SafeTensor {
  std::string name;
  std::string dtype;                 // "BF16"
  std::vector<std::uint64_t> shape;  // outermost dimension first
  std::size_t file;
  std::uint64_t offset;  // absolute, in that file
  std::uint64_t bytes;
};

class SafeTensors {
 public:
  static Result<SafeTensors> open_file(const fs::path& path);
  // "model.safetensors", or the files of "model.safetensors.index.json".
  static Result<SafeTensors> open_directory(const fs::path& directory);

  std::span<const SafeTensor> tensors() const { return tensors_; }
  const SafeTensor* find(std::string_view name) const;
  // Bytes [from, from + out.size()) of the tensor.
  Status read(const SafeTensor& tensor, std::uint64_t from, std::span<std::byte> out) const;
  const fs::path& file_path(std::size_t file) const { return files_[file].path(); }

 private:
  Status add_file(const fs::path& path);

  std::vector<InputFile> files_;
  std::vector<SafeTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

// A tensor to write, F32. shape: outermost dimension first.
struct SafeTensorData {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::span<const float> values;
};
// One file, its tensors in this order. It appears whole or not at all.
Status write_safetensors(const fs::path& path, std::span<const SafeTensorData> tensors);

}  // namespace lathe::infer
