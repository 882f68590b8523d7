// The engine over an executor that is no processor: it notes in a sequence's memory what stood at
// each position, and its logits say what it finds there. By a plain loop over the same arithmetic
// it is known which tokens must come, whatever the engine shared, forked, cut and took back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <map>
#include <random>

#include "infer/engine/engine.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kVocabulary = 319;

std::uint64_t mixed(std::uint64_t so_far, std::uint64_t next) {
  return (so_far ^ next) * 0x9e3779b97f4a7c15u + (so_far >> 29);
}

// A note a position, in place of KV.
const KvFormat kNotes{.type = KvType::kF32,
                      .chunk_bytes = [](const KvShape&) { return kChunk * sizeof(std::uint64_t); },
                      .store = nullptr,
                      .attend = nullptr};

std::uint64_t note_of(TokenId token, const float* row) {
  return row == nullptr ? static_cast<std::uint64_t>(token)
                        : std::uint64_t{1} << 40 | std::bit_cast<std::uint32_t>(row[0]);
}

class NotingExecutor final : public Executor {
 public:
  NotingExecutor(Blueprint blueprint, const ExecutorOptions& options)
      : blueprint_(std::move(blueprint)), options_(options), layout_(blueprint_.states(), kNotes) {}

  const Blueprint& blueprint() const override { return blueprint_; }
  const ExecutorOptions& options() const override { return options_; }
  const MemoryLayout& layout() const override { return layout_; }
  void run(std::span<const Slice> slices, OutputKind) override {
    rows_.clear();
    std::size_t tokens = 0;
    for (const Slice& slice : slices) {
      tokens += slice.tokens.size();
      for (std::size_t i = 0; i < slice.tokens.size(); ++i) {
        const std::size_t position = slice.first_position + i;
        const std::uint64_t note = note_of(slice.tokens[i], row_at(slice.rows, position));
        std::memcpy(place(slice, position), &note, sizeof note);
        if (i + slice.outputs >= slice.tokens.size()) rows_.push_back(answer(slice, position));
      }
    }
    EXPECT_LE(tokens, options_.step_tokens);
    EXPECT_LE(rows_.size(), options_.step_outputs());
  }
  std::span<const float> hidden(std::size_t) const override { return {}; }
  std::span<const float> output(std::size_t row) const override { return rows_[row]; }
  std::vector<float> head(std::span<const float> pooled) override {
    return {pooled.begin(), pooled.end()};
  }
  DeviceBytes weight_bytes() const override { return DeviceBytes("gpu0", 1000); }
  DeviceBytes scratch_bytes() const override {
    return DeviceBytes("gpu0", 10) + DeviceBytes(kHostDevice, 1);
  }

 private:
  std::byte* place(const Slice& slice, std::size_t position) const {
    const MemoryLayout::Place& layer = layout_.place(0);
    return slice.memory->data(layer.group, position) + layer.offset +
           position % kChunk * sizeof(std::uint64_t);
  }
  std::vector<float> answer(const Slice& slice, std::size_t position) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i <= position; ++i) {
      std::uint64_t note = 0;
      std::memcpy(&note, place(slice, i), sizeof note);
      sum = mixed(sum, note);
    }
    std::vector<float> logits(kVocabulary);
    logits[sum % kVocabulary] = 1;
    return logits;
  }

  Blueprint blueprint_;
  ExecutorOptions options_;
  MemoryLayout layout_;
  std::vector<std::vector<float>> rows_;
};

