// The header of a Whisper file as one of a GGUF file: bounded, checked, in any byte.
#include "infer/formats/whisper_header.h"

#include <set>

namespace lathe::infer {
namespace {

constexpr std::uint32_t kMaxTokens = 1U << 20, kMaxToken = 1024;
constexpr std::uint32_t kMaxFilters = 1U << 20;  // numbers
constexpr std::size_t kMaxWhisperTensors = 4096;
// What older quantized files say differs in how their blocks lie.
constexpr std::uint32_t kQuantizations = 1000, kQuantization = 2;

// In the file's order, with what they may be.
struct Size {
  const char* key;
  std::uint32_t min, max;
};
constexpr Size kSizes[] = {
    {"whisper.vocab_size", 1, kMaxTokens},
    {"whisper.audio.context_length", 1, 1U << 16},
    {"whisper.audio.embedding_length", 1, 1U << 16},
    {"whisper.audio.head_count", 1, 1024},
    {"whisper.audio.block_count", 1, 1024},
    {"whisper.text.context_length", 1, 1U << 16},
    {"whisper.text.embedding_length", 1, 1U << 16},
    {"whisper.text.head_count", 1, 1024},
    {"whisper.text.block_count", 1, 1024},
    {"whisper.mel_bins", 1, 1024},
    {"whisper.file_type", 0, 1U << 20},
};

// Of the encoder, as GGUF files of encoders have them.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"encoder.blocks.", "a.blk."},
    {"encoder.conv1.", "a.conv1d.1."},
    {"encoder.conv2.", "a.conv1d.2."},
    {"encoder.ln_post.", "a.post_ln."},
    {"encoder.positional_embedding", "a.position_embd.weight"},
    {".attn_ln.", ".ln1."},
    {".attn.query.", ".attn_q."},
    {".attn.key.", ".attn_k."},
    {".attn.value.", ".attn_v."},
    {".attn.out.", ".attn_out."},
    {".mlp_ln.", ".ln2."},
    {".mlp.0.", ".ffn_up."},
    {".mlp.2.", ".ffn_down."},
};

void rename_encoder(std::string& name) {
  if (!name.starts_with("encoder.")) return;
  for (const auto& [from, to] : kNames)
    if (const std::size_t at = name.find(from); at != std::string::npos)
      name.replace(at, from.size(), to);
}

class WhisperReader {
 public:
  explicit WhisperReader(const InputFile& file) : file_(file), in_(file) {}

  Result<GgufHeader> read() {
    LATHE_TRY(const auto magic, in_.scalar<std::uint32_t>("the magic"));
    if (magic != kWhisperMagic)
      return wrong("is not a Whisper file: it starts with 0x{:08x}", magic);
    add("general.architecture", std::string("whisper"));
    for (const Size& size : kSizes) {
      LATHE_TRY(const auto value, number(size.key, size.min, size.max));
      add(size.key, std::uint64_t{value});
      if (std::string_view(size.key) == "whisper.mel_bins") bins_ = value;
      if (std::string_view(size.key) == "whisper.file_type" && value % kQuantizations > 1 &&
          value / kQuantizations != kQuantization)
        return wrong("is quantized in version {}; version {} is supported: quantize it again",
                     value / kQuantizations, kQuantization);
    }
    LATHE_TRY_STATUS(read_filters());
    LATHE_TRY_STATUS(read_tokens());
    std::set<std::string, std::less<>> names;
    while (in_.remaining() > 0) {
      LATHE_TRY(GgufTensor tensor, read_tensor());
      if (!names.insert(tensor.name).second)
        return wrong("tensor '{}' appears twice", shown(tensor.name));
      if (header_.tensors.size() == kMaxWhisperTensors)
        return wrong("has more than {} tensors", kMaxWhisperTensors);
      header_.tensors.push_back(std::move(tensor));
    }
    return std::move(header_);
  }

 private:
  template <class... Args>
  std::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return at(file_.path().string(),
              Error{ErrorKind::kInvalid, fmt::format(format, std::forward<Args>(args)...)});
  }
  void add(std::string key, GgufValue value) {
    header_.metadata.emplace_back(std::move(key), std::move(value));
  }

  Result<std::uint32_t> number(std::string_view what, std::uint32_t min, std::uint32_t max) {
    LATHE_TRY(const auto value, in_.scalar<std::uint32_t>(what));
    if (value < min || value > max)
      return wrong("{} is {}; it must be between {} and {}", what, static_cast<std::int32_t>(value),
                   min, max);
    return value;
  }

  Status read_filters() {
    LATHE_TRY(const auto bands, number("the filters' bands", bins_, bins_));
    LATHE_TRY(const auto width, number("the filters' frequencies", 1, kMaxFilters / bands));
    std::vector<float> filters(std::size_t{bands} * width);
    LATHE_TRY_STATUS(in_.bytes("the filters", std::as_writable_bytes(std::span(filters))));
    add("whisper.mel_filters", std::vector<double>(filters.begin(), filters.end()));
    return {};
  }

  // Their bytes as they are: they need not be text.
  Status read_tokens() {
    LATHE_TRY(const auto count, number("the count of tokens", 0, kMaxTokens));
    std::vector<std::string> tokens;
    for (std::uint32_t i = 0; i < count; ++i) {
      LATHE_TRY(const auto length, number(fmt::format("the length of token {}", i), 0, kMaxToken));
      tokens.emplace_back(length, '\0');
      LATHE_TRY_STATUS(
          in_.bytes(fmt::format("token {}", i), std::as_writable_bytes(std::span(tokens.back()))));
    }
    add("tokenizer.ggml.tokens", std::move(tokens));
    return {};
  }

  // Its data stands behind it.
  Result<GgufTensor> read_tensor() {
    GgufTensor tensor{};
    const std::string which = fmt::format("tensor {}", header_.tensors.size());
    LATHE_TRY(const auto dimensions, number(which + "'s dimensions", 1, 4));
    LATHE_TRY(const auto length, number(which + "'s name's length", 1, kGgufMaxTensorName));
    LATHE_TRY(const auto type, in_.scalar<std::uint32_t>(which));
    tensor.dimensions = static_cast<int>(dimensions);
    tensor.shape = {1, 1, 1, 1};
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      LATHE_TRY(tensor.shape[i], number(which + "'s shape", 1, 1U << 30));
    }
    tensor.name.resize(length);
    LATHE_TRY_STATUS(in_.bytes(which, std::as_writable_bytes(std::span(tensor.name))));
    rename_encoder(tensor.name);
    const std::string name = fmt::format("tensor '{}'", shown(tensor.name));
    LATHE_TRY_STATUS(set_size(file_, tensor, name, type));
    tensor.offset = in_.position();
    if (tensor.bytes > in_.remaining())
      return wrong("truncated: {} needs {} bytes, {} are left", name, tensor.bytes,
                   in_.remaining());
    in_.skip(tensor.bytes);
    return tensor;
  }

  const InputFile& file_;
  Cursor in_;
  GgufHeader header_;
  std::uint32_t bins_ = 0;
};

}  // namespace

Result<GgufHeader> read_whisper_header(const InputFile& file) {
  return WhisperReader(file).read();
}

}  // namespace lathe::infer
