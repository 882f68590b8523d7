// The engine's promise: the same request gives the same bits alone, in company, in any prompt cut,
// with any number of threads, from a cold or a warm prefix, and after a fork. Logits are compared
// as logprobs of every token, bit for bit.
#include "infer/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "ground/sys/machine.h"
#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

// Random, large enough to change every answer, on all layers that the model has.
std::shared_ptr<const Adapter> random_adapter(const Loaded& loaded, unsigned seed) {
  static const TempDir directory = *TempDir::make();
  const Blueprint& blueprint = loaded.model->blueprint();
  const std::uint64_t rank = 1 + seed % 20;
  const fs::path path = directory.path() / "adapter.gguf";
  auto writer = *GgufWriter::create(path);
  writer.add("general.type", std::string("adapter"));
  writer.add("general.architecture", blueprint.architecture);
  writer.add("adapter.type", std::string("lora"));
  writer.add("adapter.lora.alpha", 2.0 * static_cast<double>(rank));
  std::vector<std::size_t> sizes;
  for (const TensorSpec& spec : tensors_of(blueprint)) {
    if (!slot_info(spec.slot).adapts || spec.first_row != 0) continue;
    const std::size_t rows = spec.shape()[1];
    const std::uint64_t a[] = {spec.k, rank, spec.experts}, b[] = {rank, rows, spec.experts};
    const std::size_t dimensions = spec.experts == 1 ? 2 : 3;
    writer.add_tensor(spec.name + ".lora_a", TensorType::kF32, std::span(a).first(dimensions));
    writer.add_tensor(spec.name + ".lora_b", TensorType::kF32, std::span(b).first(dimensions));
    sizes.insert(sizes.end(), {spec.experts * spec.k * rank, spec.experts * rows * rank});
  }
  EXPECT_TRUE(writer.begin_data());
  std::mt19937 random(seed);
  for (const std::size_t size : sizes) {
    std::vector<float> values(size);
    for (float& value : values) value = static_cast<float>(random() % 2001) / 10000 - 0.1f;
    EXPECT_TRUE(writer.write(std::as_bytes(std::span(values))));
  }
  EXPECT_TRUE(writer.finish());
  auto adapter = Adapter::load(*Gguf::open(path), blueprint);
  EXPECT_TRUE(adapter) << adapter.error().message;
  return *adapter;
}

class SameBits : public ::testing::TestWithParam<std::tuple<const char*, KvType>> {};

// A previous version of an answer: pieces of it replaced, put in, left out.
std::vector<TokenId> draft_of(const std::vector<TokenId>& answer, std::mt19937& random) {
  std::vector<TokenId> draft;
  for (std::size_t i = 0; i < answer.size(); ++i) {
    const auto fate = random() % 8;
    if (fate == 0) continue;
    if (fate == 1) draft.push_back(static_cast<TokenId>(random() % 159));
    draft.push_back(fate == 2 ? static_cast<TokenId>(random() % 159) : answer[i]);
  }
  return draft;
}