class Device : public ::testing::Test {
 protected:
  std::unique_ptr<Engine> engine(std::size_t step_tokens, const EngineOptions& options = {}) {
    return *Engine::create(std::make_unique<NotingExecutor>(
                               *read_blueprint(file), ExecutorOptions{.step_tokens = step_tokens}),
                           *tokenizer, options);
  }
  // What must come.
  static std::vector<TokenId> truth(const Prompt& prompt, std::size_t count) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < prompt.size(); ++i)
      sum = mixed(sum, note_of(prompt.ids()[i], row_at(prompt.rows(), i)));
    std::vector<TokenId> answer;
    while (answer.size() < count) {
      answer.push_back(static_cast<TokenId>(sum % kVocabulary));
      sum = mixed(sum, static_cast<std::uint64_t>(answer.back()));
    }
    return answer;
  }
  Gguf file = *Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf");
  std::unique_ptr<Tokenizer> tokenizer = *Tokenizer::make(*read_vocabulary(file));
};

TEST_F(Device, WhatComesIsWhatItsSequenceHolds) {
  std::mt19937 random(31);
  const std::size_t width = read_blueprint(file)->embedding;
  std::vector<Prompt> prompts;
  for (int i = 0; i < 10; ++i) {
    // Some begin alike: with the tokens or the rows of an earlier one.
    Prompt prompt;
    if (i % 3 != 0) prompt = prompts[random() % prompts.size()];
    std::vector<TokenId> ids(1 + random() % 150);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % kVocabulary);
    std::vector<float> values((1 + random() % 100) * width);
    for (float& value : values) value = static_cast<float>(random() % 1000);
    if (random() % 2 == 0) prompt.add(*RowBlock::make(width, std::move(values)));
    prompt.add(ids);
    prompts.push_back(std::move(prompt));
  }
  std::size_t cached = 0, accepted = 0, rejected = 0;
  for (int schedule = 0; schedule < 40; ++schedule) {
    auto engine = this->engine(
        1 + random() % 200, {.kv_tokens = 2048 + random() % 4096, .sequences = 1 + random() % 8});
    engine->use_step_seconds(std::vector<double>(64, 1.0));
    std::map<SequenceId, std::size_t> which;
    std::map<std::pair<SequenceId, std::size_t>, std::vector<TokenId>> got;
    for (int added = 0; added < 10 || !engine->idle();) {
      if (added < 10 && (random() % 3 == 0 || engine->idle())) {
        GenerationRequest request;
        const std::size_t i = random() % prompts.size();
        request.prompt = prompts[i];
        request.max_tokens = 20;
        request.candidates = 1 + random() % std::min<std::size_t>(3, engine->options().sequences);
        request.sampler.temperature = 0;
        if (random() % 2 == 0) {
          request.draft = truth(prompts[i], 20);
          if (random() % 2 == 0) request.draft[random() % 20] = 0;
        }
        const auto id = engine->add(std::move(request));
        ASSERT_TRUE(id) << id.error().message;
        which[*id] = i;
        ++added;
      }
      engine->step([&](const TokenEvent& event) {
        if (event.token != kNoToken) got[{event.request, event.candidate}].push_back(event.token);
        if (!event.finished) return;
        cached += event.usage.cached_tokens;
        accepted += event.usage.accepted_drafts;
        rejected += event.usage.rejected_drafts;
      });
    }
    for (const auto& [key, tokens] : got) {
      std::vector<TokenId> expected = truth(prompts[which.at(key.first)], 20);
      const auto end =
          std::ranges::find_if(expected, [&](TokenId id) { return tokenizer->is_end(id); });
      if (end != expected.end()) expected.erase(end + 1, expected.end());
      EXPECT_EQ(tokens, expected) << "schedule " << schedule;
    }
  }
  EXPECT_GT(cached, 1000u);
  EXPECT_GT(accepted, 100u);
  EXPECT_GT(rejected, 100u);
}

TEST_F(Device, BytesAreToldByWhoseTheyAre) {
  const Engine::Bytes bytes = engine(64)->bytes();
  EXPECT_EQ(bytes.weights, DeviceBytes("gpu0", 1000));
  EXPECT_EQ(bytes.scratch.of("gpu0"), 10u);
  EXPECT_EQ(bytes.scratch.on_host(), 1u);
}

}  // namespace
}  // namespace lathe::infer
