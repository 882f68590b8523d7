// Lays a GGUF file out: header first, then the tensors in the order they were declared.
#include "infer/formats/gguf_writer.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "ground/base/part_file.h"
#include "infer/formats/gguf_header.h"

namespace lathe::infer {
namespace {

using Type = GgufValueType;

// A header in memory.
class Bytes {
 public:
  template <class T>
  void scalar(T value) {
    append(std::as_bytes(std::span(&value, 1)));
  }
  void type(Type value) { scalar(static_cast<std::uint32_t>(value)); }
  void text(std::string_view value) {
    scalar(std::uint64_t{value.size()});
    append(std::as_bytes(std::span(value)));
  }
  void pad(std::uint64_t to) { data_.resize(round_up(data_.size(), to)); }
  std::span<const std::byte> data() const { return data_; }

  void value(const GgufValue& value) {
    std::visit([this](const auto& v) { put(v); }, value);
  }

 private:
  void append(std::span<const std::byte> bytes) {
    data_.insert(data_.end(), bytes.begin(), bytes.end());
  }

  void put(bool value) {
    type(Type::kBool);
    scalar(static_cast<std::uint8_t>(value));
  }
  void put(std::uint64_t value) {
    const bool small = value <= std::numeric_limits<std::uint32_t>::max();
    type(small ? Type::kU32 : Type::kU64);
    small ? scalar(static_cast<std::uint32_t>(value)) : scalar(value);
  }
  void put(std::int64_t value) {
    if (value >= 0) return put(static_cast<std::uint64_t>(value));
    const bool small = value >= std::numeric_limits<std::int32_t>::min();
    type(small ? Type::kI32 : Type::kI64);
    small ? scalar(static_cast<std::int32_t>(value)) : scalar(value);
  }
  void put(double value) {
    type(Type::kF32);
    scalar(static_cast<float>(value));
  }
  void put(const std::string& value) {
    type(Type::kString);
    text(value);
  }

  void array(Type element, std::size_t count) {
    type(Type::kArray);
    type(element);
    scalar(std::uint64_t{count});
  }
  void put(const std::vector<bool>& values) {
    array(Type::kBool, values.size());
    for (const bool value : values) scalar(static_cast<std::uint8_t>(value));
  }
  template <class Narrow, class Wide>
  void integers(Type narrow, Type wide, const std::vector<Wide>& values) {
    const bool small =
        std::ranges::all_of(values, [](Wide value) { return std::in_range<Narrow>(value); });
    array(small ? narrow : wide, values.size());
    for (const Wide value : values) small ? scalar(static_cast<Narrow>(value)) : scalar(value);
  }
  void put(const std::vector<std::int64_t>& values) {
    integers<std::int32_t>(Type::kI32, Type::kI64, values);
  }
  void put(const std::vector<std::uint64_t>& values) {
    integers<std::uint32_t>(Type::kU32, Type::kU64, values);
  }
  void put(const std::vector<double>& values) {
    array(Type::kF32, values.size());
    for (const double value : values) scalar(static_cast<float>(value));
  }
  void put(const std::vector<std::string>& values) {
    array(Type::kString, values.size());
    for (const std::string& value : values) text(value);
  }

  std::vector<std::byte> data_;
};

}  // namespace

struct GgufWriter::State {
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<std::uint64_t> shape;
    std::uint64_t bytes = 0;
  };

  fs::path path;
  std::optional<PartFile> part;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<Tensor> tensors;
  std::size_t current = 0;    // the tensor that write() fills
  std::uint64_t written = 0;  // bytes of it

