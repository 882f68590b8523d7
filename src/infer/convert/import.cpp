// A Hugging Face directory to one GGUF file.
#include "infer/convert/import.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ground/base/text.h"
#include "infer/convert/hf_config.h"
#include "infer/convert/hf_tensors.h"
#include "infer/convert/hf_vocabulary.h"
#include "infer/convert/row_codec.h"
#include "infer/formats/gguf_writer.h"
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPiece = std::size_t{16} << 20;  // bytes of f32 in flight
constexpr std::uint64_t kQuantizationVersion = 2;

// general.file_type of the type that most matrices have.
std::uint64_t file_type_of(std::span<const TensorSource> sources) {
  switch (sources.front().type) {  // the embedding
    case TensorType::kF16:
      return 1;
    case TensorType::kBF16:
      return 32;
    default:
      return 0;
  }
}

std::string directory_name(const fs::path& directory) {
  const fs::path path = fs::absolute(directory).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

// What rows of a part become, in pieces of bounded size.
class Copier {
 public:
  Copier(const SafeTensors& model, GgufWriter& writer, const ImportOptions& options,
         std::span<const TensorSource> sources)
      : model_(model), writer_(writer), options_(options) {
    for (const TensorSource& source : sources) {
      const TensorTypeInfo& type = tensor_type_info(source.type);
      std::uint64_t elements = 1;
      for (const std::uint64_t size : source.shape) elements *= size;
      total_ += elements / type.block * type.block_bytes;
    }
  }

  Status copy(const TensorSource& source) {
    if (source.mxfp4) return copy_mxfp4(source);
    for (const SafeTensor* part : source.parts) LATHE_TRY_STATUS(copy_part(source, *part));
    return {};
  }

 private:
  Status copy_part(const TensorSource& source, const SafeTensor& part) {
    const TensorTypeInfo& from = *hf_dtype(part.dtype);
    const auto row = static_cast<std::size_t>(source.row);
    const RowCodec codec{part.name, from, tensor_type_info(source.type), row, options_.threads};
    const std::uint64_t at_once = std::max<std::uint64_t>(1, kPiece / (row * sizeof(float)));
    for (std::uint64_t done = 0; done < source.rows;) {
      std::uint64_t count = std::min(at_once, source.rows - done);
      // Columns are read a strip of one matrix at a time.
      if (source.stride != 1) count = std::min(count, source.matrix - done % source.matrix);
      LATHE_TRY_STATUS(check_stop());
      in_.resize(static_cast<std::size_t>(count) * codec.from_bytes());
      LATHE_TRY_STATUS(read_rows(source, part, done, count, from.block_bytes));
      if (from.type == source.type && source.change == TensorSource::Change::kNone) {
        LATHE_TRY_STATUS(write(in_));
      } else {
        out_.resize(static_cast<std::size_t>(count) * codec.to_bytes());
        LATHE_TRY_STATUS(codec.run(0, in_, out_));
        change(source.change);
        LATHE_TRY_STATUS(write(out_));
      }
      done += count;
    }
    return {};
  }

  // A change is made of tensors that are written as F32.
  void change(TensorSource::Change change) {
    if (change == TensorSource::Change::kNone) return;
    for (std::size_t at = 0; at < out_.size(); at += sizeof(float)) {
      float value;
      std::memcpy(&value, &out_[at], sizeof value);
      value = change == TensorSource::Change::kPlusOne ? value + 1 : -std::exp(value);
      std::memcpy(&out_[at], &value, sizeof value);
    }
  }

  // Fills in_ with rows from `first` on, whose elements have so many bytes.
  Status read_rows(const TensorSource& source, const SafeTensor& part, std::uint64_t first,
                   std::uint64_t count, std::size_t element) {
    const std::uint64_t row = source.row;
    if (source.in_order()) return model_.read(part, first * row * element, in_);
    if (source.stride != 1) return read_strip(source, part, first, count, element);
    // The part's rows are as long, or longer where only some columns are taken.
    const std::uint64_t stored = source.columns.empty() ? row : source.stored_row;
    line_.resize(static_cast<std::size_t>(stored) * element);
    for (std::uint64_t r = 0; r < count; ++r) {
      const std::uint64_t begin = source.first ? source.first(first + r) : (first + r) * stored;
      const auto out = std::span(in_).subspan(static_cast<std::size_t>(r * row) * element,
                                              static_cast<std::size_t>(row) * element);
      if (source.columns.empty()) {
        LATHE_TRY_STATUS(model_.read(part, begin * element, out));
        continue;
      }
      LATHE_TRY_STATUS(model_.read(part, begin * element, line_));
      for (std::size_t i = 0; i < source.columns.size(); ++i)
        std::memcpy(&out[i * element],
                    &line_[static_cast<std::size_t>(source.columns[i]) * element], element);
    }
    return {};
  }

  // Rows that are columns of the part: one piece of each of its rows.
  Status read_strip(const TensorSource& source, const SafeTensor& part, std::uint64_t first,
                    std::uint64_t count, std::size_t element) {
    const std::uint64_t begin = source.first(first);
    const std::uint64_t end = source.first(first + count - 1) + 1;
    line_.resize(static_cast<std::size_t>(end - begin) * element);
    for (std::uint64_t i = 0; i < source.row; ++i) {
      LATHE_TRY_STATUS(model_.read(part, (begin + i * source.stride) * element, line_));
      for (std::uint64_t r = 0; r < count; ++r) {
        const auto at = static_cast<std::size_t>(source.first(first + r) - begin);
        std::memcpy(&in_[static_cast<std::size_t>(r * source.row + i) * element],
                    &line_[at * element], element);
      }
    }
    return {};
  }

  // A block of GGUF is its scale, then bytes of which byte j holds elements j and j + 16; stored
  // are bytes that hold elements 2j and 2j + 1.
  Status copy_mxfp4(const TensorSource& source) {
    constexpr std::size_t kBytes = 16;
    const auto blocks = static_cast<std::size_t>(source.row);
    std::vector<std::byte> stored(blocks * kBytes), scales(blocks);
    out_.resize(blocks * (kBytes + 1));
    const auto nibble = [](std::byte byte, std::size_t high) {
      return high != 0 ? byte >> 4 : byte & std::byte{15};
    };
    for (std::uint64_t r = 0; r < source.rows; ++r) {
      LATHE_TRY_STATUS(check_stop());
      const std::uint64_t first = source.first(r);
      LATHE_TRY_STATUS(model_.read(*source.parts[0], first * kBytes, stored));
      LATHE_TRY_STATUS(model_.read(*source.parts[1], first, scales));
      for (std::size_t b = 0; b < blocks; ++b) {
        std::byte* out = &out_[b * (kBytes + 1)];
        const std::byte* in = &stored[b * kBytes];
        *out++ = scales[b];
        for (std::size_t j = 0; j < kBytes; ++j)
          out[j] = nibble(in[j / 2], j % 2) | nibble(in[j / 2 + kBytes / 2], j % 2) << 4;
      }
      LATHE_TRY_STATUS(write(out_));
    }
    return {};
  }

  Status check_stop() const {
    if (options_.stop && options_.stop->raised())
      return fail(ErrorKind::kCancelled, "stopped; nothing was written");
    return {};
  }

  Status write(std::span<const std::byte> bytes) {
    LATHE_TRY_STATUS(writer_.write(bytes));
    done_ += bytes.size();
    if (options_.progress) options_.progress(done_, total_);
    return {};
  }

  const SafeTensors& model_;
  GgufWriter& writer_;
  const ImportOptions& options_;
  std::uint64_t done_ = 0, total_ = 0;
  std::vector<std::byte> in_, out_, line_;
};

// Vectors that divide RoPE's frequencies.
struct Factors {
  Slot slot;
  std::span<const float> values;
};

// The file must be what the engine reads: what config.json left open shows here, not at a load.
Status check_model(const fs::path& path) {
  LATHE_TRY(const Gguf file, Gguf::open(path));
  LATHE_TRY(const Blueprint blueprint, read_runnable_blueprint(file));
  LATHE_TRY(const auto bound, bind_tensors(file, blueprint));
  LATHE_TRY(const auto predictor, read_predictor(file, blueprint));
  if (predictor) {
    LATHE_TRY(const auto joined, bind_tensors(file, *predictor));
  }
  return {};
}

}  // namespace

