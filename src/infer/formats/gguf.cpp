// A GGUF file's tensors: checked against the file, read or mapped.
#include "infer/formats/gguf.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "infer/formats/gguf_header.h"
#include "infer/formats/whisper_header.h"

namespace lathe::infer {

struct Gguf::State {
  std::vector<InputFile> parts;
  GgufHeader header;
  std::map<std::string_view, std::size_t> keys;     // into header.metadata
  std::map<std::string_view, std::size_t> tensors;  // into header.tensors
};

namespace {

constexpr std::uint64_t kMaxParts = 1024;  // each holds a descriptor

// "model-00001-of-00003.gguf" is "model", 1, 3.
struct PartName {
  std::string prefix;
  std::uint64_t number, count;
};

std::string part_name(std::string_view prefix, std::uint64_t number, std::uint64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

std::optional<PartName> parse_part_name(const std::string& name) {
  constexpr std::size_t kTail = std::string_view("-00001-of-00003.gguf").size();
  if (name.size() <= kTail) return std::nullopt;
  const auto number_at = [&name](std::size_t from_end) {
    std::uint64_t number = 0;
    for (const char c : name.substr(name.size() - from_end, 5))
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
    return number;
  };
  PartName part{name.substr(0, name.size() - kTail), number_at(19), number_at(10)};
  if (part_name(part.prefix, part.number, part.count) != name) return std::nullopt;
  return part;
}

Result<std::uint64_t> unsigned_in(std::string_view place, std::string_view key,
                                  const GgufValue& value, std::uint64_t min, std::uint64_t max) {
  const std::int64_t* as_signed = std::get_if<std::int64_t>(&value);
  const std::uint64_t* as_unsigned = std::get_if<std::uint64_t>(&value);
  if (!as_signed && !as_unsigned)
    return invalid("{}: '{}' is {}; it must be an integer", place, key, gguf_kind(value));
  if (as_signed && *as_signed < 0)
    return invalid("{}: '{}' is {}; it must be between {} and {}", place, key, *as_signed, min,
                   max);
  const std::uint64_t number = as_signed ? static_cast<std::uint64_t>(*as_signed) : *as_unsigned;
  if (number < min || number > max)
    return invalid("{}: '{}' is {}; it must be between {} and {}", place, key, number, min, max);
  return number;
}

}  // namespace

Gguf::Gguf(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gguf::Gguf(Gguf&&) noexcept = default;
Gguf& Gguf::operator=(Gguf&&) noexcept = default;
Gguf::~Gguf() = default;

namespace {

Result<std::uint64_t> split_key(const fs::path& path, const GgufHeader& header,
                                std::string_view key, std::uint64_t max) {
  const auto entry =
      std::ranges::find(header.metadata, key, &std::pair<std::string, GgufValue>::first);
  if (entry == header.metadata.end())
    return invalid("{}: '{}' is missing: this is not a part of a split model", path.string(), key);
  return unsigned_in(path.string(), key, entry->second, 0, max);
}

// Opens the parts after the first and takes over their tensors.
Status open_parts(const fs::path& path, std::uint64_t count, std::vector<InputFile>& parts,
                  GgufHeader& header) {
  const std::optional<PartName> name = parse_part_name(path.filename().string());
  if (!name || name->count != count)
    return invalid(
        "{}: is part of a model split in {}, but is not named NAME-00001-of-{:05}.gguf; the other "
        "parts cannot be found",
        path.string(), count, count);
  LATHE_TRY(const auto first, split_key(path, header, "split.no", kMaxParts - 1));
  if (first != 0 || name->number != 1)
    return invalid("{}: is part {} of {}; open the first one, {}", path.string(), first + 1, count,
                   part_name(name->prefix, 1, count));
  LATHE_TRY(const auto tensors, split_key(path, header, "split.tensors.count", 1'000'000));
  for (std::uint64_t i = 1; i < count; ++i) {
    const fs::path part = path.parent_path() / part_name(name->prefix, i + 1, count);
    LATHE_TRY(InputFile file, InputFile::open(part));
    LATHE_TRY(GgufHeader more, read_gguf_header(file));
    LATHE_TRY(const auto number, split_key(part, more, "split.no", kMaxParts - 1));
    if (number != i)
      return invalid("{}: 'split.no' is {} where {} is due", part.string(), number, i);
    LATHE_TRY(const auto its_count, split_key(part, more, "split.count", kMaxParts));
    if (its_count != count)
      return invalid("{}: 'split.count' is {}, but {} in the first part", part.string(), its_count,
                     count);
    for (GgufTensor& tensor : more.tensors) {
      tensor.part = static_cast<std::size_t>(i);
      header.tensors.push_back(std::move(tensor));
    }
    if (header.tensors.size() > tensors) break;
    parts.push_back(std::move(file));
  }
  if (header.tensors.size() != tensors)
    return invalid("{}: 'split.tensors.count' is {}, but the parts hold {} tensors", path.string(),
                   tensors, header.tensors.size());
  return {};
}

// By its first four bytes.
Result<GgufHeader> read_header(const InputFile& file) {
  Cursor in(file);
  LATHE_TRY(const auto magic, in.scalar<std::uint32_t>("the magic"));
  return magic == kWhisperMagic ? read_whisper_header(file) : read_gguf_header(file);
}

}  // namespace

Result<Gguf> Gguf::open(const fs::path& path) {
  auto state = std::make_unique<State>();
  LATHE_TRY(InputFile file, InputFile::open(path));
  LATHE_TRY(state->header, read_header(file));
  state->parts.push_back(std::move(file));
  GgufHeader& header = state->header;
  if (std::ranges::any_of(header.metadata,
                          [](const auto& entry) { return entry.first == "split.count"; })) {
    LATHE_TRY(const auto count, split_key(path, header, "split.count", kMaxParts));
    if (count > 1) LATHE_TRY_STATUS(open_parts(path, count, state->parts, header));
  }
  for (std::size_t i = 0; i < header.metadata.size(); ++i)
    state->keys.emplace(header.metadata[i].first, i);
  for (std::size_t i = 0; i < header.tensors.size(); ++i)
    if (!state->tensors.emplace(header.tensors[i].name, i).second)
      return invalid("{}: tensor '{}' appears again in part {}", path.string(),
                     shown(header.tensors[i].name), header.tensors[i].part + 1);
  return Gguf(std::move(state));
}

const fs::path& Gguf::path() const {
  return state_->parts.front().path();
}

std::uint64_t Gguf::file_bytes() const {
  std::uint64_t bytes = 0;
  for (const InputFile& part : state_->parts) bytes += part.size();
  return bytes;
}

std::span<const std::pair<std::string, GgufValue>> Gguf::metadata() const {
  return state_->header.metadata;
}

std::span<const GgufTensor> Gguf::tensors() const {
  return state_->header.tensors;
}

const GgufTensor* Gguf::find_tensor(std::string_view name) const {
  const auto entry = state_->tensors.find(name);
  return entry == state_->tensors.end() ? nullptr : &state_->header.tensors[entry->second];
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto entry = state_->keys.find(key);
  return entry == state_->keys.end() ? nullptr : &state_->header.metadata[entry->second].second;
}

bool Gguf::has(std::string_view key) const {
  return find(key) != nullptr;
}

std::unexpected<Error> Gguf::missing(std::string_view key) const {
  return invalid("{}: '{}' is missing in its metadata", path().string(), key);
}

std::unexpected<Error> Gguf::wrong_kind(std::string_view key, std::string_view needed) const {
  return invalid("{}: '{}' is {}; it must be {}", path().string(), key, gguf_kind(*find(key)),
                 needed);
}

Result<std::uint64_t> Gguf::uint(std::string_view key, std::uint64_t min, std::uint64_t max) const {
  const GgufValue* value = find(key);
  if (!value) return missing(key);
  return unsigned_in(path().string(), key, *value, min, max);
}

Result<std::uint64_t> Gguf::uint_or(std::string_view key, std::uint64_t fallback, std::uint64_t min,
                                    std::uint64_t max) const {
  return has(key) ? uint(key, min, max) : fallback;
}

Result<double> Gguf::real(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return missing(key);
  double number = 0;
  if (const auto* real = std::get_if<double>(value))
    number = *real;
  else if (const auto* small = std::get_if<std::int64_t>(value))
    number = static_cast<double>(*small);
  else if (const auto* large = std::get_if<std::uint64_t>(value))
    number = static_cast<double>(*large);
  else
    return wrong_kind(key, "a number");
  if (!std::isfinite(number))
    return invalid("{}: '{}' is {}; it must be a finite number", path().string(), key, number);
  return number;
}

Result<double> Gguf::real_or(std::string_view key, double fallback) const {
  return has(key) ? real(key) : fallback;
}

Result<bool> Gguf::boolean_or(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (!value) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return wrong_kind(key, "a boolean");
}

Result<std::string> Gguf::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return missing(key);
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return wrong_kind(key, "a string");
}

Result<std::string> Gguf::text_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : std::string(fallback);
}

Result<std::span<const std::string>> Gguf::texts(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::span<const std::string>();
  if (const auto* list = std::get_if<std::vector<std::string>>(value))
    return std::span<const std::string>(*list);
  return wrong_kind(key, "an array of strings");
}

Result<std::vector<std::uint64_t>> Gguf::per_layer(std::string_view key, std::size_t count,
                                                   std::uint64_t min, std::uint64_t max) const {
  const GgufValue* value = find(key);
  if (!value) return missing(key);
  const bool list = std::holds_alternative<std::vector<bool>>(*value) ||
                    std::holds_alternative<std::vector<std::int64_t>>(*value) ||
                    std::holds_alternative<std::vector<std::uint64_t>>(*value);
  if (!list) {
    LATHE_TRY(const std::uint64_t number, uint(key, min, max));
    return std::vector(count, number);
  }
  LATHE_TRY(const std::vector<std::int64_t> numbers, ints(key));
  if (numbers.size() != count)
    return invalid("{}: '{}' has {} elements; it must have {}", path().string(), key,
                   numbers.size(), count);
  std::vector<std::uint64_t> values;
  for (const std::int64_t number : numbers) {
    LATHE_TRY(values.emplace_back(), unsigned_in(path().string(), key, number, min, max));
  }
  return values;
}

Result<std::vector<std::int64_t>> Gguf::ints(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::vector<std::int64_t>();
  if (const auto* small = std::get_if<std::vector<std::int64_t>>(value)) return *small;
  if (const auto* flags = std::get_if<std::vector<bool>>(value))
    return std::vector<std::int64_t>(flags->begin(), flags->end());
  const auto* large = std::get_if<std::vector<std::uint64_t>>(value);
  if (!large) return wrong_kind(key, "an array of integers");
  for (const std::uint64_t number : *large)
    if (number > std::numeric_limits<std::int64_t>::max())
      return invalid("{}: '{}' holds {}, which is too large", path().string(), key, number);
  return std::vector<std::int64_t>(large->begin(), large->end());
}

Result<std::vector<double>> Gguf::reals(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::vector<double>();
  if (const auto* list = std::get_if<std::vector<double>>(value)) return *list;
  return wrong_kind(key, "an array of numbers");
}

Status Gguf::check_range(const GgufTensor& tensor, std::uint64_t from, std::size_t count) const {
  if (from <= tensor.bytes && count <= tensor.bytes - from) return {};
  return invalid("{}: bytes {} to {} of tensor '{}' were asked for, it has {}", path().string(),
                 from, from + count, shown(tensor.name), tensor.bytes);
}

Status Gguf::read(const GgufTensor& tensor, std::uint64_t from, std::span<std::byte> out) const {
  LATHE_TRY_STATUS(check_range(tensor, from, out.size()));
  return state_->parts[tensor.part].read_at(tensor.offset + from, out);
}

Result<std::span<const std::byte>> Gguf::read_large(const GgufTensor& tensor, std::uint64_t from,
                                                    std::size_t count, ReadBuffer& buffer) const {
  LATHE_TRY_STATUS(check_range(tensor, from, count));
  return state_->parts[tensor.part].read_large(tensor.offset + from, count, buffer);
}

const fs::path& Gguf::part_path(std::size_t part) const {
  return state_->parts[part].path();
}

Result<std::vector<float>> load_floats(const Gguf& file, const GgufTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
  LATHE_TRY_STATUS(file.read(tensor, 0, bytes));
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  tensor_type_info(tensor.type).decode(bytes.data(), values.data(), values.size());
  return values;
}

}  // namespace lathe::infer
