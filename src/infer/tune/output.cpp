// Trained models and adapters as files, and adapters merged.
#include "infer/tune/output.h"

#include <algorithm>

#include "infer/formats/gguf_writer.h"
#include "infer/models/adapter.h"
#include "infer/tune/peft_names.h"

namespace lathe::infer {
namespace {

std::span<const std::uint64_t> shape_of(const GgufTensor& tensor) {
  return std::span(tensor.shape).first(static_cast<std::size_t>(tensor.dimensions));
}

std::vector<std::byte> encode(const TensorTypeInfo& info, std::span<const float> values) {
  std::vector<std::byte> bytes(values.size() / info.block * info.block_bytes);
  info.encode(values.data(), bytes.data(), values.size(), {});
  return bytes;
}

// A base's metadata again, without what tells of its old file.
void copy_metadata(const Gguf& base, GgufWriter& writer, bool with_type) {
  for (const auto& [key, value] : base.metadata())
    if (!key.starts_with("split.") && key != "general.alignment" &&
        (with_type || key != "general.file_type"))
      writer.add(key, value);
}

// w += s·B·A of every expert, or of the one matrix that there is.
Status add_adapter(const Gguf& adapter, const GgufTensor& tensor, double alpha, ThreadTeam& team,
                   const KernelTable& kernels, std::vector<float>& w) {
  const GgufTensor* a = adapter.find_tensor(tensor.name + ".lora_a");
  const auto k = static_cast<std::size_t>(tensor.shape[0]);
  const auto rows = static_cast<std::size_t>(tensor.shape[1]);
  const auto rank = static_cast<std::size_t>(a->shape[1]);
  LATHE_TRY(const auto a_values, load_floats(adapter, *a));
  LATHE_TRY(auto b_values, load_floats(adapter, *adapter.find_tensor(tensor.name + ".lora_b")));
  for (float& value : b_values) value *= static_cast<float>(alpha / static_cast<double>(rank));
  std::vector<Gemm> products;
  for (std::size_t e = 0; e < tensor.shape[2]; ++e)
    products.push_back({.rows = rows,
                        .columns = k,
                        .k = rank,
                        .a = b_values.data() + e * rows * rank,
                        .a_row = rank,
                        .b = a_values.data() + e * rank * k,
                        .b_k = k,
                        .c = w.data() + e * rows * k,
                        .c_row = k,
                        .add = true});
  multiply(team, kernels.train, products);
  return {};
}

}  // namespace

Status write_trained_model(const Gguf& base, const TuneModel& model, const fs::path& out) {
  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  copy_metadata(base, writer, true);
  for (const GgufTensor& tensor : base.tensors())
    writer.add_tensor(tensor.name, tensor.type, shape_of(tensor));
  LATHE_TRY_STATUS(writer.begin_data());
  const Parameters& parameters = model.parameters();
  for (const GgufTensor& tensor : base.tensors()) {
    const auto found = std::ranges::find(parameters.list(), tensor.name, &Parameter::name);
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
    if (found != parameters.list().end()) {
      bytes = encode(tensor_type_info(tensor.type), {parameters.value(*found), found->size()});
    } else {
      LATHE_TRY_STATUS(base.read(tensor, 0, bytes));
    }
    LATHE_TRY_STATUS(writer.write(bytes));
  }
  return writer.finish();
}

Status write_adapter(const TuneModel& model, double alpha, const fs::path& out) {
  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  const Blueprint& blueprint = model.blueprint();
  writer.add("general.type", std::string("adapter"));
  writer.add("general.architecture", blueprint.architecture);
  if (!blueprint.name.empty()) writer.add("general.name", blueprint.name + " adapter");
  writer.add("adapter.type", std::string("lora"));
  writer.add("adapter.lora.alpha", alpha);
  const Parameters& parameters = model.parameters();
  for (const Parameter& parameter : parameters.list()) {
    const std::uint64_t shape[] = {parameter.k, parameter.rows, parameter.experts};
    const bool mixture = parameter.name.find("_exps.") != std::string::npos;
    writer.add_tensor(parameter.name, TensorType::kF32, std::span(shape).first(mixture ? 3 : 2));
  }
  LATHE_TRY_STATUS(writer.begin_data());
  for (const Parameter& parameter : parameters.list())
    LATHE_TRY_STATUS(
        writer.write(std::as_bytes(std::span(parameters.value(parameter), parameter.size()))));
  return writer.finish();
}

std::vector<PeftTensor> peft_tensors(const TuneModel& model) {
  std::vector<PeftTensor> tensors;
  const Parameters& parameters = model.parameters();
  const Blueprint& blueprint = model.blueprint();
  for (const TensorSpec& spec : tensors_of(blueprint)) {
    if (!slot_info(spec.slot).adapts || spec.first_row != 0) continue;
    const auto module = peft_module(blueprint, spec);
    if (!module) continue;
    const LayerSpec& layer = blueprint.layers[spec.layer];
    for (const char side : {'a', 'b'}) {
      const auto found = std::ranges::find(
          parameters.list(), fmt::format("{}.lora_{}", spec.name, side), &Parameter::name);
      if (found == parameters.list().end()) continue;
      const std::size_t rows = found->rows, k = found->k;
      for (std::size_t e = 0; e < found->experts; ++e) {
        const float* values = parameters.value(*found) + e * rows * k;
        PeftTensor tensor{.name = fmt::format("base_model.model.{}.lora_{}.weight",
                                              module->path(spec.layer, e), side == 'a' ? 'A' : 'B'),
                          .shape = {rows, k},
                          .values = std::vector<float>(rows * k)};
        for (std::size_t r = 0; r < rows; ++r)
          for (std::size_t i = 0; i < k; ++i) {
            const std::size_t row = side == 'b' ? peft_row(*module, layer, spec, r) : r;
            const std::size_t column = side == 'a' ? peft_column(*module, layer, i) : i;
            tensor.values[row * k + column] = values[r * k + i];
          }
        tensors.push_back(std::move(tensor));
      }
    }
  }
  return tensors;
}

Status merge_adapter(const Gguf& base, const Gguf& adapter, ThreadTeam& team,
                     const KernelTable& kernels, const MergeOptions& options, const fs::path& out) {
  LATHE_TRY(const Blueprint blueprint, read_runnable_blueprint(base));
  LATHE_TRY(const auto checked, Adapter::load(adapter, blueprint));
  LATHE_TRY(const double alpha, adapter.real("adapter.lora.alpha"));
  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  copy_metadata(base, writer, !options.file_type);
  if (options.file_type) writer.add("general.file_type", *options.file_type);
  const auto type_of = [&](std::size_t i) {
    return options.types.empty() ? base.tensors()[i].type : options.types[i];
  };
  for (std::size_t i = 0; i < base.tensors().size(); ++i) {
    const GgufTensor& tensor = base.tensors()[i];
    if (tensor_type_info(type_of(i)).encode == nullptr)
      return invalid("{}: {} is {}, which Lathe only reads; name a type to merge to",
                     base.path().string(), tensor.name, tensor_type_info(type_of(i)).name);
    writer.add_tensor(tensor.name, type_of(i), shape_of(tensor));
  }
  LATHE_TRY_STATUS(writer.begin_data());
  for (std::size_t i = 0; i < base.tensors().size(); ++i) {
    const GgufTensor& tensor = base.tensors()[i];
    const GgufTensor* a = adapter.find_tensor(tensor.name + ".lora_a");
    if (a == nullptr && type_of(i) == tensor.type) {
      std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
      LATHE_TRY_STATUS(base.read(tensor, 0, bytes));
      LATHE_TRY_STATUS(writer.write(bytes));
      continue;
    }
    LATHE_TRY(auto values, load_floats(base, tensor));
    const auto rows = static_cast<std::size_t>(tensor.rows());
    const auto k = static_cast<std::size_t>(tensor.shape[0]);
    if (a != nullptr) LATHE_TRY_STATUS(add_adapter(adapter, tensor, alpha, team, kernels, values));
    const TensorTypeInfo& info = tensor_type_info(type_of(i));
    const std::size_t row_bytes = k / info.block * info.block_bytes;
    std::vector<std::byte> bytes(rows * row_bytes);
    team.run(rows, [&](std::size_t r, int) {
      info.encode(values.data() + r * k, bytes.data() + r * row_bytes, k, {});
    });
    LATHE_TRY_STATUS(writer.write(bytes));
  }
  return writer.finish();
}

}  // namespace lathe::infer
