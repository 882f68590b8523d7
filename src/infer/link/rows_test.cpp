// Matrices by rows on two machines, here two threads: the bits are those of one, a machine that is
// lost or says something else ends what was asked, and what is not divided is refused.
#include <gmock/gmock.h>

#include "ground/base/version.h"

#include "infer/link/link_speed.h"
#include "infer/link/linked_rows.h"
#include "infer/link/machines_test.h"
#include "infer/link/tcp_wire.h"

namespace lathe::infer {
namespace {

using ::testing::HasSubstr;

constexpr LinkPlan kByRows{.split = LinkSplit::kRows};

class ByRows : public ::testing::TestWithParam<const char*> {};

TEST_P(ByRows, FiftyPromptsHaveTheBitsOfOneMachine) {
  Whole here(GetParam());
  const ExecutorOptions options{.step_tokens = 128};
  const EngineOptions engine_options{.kv_tokens = 4096, .sequences = 8};
  std::mt19937 random(17);
  std::vector<Asked> asked = questions(random, 50);
  const Answers expected = ask_alone(here, options, engine_options, asked, random);
  auto [mine, theirs] = make_wire_pair();
  There there(GetParam(), std::move(theirs));
  {
    const auto first = here.load(kByRows.first());
    auto engine =
        here.engine(linked(here, *first, std::move(mine), options, kByRows), engine_options);
    const std::size_t warm = cached;
    const Answers answers = ask(*engine, asked, 2);
    const Status lost = engine->executor().lost();
    EXPECT_TRUE(lost.has_value()) << lost.error().message;
    EXPECT_TRUE(answers == expected);
    EXPECT_GT(cached, warm) << "prefixes were known";
  }
  there.end();
  EXPECT_TRUE(there.status.has_value()) << there.status.error().message;
}

INSTANTIATE_TEST_SUITE_P(DenseAndExperts, ByRows,
                         ::testing::Values("llama-q4_0", "qwen3-q4_k_m", "qwen3moe-mxfp4_moe",
                                           "qwen2moe"),
                         [](const auto& of) {
                           std::string name = of.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(ByRows, AMachineHasHalfOfTheLargeMatrices) {
  for (const char* name : {"llama-q4_0", "qwen3moe-mxfp4_moe", "gemma3"}) {
    Whole here(name);
    const auto bytes = [&](const ModelPart& part) {
      const std::uint64_t foretold =
          weight_bytes(here.file, here.blueprint, best_kernel_table(), part);
      EXPECT_EQ(here.load(part)->weight_bytes(), foretold) << name;
      return foretold;
    };
    const std::uint64_t all = bytes({}), second = bytes(kByRows.second());
    EXPECT_LT(second, all * 6 / 10) << name;
    // Here is what embeddings are looked up in, too.
    const GgufTensor& embedding = *here.file.find_tensor("token_embd.weight");
    EXPECT_LT(bytes(kByRows.first()), second + 2 * embedding.elements()) << name;
  }
}

// What a step sends and receives is booked before, on both machines, and no step takes more: each
// of these reads as many tokens as it may, in pieces.
TEST(ByRows, WhatRowsTakeOnTheirWayIsBooked) {
  Whole here("llama-q4_0");
  const ExecutorOptions options{.step_tokens = 2048, .most_outputs = 2048};
  auto [mine, theirs] = make_wire_pair();
  There there("llama-q4_0", std::move(theirs));
  {
    const auto first = here.load(kByRows.first());
    auto partner = LinkedPartner::greet(std::move(mine), *link_identity(here.file), options,
                                        kByRows, kPatience);
    ASSERT_TRUE(partner && (*partner)->wait(nullptr));
    const std::uint64_t scratch_there = (*partner)->ready().scratch;
    auto executor = *LinkedExecutor::create(*first, here.team, options, *std::move(partner));
    const std::uint64_t rows = LinkedRows::bytes_for(here.blueprint);
    const auto booked =
        cpu_sizes(here.file, here.blueprint, {&best_kernel_table(), 1}, options, 0, kByRows.first())
            ->scratch.on_host();
    EXPECT_GE(rows, std::uint64_t{8} << 20);
    EXPECT_EQ(executor->scratch_bytes().on_host(), booked + rows);
    EXPECT_EQ(scratch_there, booked + rows) << "the halves are alike";
    const LinkedExecutor& used = *executor;
    auto engine = here.engine(std::move(executor), {.kv_tokens = 8192, .sequences = 4});
    std::mt19937 random(5);
    std::vector<Asked> asked(2);
    for (Asked& each : asked)
      for (int i = 0; i < 1500; ++i) each.prompt.push_back(static_cast<TokenId>(random() % 159));
    EXPECT_EQ(ask(*engine, asked, 3).size(), 2U);
    EXPECT_TRUE(used.lost());
    EXPECT_EQ(used.scratch_bytes().on_host(), booked + rows);
  }
  there.end();
}

TEST(ByRows, SharesAreWholePanelsAndCoverAllRows) {
  for (const std::size_t rows : {1, 15, 16, 17, 32, 33, 48, 159, 1000, 4096}) {
    const auto [first, count] = RowShare{0, 2}.of(rows);
    const auto [second, rest] = RowShare{1, 2}.of(rows);
    EXPECT_EQ(first, 0u);
    if (rows <= kPanelRows) {
      EXPECT_EQ(count, rows) << "too small to be divided";
      EXPECT_EQ(rest, rows);
      continue;
    }
    EXPECT_EQ(second, count);
    EXPECT_EQ(second % kPanelRows, 0u);
    EXPECT_EQ(count + rest, rows);
    EXPECT_LE(count, rest + kPanelRows);
    EXPECT_LE(rest, count + kPanelRows);
  }
}

TEST(ByRows, WhatIsNotDividedIsRefused) {
  const Whole llama("llama-q4_0");
  const auto refusal = [](const Blueprint& blueprint, const LinkPlan& plan) {
    const Status status = check_plan(blueprint, plan);
    return status ? std::string() : status.error().message;
  };
  EXPECT_EQ(refusal(llama.blueprint, kByRows), "");
  EXPECT_THAT(refusal(llama.blueprint, {.split = LinkSplit::kRows, .layers = 1}),
              HasSubstr("all layers stand on both"));
  Blueprint deep = llama.blueprint, encoder = llama.blueprint, own = llama.blueprint;
  deep.deepstack = 3;
  EXPECT_THAT(refusal(deep, kByRows), HasSubstr("pictures are added behind its first 3 layers"));
  encoder.generates = false;
  EXPECT_THAT(refusal(encoder, kByRows), HasSubstr("encoder"));
  own.layer_input = 8;
  EXPECT_THAT(refusal(own, kByRows), HasSubstr("own embedding"));
}

// Two sides of a link, on two threads.
struct Sides {
  explicit Sides(std::pair<std::unique_ptr<Wire>, std::unique_ptr<Wire>> ends)
      : one(std::move(ends.first), 1), two(std::move(ends.second), 1) {}
  Link one, two;
};

std::pair<std::unique_ptr<Wire>, std::unique_ptr<Wire>> tcp_pair() {
  TcpListener listener = *TcpListener::open("0");
  auto mine = *connect_tcp(fmt::format("127.0.0.1:{}", listener.port()), kPatience);
  return {std::move(mine), *listener.accept(StopFlag())};
}

// More than all buffers between them hold, at once: neither waits for the other to read first.
TEST(LinkOverTcp, CarriesLargeFramesBothWaysAtOnce) {
  constexpr std::size_t kBytes = std::size_t{24} << 20;
  Sides sides(tcp_pair());
  std::mt19937 random(1);
  std::vector<std::byte> out[2], in[2];
  for (auto& each : out) {
    each.resize(kFrameHead + kBytes);
    for (std::byte& byte : std::span(each).subspan(kFrameHead))
      byte = static_cast<std::byte>(random());
  }
  for (auto& each : in) each.resize(kBytes);
  Status there;
  std::thread other(
      [&] { there = sides.two.exchange(FrameKind::kPart, out[1], in[1], kPatience); });
  const Status here = sides.one.exchange(FrameKind::kPart, out[0], in[0], kPatience);
  other.join();
  ASSERT_TRUE(here.has_value()) << here.error().message;
  ASSERT_TRUE(there.has_value()) << there.error().message;
  EXPECT_TRUE(std::ranges::equal(in[0], std::span(out[1]).subspan(kFrameHead)));
  EXPECT_TRUE(std::ranges::equal(in[1], std::span(out[0]).subspan(kFrameHead)));
}

// With a partner that nobody greets, which takes that for no failure.
TEST(LinkOverTcp, IsMeasured) {
  Whole here("llama-q4_0");
  const std::string identity = *link_identity(here.file);
  auto [mine, theirs] = tcp_pair();
  There there("llama-q4_0", std::move(theirs));
  const auto speed = measure_link(std::move(mine), identity);
  ASSERT_TRUE(speed.has_value()) << speed.error().message;
  EXPECT_GT(speed->exchange_seconds, 0);
  EXPECT_GT(speed->bytes_per_second, 0);
  there.end();
  EXPECT_TRUE(there.status.has_value()) << there.status.error().message;
  // Another file there.
  auto [again, other] = make_wire_pair();
  There gemma("gemma3", std::move(other));
  const auto refused = measure_link(std::move(again), identity);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("another model file"));
}

// Of products that take several pieces, whole matrices and experts without a token among them.
TEST(LinkedRows, GiveAllRowsToBothAndAnAnswerToTheFirst) {
  constexpr std::size_t kRows = 3000, kFew = 40, kTokens = 700;
  const auto value = [](std::size_t t, std::size_t r) { return static_cast<float>(t * 4096 + r); };
  Sides sides(tcp_pair());
  struct Side {
    std::vector<float> large, few, whole, answer;
    Status status;
  } all[2];
  const auto run = [&](std::size_t index, Link& link) {
    Side& side = all[index];
    const auto [first, count] = RowShare{index, 2}.of(kRows);
    const auto [few_first, few_count] = RowShare{index, 2}.of(kFew);
    PackedMatrix large, few, whole;
    large.rows = count;
    large.part = {first, kRows};
    few.rows = few_count;
    few.part = {few_first, kFew};
    whole.rows = 8;
    const auto fill = [&](std::vector<float>& out, std::size_t tokens, std::size_t rows,
                          std::size_t from, std::size_t own) {
      out.assign(tokens * rows, -1);
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t r = from; r < from + own; ++r) out[t * rows + r] = value(t, r);
    };
    fill(side.large, kTokens, kRows, first, count);
    fill(side.few, 3, kFew, few_first, few_count);
    fill(side.whole, 2, 8, 0, index == 0 ? 8 : 0);
    fill(side.answer, 5, kRows, first, count);
    const Product products[] = {
        {.matrix = &large,
         .x = nullptr,
         .tokens = kTokens,
         .out = side.large.data(),
         .stride = kRows},
        {.matrix = &whole, .x = nullptr, .tokens = 2, .out = side.whole.data(), .stride = 8},
        {.matrix = &large, .x = nullptr, .tokens = 0, .out = nullptr, .stride = kRows},
        {.matrix = &few, .x = nullptr, .tokens = 3, .out = side.few.data(), .stride = kFew}};
    LinkedRows rows(link, index == 0, kPatience);
    rows.gather(products);
    rows.hand_in(
        {.matrix = &large, .x = nullptr, .tokens = 5, .out = side.answer.data(), .stride = kRows});
    side.status = rows.status();
  };
  std::thread other([&] { run(1, sides.two); });
  run(0, sides.one);
  other.join();
  std::vector<float> expected(kTokens * kRows);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = value(i / kRows, i % kRows);
  for (const Side& side : all) {
    ASSERT_TRUE(side.status.has_value()) << side.status.error().message;
    EXPECT_TRUE(side.large == expected);
    for (std::size_t i = 0; i < side.few.size(); ++i)
      EXPECT_EQ(side.few[i], value(i / kFew, i % kFew));
  }
  EXPECT_TRUE(std::ranges::equal(all[0].answer, std::span(expected).first(5 * kRows)));
  EXPECT_EQ(all[1].answer.front(), -1) << "nobody asked for it there";
  EXPECT_EQ(all[0].whole.front(), value(0, 0));
  EXPECT_EQ(all[1].whole.front(), -1) << "what is whole does not travel";
}

TEST(LinkOverTcp, GivesTheSameBitsByRows) {
  Whole here("llama-q4_0");
  const ExecutorOptions options{.step_tokens = 64};
  std::mt19937 random(5);
  const std::vector<Asked> asked = questions(random, 3);
  const auto whole = here.load({});
  auto alone = here.engine(*CpuExecutor::create(*whole, here.team, options), {});
  const Answers expected = ask(*alone, asked, 1);
  auto [mine, theirs] = tcp_pair();
  There there("llama-q4_0", std::move(theirs));
  const auto first = here.load(kByRows.first());
  auto engine = here.engine(linked(here, *first, std::move(mine), options, kByRows), {});
  EXPECT_TRUE(ask(*engine, asked, 2) == expected);
}

// What another machine does in place of giving its rows. It has greeted well.
class StrangePartner : public ::testing::Test {
 protected:
  using Act = std::function<void(Link&)>;
  // What the executor says then; and that nothing was answered.
  std::string lost_by(const Act& act, Milliseconds silence = kPatience) {
    auto [mine, theirs] = make_wire_pair();
    std::thread there([&, wire = std::move(theirs)]() mutable { play(std::move(wire), act); });
    auto partner =
        LinkedPartner::greet(std::move(mine), *link_identity(here.file), options, kByRows, silence);
    EXPECT_TRUE((*partner)->wait(nullptr).has_value());
    auto executor = LinkedExecutor::create(*first, here.team, options, std::move(*partner));
    auto engine = here.engine(std::move(*executor), {});
    Asked asked;
    asked.prompt = {1, 2, 3};
    EXPECT_TRUE(ask(*engine, {asked}, 2).empty());
    const Status lost = engine->executor().lost();
    engine.reset();
    there.join();
    return lost ? std::string() : lost.error().message;
  }
  void play(std::unique_ptr<Wire> wire, const Act& act) {
    Link link(std::move(wire), link_model(*link_identity(here.file)));
    const auto next = [&] { return link.receive(std::size_t{1} << 24, kPatience); };
    EXPECT_EQ(next()->kind, FrameKind::kHello);
    LinkReady ready;
    ready.memory = std::uint64_t{1} << 30;
    const MemoryLayout layout = cpu_layout(here.blueprint, best_kernel_table(), options.kv);
    for (const MemoryGroup& group : layout.groups()) ready.block_bytes.push_back(group.block_bytes);
    EXPECT_TRUE(link.send(FrameKind::kReady, encode(ready)).has_value());
    while (next()->kind != FrameKind::kStep) {
    }
    act(link);
    // Whatever the other one still says, until it goes.
    while (next()) {
    }
  }

