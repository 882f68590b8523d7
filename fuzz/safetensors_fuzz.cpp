// A safetensors file from anywhere: every byte of its data belongs to one tensor, or it is refused.
#include "fuzz/memory_file.h"
#include "infer/formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe;
  if (size > 65536) return 0;
  const MemoryFile file(std::string_view(reinterpret_cast<const char*>(data), size));
  const auto model = infer::SafeTensors::open_file(file.path());
  if (!model) {
    if (model.error().message.empty()) std::abort();
    return 0;
  }
  std::uint64_t bytes = 0;
  for (const infer::SafeTensor& tensor : model->tensors()) {
    std::vector<std::byte> read(tensor.bytes);
    if (!model->read(tensor, 0, read)) std::abort();
    bytes += tensor.bytes;
  }
  if (bytes > size) std::abort();
  return 0;
}
