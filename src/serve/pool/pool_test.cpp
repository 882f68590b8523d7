// The pool with real, tiny models: what a request gets never depends on what else goes on, memory
// stays within its budget, and everything ends exactly once.
#include "serve/pool/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/requests.h>

#include <future>
#include <random>
#include <set>
#include <thread>

#include "infer/models/tiny_model_test.h"
#include "serve/pool/local_worker.h"
#include "serve/pool/model_front.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using Replies = Result<std::vector<HostReply>>;

fs::path model_file(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".gguf");
}

Catalog catalog_of(const std::vector<std::string>& names) {
  std::vector<fs::path> places;
  for (const std::string& name : names) places.push_back(model_file(name));
  return *Catalog::read(places);
}

PoolOptions options_of(std::uint64_t memory = std::uint64_t{256} << 20) {
  PoolOptions options;
  options.memory = memory;
  options.threads = 2;
  options.pressure = [] { return std::optional<double>(0); };
  return options;
}

Request request_of(const std::string& text, int max_tokens = 12, int seed = 1) {
  Request request;
  request.ask = Talk{{{"user", text}}};
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  request.top_logprobs = 5;
  // End tokens out of the way, so that answers have their length.
  for (int id = 256; id < 319; ++id) request.sampling.logit_bias[id] = -100;
  return request;
}

const StopFlag kNeverStops;

struct Asked {
  ModelHost::Id id = 0;
  std::future<Replies> replies;
};
Asked ask(Pool& pool, const std::string& model, HostRequest request,
          std::function<void(const Delta&)> on_delta = {}) {
  auto promise = std::make_shared<std::promise<Replies>>();
  Asked asked{.replies = promise->get_future()};
  asked.id = pool.submit(model, std::move(request), std::move(on_delta),
                         [promise](Replies replies) { promise->set_value(std::move(replies)); });
  return asked;
}
std::vector<HostReply> replies_of(Pool& pool, const std::string& model, HostRequest request) {
  auto replies = ask(pool, model, std::move(request)).replies.get();
  EXPECT_TRUE(replies.has_value()) << (replies ? "" : replies.error().message);
  return replies ? *std::move(replies) : std::vector<HostReply>(1);
}
HostReply reply_of(Pool& pool, const std::string& model, HostRequest request) {
  return replies_of(pool, model, std::move(request)).front();
}
std::string error_of(Pool& pool, const std::string& model, HostRequest request) {
  const auto replies = ask(pool, model, std::move(request)).replies.get();
  return replies ? "none" : replies.error().code + ": " + replies.error().message;
}

using Tokens = Result<std::vector<std::int32_t>>;
Tokens prompt_of(Pool& pool, const std::string& model, const Request& request) {
  std::promise<Tokens> promise;
  pool.prompt_of(model, request, [&](Tokens tokens) { promise.set_value(std::move(tokens)); });
  return promise.get_future().get();
}
bool same_bits(const Reply& a, const Reply& b) {
  if (a.text != b.text || a.logprobs.size() != b.logprobs.size()) return false;
  for (std::size_t i = 0; i < a.logprobs.size(); ++i) {
    if (a.logprobs[i].token != b.logprobs[i].token ||
        a.logprobs[i].logprob != b.logprobs[i].logprob || a.logprobs[i].top != b.logprobs[i].top)
      return false;
  }
  return true;
}

// P11: a warm prefix or a parallel neighbour changes nothing.
TEST(Pool, TheSameBitsColdWarmAloneAndBesideSeven) {
  Request request = request_of(std::string(300, 'q') + " and so on", 20);
  Reply cold;
  {
    Pool pool(catalog_of({"llama-q4_0"}), options_of());
    cold = reply_of(pool, "llama-q4_0", request);
    EXPECT_EQ(cold.usage.cached_tokens, 0);
    EXPECT_EQ(cold.logprobs.size(), 20u);
    const Reply warm = reply_of(pool, "llama-q4_0", request);
    EXPECT_GT(warm.usage.cached_tokens, 300);
    EXPECT_TRUE(same_bits(cold, warm));
  }
  Pool pool(catalog_of({"llama-q4_0", "qwen3-q4_k_m"}), options_of());
  std::vector<Asked> neighbours;
  for (int i = 0; i < 7; ++i) {
    neighbours.push_back(
        ask(pool, i % 2 == 0 ? "llama-q4_0" : "qwen3-q4_k_m",
            request_of(std::string(static_cast<std::size_t>(40 * i), 'x'), 60, i)));
  }
  EXPECT_TRUE(same_bits(cold, reply_of(pool, "llama-q4_0", request)));
  request.prediction = cold.text;
  const Reply drafted = reply_of(pool, "llama-q4_0", request);
  EXPECT_TRUE(same_bits(cold, drafted));
  for (Asked& each : neighbours) EXPECT_TRUE(each.replies.get().has_value());
}

