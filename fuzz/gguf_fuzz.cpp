// A model file from anywhere: opening it, reading its metadata by every getter and all its tensors
// ends with a value or an error.
#include "fuzz/memory_file.h"
#include "infer/convert/quantize.h"
#include "infer/formats/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 65536) return 0;
  const MemoryFile file(std::string_view(reinterpret_cast<const char*>(data), size));
  const auto model = infer::Gguf::open(file.path());
  if (!model) {
    if (model.error().message.empty()) std::abort();
    return 0;
  }
  for (const auto& [key, value] : model->metadata()) {
    if (model->find(key) != &value) std::abort();
    static_cast<void>(model->uint(key, 1, 100));
    static_cast<void>(model->real(key));
    static_cast<void>(model->boolean_or(key, true));
    static_cast<void>(model->text(key));
    static_cast<void>(model->texts(key));
    static_cast<void>(model->per_layer(key, 3, 0, 10));
    static_cast<void>(model->ints(key));
    static_cast<void>(model->reals(key));
  }
  std::uint64_t bytes = 0;
  for (const infer::GgufTensor& tensor : model->tensors()) {
    if (model->find_tensor(tensor.name) != &tensor) std::abort();
    bytes += tensor.bytes;
    std::vector<std::byte> blocks(tensor.bytes);
    if (!model->read(tensor, 0, blocks)) std::abort();
    std::vector<float> values(tensor.elements());
    infer::tensor_type_info(tensor.type).decode(blocks.data(), values.data(), values.size());
  }
  if (bytes > size) std::abort();  // tensors would overlap
  for (const infer::QuantizeTarget& target : infer::quantize_targets())
    if (infer::plan_types(*model, target).size() != model->tensors().size()) std::abort();
  return 0;
}
