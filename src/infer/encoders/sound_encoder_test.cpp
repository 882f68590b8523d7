// Tiny encoders of sounds with random weights against an independent float64 evaluation of the same
// weights; how sounds are cut into pieces; headers and tensors that are wrong. The same bits on
// every kernel table and any number of threads.
#include "infer/encoders/sound_encoder.h"

#include <limits>

#include "ground/base/json.h"
#include "infer/encoders/encoder_test.h"
#include "infer/encoders/prompt_pieces.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {
namespace {

constexpr double kTolerance = 5e-5;
constexpr const char* kProjectors[] = {"qwen2a", "qwen3a", "ultravox", "voxtral", "gemma4a"};
constexpr std::size_t kSecond = 16000;  // samples

fs::path encoder_file(const std::string& projector) {
  return media(projector + ".mmproj.gguf");
}

// For what is tried often.
EditedFile one_layer(const std::string& projector) {
  EditedFile file = EditedFile::of(encoder_file(projector));
  file.set("clip.audio.block_count", std::uint64_t{1});
  std::erase_if(file.tensors, [](const EditedFile::Tensor& tensor) {
    return tensor.name.starts_with("a.blk.") && !tensor.name.starts_with("a.blk.0.");
  });
  return file;
}

std::vector<std::int16_t> repeated(const std::vector<std::int16_t>& samples, std::size_t times) {
  std::vector<std::int16_t> all;
  for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), samples.begin(), samples.end());
  return all;
}

std::vector<float> values_of(const EncodedPiece& piece) {
  return {piece.rows->row(0), piece.rows->row(0) + piece.rows->rows() * piece.rows->width()};
}

// An encoder with its team, and what it was given of the last sound.
class TestSounds {
 public:
  explicit TestSounds(const fs::path& path, const KernelTable& kernels = best_kernel_table(),
                      int threads = 2)
      : team_(threads) {
    const auto file = Gguf::open(path);
    EXPECT_TRUE(file.has_value()) << file.error().message;
    WeightLoading loading;
    loading.kernels = &kernels;
    auto encoder = SoundEncoder::open(*file, team_, loading);
    EXPECT_TRUE(encoder.has_value()) << encoder.error().message;
    if (encoder) encoder_ = std::move(*encoder);
  }
  SoundEncoder* operator->() { return encoder_.get(); }
  bool ok() const { return encoder_ != nullptr; }

  std::vector<EncodedPiece> pieces(std::span<const std::int16_t> samples) {
    inputs.clear();
    auto pieces =
        encoder_->encode(samples, nullptr, [&](const MelFrames& mel) { inputs.push_back(mel); });
    EXPECT_TRUE(pieces.has_value()) << pieces.error().message;
    return pieces ? *std::move(pieces) : std::vector<EncodedPiece>();
  }
  // Of each input.
  std::vector<std::vector<float>> rows(std::span<const std::int16_t> samples) {
    std::vector<std::vector<float>> all;
    for (const EncodedPiece& piece : pieces(samples))
      if (piece.rows != nullptr) all.push_back(values_of(piece));
    EXPECT_EQ(all.size(), inputs.size());
    return all;
  }
  std::vector<MelFrames> inputs;

 private:
  ThreadTeam team_;
  std::unique_ptr<SoundEncoder> encoder_;
};

class KnownSounds : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Projectors, KnownSounds, ::testing::ValuesIn(kProjectors),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST_P(KnownSounds, RowsAreTheTruth) {
  TestSounds encoder(encoder_file(GetParam()));
  ASSERT_TRUE(encoder.ok());
  const auto rows = encoder.rows(three_seconds());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_LT(
      relative_error(rows[0], read_floats(media(GetParam() + std::string(".s3.embd.truth.f32")))),
      kTolerance);
}