TEST(Pool, AModelMayComeWhileItRuns) {
  const Reply alone = [] {
    Pool pool(catalog_of({"qwen3-q4_k_m"}), options_of());
    return reply_of(pool, "qwen3-q4_k_m", request_of("hello", 20));
  }();
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  Asked before = ask(pool, "llama-q4_0", request_of("hello", 60));
  EXPECT_FALSE(pool.find("new"));
  const CatalogModel model{
      .name = "qwen3-q4_k_m", .file = model_file("qwen3-q4_k_m"), .aliases = {"new"}};
  ASSERT_TRUE(pool.add_model(model));
  EXPECT_EQ(pool.find("new").value_or(""), "qwen3-q4_k_m");
  const HostStatus status = pool.status();
  ASSERT_EQ(status.models.size(), 2U);
  EXPECT_EQ(status.models[1].architecture, "qwen3");
  EXPECT_TRUE(same_bits(alone, reply_of(pool, "qwen3-q4_k_m", request_of("hello", 20))));
  EXPECT_TRUE(before.replies.get().has_value());
  // Again: it has one name more. Another file of its name: nothing changes.
  ASSERT_TRUE(pool.add_model({.name = model.name, .file = model.file, .aliases = {"newer"}}));
  EXPECT_EQ(pool.find("newer").value_or(""), "qwen3-q4_k_m");
  EXPECT_FALSE(pool.add_model({.name = model.name, .file = model_file("llama-q4_0")}));
  EXPECT_EQ(pool.status().models.size(), 2U);
}

// 3 GiB of which nobody waits to see the end.
TEST(Pool, ALoadIsSeenAndStopped) {
  const TempDir dir = *TempDir::make();
  infer::write_tiny_model(dir.path() / "big.gguf",
                          {.width = 4096,
                           .layers = 15,
                           .hidden = 12'288,
                           .heads = 32,
                           .kv_heads = 32,
                           .head_dim = 128,
                           .vocabulary = 512,
                           .type = infer::TensorType::kQ8_0,
                           .hollow = true},
                          [](infer::GgufWriter& writer) { infer::add_vocabulary(writer, 512); });
  Pool pool(*Catalog::read(dir.path()), options_of(std::uint64_t{64} << 30));
  const auto info = [&] { return pool.status().models.at(0); };
  auto loaded = std::async(std::launch::async, [&] { return pool.load("big"); });
  while (info().loaded == 0 && info().state != ModelState::kFailed)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_EQ(info().state, ModelState::kLoading) << info().problem;
  EXPECT_LT(info().loaded, 1);
  EXPECT_GT(info().weights, std::uint64_t{3} << 30);
  ASSERT_TRUE(pool.unload("big"));
  const Status ended = loaded.get();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::kCancelled);
  while (info().state == ModelState::kLoading)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(info().state, ModelState::kCold);
  EXPECT_EQ(info().weights, 0U);
  EXPECT_EQ(info().loaded, 0);
  EXPECT_EQ(pool.status().booked.total(), 0U);
}

TEST(Pool, CandidatesShareOnePrefillAndDiffer) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  Request request = request_of(std::string(200, 'k'), 16);
  const Reply single = reply_of(pool, "llama-q4_0", request);
  request.candidates = 4;
  const auto four = replies_of(pool, "llama-q4_0", request);
  ASSERT_EQ(four.size(), 4u);
  EXPECT_TRUE(same_bits(four[0], single));
  EXPECT_NE(four[1].text, four[0].text);
  EXPECT_GT(four[0].usage.prompt_tokens, 0);
  EXPECT_EQ(four[1].usage.prompt_tokens, 0) << "counted once";
}

// P4, P5: models whose sum exceeds the budget, many clients at once.
TEST(Pool, ThreeModelsInABudgetForTwo) {
  const std::vector<std::string> names{"llama-q8_0", "qwen2-q4_k_m", "qwen3-q4_k_m"};
  std::map<std::string, Reply> expected;
  std::uint64_t largest = 0, sum = 0;
  for (const std::string& name : names) {
    Pool pool(catalog_of({name}), options_of());
    expected[name] = reply_of(pool, name, request_of("hello there", 30));
    const ModelInfo info = pool.status().models.at(0);
    const std::uint64_t bytes = info.weights + info.scratch;
    EXPECT_EQ(pool.room_of(name).takes, bytes) << "said before it is loaded as well";
    EXPECT_TRUE(pool.room_of(name).fits());
    EXPECT_FALSE(Pool(catalog_of({name}), options_of(bytes - 1)).room_of(name).fits());
    EXPECT_EQ(pool.room_of("no such").takes, 0U);
    largest = std::max(largest, bytes);
    sum += bytes;
  }
  const std::uint64_t memory = largest * 2 + (std::uint64_t{2} << 20);
  ASSERT_LT(memory, sum + (std::uint64_t{2} << 20));
  Pool pool(catalog_of(names), options_of(memory));
  std::vector<std::thread> clients;
  std::atomic<int> wrong{0};
  std::atomic<bool> done{false};
  for (unsigned c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937 random(c);
      for (int i = 0; i < 12; ++i) {
        const std::string& name = names[random() % names.size()];
        const auto replies = ask(pool, name, request_of("hello there", 30)).replies.get();
        if (!replies || !same_bits(replies->front(), expected[name])) ++wrong;
      }
    });
  }
  std::thread watcher([&] {
    while (!done) {
      const HostStatus status = pool.status();
      EXPECT_TRUE(status.booked.fits(status.limits));
      std::this_thread::sleep_for(Milliseconds(5));
    }
  });
  for (auto& client : clients) client.join();
  done = true;
  watcher.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(pool.status().counters.evictions, 0);
}

