// One model on two machines, here two threads: the bits are those of one, whatever the engine
// shares, forks, cuts and takes back; and what is broken on the way is refused.
#include "infer/link/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <random>
#include <thread>

#include "infer/engine/engine.h"
#include "infer/link/cut.h"
#include "infer/link/linked_executor.h"
#include "infer/link/partner.h"
#include "infer/link/tcp_wire.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

constexpr Milliseconds kPatience{60'000};  // of a loaded machine

fs::path model_file(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".gguf");
}

// A machine with the last layers.
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
  std::unique_ptr<Model> load(LayerRange layers) {
    LoadOptions options;
    options.kernels = &best_kernel_table();
    options.layers = layers;
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
struct Answer {
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> bits;
  bool operator==(const Answer&) const = default;
};
using Answers = std::map<std::pair<std::size_t, std::size_t>, Answer>;  // question, candidate

struct Asked {
  std::shared_ptr<const RowBlock> rows;  // in front of the prompt; null: none
  std::vector<TokenId> prompt, draft;
  std::size_t candidates = 1;
  std::uint64_t seed = 0;
};

// Some begin like earlier ones, some with several answers, some with a draft that is half right.
std::vector<Asked> questions(std::mt19937& random, std::size_t count) {
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
std::shared_ptr<const RowBlock> rows_for(const Blueprint& blueprint) {
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

std::size_t accepted = 0, rejected = 0, cached = 0;  // over all tests

// By a schedule of its own: when they come, and how many tokens of prompts a step reads.
Answers ask(Engine& engine, const std::vector<Asked>& questions, std::uint32_t schedule) {
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
          Answer& answer = answers[{which.at(event.request), event.candidate}];
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

std::unique_ptr<LinkedExecutor> linked(Whole& here, const Model& first, std::unique_ptr<Wire> wire,
                                       const ExecutorOptions& options, std::size_t cut) {
  auto partner =
      LinkedPartner::greet(std::move(wire), *link_identity(here.file), options, cut, kPatience);
  EXPECT_TRUE(partner.has_value());
  const Status ready = (*partner)->wait(nullptr);
  EXPECT_TRUE(ready.has_value()) << ready.error().message;
  if (!ready) return nullptr;
  auto executor = LinkedExecutor::create(first, here.team, options, std::move(*partner));
  EXPECT_TRUE(executor.has_value()) << executor.error().message;
  return executor ? std::move(*executor) : nullptr;
}

class OnTwoMachines : public ::testing::TestWithParam<std::pair<const char*, KvType>> {};

TEST_P(OnTwoMachines, TheBitsAreThoseOfOne) {
  const auto& [name, kv] = GetParam();
  Whole here(name);
  const ExecutorOptions options{.kv = kv, .step_tokens = 128};
  const EngineOptions engine_options{.kv_tokens = 4096, .sequences = 6};
  const std::string_view seed(name);
  std::seed_seq of_name(seed.begin(), seed.end());
  std::mt19937 random(of_name);  // other prompts for each model
  std::vector<Asked> asked = questions(random, 6);
  for (const std::size_t i : {0, 1, 4}) asked[i].rows = rows_for(here.blueprint);
  Answers expected;
  {
    const auto model = here.load({});
    auto engine = here.engine(*CpuExecutor::create(*model, here.team, options), engine_options);
    expected = ask(*engine, asked, 1);
  }
  // Drafts, right up to a wrong token.
  for (std::size_t i = 0; i < asked.size(); ++i) {
    asked[i].draft = expected.at({i, 0}).tokens;
    asked[i].draft[random() % asked[i].draft.size()] = 3;
  }
  const auto count = here.blueprint.layers.size();
  std::size_t cuts = 0;
  for (const std::size_t cut : {std::size_t{1}, count / 2, count - 1}) {
    if (!check_cut(here.blueprint, cut)) continue;
    ++cuts;
    auto [mine, theirs] = make_wire_pair();
    There there(name, std::move(theirs));
    {
      const auto first = here.load({0, cut});
      auto engine =
          here.engine(linked(here, *first, std::move(mine), options, cut), engine_options);
      const Answers answers = ask(*engine, asked, 2 + static_cast<std::uint32_t>(cut));
      const Status lost = engine->executor().lost();
      EXPECT_TRUE(lost.has_value()) << lost.error().message;
      EXPECT_TRUE(answers == expected) << "cut behind " << cut;
    }
    there.end();
    EXPECT_TRUE(there.status.has_value()) << there.status.error().message;
  }
  EXPECT_GT(cuts, 0u);
  if (here.blueprint.architecture != "llama") return;
  EXPECT_GT(cached, 0u);
  EXPECT_GT(accepted, 0u);
  EXPECT_GT(rejected, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    OfEveryKind, OnTwoMachines,
    ::testing::Values(std::pair("llama-q4_0", KvType::kF16), std::pair("gemma3", KvType::kF16),
                      std::pair("gpt-oss", KvType::kF32), std::pair("qwen35", KvType::kF16),
                      std::pair("qwen3next", KvType::kF16),
                      std::pair("nemotron_h_moe", KvType::kF16),
                      std::pair("deepseek2-v3", KvType::kF16),
                      std::pair("deepseek32", KvType::kF32), std::pair("kimi-linear", KvType::kF16),
                      std::pair("lfm2", KvType::kF16), std::pair("granitehybrid-moe", KvType::kF16),
                      std::pair("llama4", KvType::kF16)),
    [](const auto& of) {
      std::string name = of.param.first;
      std::ranges::replace(name, '-', '_');
      return name;
    });

// What the other end is told when something is wrong with the first frame.
std::string refusal_of(Wire& wire, std::uint64_t model) {
  struct Borrowed final : Wire {
    explicit Borrowed(Wire& of) : wire(of) {}
    Status write(std::span<const std::byte> bytes) override { return wire.write(bytes); }
    Status read(std::span<std::byte> out, Milliseconds silence) override {
      return wire.read(out, silence);
    }
    void close() override {}
    Wire& wire;
  };
  Link link(std::make_unique<Borrowed>(wire), model);
  while (true) {
    const auto frame = link.receive(kSmallFrame, kPatience);
    if (!frame) return "(" + frame.error().message + ")";
    if (frame->kind == FrameKind::kRefused)
      return {reinterpret_cast<const char*>(frame->bytes.data()), frame->bytes.size()};
    if (frame->kind != FrameKind::kBusy) return "(another frame)";
  }
}

class LinkRefuses : public ::testing::Test {
 protected:
  Whole here{"llama-q4_0"};
  std::string identity = *link_identity(here.file);
  std::uint64_t model = link_model(identity);
  std::pair<std::unique_ptr<Wire>, std::unique_ptr<Wire>> ends = make_wire_pair();
  There there{"llama-q4_0", std::move(ends.second)};

  LinkHello hello() {
    LinkHello hello;
    hello.identity = identity;
    hello.numerics = 1;
    hello.options = {.step_tokens = 64};
    hello.cut = 1;
    return hello;
  }
  // The frame as it goes over a wire.
  std::vector<std::byte> frame_of(FrameKind kind, std::span<const std::byte> bytes) {
    auto [from, to] = make_wire_pair();
    Link link(std::move(from), model);
    EXPECT_TRUE(link.send(kind, bytes).has_value());
    std::vector<std::byte> out(32 + bytes.size());
    EXPECT_TRUE(to->read(out, kPatience).has_value());
    return out;
  }
  std::string send(std::span<const std::byte> bytes) {
    EXPECT_TRUE(ends.first->write(bytes).has_value());
    return refusal_of(*ends.first, model);
  }
};

TEST_F(LinkRefuses, WhatIsNoFrame) {
  EXPECT_THAT(send(std::vector<std::byte>(32, std::byte{'G'})), HasSubstr("no frame"));
}

TEST_F(LinkRefuses, AnotherVersion) {
  auto bytes = frame_of(FrameKind::kHello, encode(hello()));
  bytes[4] = std::byte{77};
  EXPECT_THAT(send(bytes), HasSubstr("speaks version 77"));
}

TEST_F(LinkRefuses, AnotherModel) {
  auto bytes = frame_of(FrameKind::kHello, encode(hello()));
  bytes[16] ^= std::byte{1};
  EXPECT_THAT(send(bytes), HasSubstr("another model file"));
}

TEST_F(LinkRefuses, TheSameFirstBitsOfAnotherModel) {
  LinkHello other = hello();
  other.identity.back() = other.identity.back() == '0' ? '1' : '0';
  EXPECT_THAT(send(frame_of(FrameKind::kHello, encode(other))), HasSubstr("different files"));
}

TEST_F(LinkRefuses, AnotherArithmetic) {
  LinkHello other = hello();
  other.numerics = 99;
  EXPECT_THAT(send(frame_of(FrameKind::kHello, encode(other))), HasSubstr("number"));
}

TEST_F(LinkRefuses, DamagedBytes) {
  auto bytes = frame_of(FrameKind::kHello, encode(hello()));
  bytes[40] ^= std::byte{1};
  EXPECT_THAT(send(bytes), HasSubstr("damaged"));
}

TEST_F(LinkRefuses, AFrameThatIsTooLarge) {
  auto bytes = frame_of(FrameKind::kHello, encode(hello()));
  bytes[14] = std::byte{1};
  EXPECT_THAT(send(bytes), HasSubstr("at most"));
}

TEST_F(LinkRefuses, AFrameThatIsNotItsTurn) {
  EXPECT_THAT(send(frame_of(FrameKind::kStep, {})), HasSubstr("greeting"));
}

TEST_F(LinkRefuses, ACutThatLeavesNothing) {
  LinkHello other = hello();
  other.cut = here.blueprint.layers.size();
  EXPECT_THAT(send(frame_of(FrameKind::kHello, encode(other))), HasSubstr("leave one without"));
}

// Steps with bytes changed at random: each is a step or is refused.
TEST(LinkedSteps, AreReadWithinTheirBounds) {
  Whole here("qwen35");
  const MemoryLayout layout = cpu_layout(here.blueprint, best_kernel_table(), KvType::kF16, {1});
  KvBudget budget(std::uint64_t{1} << 30);
  auto store = *MemoryStore::create(layout, 20, budget, 4);
  SequenceMemory memory(store);
  ASSERT_TRUE(memory.prepare(0, 70).has_value());
  const std::vector<TokenId> tokens(70, 1);
  const Slice slice{.tokens = tokens, .memory = &memory, .outputs = 2};
  std::vector<std::byte> bytes = encode_step({&slice, 1}, OutputKind::kLogits);
  const std::size_t head = bytes.size();
  bytes.resize(head + tokens.size() * here.blueprint.embedding * sizeof(float));
  const StepLimits limits{
      .tokens = 128, .outputs = 64, .positions = 4096, .width = here.blueprint.embedding};
  EXPECT_LE(bytes.size(), limits.bytes(store.groups()));
  const auto whole = decode_step(bytes, limits, store);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  EXPECT_EQ(whole->parts.front().tokens.size(), 70u);
  EXPECT_EQ(whole->parts.front().outputs, 2u);
  std::mt19937 random(3);
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> changed = bytes;
    for (std::size_t k = 0; k <= random() % 3; ++k)
      changed[random() % head] = static_cast<std::byte>(random());
    if (random() % 10 == 0) changed.resize(random() % changed.size());
    const auto step = decode_step(changed, limits, store);
    if (!step) {
      ++refused;
      continue;
    }
    for (const LinkedStep::Part& part : step->parts) {
      const std::size_t end = part.first_position + part.tokens.size();
      EXPECT_LE(end, limits.positions);
      EXPECT_LE(part.outputs, part.tokens.size());
      EXPECT_LT(*part.state.block, store.pool(*layout.state_group()).capacity());
      for (const HandedSlice::Token& token : part.tokens) EXPECT_LE(token.sees, end);
    }
  }
  EXPECT_GT(refused, 5000u);
}

TEST(LinkOverTcp, GivesTheSameBits) {
  Whole here("llama-q4_0");
  const ExecutorOptions options{.step_tokens = 64};
  std::mt19937 random(5);
  const std::vector<Asked> asked = questions(random, 3);
  const auto whole = here.load({});
  auto alone = here.engine(*CpuExecutor::create(*whole, here.team, options), {});
  const Answers expected = ask(*alone, asked, 1);
  TcpListener listener = *TcpListener::open("0");
  const StopFlag stop;
  auto mine = connect_tcp(fmt::format("127.0.0.1:{}", listener.port()), kPatience);
  ASSERT_TRUE(mine.has_value()) << mine.error().message;
  There there("llama-q4_0", *listener.accept(stop));
  const auto first = here.load({0, 1});
  auto engine = here.engine(linked(here, *first, std::move(*mine), options, 1), {});
  EXPECT_TRUE(ask(*engine, asked, 2) == expected);
}

TEST(LinkOverTcp, NobodyThereIsSaidSo) {
  const std::uint16_t port = TcpListener::open("0")->port();
  const auto wire = connect_tcp(fmt::format("127.0.0.1:{}", port), kPatience);
  ASSERT_FALSE(wire.has_value());
  EXPECT_THAT(wire.error().message, HasSubstr("nobody is at"));
  EXPECT_THAT(connect_tcp("desk", kPatience).error().message, HasSubstr("HOST:PORT"));
}

// It goes in the middle: the executor says so, at once and from then on, and gives nothing.
TEST(LinkedPartner, ThatGoesIsLost) {
  Whole here("llama-q4_0");
  const ExecutorOptions options{.step_tokens = 64};
  auto [mine, theirs] = make_wire_pair();
  Wire* cable = theirs.get();
  There there("llama-q4_0", std::move(theirs));
  const auto first = here.load({0, 1});
  auto engine = here.engine(linked(here, *first, std::move(mine), options, 1), {});
  std::mt19937 random(5);
  const std::vector<Asked> asked = questions(random, 3);
  EXPECT_EQ(ask(*engine, asked, 2).size(),
            asked[0].candidates + asked[1].candidates + asked[2].candidates);
  cable->close();
  there.end();
  EXPECT_TRUE(ask(*engine, asked, 2).empty());
  ASSERT_FALSE(engine->executor().lost().has_value());
  EXPECT_THAT(engine->executor().lost().error().message, HasSubstr("lost"));
  EXPECT_FALSE(engine->logits(Prompt({1, 2, 3}), [](std::span<const float>) {}).has_value());
}

TEST(LinkedPartner, WithTooLittleMemoryRefuses) {
  auto [mine, theirs] = make_wire_pair();
  There there("llama-q4_0", std::move(theirs), 1000);
  Whole here("llama-q4_0");
  auto partner = LinkedPartner::greet(std::move(mine), *link_identity(here.file),
                                      {.step_tokens = 64}, 1, kPatience);
  ASSERT_TRUE(partner.has_value());
  EXPECT_THAT((*partner)->wait(nullptr).error().message, HasSubstr("give the first machine more"));
}

TEST(Cuts, AreWhereNoLayerReadsAcross) {
  const Whole llama("llama-q4_0");
  const auto& kernels = best_kernel_table();
  const std::size_t layers = llama.blueprint.layers.size();
  const std::size_t half = *choose_cut(llama.file, llama.blueprint, kernels, 0);
  const auto weigh = [&](LayerRange range) {
    return weight_bytes(llama.file, llama.blueprint, kernels, range);
  };
  for (std::size_t cut = 1; cut < layers; ++cut)
    EXPECT_LE(std::max(weigh({0, half}), weigh({half, layers})),
              std::max(weigh({0, cut}), weigh({cut, layers})));
  EXPECT_FALSE(choose_cut(llama.file, llama.blueprint, kernels, layers).has_value());
  Blueprint shares = llama.blueprint;
  shares.layers.resize(4, shares.layers.front());
  shares.layers[3].attention()->kv_of = 1;
  EXPECT_TRUE(check_cut(shares, 1).has_value());
  EXPECT_THAT(check_cut(shares, 2).error().message, HasSubstr("layer 3 reads what layer 1 has"));
  EXPECT_FALSE(check_cut(shares, 3).has_value());
  shares.generates = false;
  EXPECT_THAT(check_cut(shares, 1).error().message, HasSubstr("encoder"));
}

TEST(Boxes, ReadOfExpertsThoseThatAreUsed) {
  const Whole dense("llama-q4_0"), experts("mixtral-q4_0");
  const auto tensor_bytes = [](const Whole& of, std::string_view part) {
    std::uint64_t bytes = 0;
    for (const GgufTensor& tensor : of.file.tensors())
      if (tensor.dimensions > 1 && tensor.name != "token_embd.weight" && tensor.name.contains(part))
        bytes += tensor.bytes;
    return bytes;
  };
  if (!dense.blueprint.tied) {
    EXPECT_EQ(token_bytes(dense.file, dense.blueprint), tensor_bytes(dense, ""));
  }
  const FfnSpec& ffn = experts.blueprint.layers.front().ffn;
  const std::uint64_t all = tensor_bytes(experts, ""), of_experts = tensor_bytes(experts, "_exps");
  ASSERT_GT(of_experts, 0u);
  if (!experts.blueprint.tied) {
    EXPECT_EQ(token_bytes(experts.file, experts.blueprint),
              all - of_experts + of_experts / ffn.experts * ffn.experts_used);
  }
}

TEST(Boxes, AreUsedByTheRule) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  BoxesQuestion question{.model_bytes = 228'000'000'000,
                         .box_bytes = 120 * kGiB,
                         .token_bytes = 228'000'000'000,
                         .bytes_per_second = 273e9,
                         .exchange_seconds = 25e-6,
                         .layers = 126};
  BoxesAdvice advice = advise_boxes(question);
  EXPECT_EQ(advice.use, BoxesUse::kTensor);
  EXPECT_NEAR(1 / advice.pipeline_seconds, 1.2, 0.05);
  EXPECT_NEAR(1 / advice.tensor_seconds, 2.3, 0.05);
  question.token_bytes = 9'600'000'000;
  question.layers = 60;
  question.exchange_seconds = 100e-6;
  advice = advise_boxes(question);
  EXPECT_EQ(advice.use, BoxesUse::kPipeline);
  EXPECT_NEAR(1 / advice.pipeline_seconds, 28, 0.5);
  question.exchange_seconds = 25e-6;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kTensor);
  question.model_bytes = 100 * kGiB;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kReplicas);
  question.model_bytes = 300 * kGiB;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kTooSmall);
}

}  // namespace
}  // namespace lathe::infer