// What stands in the place of a sound in a prompt: the same tokens and rows, of the same frames.
TEST_P(KnownSounds, PromptsAreTheOtherPrograms) {
  const std::string projector = GetParam();
  TestSounds encoder(encoder_file(projector));
  ASSERT_TRUE(encoder.ok());
  const std::string model = projector == "gemma4a" ? "gemma4v" : projector;
  const auto tokenizer =
      *Tokenizer::make(*read_vocabulary(*Gguf::open(media(model + ".llm.gguf"))));
  Prompt ours;
  ours.add(tokenizer->encode("Hi ", false, false));
  add(ours, *tokenizer, encoder.pieces(three_seconds()));
  ours.add(tokenizer->encode(" what is it?", false, false));
  const Json theirs = *parse_json(*read_file(media(projector + ".s3.json")));
  ASSERT_EQ(ours.rows().size(), 1u);
  std::vector<TokenId> ids;
  for (const Json& chunk : theirs["chunks"]) {
    if (chunk["type"] == "text") {
      for (const Json& id : chunk["ids"]) ids.push_back(id);
      continue;
    }
    const RowBlock& rows = *ours.rows().front().block;
    EXPECT_EQ(rows.rows(), chunk["n_tokens"].get<std::size_t>());
    EXPECT_EQ(rows.width(), theirs["n_embd_in"].get<std::size_t>());
    EXPECT_EQ(rows.shape(), RowShape());
    ids.insert(ids.end(), rows.rows(), kNoToken);
  }
  EXPECT_EQ(ours.ids(), ids);
  EXPECT_EQ(Json({encoder.inputs.at(0).frames, encoder.inputs.at(0).bins, 1}),
            theirs["pix_shapes_x_y_c"].at(0));
}

TEST_P(KnownSounds, TheSameBitsOnEveryTableAndNumberOfThreads) {
  const std::vector<std::int16_t> sound = three_seconds();
  const fs::path path = one_layer(GetParam()).write("one_layer");
  const auto expected = TestSounds(path, best_kernel_table(), 1).rows(sound);
  for (const KernelTable* kernels : kernel_tables())
    EXPECT_EQ(TestSounds(path, *kernels, 3).rows(sound), expected) << kernels->name;
}

// A sound that repeats itself has the same frames again and again: in whichever sound and wherever
// in it they stand, they become the same rows.
TEST_P(KnownSounds, APieceDependsOnItsFramesAlone) {
  TestSounds encoder(encoder_file(GetParam()));
  ASSERT_TRUE(encoder.ok());
  std::vector<MelFrames> inputs;
  std::vector<std::vector<float>> rows;
  for (const std::size_t times : {24, 14}) {
    for (auto& each : encoder.rows(repeated(three_seconds(), times)))
      rows.push_back(std::move(each));
    inputs.insert(inputs.end(), encoder.inputs.begin(), encoder.inputs.end());
  }
  std::size_t equal = 0, different = 0;
  for (std::size_t a = 0; a < inputs.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) {
      const bool same = inputs[a].values == inputs[b].values;
      EXPECT_EQ(rows[a] == rows[b], same) << a << " " << b;
      ++(same ? equal : different);
    }
  EXPECT_GE(equal, 2u);
  EXPECT_GE(different, 2u);
}

TEST_P(KnownSounds, PiecesComeOneByOneAndEndWhereTheirTakerDoes) {
  TestSounds encoder(encoder_file(GetParam()));
  const std::vector<std::int16_t> sound = repeated(three_seconds(), 14);
  std::size_t heard = 0, taken = 0;
  const Status status = encoder->encode(
      sound, nullptr,
      [&](EncodedPiece piece) -> Status {
        if (piece.rows == nullptr) return {};
        EXPECT_EQ(++taken, heard);
        return taken == 2 ? Status(invalid("enough")) : Status{};
      },
      [&](const MelFrames&) { ++heard; });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "enough");
  EXPECT_EQ(taken, 2u);

  StopFlag stop;
  stop.raise();
  const auto pieces = encoder->encode(sound, &stop);
  ASSERT_FALSE(pieces.has_value());
  EXPECT_EQ(pieces.error().kind, ErrorKind::kCancelled);
}

TEST_P(KnownSounds, ForetellsFromTheHeaderWhatItTakes) {
  const auto foretold =
      sound_encoder_bytes(*Gguf::open(encoder_file(GetParam())), best_kernel_table(), 2);
  ASSERT_TRUE(foretold.has_value()) << foretold.error().message;
  TestSounds encoder(encoder_file(GetParam()));
  EXPECT_EQ(foretold->weights, encoder->bytes().weights);
  EXPECT_EQ(foretold->scratch, encoder->bytes().scratch);
  EXPECT_GT(foretold->weights, 32u << 10);
}