TEST(Pool, ColdPrefixesServeAnotherModel) {
  // Both models fit; what is left for KV holds one long prompt.
  Pool probe(catalog_of({"llama-q4_0", "qwen3-q4_k_m"}), options_of());
  reply_of(probe, "llama-q4_0", request_of("x"));
  reply_of(probe, "qwen3-q4_k_m", request_of("x"));
  std::uint64_t fixed = 0;
  for (const ModelInfo& info : probe.status().models) fixed += info.weights + info.scratch;
  Pool pool(catalog_of({"llama-q4_0", "qwen3-q4_k_m"}),
            options_of(fixed + (std::uint64_t{3} << 20)));
  for (int round = 0; round < 6; ++round) {
    for (const std::string name : {"llama-q4_0", "qwen3-q4_k_m"}) {
      reply_of(pool, name, request_of(std::string(700, static_cast<char>('a' + round)), 8));
      const HostStatus status = pool.status();
      EXPECT_TRUE(status.booked.fits(status.limits));
    }
  }
  EXPECT_EQ(pool.status().counters.evictions, 0) << "prefixes went, models did not";
}

TEST(Pool, KeptPrefixesSurviveTrafficAndYieldToWhatCouldNotRunElse) {
  Pool probe(catalog_of({"llama-q4_0"}), options_of());
  reply_of(probe, "llama-q4_0", request_of("x"));
  const ModelInfo info = probe.status().models.at(0);
  const std::uint64_t fixed = info.weights + info.scratch;
  Pool pool(catalog_of({"llama-q4_0"}), options_of(fixed + (std::uint64_t{4} << 20)));
  Request kept = request_of(std::string(700, 'k'), 4);
  kept.keep_prefix = true;
  const Reply first = reply_of(pool, "llama-q4_0", kept);
  for (int i = 0; i < 12; ++i)
    reply_of(pool, "llama-q4_0", request_of(std::string(700, static_cast<char>('a' + i)), 4));
  const Reply again = reply_of(pool, "llama-q4_0", kept);
  EXPECT_GT(again.usage.cached_tokens, 600);
  EXPECT_TRUE(same_bits(first, again));
  // Nearly all of the budget for one answer.
  const std::uint64_t block = std::uint64_t{64} * 64 * 2 * 2 * 2;
  const auto most = static_cast<int>((std::uint64_t{4} << 20) / block * 64);
  Request large = request_of("x", most > 400 ? most / 2 + 200 : 200);
  EXPECT_TRUE(ask(pool, "llama-q4_0", large).replies.get().has_value());
}

