// What the tests of encoders share: the files in tests/data/media, an encoder over one of them, the
// distance from the truth, and files that are changed a little.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ground/base/file.h"
#include "ground/base/hash.h"
#include "ground/media/picture_decode.h"
#include "infer/encoders/picture_encoder.h"
#include "infer/formats/gguf_writer.h"

namespace lathe::infer {

inline fs::path media(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/media" / name;
}

inline std::vector<float> read_floats(const fs::path& path) {
  const auto bytes = read_file(path);
  EXPECT_TRUE(bytes.has_value()) << path;
  std::vector<float> values(bytes ? bytes->size() / sizeof(float) : 0);
  if (bytes) std::memcpy(values.data(), bytes->data(), values.size() * sizeof(float));
  return values;
}

// Samples of s3.wav, 16 kHz.
inline std::vector<std::int16_t> three_seconds() {
  const auto file = read_file(media("s3.wav"));
  EXPECT_TRUE(file.has_value());
  std::vector<std::int16_t> samples((file->size() - 44) / 2);
  std::memcpy(samples.data(), file->data() + 44, samples.size() * 2);
  return samples;
}

inline double relative_error(const std::vector<float>& ours, const std::vector<float>& truth) {
  EXPECT_EQ(ours.size(), truth.size());
  if (ours.size() != truth.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += std::pow(double{ours[i]} - double{truth[i]}, 2);
    norm += std::pow(double{truth[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

inline Picture stored_picture(const std::string& size) {
  auto picture = decode_picture(*read_file(media("img_" + size + ".png")));
  EXPECT_TRUE(picture.has_value()) << picture.error().message;
  return *picture;
}

// A picture of any size, by a formula.
inline Picture made_picture(int width, int height) {
  Picture picture = blank_picture(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        picture.at(x, y)[c] = static_cast<std::uint8_t>(x * x / 7 + y * 13 + c * 85 + x * y / 11);
  return picture;
}

// An encoder with its team, and what it made of pictures.
class TestEncoder {
 public:
  explicit TestEncoder(const fs::path& path, const KernelTable& kernels = best_kernel_table(),
                       int threads = 2)
      : team_(threads) {
    const auto file = Gguf::open(path);
    EXPECT_TRUE(file.has_value()) << file.error().message;
    WeightLoading loading;
    loading.kernels = &kernels;
    auto encoder = PictureEncoder::open(*file, team_, loading);
    EXPECT_TRUE(encoder.has_value()) << encoder.error().message;
    if (encoder) encoder_ = std::move(*encoder);
  }
  PictureEncoder& operator*() { return *encoder_; }
  PictureEncoder* operator->() { return encoder_.get(); }
  bool ok() const { return encoder_ != nullptr; }

  std::vector<EncodedPiece> pieces(const Picture& picture) {
    inputs.clear();
    auto pieces = encoder_->encode(picture, nullptr,
                                   [&](const PixelPlanes& pixels) { inputs.push_back(pixels); });
    EXPECT_TRUE(pieces.has_value()) << pieces.error().message;
    return pieces ? *std::move(pieces) : std::vector<EncodedPiece>();
  }
  // All rows one behind the other.
  std::vector<float> rows(const Picture& picture) {
    std::vector<float> all;
    for (const EncodedPiece& piece : pieces(picture))
      if (piece.rows != nullptr)
        all.insert(all.end(), piece.rows->row(0),
                   piece.rows->row(0) + piece.rows->rows() * piece.rows->width());
    return all;
  }
  std::vector<PixelPlanes> inputs;  // of the last picture

 private:
  ThreadTeam team_;
  std::unique_ptr<PictureEncoder> encoder_;
};

// A file in memory, to be changed and written.
struct EditedFile {
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<std::uint64_t> shape;
    std::vector<std::byte> bytes;
  };
  std::vector<std::pair<std::string, GgufValue>> keys;
  std::vector<Tensor> tensors;

  static EditedFile of(const fs::path& path) {
    const auto file = Gguf::open(path);
    EXPECT_TRUE(file.has_value()) << path;
    EditedFile edited;
    for (const auto& [key, value] : file->metadata()) edited.keys.emplace_back(key, value);
    for (const GgufTensor& tensor : file->tensors()) {
      std::vector<std::byte> bytes(tensor.bytes);
      EXPECT_TRUE(file->read(tensor, 0, bytes).has_value());
      edited.tensors.push_back({tensor.name, tensor.type,
                                std::vector<std::uint64_t>(
                                    tensor.shape.begin(), tensor.shape.begin() + tensor.dimensions),
                                std::move(bytes)});
    }
    return edited;
  }
  void set(const std::string& key, GgufValue value) {
    for (auto& [name, old] : keys)
      if (name == key) {
        old = std::move(value);
        return;
      }
    keys.emplace_back(key, std::move(value));
  }
  void drop_key(const std::string& key) {
    std::erase_if(keys, [&](const auto& each) { return each.first == key; });
  }
  void drop(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& each) { return each.name == name; });
  }
  Tensor& tensor(const std::string& name) {
    for (Tensor& each : tensors)
      if (each.name == name) return each;
    ADD_FAILURE() << "no tensor " << name;
    return tensors.front();
  }
  // Where it was written, in a directory of this process's own: tests run side by side. It goes
  // with the process.
  fs::path write(const std::string& name) const {
    static const TempDir directory = std::move(*TempDir::make());
    const fs::path path = directory.path() / (name + ".gguf");
    auto writer = GgufWriter::create(path);
    EXPECT_TRUE(writer.has_value());
    for (const auto& [key, value] : keys) writer->add(key, value);
    for (const Tensor& each : tensors) writer->add_tensor(each.name, each.type, each.shape);
    EXPECT_TRUE(writer->begin_data().has_value());
    for (const Tensor& each : tensors) EXPECT_TRUE(writer->write(each.bytes).has_value());
    EXPECT_TRUE(writer->finish().has_value());
    return path;
  }
};

}  // namespace lathe::infer