// Frames of each input, of a sound of so many samples.
std::vector<std::size_t> frames_of(const std::string& projector, std::size_t samples) {
  TestSounds encoder(encoder_file(projector), best_kernel_table(), 1);
  std::vector<std::size_t> frames;
  std::size_t next = 0;
  for (const SoundPlan::Input& input : encoder->plan(samples).inputs) {
    EXPECT_LE(input.sample + input.samples, samples);
    EXPECT_EQ(input.sample * 1000 + input.frame, next);  // one behind the other
    next =
        projector == "gemma4a" ? (input.sample + input.samples) * 1000 : input.frame + input.frames;
    frames.push_back(input.frames);
  }
  return frames;
}

TEST(SoundPlans, HalfMinutesAreWholeOnes) {
  using Frames = std::vector<std::size_t>;
  for (const std::string projector : {"qwen2a", "ultravox", "voxtral"}) {
    EXPECT_EQ(frames_of(projector, 0), Frames());
    EXPECT_EQ(frames_of(projector, 1), Frames{3000});
    EXPECT_EQ(frames_of(projector, 2999 * 160 - 1), Frames{3000});
    // A frame short of another half minute, of which nothing but silence is left.
    EXPECT_EQ(frames_of(projector, 2999 * 160), Frames(2, 3000));
    EXPECT_EQ(frames_of(projector, 35 * kSecond), Frames(2, 3000));
    EXPECT_EQ(frames_of(projector, 60 * kSecond - 161), Frames(2, 3000));
    EXPECT_EQ(frames_of(projector, 45 * 60 * kSecond), Frames(91, 3000));
  }
}

TEST(SoundPlans, SecondsAreFilledUp) {
  using Frames = std::vector<std::size_t>;
  EXPECT_EQ(frames_of("qwen3a", 0), Frames());
  EXPECT_EQ(frames_of("qwen3a", 1), Frames{100});
  EXPECT_EQ(frames_of("qwen3a", kSecond - 1), Frames{100});
  EXPECT_EQ(frames_of("qwen3a", kSecond), Frames{200});
  EXPECT_EQ(frames_of("qwen3a", 8 * kSecond - 1), Frames{800});
  EXPECT_EQ(frames_of("qwen3a", 8 * kSecond), (Frames{800, 100}));
  EXPECT_EQ(frames_of("qwen3a", 35 * kSecond), (Frames{800, 800, 800, 800, 400}));
  EXPECT_EQ(frames_of("qwen3a", 30 * 60 * kSecond).size(), 226u);
}

TEST(SoundPlans, GemmasHalfMinutesEndWhereTheSoundDoes) {
  using Frames = std::vector<std::size_t>;
  EXPECT_EQ(frames_of("gemma4a", 160), Frames());
  EXPECT_EQ(frames_of("gemma4a", 161), Frames{1});
  EXPECT_EQ(frames_of("gemma4a", 30 * kSecond), Frames{2999});
  EXPECT_EQ(frames_of("gemma4a", 30 * kSecond + 160), Frames{2999});
  EXPECT_EQ(frames_of("gemma4a", 30 * kSecond + 161), (Frames{2999, 1}));
  EXPECT_EQ(frames_of("gemma4a", 35 * kSecond), (Frames{2999, 499}));
  EXPECT_EQ(frames_of("gemma4a", 30 * 60 * kSecond), Frames(60, 2999));
}

TEST(SoundEncoder, TheShortestSoundHasRowsAndNoneIsRefused) {
  for (const std::string projector : kProjectors) {
    TestSounds encoder(encoder_file(projector));
    const std::size_t least = projector == "gemma4a" ? 161 : 1;
    const std::vector<std::int16_t> sound(least, 1000);
    EXPECT_EQ(encoder.rows(sound).size(), 1u) << projector;
    const auto none = encoder->encode(std::span(sound).first(least - 1), nullptr);
    ASSERT_FALSE(none.has_value());
    EXPECT_NE(none.error().message.find("too short"), std::string::npos) << none.error().message;
  }
}

