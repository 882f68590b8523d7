// A GGUF file's header: bounded, checked, in any byte.
#include "infer/formats/gguf_header.h"

#include <algorithm>
#include <limits>
#include <set>

namespace lathe::infer {
namespace {

// A header is read whole, so its parts are limited by more than the size of the file: a sparse file
// costs its author nothing.
constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxString = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 24;  // of one array
constexpr std::uint64_t kReserve = 4096;  // beyond it vectors grow with what was really read
constexpr std::uint64_t kMaxTensors = 1'000'000;
constexpr std::uint64_t kMaxAlignment = 65536;
// The fewest bytes that an entry takes: what counts are checked against.
constexpr std::uint64_t kLeastMetadata = 8 + 1 + 4 + 1;
constexpr std::uint64_t kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;

using Type = GgufValueType;

class HeaderReader {
 public:
  explicit HeaderReader(const InputFile& file) : file_(file), in_(file) {}

  Result<GgufHeader> read() {
    LATHE_TRY_STATUS(read_start());
    GgufHeader header;
    std::set<std::string, std::less<>> names;
    for (std::uint64_t i = 0; i < metadata_count_; ++i) {
      LATHE_TRY(auto entry, read_metadata(i));
      if (!names.insert(entry.first).second)
        return wrong("metadata key '{}' appears twice", shown(entry.first));
      if (entry.first == "general.alignment") LATHE_TRY_STATUS(set_alignment(entry.second));
      header.metadata.push_back(std::move(entry));
    }
    names.clear();
    for (std::uint64_t i = 0; i < tensor_count_; ++i) {
      LATHE_TRY(GgufTensor tensor, read_tensor(i));
      if (!names.insert(tensor.name).second)
        return wrong("tensor '{}' appears twice", shown(tensor.name));
      header.tensors.push_back(std::move(tensor));
    }
    LATHE_TRY_STATUS(place(header.tensors));
    return header;
  }

 private:
  template <class... Args>
  std::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return at(file_.path().string(),
              Error{ErrorKind::kInvalid, fmt::format(format, std::forward<Args>(args)...)});
  }

  Status read_start() {
    LATHE_TRY(const auto magic, in_.scalar<std::uint32_t>("the magic"));
    if (magic != kGgufMagic)
      return wrong("is not a GGUF file: it starts with 0x{:08x}, not with \"GGUF\"", magic);
    LATHE_TRY(const auto version, in_.scalar<std::uint32_t>("the version"));
    if (version != 0 && (version & 0xffff) == 0)
      return wrong("version 0x{:08x}: this is a big-endian GGUF file; convert it to little endian",
                   version);
    if (version != 2 && version != kGgufVersion)
      return wrong("GGUF version {} is not supported; versions 2 and 3 are", version);
    LATHE_TRY(tensor_count_, in_.scalar<std::uint64_t>("the tensor count"));
    LATHE_TRY(metadata_count_, in_.scalar<std::uint64_t>("the metadata count"));
    if (metadata_count_ > in_.remaining() / kLeastMetadata)
      return wrong("metadata count {} does not fit the {} bytes that are left", metadata_count_,
                   in_.remaining());
    if (tensor_count_ > kMaxTensors)
      return wrong("tensor count {} is over the limit of {}", tensor_count_, kMaxTensors);
    if (tensor_count_ > in_.remaining() / kLeastTensor)
      return wrong("tensor count {} does not fit the {} bytes that are left", tensor_count_,
                   in_.remaining());
    return {};
  }

  Status check_size() const {
    if (in_.position() > kMaxHeaderBytes)
      return wrong("the header is over the limit of {} bytes", kMaxHeaderBytes);
    return {};
  }

  Result<std::pair<std::string, GgufValue>> read_metadata(std::uint64_t index) {
    LATHE_TRY(std::string key, in_.text(fmt::format("key {} of the metadata", index), kGgufMaxKey));
    if (key.empty()) return wrong("key {} of the metadata is empty", index);
    const std::string name = fmt::format("metadata '{}'", shown(key));
    LATHE_TRY(const auto type, in_.scalar<std::uint32_t>(name));
    LATHE_TRY(GgufValue value, static_cast<Type>(type) == Type::kArray
                                   ? read_array(name)
                                   : read_scalar(name, static_cast<Type>(type)));
    LATHE_TRY_STATUS(check_size());
    return std::pair(std::move(key), std::move(value));
  }

  template <class T>
  Result<GgufValue> number(std::string_view name) {
    LATHE_TRY(const T value, in_.scalar<T>(name));
    if constexpr (std::is_floating_point_v<T>)
      return GgufValue(static_cast<double>(value));
    else if constexpr (std::is_signed_v<T>)
      return GgufValue(static_cast<std::int64_t>(value));
    else
      return GgufValue(static_cast<std::uint64_t>(value));
  }