TEST(Pool, ARequestIsCancelledWhereverItIs) {
  PoolOptions options = options_of();
  options.sequences = 1;
  Pool pool(catalog_of({"llama-q4_0"}), options);
  std::promise<void> writing;
  bool said = false;
  Asked decoding = ask(pool, "llama-q4_0", request_of("a", 20'000), [&](const Delta&) {
    if (!std::exchange(said, true)) writing.set_value();
  });
  Asked queued = ask(pool, "llama-q4_0", request_of("b", 20'000));
  writing.get_future().wait();
  pool.cancel(queued.id);
  EXPECT_EQ(queued.replies.get().error().kind, ErrorKind::kCancelled);
  pool.cancel(decoding.id);
  EXPECT_EQ(decoding.replies.get().error().kind, ErrorKind::kCancelled);
  pool.cancel(decoding.id);  // once more changes nothing
  Asked prefill = ask(pool, "llama-q4_0", request_of(std::string(20'000, 'p'), 4));
  pool.cancel(prefill.id);
  EXPECT_EQ(prefill.replies.get().error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(reply_of(pool, "llama-q4_0", request_of("c", 5)).logprobs.size(), 5u);
}

TEST(Pool, RefusalsSayWhyAndWithWhichNumbers) {
  PoolOptions options = options_of(std::uint64_t{24} << 20);
  options.queue = 2;
  options.sequences = 2;
  Pool pool(catalog_of({"llama-q4_0"}), options);
  EXPECT_THAT(error_of(pool, "llama-q4_0", request_of(std::string(40'000, 'x'))),
              HasSubstr("context_length_exceeded: the prompt has 4"));
  EXPECT_THAT(error_of(pool, "llama-q4_0", request_of("x", 32'000)),
              HasSubstr("does_not_fit: 'llama-q4_0' needs"));
  Request request = request_of("x");
  request.max_tokens = 0;  // no limit of its own: as much as there is room for
  request.stop = {"e"};
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("none"));
  request = request_of("x");
  request.candidates = 3;
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("n is 3; 1 to 2"));
  request = request_of("x");
  request.form = SchemaForm{{{"not", {{"type", "string"}}}}, true};
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("'not'"));
  request = request_of("x");
  request.form = GrammarForm{"root ::= root \"a\""};
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("recursi"));
  request = request_of("x");
  request.sampling.logit_bias[99'999] = 1;
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("names token 99999"));
  for (int id = 0; id < 319; ++id)
    request.sampling.logit_bias[id] = -std::numeric_limits<double>::infinity();
  request.sampling.logit_bias.erase(99'999);
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("no token is left"));
  request = request_of("x");
  request.ask = TokenPrompt{{-1}};
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("names token -1"));
  EXPECT_THAT(pool.resolve("../../etc/passwd").error().message, HasSubstr("there is no model"));
  EXPECT_EQ(*pool.resolve("gpt-4o"), "llama-q4_0") << "the only model stands for it";

  std::vector<Asked> many;
  for (int i = 0; i < 40; ++i) many.push_back(ask(pool, "llama-q4_0", request_of("x", 200)));
  int full = 0;
  for (Asked& each : many) {
    const auto replies = each.replies.get();
    full += !replies && replies.error().code == "queue_full" ? 1 : 0;
    EXPECT_TRUE(replies || replies.error().code == "queue_full") << replies.error().message;
  }
  EXPECT_GT(full, 0);
  // The status is published now and then.
  const auto failed = [&] { return pool.status().counters.failed; };
  for (int i = 0; i < 200 && failed() == 0; ++i) std::this_thread::sleep_for(Milliseconds(10));
  EXPECT_EQ(failed(), 1) << "only the one whose bias left nothing";
}

TEST(Pool, AToolThatMustBeCalledIsCalled) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  Request request = request_of("weather?", 400);
  Talk& talk = talk_of(request);
  talk.tools = {{.name = "get_weather",
                 .parameters = {{"type", "object"},
                                {"properties",
                                 {{"day", {{"type", "integer"}, {"minimum", 0}, {"maximum", 6}}}}},
                                {"required", {"day"}},
                                {"additionalProperties", false}}}};
  talk.tool_choice = MustCall();
  const Reply reply = reply_of(pool, "llama-q4_0", request);
  EXPECT_EQ(reply.finish, FinishReason::kToolCalls);
  ASSERT_EQ(reply.calls.size(), 1u);
  EXPECT_EQ(reply.calls[0].name, "get_weather");
  const Json arguments = *parse_json(reply.calls[0].arguments);
  EXPECT_LE(arguments["day"].get<int>(), 6);
  EXPECT_FALSE(reply.calls[0].id.empty());
  talk.tool_choice = MustCall{"no_such_tool"};
  EXPECT_THAT(error_of(pool, "llama-q4_0", request), HasSubstr("there is no such tool"));
}

TEST(Pool, CallsAreReadOnlyWhereTheyMayBeMeant) {
  const Catalog catalog = catalog_of({"llama-q4_0"});
  const auto front = ModelFront::open(catalog.models().front());
  ASSERT_TRUE(front) << front.error().message;
  Request request = request_of("weather?", 10);
  Talk& talk = talk_of(request);
  talk.tools = {{.name = "f"}};
  const auto tools = [&] {
    const auto prepared = (*front)->prepare(request, {}, 100, kNeverStops);
    EXPECT_TRUE(prepared) << (prepared ? "" : prepared.error().message);
    return prepared ? prepared->answer.tools : std::vector<infer::OfferedTool>{{"none"}};
  };
  EXPECT_EQ(tools(), std::vector<infer::OfferedTool>{{"f"}});
  talk.tool_choice = NoCall();
  EXPECT_TRUE(tools().empty());
  talk.tool_choice = MayCall();
  for (const AnswerForm& form :
       {AnswerForm(SchemaForm{{{"type", "object"}}}), AnswerForm(AnyJsonForm()),
        AnswerForm(GrammarForm{"root ::= \"a\""})}) {
    request.form = form;
    EXPECT_TRUE(tools().empty()) << form.index();
  }
}

// What of a schema cannot be kept is refused where all of it was asked for.
TEST(Pool, AStrictSchemaIsKeptOrRefused) {
  const Catalog catalog = catalog_of({"llama-q4_0"});
  const auto front = ModelFront::open(catalog.models().front());
  ASSERT_TRUE(front) << front.error().message;
  Request request = request_of("weather?", 10);
  request.form = SchemaForm{{{"not", {{"type", "string"}}}}};
  EXPECT_TRUE((*front)->prepare(request, {}, 100, kNeverStops));
  std::get<SchemaForm>(request.form).strict = true;
  const auto refused = (*front)->prepare(request, {}, 100, kNeverStops);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("'not' cannot be kept"));
  EXPECT_EQ(refused.error().code, "unsupported_schema");
  request.form = FreeForm();
  Talk& talk = talk_of(request);
  talk.tools = {{.name = "f", .parameters = {{"not", {{"type", "null"}}}}}};
  talk.tool_choice = MustCall();
  EXPECT_TRUE((*front)->prepare(request, {}, 100, kNeverStops));
  talk.tools[0].strict = true;
  EXPECT_FALSE((*front)->prepare(request, {}, 100, kNeverStops));
}

// Definitions stand in the parameters of each tool, and are referred to from there.
TEST(Pool, ToolsMayReferToTheirDefinitions) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  const auto tool = [](const char* name, const char* holder, Json value) {
    const std::string ref = fmt::format("#/{}/A", holder);
    return Tool{
        .name = name,
        .parameters = {{"type", "object"},
                       {holder, {{"A", std::move(value)}}},
                       {"properties", {{"a", {{"$ref", ref}}}, {"$ref", {{"type", "boolean"}}}}},
                       {"required", {"a", "$ref"}},
                       {"additionalProperties", false}}};
  };
  Request request = request_of("x", 400);
  Talk& talk = talk_of(request);
  talk.tools = {tool("f", "$defs", {{"type", "integer"}, {"minimum", 1}, {"maximum", 3}}),
                tool("g", "definitions", {{"enum", {"x", "y"}}})};
  for (const char* name : {"f", "g"}) {
    talk.tool_choice = MustCall{name};
    const Reply reply = reply_of(pool, "llama-q4_0", request);
    ASSERT_EQ(reply.calls.size(), 1u) << reply.text;
    const Json arguments = *parse_json(reply.calls[0].arguments);
    EXPECT_TRUE(arguments["$ref"].is_boolean());
    EXPECT_THAT(arguments["a"], ::testing::AnyOf(1, 2, 3, "x", "y"));
    EXPECT_EQ(arguments["a"].is_number(), reply.calls[0].name == "f");
  }
  talk.tool_choice = MustCall();
  EXPECT_EQ(reply_of(pool, "llama-q4_0", request).calls.size(), 1u);
  // A tree of itself.
  talk.tools = {
      {.name = "tree",
       .parameters = {{"type", "object"},
                      {"properties", {{"left", {{"$ref", "#"}}}, {"n", {{"type", "integer"}}}}},
                      {"required", {"n"}},
                      {"additionalProperties", false}}}};
  request.max_tokens = 1;
  EXPECT_EQ(reply_of(pool, "llama-q4_0", request).finish, FinishReason::kLength);
}

TEST(Pool, WithoutASeedAnswersDifferAndSayWhatTheyWereDrawnFrom) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  Request request = request_of("x", 24);
  request.sampling.temperature = 1.5;
  std::set<std::string> texts;
  for (const std::int64_t seed : {-1, -1, -2}) {
    request.sampling.seed.reset();
    if (seed != -2) request.sampling.seed = seed;
    const Reply drawn = reply_of(pool, "llama-q4_0", request);
    texts.insert(drawn.text);
    ASSERT_TRUE(drawn.seed.has_value());
    request.sampling.seed = drawn.seed;
    EXPECT_TRUE(same_bits(reply_of(pool, "llama-q4_0", request), drawn)) << *drawn.seed;
  }
  EXPECT_EQ(texts.size(), 3u);
  request.sampling.seed = 0;
  EXPECT_EQ(reply_of(pool, "llama-q4_0", request).seed, 0);
}

// The turn of the assistant that a talk ends with stays open.
TEST(Pool, TheLastWordsOfTheAssistantAreGoneOnWith) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  Request request = request_of("say it");
  talk_of(request).messages.push_back({"assistant", "Sure, here "});
  const auto open = prompt_of(pool, "llama-q4_0", request);
  ASSERT_TRUE(open.has_value());
  const std::string text = *pool.detokenize("llama-q4_0", *open, true);
  EXPECT_THAT(text, ::testing::EndsWith("Sure, here "));
  talk_of(request).messages.push_back({"user", "go on"});
  const std::string closed =
      *pool.detokenize("llama-q4_0", *prompt_of(pool, "llama-q4_0", request), true);
  EXPECT_THAT(closed, HasSubstr("Sure, here"));
  EXPECT_THAT(closed, ::testing::Not(::testing::EndsWith("Sure, here ")));
}

TEST(Pool, FilesAreKnownBeforeTheyAreLoaded) {
  const TempDir dir = *TempDir::make();
  fs::copy(model_file("llama-q4_0"), dir.path() / "good.gguf");
  ASSERT_TRUE(write_file_atomic(dir.path() / "broken.gguf", "GGUF"));
  Pool pool(*Catalog::read(dir.path()), options_of());
  const HostStatus status = pool.status();
  ASSERT_EQ(status.models.size(), 2u);
  EXPECT_EQ(status.models[0].state, ModelState::kFailed);
  EXPECT_THAT(status.models[0].problem, ::testing::StartsWith("'broken': truncated"));
  const ModelInfo& good = status.models[1];
  EXPECT_EQ(good.state, ModelState::kCold);
  EXPECT_EQ(good.architecture, "llama");
  EXPECT_EQ(good.context, 32768u);
  EXPECT_GT(good.parameters, 0u);
  EXPECT_TRUE(good.sampling.temperature.has_value());
  // The same after it was loaded, and after it has gone.
  ASSERT_TRUE(pool.load("good"));
  const HostStatus loaded = pool.status();
  const ModelInfo& ready = loaded.models[1];
  EXPECT_EQ(ready.state, ModelState::kReady);
  EXPECT_EQ(ready.context, good.context);
  EXPECT_GT(ready.weights, 0u);
  EXPECT_EQ(ready.devices,
            DeviceBytes("cpu", ready.weights + ready.scratch + ready.kv + ready.prefix));
  EXPECT_EQ(loaded.booked, ready.devices) << "it is the only one";
  ASSERT_TRUE(pool.unload("good"));
  EXPECT_EQ(pool.status().models[1].state, ModelState::kCold);
  EXPECT_EQ(pool.status().booked, DeviceBytes());
}

TEST(Pool, ADefaultAnswersButIsNeverTakenForAnother) {
  const TempDir dir = *TempDir::make();
  for (const char* name : {"one", "two"})
    fs::copy(model_file("llama-q4_0"), dir.path() / (std::string(name) + ".gguf"));
  ASSERT_TRUE(write_file_atomic(dir.path() / "models.toml", "default = \"two\"\n"));
  Pool pool(*Catalog::read(dir.path()), options_of());
  EXPECT_EQ(*pool.resolve("what-ever"), "two");
  EXPECT_EQ(*pool.resolve(""), "two");
  EXPECT_FALSE(pool.find("what-ever"));
  EXPECT_FALSE(pool.find(""));
  EXPECT_EQ(*pool.find("one"), "one");
  EXPECT_FALSE(pool.resolve("one+typo")) << "the model without its adapter is another one";
}

TEST(Pool, EmbeddingsComeInOrderBesideATalk) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  Asked talk = ask(pool, "llama-q4_0", request_of("hello", 100));
  std::promise<Result<Embeddings>> promise;
  pool.embed("llama-q4_0", {{"one", {}}, {std::string(400, 'b'), {}}, {"", {5, 6}}}, false, {},
             [&](Result<Embeddings> got) { promise.set_value(std::move(got)); });
  const auto got = promise.get_future().get();
  ASSERT_TRUE(got.has_value()) << got.error().message;
  ASSERT_EQ(got->vectors.size(), 3u);
  for (const auto& vector : got->vectors) {
    double norm = 0;
    for (const float each : vector) norm += static_cast<double>(each) * static_cast<double>(each);
    EXPECT_NEAR(norm, 1, 1e-5);
  }
  EXPECT_GT(got->usage.prompt_tokens, 400);
  EXPECT_TRUE(talk.replies.get().has_value());
}

