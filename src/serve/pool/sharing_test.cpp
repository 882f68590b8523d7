// Several clients and two classes on one pool: who comes when, what each took, and that nobody's
// bits change.
#include <gtest/gtest.h>
#include <testing/raw_client.h>

#include <cmath>
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <set>

#include "serve/pool/pool.h"

namespace lathe::serve {
namespace {

using testing::eventually;

const std::string kModel = "llama-q4_0";

Catalog catalog() {
  return *Catalog::read({fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (kModel + ".gguf")});
}

PoolOptions shared_options(std::size_t sequences = 32) {
  PoolOptions options;
  options.memory = std::uint64_t{256} << 20;
  options.threads = 2;
  options.sequences = sequences;
  options.pressure = [] { return std::optional<double>(0); };
  return options;
}

Caller caller(const std::string& key, CallClass call_class = CallClass::kInteractive) {
  return {key, call_class, 1};
}

HostRequest request_by(const Caller& who, const std::string& text, int max_tokens, int seed = 1) {
  Request request;
  request.ask = Talk{{{"user", text}}};
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  // End tokens out of the way, so that answers have their length.
  for (int id = 256; id < 319; ++id) request.sampling.logit_bias[id] = -100;
  HostRequest asked(std::move(request));
  asked.caller = who;
  return asked;
}

// Requests under way, and what came of them, in order.
class Clients {
 public:
  explicit Clients(Pool& pool) : pool_(pool) {}

  struct Ended {
    std::string name;
    Result<std::vector<HostReply>> replies;
    Usage usage;  // as it was told, whatever came of it
  };

  ModelHost::Id ask(const std::string& name, HostRequest request) {
    request.on_usage = [this, name](const Usage& usage) {
      const std::scoped_lock lock(mutex_);
      EXPECT_TRUE(usages_.emplace(name, usage).second) << "told twice";
    };
    {
      const std::scoped_lock lock(mutex_);
      ++under_way_;
    }
    return pool_.submit(
        kModel, std::move(request),
        [this, name](const Delta& delta) {
          const std::scoped_lock lock(mutex_);
          tokens_[name] += delta.text.empty() ? 0 : 1;
          changed_.notify_all();
        },
        [this, name](Result<std::vector<HostReply>> replies) {
          const std::scoped_lock lock(mutex_);
          ended_.push_back({name, std::move(replies), usages_[name]});
          --under_way_;
          changed_.notify_all();
        });
  }
  // Deltas so far.
  int tokens(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    return tokens_[name];
  }
  void wait_for_tokens(const std::string& name) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return tokens_[name] > 0; });
  }
  void wait_for_end(const std::string& name) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return std::ranges::any_of(ended_, [&](const Ended& one) { return one.name == name; });
    });
  }
  std::vector<Ended> all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return under_way_ == 0; });
    return std::move(ended_);
  }

 private:
  Pool& pool_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0;
  std::vector<Ended> ended_;
  std::map<std::string, Usage> usages_;
  std::map<std::string, int> tokens_;
};

std::string text_of(const Clients::Ended& ended) {
  return ended.replies ? ended.replies->front().text : ended.replies.error().message;
}

// One client has sent many, another sends one: it waits for what was handed over, not for all.
TEST(Sharing, OneRequestWaitsForNobodysTwenty) {
  Pool pool(catalog(), shared_options(1));
  Clients clients(pool);
  clients.ask("first", request_by(caller("many"), "x", 200));
  clients.wait_for_tokens("first");
  for (int i = 0; i < 20; ++i)
    clients.ask("many " + std::to_string(i), request_by(caller("many"), std::to_string(i), 20));
  clients.ask("one", request_by(caller("one"), "x", 20));
  std::size_t place = 0;
  const auto ended = clients.all();
  while (ended[place].name != "one") ++place;
  EXPECT_LE(place, 4U);
}

