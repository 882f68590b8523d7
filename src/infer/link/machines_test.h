// Two machines for tests, here two threads: a partner, a model of the test data on this side, and
// questions whose answers are compared to the bit.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <random>
#include <thread>

#include "infer/engine/engine.h"
#include "infer/link/linked_executor.h"
#include "infer/link/partner.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {

inline constexpr Milliseconds kPatience{60'000};  // of a loaded machine

inline fs::path model_file(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".gguf");
}

// A machine with the other part.
struct There {
  There(const std::string& name, std::unique_ptr<Wire> wire,
        std::uint64_t memory = std::uint64_t{1} << 30)
      : file(*Gguf::open(model_file(name))) {
    partner = *LinkPartner::open(file, team, {.memory = memory, .kernels = &best_kernel_table()});
    thread = std::thread([this, ends = std::move(wire)]() mutable {
      status = partner->serve(std::move(ends), stop);
    });
  }
  ~There() { end(); }
  void end() {
    if (thread.joinable()) thread.join();
  }
  Gguf file;
  ThreadTeam team{1};
  std::unique_ptr<LinkPartner> partner;
  std::thread thread;
  Status status;
  StopFlag stop;
};

struct Whole {
  explicit Whole(const std::string& name) : file(*Gguf::open(model_file(name))) {
    tokenizer = *Tokenizer::make(*read_vocabulary(file));
    blueprint = *read_runnable_blueprint(file);
  }
  std::unique_ptr<Model> load(const ModelPart& part) {
    LoadOptions options;
    options.kernels = &best_kernel_table();
    options.part = part;
    auto model = Model::load(file, team, options);
    EXPECT_TRUE(model.has_value()) << model.error().message;
    return std::move(*model);
  }
  std::unique_ptr<Engine> engine(std::unique_ptr<Executor> executor, const EngineOptions& options) {
    auto made = Engine::create(std::move(executor), *tokenizer, options);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return std::move(*made);
  }
  Gguf file;
  ThreadTeam team{1};
  std::unique_ptr<Tokenizer> tokenizer;
  Blueprint blueprint;
};

// The tokens, and the top-20 logprobs of each, to the bit.
struct BitAnswer {
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> bits;
  bool operator==(const BitAnswer&) const = default;
};
using Answers = std::map<std::pair<std::size_t, std::size_t>, BitAnswer>;  // question, candidate

struct Asked {
  std::shared_ptr<const RowBlock> rows;  // in front of the prompt; null: none
  std::vector<TokenId> prompt, draft;
  std::size_t candidates = 1;
  std::uint64_t seed = 0;
};

// Some begin like earlier ones, some with several answers, some with a draft that is half right.
inline std::vector<Asked> questions(std::mt19937& random, std::size_t count) {
  std::vector<Asked> all;
  for (std::size_t i = 0; i < count; ++i) {
    Asked asked;
    if (i % 2 == 1) {
      const Asked& from = all[random() % all.size()];
      asked.rows = from.rows;
      const std::vector<TokenId>& before = from.prompt;
      asked.prompt.assign(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(
                                                               1 + random() % before.size()));
    }
    const std::size_t more = 1 + random() % 150;
    for (std::size_t k = 0; k < more; ++k)
      asked.prompt.push_back(static_cast<TokenId>(random() % 159));
    asked.candidates = 1 + random() % 3;
    asked.seed = i;
    all.push_back(std::move(asked));
  }
  return all;
}

// A picture as a model may see it: a grid where positions have sections, or rows that see each
// other where it does not choose what a token sees.
inline std::shared_ptr<const RowBlock> rows_for(const Blueprint& blueprint) {
  constexpr std::size_t kRows = 20;
  std::mt19937 random(11);
  std::vector<float> values(kRows * blueprint.row_width());
  for (float& value : values) value = static_cast<float>(random() % 200) / 100 - 1;
  const AttentionSpec* attention = blueprint.attention();
  RowShape shape;
  if (attention != nullptr && attention->rope.has_sections())
    shape.grid_columns = 5;
  else
    shape.mutual = attention != nullptr && !blueprint.chooses();
  return *RowBlock::make(blueprint.row_width(), std::move(values), shape);
}

inline std::size_t accepted = 0, rejected = 0, cached = 0;  // over all tests

// By a schedule of its own: when they come, and how many tokens of prompts a step reads.
inline Answers ask(Engine& engine, const std::vector<Asked>& questions, std::uint32_t schedule) {
  std::mt19937 random(schedule);
  Answers answers;
  std::map<SequenceId, std::size_t> which;
  engine.use_step_seconds(std::vector<double>(16, 1.0));
  for (std::size_t added = 0; added < questions.size() || !engine.idle();) {
    if (added < questions.size() && (random() % 3 == 0 || engine.idle())) {
      const Asked& asked = questions[added];
      GenerationRequest request;
      if (asked.rows) request.prompt.add(asked.rows);
      request.prompt.add(asked.prompt);
      request.draft = asked.draft;
      request.max_tokens = 8;
      request.candidates = asked.candidates;
      request.sampler.seed = asked.seed;
      request.sampler.temperature = asked.seed % 2 == 0 ? 0.0f : 1.0f;
      request.top_logprobs = 20;
      request.ignore_end = true;
      const auto id = engine.add(std::move(request));
      EXPECT_TRUE(id.has_value()) << id.error().message;
      which[*id] = added++;
    }
    engine.step(
        [&](const TokenEvent& event) {
          BitAnswer& answer = answers[{which.at(event.request), event.candidate}];
          answer.tokens.push_back(event.token);
          for (const TokenLogprob& entry : event.top)
            answer.bits.push_back(std::bit_cast<std::uint32_t>(entry.logprob));
          if (event.finished) accepted += event.usage.accepted_drafts;
          if (event.finished) rejected += event.usage.rejected_drafts;
          if (event.finished) cached += event.usage.cached_tokens;
        },
        1 + random() % 200);
    if (!engine.executor().lost()) break;
  }
  return answers;
}

// What one machine answers. The questions get drafts of it, right up to a wrong token.
inline Answers ask_alone(Whole& here, const ExecutorOptions& options,
                         const EngineOptions& engine_options, std::vector<Asked>& asked,
                         std::mt19937& random) {
  const auto model = here.load({});
  auto engine = here.engine(*CpuExecutor::create(*model, here.team, options), engine_options);
  Answers answers = ask(*engine, asked, 1);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    asked[i].draft = answers.at({i, 0}).tokens;
    asked[i].draft[random() % asked[i].draft.size()] = 3;
  }
  return answers;
}

inline std::unique_ptr<LinkedExecutor> linked(Whole& here, const Model& first,
                                              std::unique_ptr<Wire> wire,
                                              const ExecutorOptions& options,
                                              const LinkPlan& plan) {
  auto partner =
      LinkedPartner::greet(std::move(wire), *link_identity(here.file), options, plan, kPatience);
  EXPECT_TRUE(partner.has_value());
  const Status ready = (*partner)->wait(nullptr);
  EXPECT_TRUE(ready.has_value()) << ready.error().message;
  if (!ready) return nullptr;
  auto executor = LinkedExecutor::create(first, here.team, options, std::move(*partner));
  EXPECT_TRUE(executor.has_value()) << executor.error().message;
  return executor ? std::move(*executor) : nullptr;
}

}  // namespace lathe::infer