Result<Embeddings> embedded(Pool& pool, const std::string& model, std::vector<TextInput> inputs,
                            bool cut = false) {
  std::promise<Result<Embeddings>> promise;
  pool.embed(model, std::move(inputs), cut, {},
             [&](Result<Embeddings> got) { promise.set_value(std::move(got)); });
  return promise.get_future().get();
}

Result<Relevance> ranked(Pool& pool, const std::string& model, std::vector<std::string> documents) {
  std::promise<Result<Relevance>> promise;
  pool.rank(model, "a cab", std::move(documents), {},
            [&](Result<Relevance> got) { promise.set_value(std::move(got)); });
  return promise.get_future().get();
}

TEST(Pool, AnEncoderReadsTextsWholeAndWritesNone) {
  Pool pool(catalog_of({"bert"}), options_of());
  const auto got = embedded(pool, "bert", {{"a cab", {}}, {"", {2, 5, 7, 3}}, {"a cab", {}}});
  ASSERT_TRUE(got.has_value()) << got.error().message;
  EXPECT_EQ(got->vectors[0], got->vectors[2]);
  EXPECT_NE(got->vectors[0], got->vectors[1]);
  EXPECT_EQ(pool.status().models[0].embedding, 32u);
  // The context is 128: refused with both numbers, or cut to it with the closing token in place.
  const std::vector<TextInput> longer = {{"", std::vector<std::int32_t>(129, 5)}};
  EXPECT_THAT(embedded(pool, "bert", longer).error().message, HasSubstr("129 tokens"));
  EXPECT_EQ(embedded(pool, "bert", longer, true)->cut, 1u);
  std::string text;
  for (int i = 0; i < 200; ++i) text += "a ";
  std::vector<std::int32_t> ids(128, 5);
  ids.front() = 2;
  ids.back() = 3;
  const auto cut = embedded(pool, "bert", {{text, {}}, {"", ids}}, true);
  ASSERT_TRUE(cut.has_value()) << cut.error().message;
  EXPECT_EQ(cut->vectors[0], cut->vectors[1]);
  EXPECT_EQ(error_of(pool, "bert", request_of("hello")),
            "unsupported_value: 'bert': bert is an encoder: it makes embeddings of texts and "
            "writes none; ask /v1/embeddings");
  EXPECT_THAT(ranked(pool, "bert", {"a"}).error().message, HasSubstr("no reranker"));
}