  Status check() {
    std::set<std::string_view> names;
    for (const auto& [key, value] : metadata) {
      if (key.empty() || key.size() > kGgufMaxKey || !names.insert(key).second)
        return invalid("{}: metadata key '{}' is empty, too long or there twice", path.string(),
                       shown(key));
    }
    names.clear();
    for (Tensor& tensor : tensors) {
      if (tensor.name.empty() || tensor.name.size() > kGgufMaxTensorName ||
          !names.insert(tensor.name).second)
        return invalid("{}: tensor name '{}' is empty, over {} bytes or there twice", path.string(),
                       shown(tensor.name), kGgufMaxTensorName);
      const TensorTypeInfo& info = tensor_type_info(tensor.type);
      if (tensor.shape.empty() || tensor.shape.size() > 4 || tensor.shape[0] % info.block != 0)
        return invalid(
            "{}: tensor '{}' has {} dimensions and rows of {} elements; {} needs 1 to 4 "
            "dimensions and rows of a multiple of {}",
            path.string(), shown(tensor.name), tensor.shape.size(),
            tensor.shape.empty() ? 0 : tensor.shape[0], info.name, info.block);
      unsigned __int128 elements = 1;
      for (const std::uint64_t size : tensor.shape) {
        elements *= size;
        if (elements == 0 || elements > std::uint64_t{1} << 56)
          return invalid("{}: tensor '{}' has no elements or too many", path.string(),
                         shown(tensor.name));
      }
      tensor.bytes = static_cast<std::uint64_t>(elements / info.block * info.block_bytes);
    }
    return {};
  }
};

GgufWriter::GgufWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
GgufWriter::GgufWriter(GgufWriter&&) noexcept = default;
GgufWriter& GgufWriter::operator=(GgufWriter&&) noexcept = default;
GgufWriter::~GgufWriter() = default;

Result<GgufWriter> GgufWriter::create(const fs::path& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  LATHE_TRY(state->part, PartFile::create(path));
  return GgufWriter(std::move(state));
}

void GgufWriter::add(std::string_view key, GgufValue value) {
  state_->metadata.emplace_back(key, std::move(value));
}

void GgufWriter::add_tensor(std::string_view name, TensorType type,
                            std::span<const std::uint64_t> shape) {
  state_->tensors.push_back({std::string(name), type, {shape.begin(), shape.end()}});
}

Status GgufWriter::begin_data() {
  LATHE_TRY_STATUS(state_->check());
  Bytes header;
  header.scalar(kGgufMagic);
  header.scalar(kGgufVersion);
  header.scalar(std::uint64_t{state_->tensors.size()});
  header.scalar(std::uint64_t{state_->metadata.size()});
  for (const auto& [key, value] : state_->metadata) {
    header.text(key);
    header.value(value);
  }
  std::uint64_t offset = 0;
  for (const State::Tensor& tensor : state_->tensors) {
    header.text(tensor.name);
    header.scalar(static_cast<std::uint32_t>(tensor.shape.size()));
    for (const std::uint64_t size : tensor.shape) header.scalar(size);
    header.scalar(static_cast<std::uint32_t>(tensor.type));
    header.scalar(offset);
    offset += round_up(tensor.bytes, kGgufAlignment);
  }
  if (!state_->tensors.empty()) header.pad(kGgufAlignment);
  return state_->part->write(header.data());
}

Status GgufWriter::write(std::span<const std::byte> data) {
  State& s = *state_;
  while (!data.empty()) {
    LATHE_CHECK(s.current < s.tensors.size());
    const std::uint64_t bytes = s.tensors[s.current].bytes;
    const auto n =
        static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), bytes - s.written));
    LATHE_TRY_STATUS(s.part->write(data.first(n)));
    data = data.subspan(n);
    s.written += n;
    if (s.written < bytes) continue;
    const std::vector<std::byte> padding(round_up(bytes, kGgufAlignment) - bytes);
    LATHE_TRY_STATUS(s.part->write(padding));
    ++s.current;
    s.written = 0;
  }
  return {};
}

Status GgufWriter::finish(const std::function<Status(const fs::path&)>& check) {
  State& s = *state_;
  if (s.current != s.tensors.size())
    return invalid("{}: {} of {} tensors were written", s.path.string(), s.current,
                   s.tensors.size());
  if (check) LATHE_TRY_STATUS(check(s.part->path()));
  return s.part->commit();
}

}  // namespace lathe::infer