  Whole here{"llama-q4_0"};
  const ExecutorOptions options{.step_tokens = 64};
  const std::unique_ptr<Model> first = here.load(kByRows.first());
};

TEST_F(StrangePartner, ThatGoesInTheMiddleIsLost) {
  EXPECT_THAT(lost_by([](Link& link) { link.close(); }), HasSubstr("is lost (the other end"));
}

TEST_F(StrangePartner, ThatIsSilentIsLost) {
  EXPECT_THAT(lost_by([](Link&) {}, Milliseconds(3000)), HasSubstr("silent for 3000 ms"));
}

TEST_F(StrangePartner, ThatRefusesSaysWhy) {
  const std::string why = "no room";
  EXPECT_THAT(lost_by([&](Link& link) {
                (void)link.send(FrameKind::kRefused, std::as_bytes(std::span(why)));
              }),
              HasSubstr("the other machine refuses: no room"));
}

TEST_F(StrangePartner, ThatGivesTooFewTooManyOrOtherThings) {
  const auto sends = [&](FrameKind kind, std::size_t bytes) {
    return lost_by([=](Link& link) { (void)link.send(kind, {}, std::vector<std::byte>(bytes)); });
  };
  EXPECT_THAT(sends(FrameKind::kPart, 8), HasSubstr("not its turn"));
  EXPECT_THAT(sends(FrameKind::kPart, 0), HasSubstr("not its turn"));
  EXPECT_THAT(sends(FrameKind::kPart, std::size_t{1} << 20), HasSubstr("at most"));
  EXPECT_THAT(sends(FrameKind::kRows, 8), HasSubstr("not its turn"));
  EXPECT_THAT(sends(FrameKind::kBusy, 8), HasSubstr("not its turn"));
}

// A partner outlives a leader that gives it no rows; what it says is written down.
TEST(ByRows, ALeaderThatGivesSomethingElseIsRefused) {
  Whole here("llama-q4_0");
  const ExecutorOptions options{.step_tokens = 64};
  auto [mine, theirs] = make_wire_pair();
  There there("llama-q4_0", std::move(theirs));
  Link link(std::move(mine), link_model(*link_identity(here.file)));
  LinkHello hello;
  hello.identity = *link_identity(here.file);
  hello.numerics = kNumerics;
  hello.options = options;
  hello.plan = kByRows;
  ASSERT_TRUE(link.send(FrameKind::kHello, encode(hello)).has_value());
  KvBudget budget(std::uint64_t{1} << 30);
  auto store =
      *MemoryStore::create(cpu_layout(here.blueprint, best_kernel_table(), options.kv), 4, budget);
  ASSERT_TRUE(link.send(FrameKind::kMemory, encode(BlockCounts{4})).has_value());
  SequenceMemory memory(store);
  ASSERT_TRUE(memory.prepare(0, 3).has_value());
  const std::vector<TokenId> tokens{1, 2, 3};
  const Slice slice{.tokens = tokens, .memory = &memory, .outputs = 1};
  const std::vector<float> x(tokens.size() * here.blueprint.embedding);
  ASSERT_TRUE(link.send(FrameKind::kStep, encode_step({&slice, 1}, OutputKind::kLogits),
                        std::as_bytes(std::span(x)))
                  .has_value());
  ASSERT_TRUE(link.send(FrameKind::kPart, {}, std::vector<std::byte>(8)).has_value());
  there.end();
  ASSERT_FALSE(there.status.has_value());
  EXPECT_THAT(there.status.error().message, HasSubstr("not its turn"));
}

}  // namespace
}  // namespace lathe::infer