// Random schedules: requests come while others run, prompts share prefixes, steps are cut anywhere,
// answers have drafts, right and wrong ones, and of each prompt there are two: some with one
// adapter, some with another, some with none, over the same prefixes.
TEST_P(SameBits, InRandomSchedules) {
  const auto& [name, kv] = GetParam();
  Loaded loaded(name);
  std::mt19937 random(7);
  const std::vector<TokenId> shared = random_prompt(random, 150);
  std::vector<GenerationRequest> requests;
  std::vector<Outcome> expected;
  const std::shared_ptr<const Adapter> adapters[] = {nullptr, random_adapter(loaded, 1),
                                                     random_adapter(loaded, 17)};
  for (std::uint64_t i = 0; i < 24; ++i) {
    std::vector<TokenId> prompt(shared.begin(),
                                shared.begin() + static_cast<std::ptrdiff_t>(random() % 150));
    for (const TokenId id : random_prompt(random, 1 + random() % 60)) prompt.push_back(id);
    if (i % 3 != 0) prompt = requests.back().prompt.ids();
    requests.push_back(request_of(std::move(prompt), 1 + random() % 12, i));
    requests.back().adapter = adapters[i % 3];
    expected.push_back(alone(loaded, requests.back(), {.kv = kv}));
    if (i % 3 != 0) {
      EXPECT_NE(expected[i].logprobs[9], expected[i - 1].logprobs[9]);
    }
  }
  std::size_t accepted = 0, rejected = 0;
  for (int schedule = 0; schedule < 26; ++schedule) {
    const EngineSetup setup{.kv = kv,
                            .kv_tokens = schedule % 3 == 0 ? 256 : 512 + random() % 4096,
                            .step_tokens = 1 + random() % 200,
                            .sequences = 1 + random() % 32,
                            .reuse_prefixes = random() % 4 != 0};
    auto engine = loaded.engine(setup);
    // As if wide steps cost nothing more: every draft is checked.
    if (schedule % 2 == 0) engine->use_step_seconds(std::vector<double>(64, 1.0));
    Outcomes outcomes;
    std::map<SequenceId, std::size_t> which;
    for (int added = 0; added < 12 || !engine->idle();) {
      if (added < 12 && (random() % 3 == 0 || engine->idle())) {
        const std::size_t i = random() % requests.size();
        GenerationRequest request = requests[i];
        if (random() % 2 == 0) request.draft = draft_of(expected[i].tokens, random);
        const auto id = engine->add(std::move(request));
        ASSERT_TRUE(id.has_value()) << id.error().message;
        which[*id] = i;
        ++added;
      }
      engine->step(collect(outcomes));
    }
    ASSERT_EQ(outcomes.size(), which.size());
    for (const auto& [id, i] : which) {
      EXPECT_TRUE((outcomes[{id, 0}].same_bits(expected[i])))
          << "schedule " << schedule << ", request " << i;
      accepted += outcomes[{id, 0}].usage.accepted_drafts;
      rejected += outcomes[{id, 0}].usage.rejected_drafts;
    }
  }
  EXPECT_GT(accepted, 50u);
  EXPECT_GT(rejected, 50u);
}

