// A Hugging Face directory to one GGUF file.
#include "infer/convert/import.h"

#include <algorithm>

#include "infer/convert/hf_config.h"
#include "infer/convert/hf_tensors.h"
#include "infer/convert/hf_vocabulary.h"
#include "infer/convert/row_codec.h"
#include "infer/formats/gguf_writer.h"

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

class Copier {
 public:
  Copier(const SafeTensors& model, GgufWriter& writer, const ImportOptions& options,
         std::span<const TensorSource> sources)
      : model_(model), writer_(writer), options_(options) {
    for (const TensorSource& source : sources)
      for (const SafeTensor* part : source.parts) total_ += part->bytes;
  }

  Status copy(const TensorSource& source) {
    for (const SafeTensor* part : source.parts) LATHE_TRY_STATUS(copy_part(source, *part));
    return {};
  }

 private:
  Status copy_part(const TensorSource& source, const SafeTensor& part) {
    const TensorTypeInfo& from = *hf_dtype(part.dtype);
    // A permuted vector is moved element by element.
    const bool vector = part.shape.size() == 1;
    const std::size_t row =
        vector && source.head_rows > 0 ? 1 : static_cast<std::size_t>(part.shape.back());
    const RowCodec codec{part.name, from, tensor_type_info(source.type), row, options_.threads};
    const std::uint64_t rows = part.bytes / codec.from_bytes();
    const std::uint64_t at_once = std::max<std::uint64_t>(1, kPiece / (row * sizeof(float)));
    for (std::uint64_t done = 0; done < rows;) {
      if (options_.stop && options_.stop->raised())
        return fail(ErrorKind::kCancelled, "stopped; nothing was written");
      const auto count = static_cast<std::size_t>(std::min(at_once, rows - done));
      in_.resize(count * codec.from_bytes());
      LATHE_TRY_STATUS(read_rows(source, part, done, codec.from_bytes()));
      if (from.type == source.type) {
        LATHE_TRY_STATUS(writer_.write(in_));
      } else {
        out_.resize(count * codec.to_bytes());
        LATHE_TRY_STATUS(codec.run(0, in_, out_));
        LATHE_TRY_STATUS(writer_.write(out_));
      }
      done += count;
      done_ += in_.size();
      if (options_.progress) options_.progress(done_, total_);
    }
    return {};
  }

  // Fills in_ with rows from `first` on. Where rows are permuted, row 2k + t of a head is its row
  // t·(head_rows / 2) + k in the file.
  Status read_rows(const TensorSource& source, const SafeTensor& part, std::uint64_t first,
                   std::size_t row_bytes) {
    if (source.head_rows == 0) return model_.read(part, first * row_bytes, in_);
    const std::uint64_t head = source.head_rows;
    for (std::uint64_t i = 0; i < in_.size() / row_bytes; ++i) {
      const std::uint64_t row = first + i, in_head = row % head;
      const std::uint64_t from = row - in_head + in_head % 2 * (head / 2) + in_head / 2;
      LATHE_TRY_STATUS(
          model_.read(part, from * row_bytes, std::span(in_).subspan(i * row_bytes, row_bytes)));
    }
    return {};
  }

  const SafeTensors& model_;
  GgufWriter& writer_;
  const ImportOptions& options_;
  std::uint64_t done_ = 0, total_ = 0;
  std::vector<std::byte> in_, out_;
};

}  // namespace

Result<ImportReport> import_model(const fs::path& directory, const fs::path& out,
                                  const ImportOptions& options) {
  const auto here = [&directory](Error error) { return at(directory.string(), std::move(error)); };
  LATHE_TRY(const HfConfig config, read_hf_config(directory));
  LATHE_TRY(const GgufMetadata vocabulary, read_hf_vocabulary(directory, config.vocabulary));
  LATHE_TRY(const SafeTensors model, SafeTensors::open_directory(directory));
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
  const std::uint64_t factors[] = {config.rope_factors.size()};
  if (!config.rope_factors.empty())
    writer.add_tensor("rope_freqs.weight", TensorType::kF32, factors);
  for (const TensorSource& source : *sources)
    writer.add_tensor(source.name, source.type, source.shape);
  LATHE_TRY_STATUS(writer.begin_data());
  LATHE_TRY_STATUS(writer.write(std::as_bytes(std::span(config.rope_factors))));
  Copier copier(model, writer, options, *sources);
  for (const TensorSource& source : *sources)
    if (Status copied = copier.copy(source); !copied) return here(std::move(copied).error());
  LATHE_TRY_STATUS(writer.finish());

  ImportReport report{config.architecture, sources->size(), 0, config.warnings};
  std::error_code error;
  report.bytes = fs::file_size(out, error);
  return report;
}

}  // namespace lathe::infer
