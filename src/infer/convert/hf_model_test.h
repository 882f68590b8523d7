// For tests: tiny models of Hugging Face's, as tests/data/import/families.json lists them.
#pragma once

#include <string>

#include "ground/base/json.h"
#include "ground/base/text.h"

namespace lathe::infer {

inline std::uint64_t hash_of(std::string_view name) {
  std::uint64_t hash = 0;
  for (const char c : name) hash = (hash * 31 + static_cast<unsigned char>(c)) % 1000003;
  return hash;
}

// The file of these names and shapes; what it holds is said in tests/data/import/README.md.
inline std::string safetensors(const SortedJson& tensors) {
  Json header = Json::object();
  std::string data;
  for (const auto& [name, shape] : tensors.items()) {
    std::size_t count = 1;
    for (const SortedJson& size : shape) count *= size.get<std::size_t>();
    const bool blocks = name.ends_with("_blocks"), bytes = blocks || name.ends_with("_scales");
    const std::size_t before = data.size();
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t x = (i * 7919 + hash_of(name)) % 1000;
      if (bytes) {
        data += static_cast<char>(blocks ? x % 251 : 110 + x % 20);
        continue;
      }
      const float value = static_cast<float>(x) / 1024.0F - 0.5F;
      data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    header[name] = {{"dtype", bytes ? "U8" : "F32"},
                    {"shape", Json::parse(shape.dump())},
                    {"data_offsets", {before, data.size()}}};
  }
  const std::string text = dump_json(header);
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
}

inline std::string tokenizer(std::size_t size) {
  Json vocabulary = Json::object();
  for (std::size_t i = 0; i < size; ++i) vocabulary[fmt::format("t{}", i)] = i;
  return dump_json(
      Json{{"pre_tokenizer", {{"type", "ByteLevel"}, {"use_regex", true}}},
           {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}});
}

}  // namespace lathe::infer