INSTANTIATE_TEST_SUITE_P(
    Models, SameBits,
    ::testing::Values(
        std::tuple{"llama-q4_k_m", KvType::kF16}, std::tuple{"llama-q4_0", KvType::kQ8_0},
        std::tuple{"llama-q8_0", KvType::kF16}, std::tuple{"llama-q6_k", KvType::kQ8_0},
        std::tuple{"qwen2-q4_k_m", KvType::kF16}, std::tuple{"qwen3-q4_k_m", KvType::kQ8_0},
        std::tuple{"qwen3moe-mxfp4_moe", KvType::kF16}, std::tuple{"mixtral-q4_0", KvType::kQ8_0},
        std::tuple{"llama-q3_k_m", KvType::kQ4_0}, std::tuple{"llama-q2_k", KvType::kQ5_1},
        std::tuple{"small-heads", KvType::kF16}, std::tuple{"small-heads", KvType::kF32},
        std::tuple{"windows", KvType::kF16}, std::tuple{"gpt-oss-mxfp4", KvType::kF16},
        std::tuple{"qwen3next", KvType::kF16}, std::tuple{"qwen35", KvType::kF16},
        std::tuple{"qwen35moe", KvType::kF32}, std::tuple{"gemma2", KvType::kF16},
        std::tuple{"cohere2", KvType::kF16}, std::tuple{"glm4moe", KvType::kF16},
        std::tuple{"deepseek2-v3", KvType::kF16}, std::tuple{"gemma4", KvType::kF16},
        std::tuple{"deepseek32", KvType::kQ8_0}, std::tuple{"glm-dsa", KvType::kF16},
        std::tuple{"gemma4-moe", KvType::kF16}, std::tuple{"kimi-linear", KvType::kF16},
        std::tuple{"phi3", KvType::kF16}),
    [](const auto& test) {
      std::string name = std::get<0>(test.param);
      if (std::get<1>(test.param) == KvType::kF32) name += "_f32";
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(Engine, ThreadsDoNotChangeABit) {
  std::mt19937 random(3);
  const GenerationRequest request = request_of(random_prompt(random, 700), 8, 1);
  for (const char* name : {"qwen3moe-mxfp4_moe", "small-heads", "windows", "gpt-oss", "qwen3next",
                           "deepseek2-v3", "gemma4", "kimi-linear", "glm-dsa"}) {
    Loaded one(name, 1);
    const Outcome expected = alone(one, request);
    for (const int threads : {2, 3, 5, 8}) {
      Loaded many(name, threads);
      EXPECT_TRUE(alone(many, request).same_bits(expected)) << name << " " << threads;
    }
  }
}

// Beside K and V an indexer's keys are kept: they are in what is foretold, promised and held.
TEST(Engine, FitCountsTheKeysOfIndexers) {
  Loaded with("glm-dsa");
  expect_that_fit_is_promised(with, 400);
  Blueprint without = with.model->blueprint();
  for (LayerSpec& layer : without.layers) std::get<LatentAttentionSpec>(layer.mixer).indexer = {};
  const auto kv = [](const Blueprint& blueprint) {
    return cpu_layout(blueprint, best_kernel_table(), KvType::kF16).block_bytes();
  };
  EXPECT_EQ(kv(with.model->blueprint()) - kv(without), 2 * kChunk * 64 * sizeof(std::uint16_t));
}

TEST(Engine, WidthsUpTo32DoNotChangeABit) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(4);
  std::vector<GenerationRequest> requests;
  std::vector<Outcome> expected;
  for (std::uint64_t i = 0; i < 32; ++i) {
    requests.push_back(request_of(random_prompt(random, 5 + i), 6, i));
    expected.push_back(alone(loaded, requests.back()));
  }
  for (std::size_t width = 2; width <= 32; ++width) {
    auto engine = loaded.engine({.kv_tokens = 8192});
    Outcomes outcomes;
    for (std::size_t i = 0; i < width; ++i) ASSERT_TRUE(engine->add(requests[i]).has_value());
    while (engine->step(collect(outcomes))) {
    }
    for (std::size_t i = 0; i < width; ++i)
      EXPECT_TRUE((outcomes[{i + 1, 0}].same_bits(expected[i]))) << width << " " << i;
  }
}

TEST(Engine, CandidatesForkOnePrompt) {
  Loaded loaded("llama-q8_0");
  std::mt19937 random(5);
  GenerationRequest request = request_of(random_prompt(random, 100), 10, 1);
  const Outcome single = alone(loaded, request);
  request.candidates = 5;
  auto engine = loaded.engine();
  Outcomes outcomes;
  const auto id = engine->add(request);
  ASSERT_TRUE(id.has_value());
  while (engine->step(collect(outcomes))) {
  }
  ASSERT_EQ(outcomes.size(), 5u);
  EXPECT_TRUE((outcomes[{*id, 0}].same_bits(single)));
  std::set<std::vector<TokenId>> different;
  for (const auto& [key, outcome] : outcomes) {
    different.insert(outcome.tokens);
    // Each goes on from the same logits.
    EXPECT_TRUE(std::equal(outcome.logprobs.begin(), outcome.logprobs.begin() + 20,
                           single.logprobs.begin()));
  }
  EXPECT_GT(different.size(), 1u);

  // Again, from the cached prefix and with a neighbour.
  Outcomes again;
  const auto warm = engine->add(request);
  ASSERT_TRUE(engine->add(request_of(random_prompt(random, 30), 4, 2)).has_value());
  while (engine->step(collect(again))) {
  }
  for (std::size_t c = 0; c < 5; ++c)
    EXPECT_TRUE((again[{*warm, c}].same_bits(outcomes[{*id, c}]))) << c;
}

TEST(Engine, ADraftThatIsRightTakesFewSteps) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(12);
  GenerationRequest request = request_of(random_prompt(random, 40), 120, 2);
  const Outcome expected = alone(loaded, request);
  auto engine = loaded.engine();
  engine->use_step_seconds(std::vector<double>(64, 1.0));
  request.draft = expected.tokens;
  Outcomes outcomes;
  ASSERT_TRUE(engine->add(request).has_value());
  int steps = 0;
  while (engine->step(collect(outcomes))) ++steps;
  const Outcome& got = outcomes.begin()->second;
  EXPECT_TRUE(got.same_bits(expected));
  EXPECT_LE(steps, 5);
  EXPECT_GE(got.usage.accepted_drafts, 115u);
  EXPECT_EQ(got.usage.rejected_drafts, 0u);
}