TEST(Pool, ARerankerScoresPairs) {
  Pool pool(catalog_of({"bert-rank", "qwen3-reranker"}), options_of());
  for (const char* name : {"bert-rank", "qwen3-reranker"}) {
    const auto all = ranked(pool, name, {"one", "two", "a third one"});
    ASSERT_TRUE(all.has_value()) << all.error().message;
    const auto alone = ranked(pool, name, {"two"});
    EXPECT_EQ(all->scores.at(1), alone->scores.at(0));
    for (const double score : all->scores) {
      EXPECT_GT(score, 0);
      EXPECT_LT(score, 1);
    }
    EXPECT_GT(all->usage.prompt_tokens, alone->usage.prompt_tokens);
    EXPECT_THAT(embedded(pool, name, {{"x", {}}}).error().message, HasSubstr("ask /v1/rerank"));
  }
  const auto longer = ranked(pool, "bert-rank", {"short", std::string(400, '!')});
  ASSERT_FALSE(longer.has_value());
  EXPECT_EQ(longer.error().code, "context_length_exceeded");
  EXPECT_THAT(longer.error().message, HasSubstr("document 1"));
}

TEST(Pool, ARestartIsWarm) {
  const TempDir dir = *TempDir::make();
  PoolOptions options = options_of();
  options.snapshots = dir.path();
  const Request request = request_of(std::string(500, 'w'), 10);
  Reply before;
  {
    Pool pool(catalog_of({"llama-q4_0"}), options);
    before = reply_of(pool, "llama-q4_0", request);
  }
  ASSERT_TRUE(fs::exists(dir.path() / "llama-q4_0.kv"));
  {
    Pool pool(catalog_of({"llama-q4_0"}), options);
    const Reply after = reply_of(pool, "llama-q4_0", request);
    EXPECT_GT(after.usage.cached_tokens, 400);
    EXPECT_TRUE(same_bits(before, after));
  }
  // A damaged snapshot is refused, and nothing else is.
  std::string bytes = *read_file(dir.path() / "llama-q4_0.kv");
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(write_file_atomic(dir.path() / "llama-q4_0.kv", bytes).has_value());
  Pool pool(catalog_of({"llama-q4_0"}), options);
  const Reply cold = reply_of(pool, "llama-q4_0", request);
  EXPECT_EQ(cold.usage.cached_tokens, 0);
  EXPECT_TRUE(same_bits(before, cold));
}