// Real files often hold an encoder of pictures too, and then say of each which projector it has.
TEST(SoundEncoder, IsFoundBesideAnEncoderOfPictures) {
  EditedFile both = EditedFile::of(encoder_file("qwen2a"));
  EditedFile eyes = EditedFile::of(encoder_file("gemma3"));
  for (auto& [key, value] : eyes.keys)
    if (key.starts_with("clip.vision.") || key.starts_with("clip.use_")) both.set(key, value);
  both.drop_key("clip.projector_type");
  both.set("clip.has_vision_encoder", true);
  both.set("clip.vision.projector_type", std::string("gemma3"));
  both.set("clip.audio.projector_type", std::string("qwen2a"));
  for (EditedFile::Tensor& tensor : eyes.tensors) both.tensors.push_back(std::move(tensor));
  const fs::path path = both.write("both");
  TestSounds sounds(path), alone(encoder_file("qwen2a"));
  ASSERT_TRUE(sounds.ok());
  EXPECT_EQ(sounds.rows(three_seconds()), alone.rows(three_seconds()));
  TestEncoder pictures(path), alone_too(encoder_file("gemma3"));
  ASSERT_TRUE(pictures.ok());
  EXPECT_EQ(pictures.rows(stored_picture("97x61")), alone_too.rows(stored_picture("97x61")));
}

// What opening says; "": it opens.
std::string refusal(const fs::path& path) {
  const auto file = Gguf::open(path);
  if (!file) return file.error().message;
  ThreadTeam team(1);
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto encoder = SoundEncoder::open(*file, team, loading);
  const auto bytes = sound_encoder_bytes(*file, *loading.kernels, 1);
  EXPECT_EQ(encoder.has_value(), bytes.has_value());
  return encoder ? "" : encoder.error().message;
}

struct Wrong {
  const char* base;
  const char* key;
  GgufValue value;
  std::vector<const char*> says;
};

TEST(HostileSounds, EveryWrongHeaderIsToldByItsKey) {
  const std::uint64_t huge = std::uint64_t{1} << 40;
  const std::vector<Wrong> wrongs = {
      {"qwen2a", "general.architecture", std::string("llama"), {"architecture llama", "sounds"}},
      {"qwen2a", "clip.has_audio_encoder", false, {"clip.has_audio_encoder"}},
      {"qwen2a",
       "clip.projector_type",
       std::string("gemma3"),
       {"clip.projector_type is gemma3", "sounds", "qwen2a", "gemma4a"}},
      {"qwen2a", "clip.audio.num_mel_bins", std::uint64_t{0}, {"clip.audio.num_mel_bins"}},
      {"qwen2a", "clip.audio.num_mel_bins", huge, {"clip.audio.num_mel_bins"}},
      {"qwen2a", "clip.audio.num_mel_bins", std::uint64_t{80}, {"a.conv1d.1.weight", "240"}},
      {"qwen3a", "clip.audio.num_mel_bins", std::uint64_t{80}, {"a.conv_out.weight", "80"}},
      {"gemma4a", "clip.audio.num_mel_bins", std::uint64_t{80}, {"a.input_projection", "120"}},
      {"qwen2a", "clip.audio.embedding_length", huge, {"clip.audio.embedding_length"}},
      {"qwen2a", "clip.audio.embedding_length", std::uint64_t{64}, {"a.blk.0.ln1.weight", "64"}},
      {"qwen2a", "clip.audio.attention.head_count", std::uint64_t{0}, {"attention.head_count"}},
      {"qwen2a", "clip.audio.attention.head_count", std::uint64_t{3}, {"head_count 3"}},
      {"qwen2a", "clip.audio.block_count", std::uint64_t{4}, {"a.blk.3.ln1.weight", "missing"}},
      {"gemma4a", "clip.audio.block_count", huge, {"clip.audio.block_count"}},
      {"gemma4a", "clip.audio.feed_forward_length", std::uint64_t{96}, {"a.blk.0.ffn_up.weight"}},
      {"qwen3a", "clip.audio.attention.layer_norm_epsilon", 0.0, {"layer_norm_epsilon is 0"}},
      {"ultravox", "clip.audio.projector.stack_factor", std::uint64_t{0}, {"stack_factor"}},
      {"ultravox", "clip.audio.projector.stack_factor", std::uint64_t{7}, {"mm.a.norm_pre", "280"}},
      {"voxtral", "clip.audio.projector.stack_factor", huge, {"stack_factor"}},
      {"voxtral", "clip.audio.projector.stack_factor", std::uint64_t{8}, {"mm.a.mlp.1", "320"}},
  };
  for (const Wrong& wrong : wrongs) {
    EditedFile file = EditedFile::of(encoder_file(wrong.base));
    file.set(wrong.key, wrong.value);
    const std::string told = refusal(file.write("wrong"));
    EXPECT_NE(told.find("wrong.gguf"), std::string::npos) << wrong.key << ": " << told;
    for (const char* says : wrong.says)
      EXPECT_NE(told.find(says), std::string::npos) << wrong.key << ": " << told;
  }
}

