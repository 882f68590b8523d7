// Voices that are wrong: each ends with an error that names what is wrong and where, and nothing is
// allocated by what a header claims; what opens although its numbers are broken speaks or is
// refused, and never ends the program.
#include <gtest/gtest.h>

#include <limits>

#include "infer/engine/engine.h"
#include "infer/voice/voice_test.h"

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

// What opening says; "": it opens.
std::string refusal_of(const fs::path& talker, const fs::path& rest) {
  const auto first = Gguf::open(talker), second = Gguf::open(rest);
  if (!first) return first.error().message;
  if (!second) return second.error().message;
  ThreadTeam team(1);
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto voice = Voice::open(*first, *second, team, loading);
  return voice ? "" : voice.error().message;
}

struct WrongVoice {
  const char* name;
  bool talker;
  void (*edit)(EditedFile& file);
  std::vector<const char*> says;
};

void set_size(EditedFile& file, const char* key, std::uint64_t value) {
  file.set(std::string("clip.gen.audio.") + key, value);
}

void rename_token(EditedFile& file, const std::string& from, const std::string& to) {
  for (auto& [key, value] : file.keys)
    if (auto* tokens = std::get_if<std::vector<std::string>>(&value); tokens != nullptr)
      std::ranges::replace(*tokens, from, to);
}

std::vector<WrongVoice> wrong_voices() {
  return {
      {"another_kind",
       false,
       [](EditedFile& f) { f.set("clip.gen.audio.projector_type", std::string("kokoro")); },
       {"clip.gen.audio.projector_type", "qwen3tts_gen"}},
      {"width_0",
       false,
       [](EditedFile& f) { set_size(f, "embedding_length", 0); },
       {"clip.gen.audio.embedding_length"}},
      {"width_huge",
       false,
       [](EditedFile& f) { set_size(f, "embedding_length", std::uint64_t{1} << 40); },
       {"clip.gen.audio.embedding_length"}},
      {"width_other",
       false,
       [](EditedFile& f) { set_size(f, "embedding_length", 32); },
       {"a.gen.code.", "32"}},
      {"embedding_other",
       false,
       [](EditedFile& f) { set_size(f, "projection_dim", 48); },
       {"48", "32"}},
      {"hidden_other",
       false,
       [](EditedFile& f) { set_size(f, "feed_forward_length", 64); },
       {"a.gen.code.blk.0.ffn_gate.weight", "64"}},
      {"layers_more",
       false,
       [](EditedFile& f) { set_size(f, "block_count", 3); },
       {"a.gen.code.blk.2.ln1.weight", "missing"}},
      {"layers_huge",
       false,
       [](EditedFile& f) { set_size(f, "block_count", std::uint64_t{1} << 31); },
       {"clip.gen.audio.block_count"}},
      {"heads_0",
       false,
       [](EditedFile& f) { set_size(f, "attention.head_count", 0); },
       {"clip.gen.audio.attention.head_count"}},
      {"heads_3",
       false,
       [](EditedFile& f) { set_size(f, "attention.head_count", 3); },
       {"a.gen.code.blk.0.attn_"}},
      {"kv_heads_3",
       false,
       [](EditedFile& f) { set_size(f, "attention.head_count_kv", 3); },
       {"a.gen.code.blk.0.attn_k.weight"}},
      {"epsilon_0",
       false,
       [](EditedFile& f) { f.set("clip.gen.audio.attention.layer_norm_epsilon", 0.0); },
       {"layer_norm_epsilon is 0"}},
      {"bins_huge",
       false,
       [](EditedFile& f) { f.set("clip.audio.num_mel_bins", std::uint64_t{1} << 20); },
       {"clip.audio.num_mel_bins"}},
      {"bins_other",
       false,
       [](EditedFile& f) { f.set("clip.audio.num_mel_bins", std::uint64_t{80}); },
       {"a.conv1d.0.weight", "400"}},
      {"no_head", false, [](EditedFile& f) { f.drop("a.gen.code.head.weight"); }, {"a.gen.code."}},
      {"no_codebook",
       false,
       [](EditedFile& f) { f.drop("a.gen.wav.quant.first.codebook.weight"); },
       {"a.gen.wav.quant."}},
      {"no_layer_of_waves",
       false,
       [](EditedFile& f) { f.drop("a.gen.wav.tfm.blk.7.ls2.weight"); },
       {"a.gen.wav.tfm.blk.7.ls2.weight", "missing"}},
      {"stride_huge",
       false,
       [](EditedFile& f) {
         auto& tensor = f.tensor("a.gen.wav.up.blk.0.conv.weight");
         tensor.shape = {64, 16, 16};
         tensor.bytes.resize(std::size_t{64} * 16 * 16 * 4);
       },
       {"a.gen.wav.up.blk.0.conv.weight", "4096 numbers"}},
      {"stride_odd",
       false,
       [](EditedFile& f) {
         auto& tensor = f.tensor("a.gen.wav.dac.blk.0.conv.weight");
         tensor.shape = {7, 12, 24};
         tensor.bytes.resize(std::size_t{7} * 12 * 24 * 4);
       },
       {"a.gen.wav.dac.blk.0.conv.weight"}},
      {"frame_huge",
       false,
       [](EditedFile& f) {
         for (const char* name :
              {"a.gen.wav.up.blk.0.conv.weight", "a.gen.wav.up.blk.1.conv.weight"}) {
           auto& tensor = f.tensor(name);
           tensor.shape = {16, 16, 16};
           tensor.bytes.resize(std::size_t{16} * 16 * 16 * 4);
         }
         const std::pair<const char*, std::size_t> wide[] = {
             {"0", 12 * 24}, {"1", 8 * 12}, {"2", 6 * 8}, {"3", 4 * 6}};
         for (const auto& [block, pairs] : wide) {
           auto& tensor = f.tensor(fmt::format("a.gen.wav.dac.blk.{}.conv.weight", block));
           tensor.shape[0] = 32;
           tensor.bytes.resize(32 * pairs * 4);
         }
       },
       {"widens a frame", "4194304"}},
      {"unknown_part",
       false,
       [](EditedFile& f) {
         auto tensor = f.tensor("a.gen.code.blk.0.ln1.weight");
         tensor.name = "a.gen.code.blk.0.post_norm.weight";
         f.tensors.push_back(tensor);
       },
       {"a.gen.code.blk.0.post_norm.weight", "none that Lathe knows"}},
      {"no_output",
       true,
       [](EditedFile& f) { f.drop("output.weight"); },
       {"output.weight", "missing"}},
      {"no_codec_word",
       true,
       [](EditedFile& f) { rename_token(f, "<|codec_eos_token|>", "<|nothing|>"); },
       {"<|codec_eos_token|>"}},
      {"codec_word_in_the_text",
       true,
       [](EditedFile& f) {
         rename_token(f, "<|codec_bos|>", "<|nothing|>");
         rename_token(f, "th", "<|codec_bos|>");
       },
       {"<|codec_bos|>"}},
      {"sections",
       true,
       [](EditedFile& f) {
         f.set("qwen3tts.rope.dimension_sections", std::vector<std::int64_t>{9, 9, 9, 0});
       },
       {"rope.dimension_sections"}},
  };
}

