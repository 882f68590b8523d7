// Model files that differ a little from real ones, as libFuzzer's bytes say: for readers of
// headers.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "infer/formats/gguf_writer.h"

namespace lathe::infer {

inline constexpr std::uint64_t kNumbers[] = {
    0,     1,     2,       3,          4,          5,         7,           8,          9,
    12,    15,    16,      17,         24,         31,        32,          33,         40,
    48,    63,    64,      96,         127,        128,       255,         256,        257,
    1000,  1023,  1024,    1025,       4096,       65535,     1,           2,          3,
    65536, 65537, 1 << 24, 0x7fffffff, 0x80000000, 0xfffffff, 0x100000000, 1ull << 40, 6,
    2,     1000,  3,       1,          0,          ~0ull >> 1};
inline constexpr double kReals[] = {0,    -0.0, 1,    -1,   0.5, 2,    1e-6, 1e-9, 1e6,
                                    1e12, 1e30, 1e38, -1e9, 7,   10.5, 0.1,  4096};

// What libFuzzer gives, byte by byte; 0 once it is used up.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  std::size_t next() { return empty() ? 0 : *at_++; }
  std::uint64_t number() { return kNumbers[next() % std::size(kNumbers)]; }
  double real() { return kReals[next() % std::size(kReals)]; }

 private:
  const std::uint8_t *at_, *end_;
};

// A file in memory.
struct Base {
  std::string architecture;
  std::vector<std::pair<std::string, GgufValue>> keys;
  struct Tensor {
    GgufTensor tensor;
    std::vector<std::byte> bytes;
  };
  std::vector<Tensor> tensors;
};

inline Base read_base(const fs::path& path) {
  const Gguf file = *Gguf::open(path);
  Base base{.architecture = *file.text("general.architecture"), .keys = {}, .tensors = {}};
  for (const auto& [key, value] : file.metadata())
    if (!key.starts_with("tokenizer.")) base.keys.emplace_back(key, value);
  for (const GgufTensor& tensor : file.tensors()) {
    std::vector<std::byte> bytes(tensor.bytes);
    if (!file.read(tensor, 0, bytes)) std::abort();
    base.tensors.push_back({tensor, std::move(bytes)});
  }
  return base;
}

// Of a directory, all files whose names end so, or the one that the environment's LATHE_FUZZ_MODEL
// names (without that ending).
inline std::vector<Base> read_bases(const char* directory, std::string_view ending) {
  std::vector<fs::path> paths;
  const char* only = std::getenv("LATHE_FUZZ_MODEL");
  for (const auto& entry : fs::directory_iterator(fs::path(LATHE_SOURCE_DIR) / directory)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(ending)) continue;
    if (only == nullptr || name.substr(0, name.size() - ending.size()) == only)
      paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<Base> bases;
  for (const fs::path& path : paths) bases.push_back(read_base(path));
  if (bases.empty()) std::abort();
  return bases;
}

inline void change_value(GgufValue& value, Bytes& bytes) {
  const auto change_one = [&](auto& values) {
    if (values.empty()) return;
    const std::size_t at = bytes.next() % values.size();
    if constexpr (requires { values[at] = bytes.number(); })
      values[at] = static_cast<std::decay_t<decltype(values[0])>>(bytes.number());
  };
  if (auto* whole = std::get_if<std::uint64_t>(&value)) {
    *whole = bytes.number();
  } else if (auto* signed_whole = std::get_if<std::int64_t>(&value)) {
    *signed_whole = -static_cast<std::int64_t>(bytes.number());
  } else if (auto* real = std::get_if<double>(&value)) {
    *real = bytes.real();
  } else if (auto* flag = std::get_if<bool>(&value)) {
    *flag = !*flag;
  } else if (auto* numbers = std::get_if<std::vector<std::uint64_t>>(&value)) {
    change_one(*numbers);
  } else if (auto* signed_numbers = std::get_if<std::vector<std::int64_t>>(&value)) {
    change_one(*signed_numbers);
  } else if (auto* flags = std::get_if<std::vector<bool>>(&value)) {
    if (!flags->empty()) flags->flip();
  }
}

// One change by the next bytes. `neighbours`: keys that others of its kind have; a scaling's or a
// projector's type becomes one of `types`, the rest numbers.
inline void change(Base& base, Bytes& bytes, std::span<const char* const> neighbours,
                   std::span<const char* const> types) {
  const std::size_t kind = bytes.next();
  if (kind < 160) {
    change_value(base.keys[bytes.next() % base.keys.size()].second, bytes);
  } else if (kind < 176) {  // another kind of value
    GgufValue& value = base.keys[bytes.next() % base.keys.size()].second;
    if (kind % 2 == 0)
      value = std::vector<std::uint64_t>(bytes.next() % 8, bytes.number());
    else
      value = bytes.number();
  } else if (kind < 192) {
    const std::size_t at = bytes.next() % base.keys.size();
    if (base.keys[at].first != "general.architecture")
      base.keys.erase(base.keys.begin() + static_cast<std::ptrdiff_t>(at));
  } else if (kind < 208) {
    const std::string key = base.architecture + "." + neighbours[bytes.next() % neighbours.size()];
    if (key.ends_with(".type") || key.ends_with("projector_type"))
      base.keys.emplace_back(key, std::string(types[bytes.next() % types.size()]));
    else
      base.keys.emplace_back(key, bytes.number());
  } else if (!base.tensors.empty()) {
    const std::size_t at = bytes.next() % base.tensors.size();
    if (kind < 224) {
      base.tensors.erase(base.tensors.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      base.tensors[at].tensor.shape[bytes.next() % 3] = 1 + bytes.next() % 96;
    }
  }
}

inline bool write(const Base& base, const fs::path& path) {
  auto writer = GgufWriter::create(path);
  if (!writer) std::abort();
  std::vector<std::string> seen;
  for (const auto& [key, value] : base.keys) {
    if (std::ranges::find(seen, key) != seen.end()) continue;
    seen.push_back(key);
    writer->add(key, value);
  }
  std::vector<std::size_t> sizes;
  for (const auto& [tensor, bytes] : base.tensors) {
    const TensorTypeInfo& type = tensor_type_info(tensor.type);
    if (tensor.shape[0] % type.block != 0 || tensor.elements() > 1 << 22) return false;
    writer->add_tensor(tensor.name, tensor.type, tensor.shape);
    sizes.push_back(static_cast<std::size_t>(tensor.elements() / type.block * type.block_bytes));
  }
  if (!writer->begin_data()) return false;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::vector<std::byte> bytes = base.tensors[i].bytes;
    bytes.resize(sizes[i]);
    if (!writer->write(bytes)) return false;
  }
  return writer->finish().has_value();
}

// The changed file, opened; it is gone from the file system by then. Nothing: no such file can be.
inline std::optional<Gguf> open_changed(const Base& base) {
  const fs::path path =
      fs::path("/dev/shm") / ("lathe-fuzz-" + std::to_string(::getpid()) + ".gguf");
  if (!write(base, path)) return std::nullopt;
  auto file = Gguf::open(path);
  std::error_code ignored;
  fs::remove(path, ignored);
  if (!file) return std::nullopt;
  return std::move(*file);
}

}  // namespace lathe::infer