TEST(Engine, DraftsKeepGrammarsAndStopStrings) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(13);
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    GenerationRequest request = request_of(random_prompt(random, 10), 60, seed);
    request.ignore_end = false;
    request.grammar =
        *Grammar::from_gbnf(R"(root ::= ([a-e]{3,9} " "){2,6} "!")", *loaded.tokenizer);
    if (seed % 3 == 0) request.stop = {"c ", "ee"};
    const Outcome expected = alone(loaded, request);
    auto engine = loaded.engine();
    engine->use_step_seconds(std::vector<double>(64, 1.0));
    request.draft = expected.tokens;
    request.candidates = 2;
    Outcomes outcomes;
    const auto id = engine->add(request);
    ASSERT_TRUE(id.has_value());
    while (engine->step(collect(outcomes))) {
    }
    EXPECT_TRUE((outcomes[{*id, 0}].same_bits(expected))) << seed;
  }
}

// Two models, one budget: both are served, and neither takes what was promised to the other.
TEST(Engine, TwoModelsShareOneBudget) {
  Loaded small("llama-q4_0"), large("qwen3moe-mxfp4_moe");
  std::mt19937 random(14);
  std::vector<GenerationRequest> requests;
  std::vector<Outcome> expected;
  for (std::uint64_t i = 0; i < 12; ++i) {
    requests.push_back(request_of(random_prompt(random, 60 + 20 * i), 20, i));
    expected.push_back(alone(i % 2 == 0 ? small : large, requests.back()));
  }
  KvBudget budget(3u << 20);
  Engine* engines[2];
  std::unique_ptr<Engine> owners[2];
  for (int i = 0; i < 2; ++i) {
    Loaded& loaded = i == 0 ? small : large;
    owners[i] = loaded.engine({.kv_tokens = 8192}, &budget);
    engines[i] = owners[i].get();
  }
  for (int round = 0; round < 3; ++round) {
    Outcomes outcomes[2];
    std::map<std::pair<int, SequenceId>, std::size_t> which;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const int of = static_cast<int>(i % 2);
      const auto id = engines[of]->add(requests[i]);
      ASSERT_TRUE(id.has_value()) << id.error().message;
      which[{of, *id}] = i;
    }
    while (!engines[0]->idle() || !engines[1]->idle()) {
      for (int of = 0; of < 2; ++of) engines[of]->step(collect(outcomes[of]), 64);
      ASSERT_LE(budget.held(), budget.limit());
    }
    for (const auto& [key, i] : which)
      EXPECT_TRUE((outcomes[key.first][{key.second, 0}].same_bits(expected[i]))) << i;
  }
}

TEST(Engine, EmbeddingsAreReadPieceByPiece) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine();
  std::mt19937 random(15);
  const std::vector<TokenId> text = random_prompt(random, 300);
  const auto whole = engine->embed(text, Pooling::kMean);
  ASSERT_TRUE(whole.has_value());
  auto reading = *engine->read(text, Pooling::kMean);
  ASSERT_TRUE(engine->add(request_of(random_prompt(random, 100), 10, 0)).has_value());
  Outcomes outcomes;
  int pieces = 1;
  while (!*reading->step()) {
    engine->step(collect(outcomes));
    ++pieces;
  }
  EXPECT_GT(pieces, 3);
  EXPECT_EQ(reading->vector(), *whole);
}

