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

void copy_metadata(const Gguf& model, const QuantizeTarget& target,
                   const ImportanceMatrix* importance, GgufWriter& writer) {
  for (const auto& [key, value] : model.metadata()) {
    // What describes the old file: its parts, its alignment, its types.
    if (key.starts_with("split.") || key == "general.alignment" || key == "general.file_type" ||
        key == "general.quantization_version" || key.starts_with("quantize.imatrix."))
      continue;
    writer.add(key, value);
  }
  writer.add("general.file_type", target.file_type);
  writer.add("general.quantization_version", kQuantizationVersion);
  if (importance == nullptr) return;
  writer.add("quantize.imatrix.entries_count", std::uint64_t{importance->of.size()});
  writer.add("quantize.imatrix.chunks_count", std::uint64_t{importance->chunks});
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

// Types that need importance are refused where there is none, before anything is written.
Status check_importance(const Gguf& model, std::span<const TensorType> types,
                        const ImportanceMatrix* importance) {
  for (std::size_t i = 0; i < types.size(); ++i) {
    const GgufTensor& tensor = model.tensors()[i];
    if (types[i] == tensor.type || !needs_importance(types[i])) continue;
    if (importance != nullptr && importance->of.contains(tensor.name)) continue;
    return invalid(
        "tensor '{}' would become {}, which is of no use without an importance matrix{}; make one "
        "with `lathe imatrix` and name it with --imatrix",
        tensor.name, tensor_type_info(types[i]).name,
        importance == nullptr ? "" : ", and this one says nothing of it");
  }
  return {};
}

// A rule that fits no tensor is a mistake in its pattern.
Result<std::vector<std::string>> unused_rules(const Gguf& model, std::span<const TypeRule> rules) {
  std::vector<std::string> warnings;
  for (const TypeRule& rule : rules) {
    bool used = false;
    for (const GgufTensor& tensor : model.tensors()) {
      LATHE_TRY(const std::optional<Match> match, rule.pattern.find(tensor.name));
      used = used || match.has_value();
    }
    if (!used)
      warnings.push_back(fmt::format("no tensor has a name that '{}' is found in", rule.text));
  }
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
    std::vector<float> importance;
    if (options_.importance != nullptr && type != tensor.type) {
      LATHE_TRY(importance, column_weights(*options_.importance, tensor));
    }
    const RowCodec codec{tensor.name,
                         tensor_type_info(tensor.type),
                         tensor_type_info(type),
                         static_cast<std::size_t>(tensor.shape[0]),
                         options_.threads,
                         importance,
                         static_cast<std::size_t>(tensor.shape[1])};
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
        if (Status coded = codec.run(done, in_, out_); !coded)
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
  LATHE_TRY(const std::vector<TensorType> types,
            plan_types(model, target, options.rules, options.importance != nullptr));
  LATHE_TRY_STATUS(check_importance(model, types, options.importance));
  QuantizeReport report;
  report.bytes_before = model.file_bytes();
  report.warnings = warnings_of(model, target, types);
  LATHE_TRY(const std::vector<std::string> unused, unused_rules(model, options.rules));
  report.warnings.insert(report.warnings.end(), unused.begin(), unused.end());

  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  copy_metadata(model, target, options.importance, writer);
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