  Result<GgufValue> read_scalar(const std::string& name, Type type) {
    switch (type) {
      case Type::kU8:
        return number<std::uint8_t>(name);
      case Type::kI8:
        return number<std::int8_t>(name);
      case Type::kU16:
        return number<std::uint16_t>(name);
      case Type::kI16:
        return number<std::int16_t>(name);
      case Type::kU32:
        return number<std::uint32_t>(name);
      case Type::kI32:
        return number<std::int32_t>(name);
      case Type::kU64:
        return number<std::uint64_t>(name);
      case Type::kI64:
        return number<std::int64_t>(name);
      case Type::kF32:
        return number<float>(name);
      case Type::kF64:
        return number<double>(name);
      case Type::kBool: {
        LATHE_TRY(const auto value, in_.scalar<std::uint8_t>(name));
        return GgufValue(value != 0);
      }
      case Type::kString: {
        LATHE_TRY(std::string value, in_.text(name, kMaxString));
        return GgufValue(std::move(value));
      }
      case Type::kArray:
        break;
    }
    return wrong("{} has the unknown value type {}", name, static_cast<std::uint32_t>(type));
  }

  // Widens the elements to 64 bits, a piece at a time.
  template <class T, class Wide>
  Result<GgufValue> numbers(const std::string& name, std::uint64_t count) {
    std::vector<Wide> values;
    values.reserve(static_cast<std::size_t>(std::min(count, kReserve)));
    std::vector<T> piece;
    while (values.size() < count) {
      piece.resize(std::min<std::size_t>(4096, static_cast<std::size_t>(count) - values.size()));
      LATHE_TRY_STATUS(in_.bytes(name, std::as_writable_bytes(std::span(piece))));
      for (const T value : piece) {
        if constexpr (std::is_same_v<Wide, bool>)
          values.push_back(value != 0);
        else
          values.push_back(static_cast<Wide>(value));
      }
    }
    return GgufValue(std::move(values));
  }

  static std::uint64_t element_bytes(Type type) {
    switch (type) {
      case Type::kU8:
      case Type::kI8:
      case Type::kBool:
        return 1;
      case Type::kU16:
      case Type::kI16:
        return 2;
      case Type::kU32:
      case Type::kI32:
      case Type::kF32:
        return 4;
      case Type::kU64:
      case Type::kI64:
      case Type::kF64:
      case Type::kString:  // at least: its length
        return 8;
      case Type::kArray:
        break;
    }
    return 0;
  }

  Result<GgufValue> read_array(const std::string& name) {
    LATHE_TRY(const auto raw, in_.scalar<std::uint32_t>(name));
    LATHE_TRY(const auto count, in_.scalar<std::uint64_t>(name));
    const auto type = static_cast<Type>(raw);
    if (type == Type::kArray) return wrong("{} is an array of arrays", name);
    const std::uint64_t size = element_bytes(type);
    if (size == 0) return wrong("{} has the unknown element type {}", name, raw);
    if (count > in_.remaining() / size)
      return wrong("truncated: {} has {} elements, which do not fit the {} bytes that are left",
                   name, count, in_.remaining());
    if (count > kMaxElements)
      return wrong("{} has {} elements, over the limit of {}", name, count, kMaxElements);
    switch (type) {
      case Type::kU8:
        return numbers<std::uint8_t, std::uint64_t>(name, count);
      case Type::kI8:
        return numbers<std::int8_t, std::int64_t>(name, count);
      case Type::kU16:
        return numbers<std::uint16_t, std::uint64_t>(name, count);
      case Type::kI16:
        return numbers<std::int16_t, std::int64_t>(name, count);
      case Type::kU32:
        return numbers<std::uint32_t, std::uint64_t>(name, count);
      case Type::kI32:
        return numbers<std::int32_t, std::int64_t>(name, count);
      case Type::kU64:
        return numbers<std::uint64_t, std::uint64_t>(name, count);
      case Type::kI64:
        return numbers<std::int64_t, std::int64_t>(name, count);
      case Type::kF32:
        return numbers<float, double>(name, count);
      case Type::kF64:
        return numbers<double, double>(name, count);
      case Type::kBool:
        return numbers<std::uint8_t, bool>(name, count);
      default:
        return texts(name, count);
    }
  }

  Result<GgufValue> texts(const std::string& name, std::uint64_t count) {
    std::vector<std::string> values;
    values.reserve(static_cast<std::size_t>(std::min(count, kReserve)));
    while (values.size() < count) {
      LATHE_TRY(std::string value, in_.text(name, kMaxString));
      values.push_back(std::move(value));
      LATHE_TRY_STATUS(check_size());
    }
    return GgufValue(std::move(values));
  }