TEST(Pool, TheEndAnswersEveryone) {
  auto pool = std::make_unique<Pool>(catalog_of({"llama-q4_0", "qwen2-q4_k_m"}), options_of());
  std::vector<Asked> asked;
  for (int i = 0; i < 20; ++i) {
    asked.push_back(ask(*pool, i % 2 == 0 ? "llama-q4_0" : "qwen2-q4_k_m",
                        request_of(std::string(100, 'z'), 5000)));
  }
  pool.reset();
  for (Asked& each : asked) {
    const auto replies = each.replies.get();
    ASSERT_FALSE(replies.has_value());
    EXPECT_EQ(replies.error().code, "shutting_down");
  }
}

TEST(Pool, MemoryPressureShrinksThePrefixCacheFirst) {
  PoolOptions options = options_of();
  std::atomic<double> pressure{0};
  options.pressure = [&] { return std::optional<double>(pressure.load()); };
  Pool pool(catalog_of({"llama-q4_0"}), options);
  for (int i = 0; i < 20; ++i)
    reply_of(pool, "llama-q4_0", request_of(std::string(2000, static_cast<char>('a' + i)), 4));
  const std::uint64_t before = pool.status().models.at(0).prefix;
  ASSERT_GT(before, 0u);
  pressure = 0.9;
  for (int i = 0; i < 200 && pool.status().models.at(0).prefix >= before / 2; ++i)
    std::this_thread::sleep_for(Milliseconds(100));
  EXPECT_LT(pool.status().models.at(0).prefix, before / 2);
  EXPECT_EQ(pool.status().models.at(0).state, ModelState::kReady);
}

TEST(Pool, ADamagedModelFailsItsRequestsAndNoOthers) {
  const TempDir dir = *TempDir::make();
  std::string bytes = *read_file(model_file("llama-q4_0"));
  ASSERT_TRUE(write_file_atomic(dir.path() / "cut.gguf", bytes.substr(0, 5000)).has_value());
  ASSERT_TRUE(write_file_atomic(dir.path() / "good.gguf", bytes).has_value());
  Pool pool(*Catalog::read(dir.path()), options_of());
  const std::string error = error_of(pool, "cut", request_of("x"));
  EXPECT_THAT(error, HasSubstr("model_load_failed: 'cut'"));
  EXPECT_THAT(error, ::testing::Not(HasSubstr(dir.path().string()))) << "nobody's business";
  EXPECT_EQ(reply_of(pool, "good", request_of("x", 3)).logprobs.size(), 3u);
  EXPECT_TRUE(pool.unload("good").has_value());
  EXPECT_EQ(reply_of(pool, "good", request_of("x", 3)).logprobs.size(), 3u);
}

