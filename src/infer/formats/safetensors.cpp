// Safetensors files: a header of JSON, and data that it must cover exactly.
#include "infer/formats/safetensors.h"

#include <algorithm>
#include <set>

#include "ground/base/json.h"

namespace lathe::infer {
namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;  // of the format's own reader
constexpr std::size_t kMaxSafeTensors = 1'000'000;
constexpr std::size_t kMaxDimensions = 8;
constexpr std::size_t kMaxFiles = 1024;  // each holds a descriptor
constexpr JsonLimits kLimits{
    .max_bytes = kMaxHeader, .max_depth = 8, .max_members = kMaxSafeTensors};

struct Dtype {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr Dtype kDtypes[] = {{"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E4M3", 1},
                             {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"I16", 2}, {"U16", 2},
                             {"F16", 2},     {"BF16", 2},    {"I32", 4}, {"U32", 4},
                             {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}};

// Unsigned numbers alone; anything else is "not a list of …".
bool read_numbers(const SortedJson& value, std::vector<std::uint64_t>& out) {
  if (!value.is_array()) return false;
  for (const SortedJson& number : value) {
    if (!number.is_number_unsigned()) return false;
    out.push_back(number.get<std::uint64_t>());
  }
  return true;
}

const SortedJson& member(const SortedJson& object, const char* key) {
  static const SortedJson kNull;
  const auto it = object.find(key);
  return it == object.end() ? kNull : *it;
}

// One entry of the header; the offset is relative to the data.
Result<SafeTensor> read_entry(const std::string& name, const SortedJson& entry,
                              std::uint64_t data_bytes) {
  const std::string label = fmt::format("tensor '{}'", shown(name));
  if (!entry.is_object()) return invalid("{} is not an object", label);
  const SortedJson& dtype = member(entry, "dtype");
  if (!dtype.is_string()) return invalid("{} has no dtype", label);
  SafeTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype.get<std::string>();
  const auto known = std::ranges::find(kDtypes, tensor.dtype, &Dtype::name);
  if (known == std::end(kDtypes))
    return invalid("{} has the unknown dtype '{}'", label, shown(tensor.dtype));
  if (!read_numbers(member(entry, "shape"), tensor.shape))
    return invalid("{}: shape is not a list of sizes", label);
  if (tensor.shape.size() > kMaxDimensions)
    return invalid("{} has {} dimensions, over the limit of {}", label, tensor.shape.size(),
                   kMaxDimensions);
  std::vector<std::uint64_t> range;
  if (!read_numbers(member(entry, "data_offsets"), range) || range.size() != 2)
    return invalid("{}: data_offsets is not a pair of offsets", label);
  if (range[0] > range[1] || range[1] > data_bytes)
    return invalid("{}: data_offsets [{}, {}] lie outside the {} bytes of data", label, range[0],
                   range[1], data_bytes);
  // Below 2^64 at every step, so that the next product stays below 2^128.
  unsigned __int128 bytes = known->bytes;
  for (const std::uint64_t size : tensor.shape) {
    bytes *= size;
    if (bytes > data_bytes)
      return invalid("{} has a shape larger than the {} bytes of data", label, data_bytes);
  }
  if (bytes != range[1] - range[0])
    return invalid("{}: data_offsets [{}, {}] hold {} bytes, dtype and shape need {}", label,
                   range[0], range[1], range[1] - range[0], static_cast<std::uint64_t>(bytes));
  tensor.offset = range[0];
  tensor.bytes = range[1] - range[0];
  return tensor;
}

// Every byte belongs to exactly one tensor.
Status check_cover(std::span<const SafeTensor> tensors, std::uint64_t data_bytes) {
  std::vector<const SafeTensor*> order;
  for (const SafeTensor& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const SafeTensor* t) { return std::pair(t->offset, t->bytes); });
  std::uint64_t end = 0;
  for (const SafeTensor* tensor : order) {
    if (tensor->offset != end)
      return invalid("tensor '{}' begins at {} where the one before it ends at {}",
                     shown(tensor->name), tensor->offset, end);
    end += tensor->bytes;
  }
  if (end != data_bytes) return invalid("the tensors end at {}, the data at {}", end, data_bytes);
  return {};
}

Result<std::vector<SafeTensor>> read_safetensors_header(const InputFile& file) {
  Cursor in(file);
  LATHE_TRY(const auto length, in.scalar<std::uint64_t>("the header's length"));
  if (length > kMaxHeader)
    return invalid("{}: the header's length is {}, over the limit of {}", file.path().string(),
                   length, kMaxHeader);
  if (length > in.remaining())
    return invalid("{}: truncated: the header's length is {}, {} bytes are left",
                   file.path().string(), length, in.remaining());
  std::string text(static_cast<std::size_t>(length), '\0');
  LATHE_TRY_STATUS(in.bytes("the header", std::as_writable_bytes(std::span(text))));
  const auto wrong = [&file](Error error) { return at(file.path().string(), std::move(error)); };
  if (!text.starts_with('{'))
    return invalid("{}: is not a safetensors file: its header does not begin with '{{'",
                   file.path().string());
  auto header = parse_sorted_json(text, kLimits);
  if (!header) return wrong(std::move(header).error());
  if (!header->is_object()) return invalid("{}: the header is not an object", file.path().string());
  std::vector<SafeTensor> tensors;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") continue;
    auto tensor = read_entry(name, entry, in.remaining());
    if (!tensor) return wrong(std::move(tensor).error());
    tensors.push_back(std::move(*tensor));
  }
  if (Status covered = check_cover(tensors, in.remaining()); !covered)
    return wrong(std::move(covered).error());
  for (SafeTensor& tensor : tensors) tensor.offset += in.position();
  return tensors;
}

