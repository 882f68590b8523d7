// One model on two machines, here two threads: the bits are those of one, whatever the engine
// shares, forks, cuts and takes back; and what is broken on the way is refused.
#include "infer/link/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/link/machines_test.h"
#include "infer/link/tcp_wire.h"

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

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
  const Answers expected = ask_alone(here, options, engine_options, asked, random);
  const auto count = here.blueprint.layers.size();
  std::size_t plans = 0;
  for (const LinkPlan& plan :
       {LinkPlan{.layers = 1}, LinkPlan{.layers = count / 2}, LinkPlan{.layers = count - 1},
        LinkPlan{.split = LinkSplit::kRows}}) {
    if (!check_plan(here.blueprint, plan)) continue;
    ++plans;
    auto [mine, theirs] = make_wire_pair();
    There there(name, std::move(theirs));
    {
      const auto first = here.load(plan.first());
      auto engine =
          here.engine(linked(here, *first, std::move(mine), options, plan), engine_options);
      const Answers answers = ask(*engine, asked, 2 + static_cast<std::uint32_t>(plan.layers));
      const Status lost = engine->executor().lost();
      EXPECT_TRUE(lost.has_value()) << lost.error().message;
      EXPECT_TRUE(answers == expected) << "cut behind " << plan.layers << ", or by rows";
    }
    there.end();
    EXPECT_TRUE(there.status.has_value()) << there.status.error().message;
  }
  EXPECT_GT(plans, 1u);
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
    Result<std::size_t> exchange(std::span<const std::byte> out, std::span<std::byte> in,
                                 Milliseconds silence) override {
      return wire.exchange(out, in, silence);
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
    hello.plan.layers = 1;
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
  other.plan.layers = here.blueprint.layers.size();
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
  const LinkPlan plan{.layers = 1};
  const auto first = here.load(plan.first());
  auto engine = here.engine(linked(here, *first, std::move(*mine), options, plan), {});
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
  const LinkPlan plan{.layers = 1};
  const auto first = here.load(plan.first());
  auto engine = here.engine(linked(here, *first, std::move(mine), options, plan), {});
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
                                      {.step_tokens = 64}, {.layers = 1}, kPatience);
  ASSERT_TRUE(partner.has_value());
  EXPECT_THAT((*partner)->wait(nullptr).error().message, HasSubstr("give the first machine more"));
}

TEST(Cuts, AreWhereNoLayerReadsAcross) {
  const Whole llama("llama-q4_0");
  const auto& kernels = best_kernel_table();
  const std::size_t layers = llama.blueprint.layers.size();
  const std::size_t half = *choose_cut(llama.file, llama.blueprint, kernels, 0);
  const auto weigh = [&](LayerRange range) {
    return weight_bytes(llama.file, llama.blueprint, kernels, {.layers = range});
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

// q, k, v, the output, gate, up and down of each layer, and the logits.
TEST(Boxes, GatherTheRowsThatAreElsewhere) {
  Whole llama("llama-q4_0");
  const Blueprint& model = llama.blueprint;
  const auto& layer = model.layers.front();
  const auto elsewhere = [](std::size_t rows) { return rows - RowShare{0, 2}.of(rows).count; };
  const AttentionSpec& attention = *layer.attention();
  const std::size_t dim = attention.head_dim, width = model.embedding;
  const std::size_t rows = elsewhere(attention.heads * dim) +
                           2 * elsewhere(attention.kv_heads * dim) + 2 * elsewhere(width) +
                           2 * elsewhere(layer.ffn.hidden);
  EXPECT_EQ(gathered_bytes(model, 2),
            4 * (model.layers.size() * rows + elsewhere(model.vocabulary)));
  EXPECT_EQ(gathered_bytes(model, 1), 0u);
}

TEST(Boxes, AreUsedByTheRule) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  BoxesQuestion question{.model_bytes = 228'000'000'000,
                         .rows_bytes = 115'000'000'000,
                         .box_bytes = 120 * kGiB,
                         .token_bytes = 228'000'000'000,
                         .bytes_per_second = 273e9,
                         .exchange_seconds = 25e-6,
                         .layers = 126};
  BoxesAdvice advice = advise_boxes(question);
  EXPECT_EQ(advice.use, BoxesUse::kRows);
  EXPECT_NEAR(1 / advice.layers_seconds, 1.2, 0.05);
  EXPECT_NEAR(1 / advice.rows_seconds, 2.3, 0.05);
  question.token_bytes = 9'600'000'000;
  question.layers = 60;
  question.exchange_seconds = 100e-6;
  advice = advise_boxes(question);
  EXPECT_EQ(advice.use, BoxesUse::kLayers);
  EXPECT_NEAR(1 / advice.layers_seconds, 28, 0.5);
  EXPECT_NEAR(1 / advice.rows_seconds, 24, 0.5);
  question.exchange_seconds = 25e-6;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kRows);
  question.model_bytes = 100 * kGiB;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kReplicas);
  question.boxes = 1;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kOne);
  question.boxes = 2;
  question.model_bytes = 300 * kGiB;
  EXPECT_EQ(advise_boxes(question).use, BoxesUse::kTooSmall);
}

// With round numbers: a token reads for 2 s on one machine, 1 s on two.
TEST(Boxes, BordersOfTheRule) {
  BoxesQuestion question{.model_bytes = 101,
                         .rows_bytes = 100,
                         .box_bytes = 100,
                         .token_bytes = 200,
                         .bytes_per_second = 100,
                         .layers = 10,
                         .width = 25,
                         .gathered_bytes = 3000};
  const auto with = [&](double exchange, double bandwidth) {
    question.exchange_seconds = exchange;
    question.link_bytes_per_second = bandwidth;
    return advise_boxes(question);
  };
  EXPECT_EQ(with(0, 0).use, BoxesUse::kLayers) << "nobody has measured";
  // 1 + 40 t < 2 + t
  EXPECT_DOUBLE_EQ(with(0.025, 0).rows_seconds, 2);
  EXPECT_DOUBLE_EQ(with(0.025, 0).layers_seconds, 2.025);
  EXPECT_EQ(with(1.0 / 39 - 1e-6, 0).use, BoxesUse::kRows);
  EXPECT_EQ(with(1.0 / 39 + 1e-6, 0).use, BoxesUse::kLayers);
  // 1 + 40 t + 3000 / W < 2 + t + 100 / W
  EXPECT_DOUBLE_EQ(with(0.01, 1000).rows_seconds, 4.4);
  EXPECT_DOUBLE_EQ(with(0.01, 1000).layers_seconds, 2.11);
  EXPECT_EQ(with(0.01, 2900 / 0.61 + 1).use, BoxesUse::kRows);
  EXPECT_EQ(with(0.01, 2900 / 0.61 - 1).use, BoxesUse::kLayers);
  // What each has of it must fit, too, and a model may be none that is divided so.
  EXPECT_EQ(with(0.01, 1e6).use, BoxesUse::kRows);
  question.rows_bytes = 101;
  EXPECT_EQ(with(0.01, 1e6).use, BoxesUse::kLayers);
  question.rows_bytes = {};
  EXPECT_EQ(with(0.01, 1e6).use, BoxesUse::kLayers);
}

}  // namespace
}  // namespace lathe::infer