TEST(HostileVoice, EachIsRefusedByName) {
  for (const WrongVoice& wrong : wrong_voices()) {
    EditedFile file = EditedFile::of(wrong.talker ? talker_file() : rest_file());
    wrong.edit(file);
    const fs::path path = file.write(wrong.name);
    const std::string said =
        refusal_of(wrong.talker ? path : talker_file(), wrong.talker ? rest_file() : path);
    for (const char* part : wrong.says) EXPECT_THAT(said, HasSubstr(part)) << wrong.name;
    fs::remove(path);
  }
}

TEST(HostileVoice, FilesInEachOthersPlaceSaySo) {
  EXPECT_THAT(refusal_of(rest_file(), talker_file()), HasSubstr("clip"));
  EXPECT_THAT(refusal_of(talker_file(), talker_file()), HasSubstr("mmproj"));
  EXPECT_THAT(refusal_of(media("gemma3.llm.gguf"), rest_file()), HasSubstr("writes text"));
  EXPECT_THAT(refusal_of(talker_file(), media("gemma3.mmproj.gguf")), HasSubstr("qwen3tts_gen"));
}

// Its logits are not of the whole vocabulary: whoever wants text of it is told.
TEST(HostileVoice, ATalkerWritesNoText) {
  const Gguf file = *Gguf::open(talker_file());
  ThreadTeam team(1);
  LoadOptions loading;
  loading.kernels = &best_kernel_table();
  const auto model = *Model::load(file, team, loading);
  const VoicePrompt prompt = *VoicePrompt::of(file, model->blueprint().codes);
  const auto engine =
      Engine::create(*CpuExecutor::create(*model, team, {}), prompt.tokenizer(), {});
  ASSERT_FALSE(engine);
  EXPECT_THAT(engine.error().message, HasSubstr("lathe speak --model"));
}

// Numbers that are none, in any part.
TEST(HostileVoice, BrokenNumbersAreRefusedOrHeardAsSilence) {
  const std::pair<const char*, bool> parts[] = {{"token_embd.weight", true},
                                                {"output.weight", true},
                                                {"blk.1.ffn_down.weight", true},
                                                {"a.gen.code.proj_in.weight", false},
                                                {"a.gen.code.embd.weight", false},
                                                {"a.gen.wav.quant.first.codebook.weight", false},
                                                {"a.gen.wav.tfm.blk.3.attn_k.weight", false},
                                                {"a.gen.wav.dac.blk.2.snake.alpha", false}};
  for (const auto& [name, is_talker] : parts)
    for (const float broken :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38F}) {
      EditedFile file = EditedFile::of(is_talker ? talker_file() : rest_file());
      auto& bytes = file.tensor(name).bytes;
      std::fill_n(reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float), broken);
      const fs::path path = file.write("broken");
      const Gguf talker = *Gguf::open(is_talker ? path : talker_file());
      const Gguf rest = *Gguf::open(is_talker ? rest_file() : path);
      ThreadTeam team(1);
      WeightLoading loading;
      loading.kernels = &best_kernel_table();
      const auto voice = *Voice::open(talker, rest, team, loading);
      VoiceWish wish;
      wish.most_frames = 3;
      const auto spoken = voice->speak("one", wish, nullptr,
                                       [](std::span<const std::int16_t>) { return Status{}; });
      if (!spoken) {
        EXPECT_THAT(spoken.error().message, HasSubstr("finite")) << name;
      }
      fs::remove(path);
    }
}

}  // namespace
}  // namespace lathe::infer
