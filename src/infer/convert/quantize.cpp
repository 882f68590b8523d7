// A GGUF file to one with smaller weights.
#include "infer/convert/quantize.h"

#include <algorithm>

#include "infer/convert/row_codec.h"
#include "infer/formats/gguf_writer.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPiece = std::size_t{16} << 20;  // bytes of f32 in flight
constexpr std::uint64_t kQuantizationVersion = 2;

bool is_quantized(TensorType type) {
  return tensor_type_info(type).block > 1;
}

void copy_metadata(const Gguf& model, const QuantizeTarget& target, GgufWriter& writer) {
  for (const auto& [key, value] : model.metadata()) {
    // What describes the old file: its parts, its alignment, its types.
    if (key.starts_with("split.") || key == "general.alignment" || key == "general.file_type" ||
        key == "general.quantization_version")
      continue;
    writer.add(key, value);
  }
  writer.add("general.file_type", target.file_type);
  writer.add("general.quantization_version", kQuantizationVersion);
}

std::vector<std::string> warnings_of(const Gguf& model, const QuantizeTarget& target,
                                     std::span<const TensorType> types) {
  std::size_t twice = 0, unfit = 0;
  std::string first;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const GgufTensor& tensor = model.tensors()[i];
    if (types[i] == tensor.type) continue;
    twice += is_quantized(tensor.type);
    if (tensor.shape[0] % tensor_type_info(target.type).block != 0 && unfit++ == 0)
      first = fmt::format("{} becomes {}", tensor.name, tensor_type_info(types[i]).name);
  }
  std::vector<std::string> warnings;
  if (twice > 0)
    warnings.push_back(fmt::format(
        "{} tensors are quantized already; quantizing them again adds to their error. Start from "
        "an F32, F16 or BF16 file where there is one",
        twice));
  if (unfit > 0)
    warnings.push_back(
        fmt::format("{} tensors have rows that are no multiple of {} and take a "
                    "larger type: {}{}",
                    unfit, tensor_type_info(target.type).block, first, unfit > 1 ? ", …" : ""));
  return warnings;
}

class Job {
 public:
  Job(const Gguf& model, GgufWriter& writer, const QuantizeOptions& options)
      : model_(model), writer_(writer), options_(options) {
    for (const GgufTensor& tensor : model.tensors()) progress_.bytes += tensor.bytes;
    progress_.tensors = model.tensors().size();
  }

  Status run(const GgufTensor& tensor, TensorType type) {
    const RowCodec codec{tensor.name, tensor_type_info(tensor.type), tensor_type_info(type),
                         static_cast<std::size_t>(tensor.shape[0]), options_.threads};
    const std::uint64_t at_once = std::max<std::uint64_t>(1, kPiece / (codec.row * sizeof(float)));
    for (std::uint64_t done = 0; done < tensor.rows();) {
      if (options_.stop && options_.stop->raised())
        return fail(ErrorKind::kCancelled, "{}: stopped; nothing was written",
                    model_.path().string());
      const auto rows = static_cast<std::size_t>(std::min(at_once, tensor.rows() - done));
      in_.resize(rows * codec.from_bytes());
      LATHE_TRY_STATUS(model_.read(tensor, done * codec.from_bytes(), in_));
      if (type == tensor.type) {
        LATHE_TRY_STATUS(writer_.write(in_));
      } else {
        out_.resize(rows * codec.to_bytes());
        if (Status coded = codec.run(in_, out_); !coded)
          return at(model_.path().string(), std::move(coded).error());
        LATHE_TRY_STATUS(writer_.write(out_));
      }
      done += rows;
      progress_.bytes_done += in_.size();
      if (done == tensor.rows()) ++progress_.tensor;
      if (options_.progress) options_.progress(progress_);
    }
    return {};
  }

 private:
  const Gguf& model_;
  GgufWriter& writer_;
  const QuantizeOptions& options_;
  QuantizeProgress progress_{};
  std::vector<std::byte> in_, out_;
};

}  // namespace

Result<QuantizeReport> quantize_model(const fs::path& in, const fs::path& out,
                                      const QuantizeTarget& target,
                                      const QuantizeOptions& options) {
  LATHE_TRY(const Gguf model, Gguf::open(in));
  const std::vector<TensorType> types = plan_types(model, target);
  QuantizeReport report;
  report.bytes_before = model.file_bytes();
  report.warnings = warnings_of(model, target, types);

  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  copy_metadata(model, target, writer);
  for (std::size_t i = 0; i < types.size(); ++i) {
    const GgufTensor& tensor = model.tensors()[i];
    writer.add_tensor(tensor.name, types[i],
                      std::span(tensor.shape).first(static_cast<std::size_t>(tensor.dimensions)));
  }
  LATHE_TRY_STATUS(writer.begin_data());
  Job job(model, writer, options);
  for (std::size_t i = 0; i < types.size(); ++i)
    LATHE_TRY_STATUS(job.run(model.tensors()[i], types[i]));
  LATHE_TRY_STATUS(writer.finish());
  std::error_code error;
  report.bytes_after = fs::file_size(out, error);
  return report;
}

}  // namespace lathe::infer
