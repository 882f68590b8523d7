// Headers and tensors that are wrong: each ends with an error that names what is wrong and where,
// and nothing is allocated by what a header claims.
#include "infer/encoders/encoder_test.h"

#include <limits>

namespace lathe::infer {
namespace {

// What opening says; "": it opens.
std::string refusal(const fs::path& path) {
  const auto file = Gguf::open(path);
  if (!file) return file.error().message;
  ThreadTeam team(1);
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto encoder = PictureEncoder::open(*file, team, loading);
  const auto bytes = picture_encoder_bytes(*file, *loading.kernels, 1);
  if (!encoder) return encoder.error().message;
  EXPECT_TRUE(bytes.has_value());
  return "";
}

struct Wrong {
  const char* name;
  const char* base;
  void (*edit)(EditedFile& file);
  std::vector<const char*> says;
};

template <class T>
std::vector<T> list(std::initializer_list<T> values) {
  return values;
}

std::vector<Wrong> wrong_headers() {
  return {
      {"architecture",
       "gemma3",
       [](EditedFile& f) { f.set("general.architecture", std::string("llama")); },
       {"architecture llama", "clip"}},
      {"no_eyes",
       "gemma3",
       [](EditedFile& f) { f.set("clip.has_vision_encoder", false); },
       {"clip.has_vision_encoder"}},
      {"projector",
       "gemma3",
       [](EditedFile& f) { f.set("clip.projector_type", std::string("resampler")); },
       {"clip.projector_type is resampler", "gemma3", "qwen3vl_merger", "lfm2"}},
      {"patch_0",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.patch_size", std::uint64_t{0}); },
       {"clip.vision.patch_size", "0"}},
      {"patch_huge",
       "qwen3vl_merger",
       [](EditedFile& f) { f.set("clip.vision.patch_size", std::uint64_t{1} << 33); },
       {"clip.vision.patch_size"}},
      {"patch_other",
       "qwen3vl_merger",
       [](EditedFile& f) { f.set("clip.vision.patch_size", std::uint64_t{20}); },
       {"v.patch_embd.weight", "16 × 16 × 3 × 32", "32 rows of 1200"}},
      {"image_0",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.image_size", std::uint64_t{0}); },
       {"clip.vision.image_size"}},
      {"image_below_patch",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.image_size", std::uint64_t{7}); },
       {"clip.vision.image_size 7", "clip.vision.patch_size 14"}},
      {"image_other",
       "internvl",
       [](EditedFile& f) { f.set("clip.vision.image_size", std::uint64_t{70}); },
       {"v.position_embd.weight", "832 numbers"}},
      {"heads_0",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.attention.head_count", std::uint64_t{0}); },
       {"clip.vision.attention.head_count"}},
      {"heads_3",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.attention.head_count", std::uint64_t{3}); },
       {"clip.vision.attention.head_count 3", "clip.vision.embedding_length 32"}},
      {"heads_of_2",
       "pixtral",
       [](EditedFile& f) { f.set("clip.vision.attention.head_count", std::uint64_t{16}); },
       {"clip.vision.attention.head_count 16", "multiple of 4"}},
      {"width_huge",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.embedding_length", std::uint64_t{1} << 40); },
       {"clip.vision.embedding_length"}},
      {"width_other",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.embedding_length", std::uint64_t{64}); },
       {"v.patch_embd.weight", "64 rows"}},
      {"no_layers",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.block_count", std::uint64_t{0}); },
       {"clip.vision.block_count"}},
      {"layers_more",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.block_count", std::uint64_t{5}); },
       {"v.blk.3.ln1.weight", "missing"}},
      {"layers_huge",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.block_count", std::uint64_t{1} << 31); },
       {"clip.vision.block_count"}},
      {"hidden_other",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.feed_forward_length", std::uint64_t{96}); },
       {"v.blk.0.ffn_up.weight", "96 rows of 32"}},
      {"epsilon_0",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.attention.layer_norm_epsilon", 0.0); },
       {"clip.vision.attention.layer_norm_epsilon is 0"}},
      {"no_epsilon",
       "gemma3",
       [](EditedFile& f) { f.drop_key("clip.vision.attention.layer_norm_epsilon"); },
       {"clip.vision.attention.layer_norm_epsilon"}},
      {"std_0",
       "gemma3",
       [](EditedFile& f) {
         f.set("clip.vision.image_std", list({0.5, 0.0, 0.5}));
       },
       {"clip.vision.image_std", "positive"}},
      {"mean_2",
       "gemma3",
       [](EditedFile& f) {
         f.set("clip.vision.image_mean", list({0.5, 0.5}));
       },
       {"clip.vision.image_mean", "3"}},
      {"mean_nan",
       "gemma3",
       [](EditedFile& f) {
         f.set("clip.vision.image_mean", list({0.5, std::nan(""), 0.5}));
       },
       {"clip.vision.image_mean"}},
      {"both_activations",
       "gemma3",
       [](EditedFile& f) { f.set("clip.use_silu", true); },
       {"clip.use_gelu", "clip.use_silu"}},
      {"merge_0",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.projector.scale_factor", std::uint64_t{0}); },
       {"clip.vision.projector.scale_factor"}},
      {"merge_3",
       "gemma3",
       [](EditedFile& f) { f.set("clip.vision.projector.scale_factor", std::uint64_t{3}); },
       {"clip.vision.image_size 112", "3 patches"}},
      {"merge_of_qwen",
       "qwen3vl_merger",
       [](EditedFile& f) { f.set("clip.vision.spatial_merge_size", std::uint64_t{4}); },
       {"clip.vision.spatial_merge_size is 4"}},
      {"window_of_large_patches",
       "qwen2.5vl_merger",
       [](EditedFile& f) { f.set("clip.vision.patch_size", std::uint64_t{64}); },
       {"clip.vision.patch_size 64", "clip.vision.n_wa_pattern"}},
      {"no_longest_side",
       "idefics3",
       [](EditedFile& f) { f.drop_key("clip.vision.preproc_image_size"); },
       {"clip.vision.preproc_image_size"}},
      {"longest_side_huge",
       "idefics3",
       [](EditedFile& f) { f.set("clip.vision.preproc_image_size", std::uint64_t{16000}); },
       {"clip.vision.preproc_image_size 16000", "256 tiles"}},
      {"tiles_huge",
       "internvl",
       [](EditedFile& f) { f.set("clip.vision.preproc_max_tiles", std::uint64_t{1} << 20); },
       {"clip.vision.preproc_max_tiles"}},
      {"tiles_none",
       "internvl",
       [](EditedFile& f) { f.set("clip.vision.preproc_min_tiles", std::uint64_t{9}); },
       {"clip.vision.preproc_max_tiles"}},
      {"pinpoints_odd",
       "mlp",
       [](EditedFile& f) {
         f.set("clip.vision.image_grid_pinpoints", list<std::int64_t>({56, 112, 56}));
       },
       {"clip.vision.image_grid_pinpoints", "pairs"}},
      {"pinpoints_part_of_a_tile",
       "mlp",
       [](EditedFile& f) {
         f.set("clip.vision.image_grid_pinpoints", list<std::int64_t>({56, 100}));
       },
       {"clip.vision.image_grid_pinpoints", "56 × 100"}},
      {"pinpoints_huge",
       "mlp",
       [](EditedFile& f) {
         f.set("clip.vision.image_grid_pinpoints",
               list<std::int64_t>({56'000'000'000, std::numeric_limits<std::int64_t>::min()}));
       },
       {"clip.vision.image_grid_pinpoints"}},
      {"feature_layers",
       "mlp",
       [](EditedFile& f) {
         f.set("clip.vision.feature_layer", list<std::int64_t>({1, 2}));
       },
       {"clip.vision.feature_layer"}},
      {"merge_without_merger",
       "pixtral",
       [](EditedFile& f) { f.drop("mm.patch_merger.weight"); },
       {"mm.patch_merger.weight", "missing"}},
      {"part_unknown",
       "gemma3",
       [](EditedFile& f) {
         f.tensors.push_back(
             {"v.blk.1.attn_sinks.weight", TensorType::kF32, {2}, std::vector<std::byte>(8)});
       },
       {"v.blk.1.attn_sinks.weight"}},
      {"patch_not_of_tiles",
       "lfm2",
       [](EditedFile& f) { f.set("clip.vision.patch_size", std::uint64_t{15}); },
       {"clip.vision.patch_size 15", "512"}},
  };
}

TEST(HostileEncoders, EveryWrongHeaderIsToldByItsKey) {
  for (const Wrong& wrong : wrong_headers()) {
    EditedFile file = EditedFile::of(media(std::string(wrong.base) + ".mmproj.gguf"));
    wrong.edit(file);
    const std::string told = refusal(file.write("wrong"));
    EXPECT_FALSE(told.empty()) << wrong.name;
    EXPECT_NE(told.find("wrong.gguf"), std::string::npos) << wrong.name << ": " << told;
    for (const char* says : wrong.says)
      EXPECT_NE(told.find(says), std::string::npos) << wrong.name << ": " << told;
  }
}

constexpr const char* kProjectors[] = {"gemma3",         "gemma4v",  "qwen2.5vl_merger",
                                       "qwen3vl_merger", "idefics3", "internvl",
                                       "pixtral",        "mlp",      "lfm2"};

// Without one of its tensors a file is refused by that tensor's name, or it is one that can be
// missing: biases, norms and gates that such models may have.
TEST(HostileEncoders, MissingTensorsAreNamed) {
  const auto may_miss = [](const std::string& name) {
    for (const char* part : {".bias", "attn_q_norm", "attn_k_norm", "ls1", "ls2", "post_norm",
                             "ffn_gate", "mm.input_norm", "deepstack"})
      if (name.find(part) != std::string::npos) return true;
    return name.ends_with("_min") || name.ends_with("_max");
  };
  for (const std::string projector : kProjectors) {
    const EditedFile whole = EditedFile::of(media(projector + ".mmproj.gguf"));
    std::size_t refused = 0;
    for (const EditedFile::Tensor& tensor : whole.tensors) {
      if (tensor.name.starts_with("v.blk.") && !tensor.name.starts_with("v.blk.0.")) continue;
      EditedFile file = whole;
      file.drop(tensor.name);
      const std::string told = refusal(file.write("missing"));
      refused += !told.empty();
      if (may_miss(tensor.name)) continue;
      const bool position_of_qwen =
          projector == "qwen3vl_merger" && tensor.name == "v.position_embd.weight";
      if (position_of_qwen) continue;  // 2.5 has none
      // Of joint matrices, that the single ones are missing is what is told.
      const std::string named =
          tensor.name.find("attn_qkv") != std::string::npos ? "v.blk.0.attn_" : tensor.name;
      EXPECT_NE(told.find(named), std::string::npos)
          << projector << " " << tensor.name << ": " << told;
    }
    EXPECT_GT(refused, 8u) << projector;
  }
}

// A tensor of another shape is refused, or the encoder is one of another size and runs.
TEST(HostileEncoders, OtherShapesNeverReadBeyondATensor) {
  const Picture picture = made_picture(90, 70);
  for (const std::string projector : kProjectors) {
    const EditedFile whole = EditedFile::of(media(projector + ".mmproj.gguf"));
    for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
      if (whole.tensors[i].name.starts_with("v.blk.2.")) continue;
      for (const bool more : {false, true}) {
        EditedFile file = whole;
        EditedFile::Tensor& tensor = file.tensors[i];
        const std::uint64_t last = tensor.shape.back();
        tensor.shape.back() = more ? last + 1 : std::max<std::uint64_t>(last / 2, 1);
        tensor.bytes.resize(tensor.bytes.size() / last * tensor.shape.back());
        const fs::path path = file.write("shape");
        if (!refusal(path).empty()) continue;
        TestEncoder encoder(path, best_kernel_table(), 1);
        static_cast<void>(encoder->encode(picture, nullptr));
      }
    }
  }
}

TEST(HostileEncoders, WeightsThatAreNoNumbersGiveNoRows) {
  EditedFile file = EditedFile::of(media("gemma3.mmproj.gguf"));
  EditedFile::Tensor& norm = file.tensor("v.post_ln.weight");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(norm.bytes.data() + 8, &nan, sizeof nan);
  TestEncoder encoder(file.write("nan"));
  const auto pieces = encoder->encode(made_picture(50, 50), nullptr);
  ASSERT_FALSE(pieces.has_value());
  EXPECT_NE(pieces.error().message.find("nan"), std::string::npos) << pieces.error().message;
}

// What no memory is booked for.
TEST(HostileEncoders, PicturesTooLongAndThinAreRefused) {
  for (const std::string projector : {"gemma4v", "pixtral", "qwen3vl_merger", "lfm2"}) {
    TestEncoder encoder(media(projector + ".mmproj.gguf"));
    for (const PictureSize size : {PictureSize{16000, 1}, PictureSize{1, 16000},
                                   PictureSize{1'000'000'000, 1}, PictureSize{16000, 1500}}) {
      const auto plan = encoder->plan(size);
      if (!plan) {
        EXPECT_NE(plan.error().message.find("cut it into parts"), std::string::npos);
        continue;
      }
      for (const Canvas& canvas : plan->canvases) EXPECT_LE(canvas.size.area(), 1 << 25);
    }
    EXPECT_FALSE(encoder->plan({1'000'000'000, 1}).has_value());
  }
}

}  // namespace
}  // namespace lathe::infer