// Encoders read whole texts, others as much as a step holds; all of them the bits of each alone.
TEST(Engine, TextsAreReadSideBySide) {
  std::mt19937 random(16);
  for (const char* name : {"bert", "modern-bert-rank", "llama-q4_0", "gemma3"}) {
    Loaded loaded(name);
    auto engine = loaded.engine();
    const bool encoder = !engine->executor().blueprint().generates;
    for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
      std::vector<std::vector<TokenId>> texts;
      for (const std::size_t wanted : {3, 40, 1, 120, 17, 64, 90, 2, 33}) {
        const std::size_t size = std::min(wanted, engine->options().context);
        texts.emplace_back();
        for (std::size_t i = 0; i < size; ++i)
          texts.back().push_back(static_cast<TokenId>(random() % 100));
      }
      std::deque<std::unique_ptr<Engine::Reading>> readings;
      for (const auto& text : texts) {
        auto reading = engine->read(text, pooling);
        ASSERT_TRUE(reading) << name << ": " << reading.error().message;
        readings.push_back(std::move(*reading));
      }
      std::size_t at = 0, steps = 0;
      for (; !readings.empty(); ++steps) {
        std::vector<Engine::Reading*> together;
        for (const auto& reading : readings) together.push_back(reading.get());
        const Status status = engine->step(together);
        ASSERT_TRUE(status) << status.error().message;
        for (; !readings.empty() && readings.front()->done(); readings.pop_front(), ++at) {
          EXPECT_EQ(readings.front()->vector(), *engine->embed(texts[at], pooling))
              << name << " " << at;
        }
      }
      EXPECT_EQ(at, texts.size());
      if (encoder) {
        EXPECT_LT(steps, texts.size()) << name;
      }
    }
  }
}

// What has no memory now waits, and the first one goes on.
TEST(Engine, TextsBehindTheFirstWaitForMemory) {
  Loaded loaded("llama-q4_0");
  auto roomy = loaded.engine();
  auto engine = loaded.engine({.kv_tokens = 3 * kChunk});
  std::mt19937 random(17);
  const auto first = random_prompt(random, kChunk + 20), second = random_prompt(random, 30);
  auto reading = *engine->read(first, Pooling::kLast);
  auto behind = *engine->read(second, Pooling::kLast);
  EXPECT_EQ(engine->read(first, Pooling::kLast).error().kind, ErrorKind::kUnavailable);
  while (!reading->done() || !behind->done()) {
    std::vector<Engine::Reading*> together;
    if (!reading->done()) together.push_back(reading.get());
    if (!behind->done()) together.push_back(behind.get());
    const Status status = engine->step(together);
    ASSERT_TRUE(status) << status.error().message;
  }
  EXPECT_EQ(reading->vector(), *roomy->embed(first, Pooling::kLast));
  EXPECT_EQ(behind->vector(), *roomy->embed(second, Pooling::kLast));
}

TEST(Engine, APrefixIsPaidOnce) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine();
  std::mt19937 random(6);
  std::vector<TokenId> prompt = random_prompt(random, 200);
  Outcomes first, second, third;
  ASSERT_TRUE(engine->add(request_of(prompt, 4, 0)).has_value());
  while (engine->step(collect(first))) {
  }
  EXPECT_EQ(first.begin()->second.usage.cached_tokens, 0u);
  ASSERT_TRUE(engine->add(request_of(prompt, 4, 0)).has_value());
  while (engine->step(collect(second))) {
  }
  EXPECT_EQ(second.begin()->second.usage.cached_tokens, 199u);
  EXPECT_TRUE(second.begin()->second.same_bits(first.begin()->second));
  prompt[130] ^= 1;  // agrees for two blocks and two tokens of the third
  ASSERT_TRUE(engine->add(request_of(prompt, 4, 0)).has_value());
  while (engine->step(collect(third))) {
  }
  EXPECT_EQ(third.begin()->second.usage.cached_tokens, 130u);
  EXPECT_TRUE(third.begin()->second.same_bits(alone(loaded, request_of(prompt, 4, 0))));
}

