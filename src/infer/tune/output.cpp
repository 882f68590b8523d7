#include "infer/tune/output.h"

#include <algorithm>

#include "infer/formats/gguf_writer.h"

namespace lathe {

Status write_trained_model(const Gguf& base, const TuneModel& model, const fs::path& out) {
  LATHE_TRY(GgufWriter writer, GgufWriter::create(out));
  for (const auto& [key, value] : base.metadata())
    if (!key.starts_with("split.")) writer.add(key, value);
  for (const GgufTensor& tensor : base.tensors())
    writer.add_tensor(tensor.name, tensor.type,
                      std::span(tensor.shape).first(static_cast<std::size_t>(tensor.dimensions)));
  LATHE_TRY_STATUS(writer.begin_data());
  const Parameters& parameters = model.parameters();
  for (const GgufTensor& tensor : base.tensors()) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
    const auto found = std::ranges::find(parameters.list(), tensor.name, &Parameter::name);
    if (found == parameters.list().end()) {
      LATHE_TRY_STATUS(base.read(tensor, 0, bytes));
    } else {
      tensor_type_info(tensor.type)
          .encode(parameters.value(*found), bytes.data(), found->size(), {});
    }
    LATHE_TRY_STATUS(writer.write(bytes));
  }
  return writer.finish();
}

}  // namespace lathe