  Status set_alignment(const GgufValue& value) {
    const std::int64_t* as_signed = std::get_if<std::int64_t>(&value);
    const std::uint64_t* as_unsigned = std::get_if<std::uint64_t>(&value);
    if (!as_signed && !as_unsigned)
      return wrong("general.alignment is {}; it must be an integer", gguf_kind(value));
    alignment_ = as_signed ? static_cast<std::uint64_t>(*as_signed) : *as_unsigned;
    if (alignment_ == 0 || alignment_ > kMaxAlignment || (alignment_ & (alignment_ - 1)) != 0) {
      if (as_signed)
        return wrong("general.alignment is {}; it must be a power of two up to {}", *as_signed,
                     kMaxAlignment);
      return wrong("general.alignment is {}; it must be a power of two up to {}", *as_unsigned,
                   kMaxAlignment);
    }
    return {};
  }

  // Leaves the offset relative to the data section.
  Result<GgufTensor> read_tensor(std::uint64_t index) {
    GgufTensor tensor{};
    LATHE_TRY(tensor.name, in_.text(fmt::format("name of tensor {}", index), kGgufMaxTensorName));
    if (tensor.name.empty()) return wrong("name of tensor {} is empty", index);
    const std::string name = fmt::format("tensor '{}'", shown(tensor.name));
    LATHE_TRY(const auto dimensions, in_.scalar<std::uint32_t>(name));
    if (dimensions < 1 || dimensions > 4)
      return wrong("{} has {} dimensions; 1 to 4 are possible", name, dimensions);
    tensor.dimensions = static_cast<int>(dimensions);
    tensor.shape = {1, 1, 1, 1};
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      LATHE_TRY(tensor.shape[i], in_.scalar<std::uint64_t>(name));
      if (tensor.shape[i] == 0) return wrong("{} has the size 0 in dimension {}", name, i);
    }
    LATHE_TRY(const auto type, in_.scalar<std::uint32_t>(name));
    LATHE_TRY(tensor.offset, in_.scalar<std::uint64_t>(name));
    LATHE_TRY_STATUS(check_size());
    LATHE_TRY_STATUS(set_size(file_, tensor, name, type));
    return tensor;
  }

  // Offsets must follow one another: no gaps, no overlaps, nothing outside the file.
  Status place(std::vector<GgufTensor>& tensors) const {
    const std::uint64_t start = round_up(in_.position(), alignment_);
    std::uint64_t expected = 0;
    for (GgufTensor& tensor : tensors) {
      if (tensor.offset != expected)
        return wrong(
            "tensor '{}' has the offset {} where {} is due: tensors must follow one another",
            shown(tensor.name), tensor.offset, expected);
      tensor.offset += start;
      if (tensor.offset > file_.size() || tensor.bytes > file_.size() - tensor.offset)
        return wrong(
            "truncated: tensor '{}' stands at bytes {} to {}, beyond the end of the file at {}",
            shown(tensor.name), tensor.offset, tensor.offset + tensor.bytes, file_.size());
      // Each tensor is inside the file, so the sum stays below twice its size.
      expected += round_up(tensor.bytes, alignment_);
    }
    return {};
  }

  const InputFile& file_;
  Cursor in_;
  std::uint64_t tensor_count_ = 0, metadata_count_ = 0;
  std::uint64_t alignment_ = kGgufAlignment;
};

}  // namespace

Status set_size(const InputFile& file, GgufTensor& tensor, std::string_view name,
                std::uint32_t type) {
  const auto wrong = [&](const std::string& what) {
    return invalid("{}: {} {}", file.path().string(), name, what);
  };
  const TensorTypeInfo* info = find_tensor_type(type);
  if (!info && tensor_type_name(type).empty())
    return wrong(fmt::format("has the unknown type {}", type));
  if (!info)
    return wrong(
        fmt::format("has the type {} ({}), which is not supported", tensor_type_name(type), type));
  tensor.type = info->type;
  if (tensor.shape[0] % info->block != 0)
    return wrong(fmt::format("has rows of {} elements, which is not a multiple of {} as {} needs",
                             tensor.shape[0], info->block, info->name));
  const std::string shape = fmt::format("{}", fmt::join(tensor.shape, "x"));
  // Below 2^63 at every step, so that the next product stays below 2^127.
  unsigned __int128 elements = 1;
  for (const std::uint64_t size : tensor.shape) {
    elements *= size;
    if (elements > std::numeric_limits<std::int64_t>::max())
      return wrong(fmt::format("has the shape {}, which is too large", shape));
  }
  const unsigned __int128 bytes = elements / info->block * info->block_bytes;
  // What a file can hold; checked here so that no later sum can overflow.
  if (bytes > file.size())
    return wrong(fmt::format("has the shape {}, whose data is larger than the file of {} bytes",
                             shape, file.size()));
  tensor.bytes = static_cast<std::uint64_t>(bytes);
  return {};
}

Result<GgufHeader> read_gguf_header(const InputFile& file) {
  return HeaderReader(file).read();
}

std::string_view gguf_kind(const GgufValue& value) {
  static constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> kKinds = {
      "a boolean",
      "an integer",
      "an integer",
      "a number",
      "a string",
      "an array of booleans",
      "an array of integers",
      "an array of integers",
      "an array of numbers",
      "an array of strings"};
  return kKinds[value.index()];
}

}  // namespace lathe::infer