TEST(Engine, MemoryIsPromisedBeforeItIsUsed) {
  Loaded loaded("llama-q4_0");
  // Room for one long sequence at a time: the others wait, nobody fails.
  auto engine = loaded.engine({.kv_tokens = 256, .step_tokens = 64});
  std::mt19937 random(8);
  Outcomes outcomes;
  for (std::uint64_t i = 0; i < 6; ++i)
    ASSERT_TRUE(engine->add(request_of(random_prompt(random, 150), 40, i)).has_value());
  while (engine->step(collect(outcomes)))
    EXPECT_LE(engine->bytes().kv_used, engine->bytes().kv_pool);
  ASSERT_EQ(outcomes.size(), 6u);
  for (const auto& [key, outcome] : outcomes) EXPECT_EQ(outcome.tokens.size(), 40u);
}

// A block that is shared in its first tokens only is copied: room for the copy is promised too.
TEST(Engine, APartlySharedBlockTakesNoMoreThanThereIs) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine({.kv_tokens = 128});
  std::mt19937 random(18);
  Outcomes outcomes;
  std::vector<TokenId> prompt = random_prompt(random, 12);
  ASSERT_TRUE(engine->add(request_of(prompt, 4, 0)).has_value());
  while (engine->step(collect(outcomes))) {
  }
  prompt.resize(5);
  for (const TokenId id : random_prompt(random, 100)) prompt.push_back(id);
  ASSERT_TRUE(engine->add(request_of(prompt, 128 - prompt.size(), 0)).has_value());
  while (engine->step(collect(outcomes))) {
  }
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes.rbegin()->second.tokens.size(), 128 - prompt.size());
}

// Two that compute the same beginning side by side have it once from the end of their prompts on,
// and what only the prefix index holds of it goes to whoever needs it.
TEST(Engine, WhatTwoComputedAtOnceIsThereOnce) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine({.kv_tokens = 11 * kChunk, .step_tokens = 1024});
  std::mt19937 random(19);
  const std::vector<TokenId> prompt = random_prompt(random, 4 * kChunk + 1);
  std::vector<TokenId> longer = prompt;
  for (const TokenId id : random_prompt(random, kChunk)) longer.push_back(id);
  Outcomes outcomes;
  ASSERT_TRUE(engine->add(request_of(prompt, 2, 0)).has_value());
  ASSERT_TRUE(engine->add(request_of(longer, 60, 0)).has_value());
  engine->step(collect(outcomes));
  EXPECT_EQ(engine->running(), 2u);
  engine->step(collect(outcomes));
  EXPECT_EQ(engine->running(), 1u) << "the first one has ended";
  EXPECT_EQ(engine->cache().store().used_bytes(),
            7 * engine->cache().store().layout().block_bytes())
      << "six of the other one, and the end of the first one";
  const GenerationRequest large = request_of(random_prompt(random, 4 * kChunk), 60, 1);
  ASSERT_TRUE(engine->add(large).has_value());
  while (engine->step(collect(outcomes))) {
  }
  EXPECT_TRUE((outcomes[{3, 0}].same_bits(alone(loaded, large))));
}

TEST(Engine, RefusesWhatCanNeverFit) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine({.context = 300, .kv_tokens = 256});
  std::mt19937 random(9);
  const auto message = [&](GenerationRequest request) {
    const auto id = engine->add(std::move(request));
    return id ? std::string("accepted") : id.error().message;
  };
  EXPECT_EQ(message(request_of({}, 4, 0)), "the prompt is empty; it needs at least one token");
  EXPECT_EQ(message(request_of({319}, 4, 0)), "the prompt names token 319; the vocabulary has 319");
  EXPECT_EQ(message(request_of({-1}, 4, 0)), "the prompt names token -1; the vocabulary has 319");
  EXPECT_EQ(message(request_of(random_prompt(random, 301), 4, 0)),
            "the prompt has 301 tokens and up to 4 may follow; the context holds 300");
  EXPECT_EQ(
      message(request_of(random_prompt(random, 200), 90, 0)),
      "200 prompt tokens and 1 answers of up to 90 need 160.0 KiB of KV; there are 128.0 KiB");
  GenerationRequest hot = request_of({1}, 4, 0);
  hot.sampler.temperature = -1;
  EXPECT_EQ(message(hot), "temperature is -1; it must lie in [0, 100]");
  const auto beyond = loaded.create({.context = 40000});
  ASSERT_FALSE(beyond.has_value());
  EXPECT_NE(beyond.error().message.find(
                "40000 tokens was asked for; random llama-tiny was made for 32768"),
            std::string::npos)
      << beyond.error().message;
}