TEST(HostileSounds, MissingAndUnknownTensorsAreNamed) {
  const auto may_miss = [](const std::string& name) {
    return name.ends_with(".bias") || name.ends_with("_min") || name.ends_with("_max");
  };
  for (const std::string projector : kProjectors) {
    const EditedFile whole = one_layer(projector);
    for (const EditedFile::Tensor& tensor : whole.tensors) {
      EditedFile file = whole;
      file.drop(tensor.name);
      const std::string told = refusal(file.write("missing"));
      if (may_miss(tensor.name)) continue;
      EXPECT_NE(told.find(tensor.name), std::string::npos) << projector << ": " << told;
    }
    EditedFile file = whole;
    file.tensors.push_back(
        {"a.blk.0.attn_sinks.weight", TensorType::kF32, {2}, std::vector<std::byte>(8)});
    EXPECT_NE(refusal(file.write("unknown")).find("a.blk.0.attn_sinks"), std::string::npos);
  }
}

// A tensor of another shape is refused, or the encoder is one of another size and runs.
TEST(HostileSounds, OtherShapesNeverReadBeyondATensor) {
  const std::vector<std::int16_t> sound(kSecond / 4, 1000);
  for (const std::string projector : kProjectors) {
    const EditedFile whole = one_layer(projector);
    for (std::size_t i = 0; i < whole.tensors.size(); ++i)
      for (const bool more : {false, true}) {
        EditedFile file = whole;
        EditedFile::Tensor& tensor = file.tensors[i];
        const std::uint64_t last = tensor.shape.back();
        tensor.shape.back() = more ? last + 1 : std::max<std::uint64_t>(last / 2, 1);
        tensor.bytes.resize(tensor.bytes.size() / last * tensor.shape.back());
        const fs::path path = file.write("shape");
        if (!refusal(path).empty()) continue;
        TestSounds encoder(path, best_kernel_table(), 1);
        static_cast<void>(encoder->encode(sound, nullptr));
      }
  }
}

TEST(HostileSounds, ConvolutionsOfTooManyChannelsAreRefused) {
  EditedFile file = EditedFile::of(encoder_file("qwen3a"));
  EditedFile::Tensor& kernel = file.tensor("a.conv2d.1.weight");
  kernel.shape.back() = 5000;
  kernel.bytes.resize(std::size_t{2} * 9 * 5000);
  EXPECT_NE(refusal(file.write("channels")).find("a.conv2d.1.weight is 3 × 3 × 1 × 5000"),
            std::string::npos);
}

TEST(HostileSounds, WeightsThatAreNoNumbersGiveNoRows) {
  for (const std::string projector : kProjectors) {
    EditedFile file = EditedFile::of(encoder_file(projector));
    EditedFile::Tensor& norm = file.tensor("a.blk.0.ln2.weight");
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(norm.bytes.data() + 8, &nan, sizeof nan);
    TestSounds encoder(file.write("nan"));
    const auto pieces = encoder->encode(three_seconds(), nullptr);
    ASSERT_FALSE(pieces.has_value());
    EXPECT_NE(pieces.error().message.find("nan"), std::string::npos) << pieces.error().message;
  }
}

}  // namespace
}  // namespace lathe::infer