TEST(LocalWorker, AsksThePoolAndStops) {
  Pool pool(catalog_of({"llama-q4_0"}), options_of());
  LocalWorker worker(pool, "llama-q4_0");
  StopFlag stop;
  std::string streamed;
  const auto reply = worker.complete(request_of("hello", 10), stop,
                                     [&](const Delta& delta) { streamed += delta.text; });
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(streamed, reply->text);
  EXPECT_TRUE(reply->usage.counted);
  std::thread stopper([&] {
    std::this_thread::sleep_for(Milliseconds(50));
    stop.raise();
  });
  EXPECT_EQ(worker.complete(request_of("hello", 30'000), stop, {}).error().kind,
            ErrorKind::kCancelled);
  stopper.join();
  stop.clear();
  Request request = request_of("hello", 30'000);
  request.time_limit = Milliseconds(30);
  EXPECT_EQ(worker.complete(request, stop, {}).error().kind, ErrorKind::kTimeout);
}

// An adapter file beside the models: MODEL+ADAPTER answers with it, the model itself as ever, in
// turn and side by side over one prompt, and its bytes are booked.
TEST(Pool, AdaptersAreAskedForByNameAndLeaveTheModelAsItIs) {
  const TempDir directory = *TempDir::make();
  for (const char* name : {"llama-q4_0", "qwen3-q4_k_m"})
    fs::copy_file(model_file(name), directory.path() / (std::string(name) + ".gguf"));
  const infer::Gguf base = *infer::Gguf::open(model_file("llama-q4_0"));
  {
    const infer::Blueprint blueprint = *infer::read_blueprint(base);
    auto writer = *infer::GgufWriter::create(directory.path() / "poet.gguf");
    writer.add("general.type", std::string("adapter"));
    writer.add("general.architecture", std::string("llama"));
    writer.add("adapter.type", std::string("lora"));
    writer.add("adapter.lora.alpha", 4.0);
    const std::uint64_t a[] = {blueprint.embedding, 4};
    const std::uint64_t b[] = {4, blueprint.layers[0].ffn.hidden};
    writer.add_tensor("blk.0.ffn_up.weight.lora_a", infer::TensorType::kF32, a);
    writer.add_tensor("blk.0.ffn_up.weight.lora_b", infer::TensorType::kF32, b);
    ASSERT_TRUE(writer.begin_data());
    for (const auto* shape : {a, b}) {
      std::vector<float> values(shape[0] * shape[1]);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(i * 7919 % 101) / 200 - 0.25f;
      ASSERT_TRUE(writer.write(std::as_bytes(std::span(values))));
    }
    ASSERT_TRUE(writer.finish());
  }
  const Catalog catalog = *Catalog::read(directory.path());
  ASSERT_EQ(catalog.models().size(), 2u);
  ASSERT_EQ(catalog.adapters().size(), 1u);
  const Request request = request_of("the same words for both of them, long enough to be kept", 12);
  Reply plain;
  {
    Pool alone(catalog_of({"llama-q4_0"}), options_of());
    plain = reply_of(alone, "llama-q4_0", request);
  }
  Pool pool(catalog, options_of());
  EXPECT_EQ(*pool.resolve("llama-q4_0+poet"), "llama-q4_0+poet");
  EXPECT_FALSE(pool.resolve("llama-q4_0+critic"));
  EXPECT_FALSE(pool.resolve("poet"));
  const Reply adapted = reply_of(pool, "llama-q4_0+poet", request);
  EXPECT_FALSE(same_bits(adapted, plain));
  EXPECT_TRUE(same_bits(reply_of(pool, "llama-q4_0", request), plain)) << "from a warm cache";
  std::vector<Asked> both;
  for (int i = 0; i < 6; ++i)
    both.push_back(ask(pool, i % 2 == 0 ? "llama-q4_0" : "llama-q4_0+poet", request));
  for (std::size_t i = 0; i < both.size(); ++i)
    EXPECT_TRUE(same_bits(both[i].replies.get()->front(), i % 2 == 0 ? plain : adapted)) << i;
  EXPECT_THAT(error_of(pool, "qwen3-q4_k_m+poet", request), HasSubstr("is an adapter for llama"));
}

// What guesses changes no bit, and is booked with its model.
TEST(Pool, GuessesChangeNothingAndAreBooked) {
  const TempDir directory = *TempDir::make();
  const auto copy = [&](const char* name, const std::string& as) {
    fs::copy_file(model_file(name), directory.path() / (as + ".gguf"));
  };
  copy("llama-q4_0", "plain");
  copy("llama-q4_0", "guessed");
  copy("qwen35", "hybrid");
  copy("qwen35", "predicted");
  ASSERT_TRUE(write_file_atomic(directory.path() / "models.toml",
                                "[model.guessed]\ndraft = \"plain.gguf\"\ncontext = 512\n"
                                "[model.predicted]\ndraft = \"mtp\"\ncontext = 512\n"
                                "[model.plain]\ncontext = 512\n[model.hybrid]\ncontext = 512\n"));
  Pool pool(*Catalog::read(directory.path()), options_of());
  for (const auto& [plain, guessed] :
       {std::pair{"plain", "guessed"}, std::pair{"hybrid", "predicted"}}) {
    Request request = request_of("one text for both", 60);
    request.sampling.logit_bias.clear();
    request.sampling.temperature = 0;
    for (int round = 0; round < 2; ++round)
      EXPECT_TRUE(same_bits(reply_of(pool, guessed, request), reply_of(pool, plain, request)));
    const HostStatus status = pool.status();
    const auto of = [&](const char* name) {
      return *std::ranges::find(status.models, name, &ModelInfo::name);
    };
    EXPECT_GT(of(guessed).weights, of(plain).weights);
    EXPECT_GT(of(guessed).scratch, of(plain).scratch);
  }
}

}  // namespace
}  // namespace lathe::serve