TEST(Engine, CancelEndsARequestAndFreesItsBlocks) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine({.reuse_prefixes = false});
  std::mt19937 random(10);
  Outcomes outcomes;
  const auto id = engine->add(request_of(random_prompt(random, 100), 1000, 0));
  const auto other = engine->add(request_of(random_prompt(random, 100), 5, 0));
  for (int i = 0; i < 3; ++i) engine->step(collect(outcomes));
  engine->cancel(*id);
  while (engine->step(collect(outcomes))) {
  }
  EXPECT_EQ((outcomes[{*id, 0}].reason), StopReason::kCancelled);
  EXPECT_EQ((outcomes[{*other, 0}].tokens.size()), 5u);
  EXPECT_EQ(engine->bytes().kv_used, 0u);
}

TEST(Engine, StopStringsEndTheTextBeforeThem) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(11);
  GenerationRequest request = request_of(random_prompt(random, 20), 40, 0);
  const std::string whole = alone(loaded, request).text;
  ASSERT_GT(whole.size(), 8u);
  const std::string stop = whole.substr(whole.size() / 2, 3);
  request.stop = {stop, "never seen in this text"};
  const Outcome stopped = alone(loaded, request);
  EXPECT_EQ(stopped.reason, StopReason::kStopString);
  EXPECT_EQ(stopped.text, whole.substr(0, whole.find(stop)));
}

TEST(Engine, AGrammarIsKept) {
  Loaded loaded("llama-q4_0");
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    GenerationRequest request = request_of({1, 2, 3}, 60, seed);
    request.ignore_end = false;
    request.grammar =
        *Grammar::from_gbnf(R"(root ::= ("yes" | "no") " " [0-9]{2,4})", *loaded.tokenizer);
    const Outcome outcome = alone(loaded, request);
    EXPECT_EQ(outcome.reason, StopReason::kEndToken);
    EXPECT_THAT(outcome.text, ::testing::MatchesRegex("(yes|no) [0-9]{2,4}"));
  }
}

TEST(Engine, TenLoadsLeaveNothingBehind) {
  const auto load_and_run = [] {
    Loaded loaded("llama-q8_0");
    std::mt19937 random(13);
    alone(loaded, request_of(random_prompt(random, 300), 4, 0));
  };
  load_and_run();  // what the heap keeps for itself is there after one
  const std::uint64_t before = resident_bytes();
  for (int i = 0; i < 10; ++i) load_and_run();
    // One model and its engine take about 15 MiB: a single one left behind would show. (Sanitizers
    // keep freed memory for a while: 256 MiB of it.)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kSlack = std::size_t{400} << 20;
#else
  constexpr std::size_t kSlack = std::size_t{8} << 20;
#endif
  EXPECT_LT(resident_bytes(), before + kSlack);
}

TEST(Engine, EmbeddingsArePooledAndNormalised) {
  Loaded loaded("qwen3-q4_k_m");
  auto engine = loaded.engine();
  std::mt19937 random(12);
  const auto tokens = random_prompt(random, 150);
  for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
    const auto vector = engine->embed(tokens, pooling);
    ASSERT_TRUE(vector.has_value());
    double norm = 0;
    for (const float value : *vector)
      norm += static_cast<double>(value) * static_cast<double>(value);
    EXPECT_NEAR(norm, 1, 1e-5);
  }
  // A causal model's first hidden state knows nothing of what follows; its last one does.
  auto other = tokens;
  other.back() ^= 1;
  EXPECT_EQ(*engine->embed(tokens, Pooling::kCls), *engine->embed(other, Pooling::kCls));
  EXPECT_NE(*engine->embed(tokens, Pooling::kLast), *engine->embed(other, Pooling::kLast));
  EXPECT_FALSE(engine->embed({}, Pooling::kMean).has_value());
}

}  // namespace
}  // namespace lathe::infer