Result<ImportReport> import_model(const fs::path& directory, const fs::path& out,
                                  const ImportOptions& options) {
  const auto here = [&directory](Error error) { return at(directory.string(), std::move(error)); };
  LATHE_TRY(const JsonObject json, open_hf_config(directory));
  LATHE_TRY(const SafeTensors model, SafeTensors::open_directory(directory));
  LATHE_TRY(HfConfig config, read_hf_config(json, directory, model));
  LATHE_TRY(const GgufMetadata vocabulary, read_hf_vocabulary(directory, config.vocabulary));
  const auto sources = map_hf_tensors(model, config, options.type);
  if (!sources) return here(sources.error());

  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  writer.add("general.architecture", config.architecture);
  writer.add("general.type", std::string("model"));
  writer.add("general.name", directory_name(directory));
  writer.add("general.file_type", file_type_of(*sources));
  writer.add("general.quantization_version", kQuantizationVersion);
  for (const auto& [key, value] : config.metadata) writer.add(key, value);
  for (const auto& [key, value] : vocabulary) writer.add(key, value);
  const Factors factors[] = {{Slot::kRopeFactors, config.rope_factors},
                             {Slot::kRopeFactorsLong, config.rope_factors_long},
                             {Slot::kRopeFactorsShort, config.rope_factors_short}};
  for (const Factors& each : factors) {
    const std::uint64_t shape[] = {each.values.size()};
    if (!each.values.empty()) writer.add_tensor(tensor_name(each.slot), TensorType::kF32, shape);
  }
  for (const TensorSource& source : *sources)
    writer.add_tensor(source.name, source.type, source.shape);
  LATHE_TRY_STATUS(writer.begin_data());
  for (const Factors& each : factors) LATHE_TRY_STATUS(writer.write(std::as_bytes(each.values)));
  Copier copier(model, writer, options, *sources);
  for (const TensorSource& source : *sources)
    if (Status copied = copier.copy(source); !copied) return here(std::move(copied).error());
  LATHE_TRY_STATUS(writer.finish([&directory](const fs::path& path) -> Status {
    const Status checked = check_model(path);
    if (checked) return {};
    // What is wrong is the model's, not the unfinished file's.
    return invalid("{}: {}", directory.string(),
                   replace_all(checked.error().message, path.string() + ": ", ""));
  }));

  ImportReport report{config.architecture, sources->size(), 0, config.warnings};
  std::error_code error;
  report.bytes = fs::file_size(out, error);
  return report;
}

}  // namespace lathe::infer