// Where one client's answers have all the places, another's gets one, and has its share of each
// step.
TEST(Sharing, OneRequestGetsAPlaceAmongLongAnswers) {
  Pool pool(catalog(), shared_options(4));
  Clients clients(pool);
  std::vector<ModelHost::Id> ids;
  for (int i = 0; i < 6; ++i)
    ids.push_back(clients.ask("many " + std::to_string(i),
                              request_by(caller("many"), std::to_string(i), 20'000)));
  clients.wait_for_tokens("many 3");
  clients.ask("one", request_by(caller("one"), "x", 200));
  clients.wait_for_end("one");
  for (int i = 0; i < 4; ++i) {
    EXPECT_GT(clients.tokens("many " + std::to_string(i)), 0);
    EXPECT_LT(clients.tokens("many " + std::to_string(i)), 20'000);
  }
  EXPECT_TRUE(eventually([&] { return pool.status().counters.preemptions >= 1; }));
  for (const auto id : ids) pool.cancel(id);
  for (const auto& each : clients.all()) EXPECT_EQ(each.replies.has_value(), each.name == "one");
}

// What each request took adds up to what all steps took, drafts, candidates, cancelled requests and
// texts to embed included.
TEST(Sharing, SharesAddUpToTheSteps) {
  Pool pool(catalog(), shared_options(4));
  Clients clients(pool);
  for (int i = 0; i < 8; ++i) {
    HostRequest request = request_by(caller(std::to_string(i % 3)), std::string(50, 'a'), 30, i);
    if (i == 3) request.candidates = 3;
    if (i == 4) request.prediction = std::string(60, 'b');
    if (i == 5) request.prompt_logprobs = true, request.ask = TextPrompt{"some text"};
    if (i == 5) request.top_logprobs = 1;
    clients.ask(std::to_string(i), std::move(request));
  }
  const auto long_one = clients.ask("long", request_by(caller("x"), "x", 20'000));
  std::promise<Usage> read;
  std::promise<Usage> told;
  pool.embed(kModel, {{"one", {}}, {"another", {}}}, false,
             {caller("e"), [&](const Usage& usage) { told.set_value(usage); }},
             [&](const Result<Embeddings>& embeddings) { read.set_value(embeddings->usage); });
  clients.wait_for_tokens("long");
  pool.cancel(long_one);
  const auto ended = clients.all();
  const Usage embedded = read.get_future().get();
  EXPECT_EQ(told.get_future().get().busy_us, embedded.busy_us);
  EXPECT_GT(embedded.prompt_tokens, 5);
  std::int64_t busy = embedded.busy_us.value(), prompts = embedded.prompt_tokens, written = 0;
  for (const auto& each : ended) {
    EXPECT_EQ(each.name == "long", !each.replies.has_value());
    if (each.replies) {
      EXPECT_EQ(each.replies->front().usage.busy_us, each.usage.busy_us);
    }
    EXPECT_TRUE(each.usage.counted);
    EXPECT_GT(each.usage.busy_us.value(), 0);
    EXPECT_GT(each.usage.completion_tokens, 0) << each.name;
    EXPECT_LE(each.usage.queued_us.value(), each.usage.first_token_us.value());
    busy += each.usage.busy_us.value();
    prompts += each.usage.prompt_tokens;
    written += each.usage.completion_tokens;
  }
  const auto counters = [&] {  // they are published now and then
    for (HostCounters now = pool.status().counters;; now = pool.status().counters)
      if (now.cancelled == 1 && now.busy_us == busy) return now;
  }();
  EXPECT_EQ(counters.prompt_tokens, prompts);
  EXPECT_EQ(counters.completion_tokens, written);
  EXPECT_NEAR(static_cast<double>(counters.step_us),
              static_cast<double>(busy + counters.recomputed_us), 20);
}

// Five joules went by while two were busy.
TEST(Sharing, EnergyIsSharedWhereItCanBeRead) {
  const TempDir root = *TempDir::make();
  const fs::path rapl = root.path() / "sys/class/powercap/intel-rapl:0";
  fs::create_directories(rapl);
  std::ofstream(rapl / "name") << "package-0\n";
  std::ofstream(rapl / "energy_uj") << "1000000\n";
  std::ofstream(rapl / "max_energy_range_uj") << "262143328850\n";
  PoolOptions options = shared_options();
  options.energy = root.path();
  Pool pool(catalog(), options);
  Clients clients(pool);
  clients.ask("one", request_by(caller("a"), "x", 600));
  clients.ask("two", request_by(caller("b"), "y", 600));
  clients.wait_for_tokens("two");
  ASSERT_TRUE(write_file_atomic(rapl / "energy_uj", "6000000\n"));
  const auto ended = clients.all();
  std::int64_t all = 0;
  for (const auto& each : ended) {
    EXPECT_EQ(each.usage.energy_scope, "socket");
    all += each.usage.millijoules.value_or(-1);
  }
  EXPECT_NEAR(static_cast<double>(all), 5000, 2);
  PoolOptions none = shared_options();
  none.energy = root.path() / "nothing";
  Pool dark(catalog(), none);
  Clients few(dark);
  few.ask("one", request_by(caller("a"), "x", 3));
  EXPECT_EQ(few.all()[0].usage.millijoules, std::nullopt) << "never 0";
}

// Where there is room for one, background work gives way, comes back, and says the same.
TEST(Sharing, BackgroundGivesWayAndSaysTheSame) {
  const Caller night = caller("night", CallClass::kBackground);
  const HostRequest work = request_by(night, "all night long", 600, 7);
  std::string alone;
  Usage usage;
  {
    Pool pool(catalog(), shared_options(1));
    Clients clients(pool);
    clients.ask("work", work);
    const auto ended = clients.all();
    alone = text_of(ended[0]);
    usage = ended[0].usage;
  }
  Pool pool(catalog(), shared_options(1));
  Clients clients(pool);
  clients.ask("endless", request_by(night, "x", 4000));
  clients.wait_for_tokens("endless");
  clients.ask("work", work);
  clients.ask("person", request_by(caller("anna"), "hello", 10));
  clients.wait_for_end("person");
  EXPECT_LT(clients.tokens("endless"), 4000);
  for (int i = 0; i < 3; ++i) {
    clients.ask("again " + std::to_string(i), request_by(caller("anna"), "hello", 300, i));
    clients.wait_for_end("again " + std::to_string(i));
  }
  const auto ended = clients.all();
  EXPECT_TRUE(eventually([&] { return pool.status().counters.preemptions >= 1; }));
  for (const auto& each : ended) {
    ASSERT_TRUE(each.replies.has_value()) << each.name;
    if (each.name != "work") continue;
    EXPECT_EQ(text_of(each), alone);
    EXPECT_EQ(each.usage.prompt_tokens, usage.prompt_tokens);
    EXPECT_EQ(each.usage.completion_tokens, usage.completion_tokens);
  }
}

// Beside a person's request, background work gets its share and little more.
TEST(Sharing, BackgroundRestsBesidePeopleAndNeverStops) {
  Pool pool(catalog(), shared_options());
  Clients clients(pool);
  const auto night =
      clients.ask("night", request_by(caller("night", CallClass::kBackground), "x", 20'000));
  clients.wait_for_tokens("night");
  const int before = clients.tokens("night");
  clients.ask("person", request_by(caller("anna"), "hello", 3000));
  clients.wait_for_end("person");
  const int during = clients.tokens("night") - before;
  EXPECT_GT(during, 0) << "it never stops";
  EXPECT_LT(during, 0.8 * clients.tokens("person")) << "it rests";
  pool.cancel(night);
  clients.all();
}

// How long an answer takes must not tell one key what another has asked: unless models.toml says
// so. The bits are the same.
TEST(Sharing, PrefixesAreEachKeysOwn) {
  const TempDir dir = *TempDir::make();
  fs::copy_file(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (kModel + ".gguf"),
                dir.path() / (kModel + ".gguf"));
  const std::string prompt(300, 'q');
  for (const bool shared : {false, true}) {
    if (shared)
      std::ofstream(dir.path() / "models.toml")
          << "[model." << kModel << "]\nshare_prefixes = true\n";
    PoolOptions options = shared_options();
    options.snapshots = dir.path();
    std::vector<std::pair<std::string, bool>> cached;
    std::set<std::string> texts;
    for (const std::vector<std::string>& keys :
         {std::vector<std::string>{"anna", "ben", "anna", "", "", "ben"}, {"anna", "carl"}}) {
      Pool pool(*Catalog::read(dir.path()), options);
      for (const std::string& key : keys) {
        Clients clients(pool);
        clients.ask("one", request_by(caller(key), prompt, 12));
        const auto ended = clients.all();
        cached.emplace_back(key, ended[0].usage.cached_tokens > 200);
        texts.insert(text_of(ended[0]));
      }
    }
    const std::vector<std::pair<std::string, bool>> expected{
        {"anna", false}, {"ben", shared}, {"anna", true},  {"", shared}, {"", true},
        {"ben", true},   {"anna", true},  {"carl", shared}};  // the last two after a restart
    EXPECT_EQ(cached, expected);
    EXPECT_EQ(texts.size(), 1U);
    fs::remove(dir.path() / (kModel + ".kv"));
  }
}

}  // namespace
}  // namespace lathe::serve
