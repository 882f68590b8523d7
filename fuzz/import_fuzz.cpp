// A Hugging Face model from anywhere: a tiny model of any family, with some members of its
// config.json and some names and shapes of its tensors changed. Importing it ends with a file that
// the engine takes, or with an error and no file.
#include <cstdlib>

#include "infer/convert/hf_model_test.h"
#include "infer/convert/import.h"

namespace {

using namespace lathe;

const SortedJson kValues[] = {0,
                              1,
                              2,
                              3,
                              7,
                              8,
                              16,
                              24,
                              31,
                              32,
                              64,
                              96,
                              128,
                              4096,
                              65536,
                              -1,
                              1e300,
                              0.5,
                              1e-9,
                              1 << 24,
                              true,
                              false,
                              nullptr,
                              "",
                              "yarn",
                              "default",
                              "longrope",
                              0xffffffffu,
                              ~0ull,
                              SortedJson::array(),
                              SortedJson::object(),
                              SortedJson::array({1, 0, 2}),
                              SortedJson::array({"full_attention"})};

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  std::size_t next() { return empty() ? 0 : *at_++; }
  const SortedJson& value() { return kValues[next() % std::size(kValues)]; }

 private:
  const std::uint8_t *at_, *end_;
};

// A member of the object, or of an object in it.
void change(SortedJson& object, Bytes& bytes) {
  if (object.empty()) return;
  auto at = object.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(bytes.next() % object.size()));
  if (at->is_object() && bytes.next() % 4 != 0) return change(*at, bytes);
  if (bytes.next() % 8 == 0)
    object.erase(at);
  else
    *at = bytes.value();
}

void change_tensor(SortedJson& tensors, Bytes& bytes) {
  if (tensors.empty()) return;
  auto at = tensors.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(bytes.next() % tensors.size()));
  if (bytes.next() % 4 == 0) {
    tensors.erase(at);
  } else if (!at->empty()) {
    (*at)[bytes.next() % at->size()] = bytes.next() % 97;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe::infer;
  static const SortedJson kFamilies =
      SortedJson::parse(*read_file(fs::path(LATHE_SOURCE_DIR) / "tests/data/import/families.json"));
  static const TempDir kDirectory = *TempDir::make();
  Bytes bytes(data, std::min<std::size_t>(size, 64));
  auto family = kFamilies.begin();
  std::advance(family, static_cast<std::ptrdiff_t>(bytes.next() % kFamilies.size()));
  SortedJson config = (*family)["config"], tensors = (*family)["tensors"];
  const SortedJson name = config["architectures"];
  while (!bytes.empty())
    if (bytes.next() % 3 == 0)
      change_tensor(tensors, bytes);
    else
      change(config, bytes);
  config["architectures"] = name;

  const fs::path& from = kDirectory.path();
  const fs::path out = from / "out.gguf";
  fs::remove(out);
  if (!write_file_atomic(from / "config.json", config.dump()) ||
      !write_file_atomic(from / "model.safetensors", safetensors(tensors)) ||
      !write_file_atomic(from / "tokenizer.json", tokenizer(32)))
    std::abort();
  const auto report = import_model(from, out, {});
  if (report.has_value() != fs::exists(out)) std::abort();
  return 0;
}