struct Index {
  std::set<std::string> files;
  std::map<std::string, std::string> file_of;
};

Result<Index> read_index(const fs::path& path) {
  LATHE_TRY(const std::string text, read_file(path));
  auto json = parse_sorted_json(text, kLimits);
  if (!json) return at(path.string(), std::move(json).error());
  Index index;
  const SortedJson& map = json->is_object() ? member(*json, "weight_map") : *json;
  if (!map.is_object() || map.empty()) return invalid("{}: holds no \"weight_map\"", path.string());
  for (const auto& [name, file] : map.items()) {
    const std::string file_name = file.is_string() ? file.get<std::string>() : "";
    if (!is_safe_relative(file_name) || file_name.find('/') != file_name.npos)
      return invalid("{}: tensor '{}' stands in '{}', which is no plain file name", path.string(),
                     shown(name), shown(file_name));
    index.files.insert(file_name);
    index.file_of[name] = file_name;
  }
  if (index.files.size() > kMaxFiles)
    return invalid("{}: names {} files, over the limit of {}", path.string(), index.files.size(),
                   kMaxFiles);
  return index;
}

}  // namespace

Status SafeTensors::add_file(const fs::path& path) {
  LATHE_TRY(InputFile file, InputFile::open(path));
  LATHE_TRY(std::vector<SafeTensor> tensors, read_safetensors_header(file));
  for (SafeTensor& tensor : tensors) {
    tensor.file = files_.size();
    const auto [it, added] = by_name_.emplace(tensor.name, tensors_.size());
    if (!added)
      return invalid("{}: tensor '{}' stands in {} too", path.string(), shown(tensor.name),
                     file_path(tensors_[it->second].file).filename().string());
    tensors_.push_back(std::move(tensor));
  }
  files_.push_back(std::move(file));
  return {};
}

Result<SafeTensors> SafeTensors::open_file(const fs::path& path) {
  SafeTensors model;
  LATHE_TRY_STATUS(model.add_file(path));
  return model;
}

Result<SafeTensors> SafeTensors::open_directory(const fs::path& directory) {
  const fs::path single = directory / "model.safetensors";
  const fs::path index_path = directory / "model.safetensors.index.json";
  std::error_code error;
  if (!fs::exists(index_path, error)) {
    if (!fs::exists(single, error))
      return fail(ErrorKind::kNotFound, "{}: holds neither model.safetensors nor {}",
                  directory.string(), index_path.filename().string());
    return open_file(single);
  }
  LATHE_TRY(const Index index, read_index(index_path));
  SafeTensors model;
  for (const std::string& file : index.files) LATHE_TRY_STATUS(model.add_file(directory / file));
  for (const auto& [name, file] : index.file_of) {
    const SafeTensor* tensor = model.find(name);
    if (!tensor || model.file_path(tensor->file).filename() != file)
      return invalid("{}: tensor '{}' does not stand in {}", index_path.string(), shown(name),
                     file);
  }
  return model;
}

const SafeTensor* SafeTensors::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

Status SafeTensors::read(const SafeTensor& tensor, std::uint64_t from,
                         std::span<std::byte> out) const {
  if (from > tensor.bytes || out.size() > tensor.bytes - from)
    return invalid("{}: bytes {} to {} of tensor '{}' were asked for, it has {}",
                   file_path(tensor.file).string(), from, from + out.size(), shown(tensor.name),
                   tensor.bytes);
  return files_[tensor.file].read_at(tensor.offset + from, out);
}

Status write_safetensors(const fs::path& path, std::span<const SafeTensorData> tensors) {
  Json header{{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t at = 0;
  for (const SafeTensorData& tensor : tensors) {
    const std::uint64_t end = at + tensor.values.size_bytes();
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = dump_json(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data begins at a multiple of 8
  const std::uint64_t length = text.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += text;
  for (const SafeTensorData& tensor : tensors)
    bytes.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size_bytes());
  return write_file_atomic(path, bytes);
}

}  // namespace lathe::infer
