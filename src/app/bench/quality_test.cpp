// Divergences against distributions worked out by hand and by another program, figures of a text,
// records of it, and two models in step.
#include "app/bench/quality.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "app/bench/side_by_side.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/models/vocabulary.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::int64_t nano(double nats) {
  return std::llround(nats * 1e9);
}

std::vector<float> logs_of(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

TEST(Quality, OfTwoRowsByHand) {
  // p = 1/2, 1/4, 1/4 and q = 1/4, 1/4, 1/2: KL = (log 2) / 2 − (log 2) / 4.
  const auto p = logs_of({0.5, 0.25, 0.25}), q = logs_of({0.25, 0.25, 0.5});
  const auto both = compare_rows(p, q, 2);
  ASSERT_TRUE(both);
  EXPECT_NEAR(static_cast<double>(both->kl), 1e9 * std::log(2) / 4, 100);  // logits are floats
  EXPECT_NEAR(static_cast<double>(both->bigger_nll), 1e9 * std::log(4), 100);
  EXPECT_NEAR(static_cast<double>(both->model_nll), 1e9 * std::log(2), 100);
  EXPECT_FALSE(both->same_top);
  // math.fsum over softmaxes in Python.
  const std::vector<float> b{1, 2, -1.5f, 0.25f}, m{0.5f, 2.5f, -1, 3};
  const auto other = compare_rows(b, m, 2);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->kl, nano(0.5677397947047054));
  EXPECT_EQ(other->bigger_nll, nano(3.9522537582311674));
  EXPECT_EQ(other->model_nll, nano(4.534697195331147));
  // What the bigger one rules out costs nothing.
  const auto without =
      compare_rows(std::vector<float>{0, 1, -kInfinity}, std::vector<float>{0, 1, 5}, 1);
  ASSERT_TRUE(without);
  EXPECT_EQ(without->kl, nano(3.7114832026205993));
}

TEST(Quality, OfARowAndItselfIsNothing) {
  const std::vector<float> row{0.1f, 3.7f, -20, 3.7f, 1e-3f, -kInfinity};
  const auto both = compare_rows(row, row, 3);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->kl, 0);
  EXPECT_EQ(both->bigger_nll, both->model_nll);
  EXPECT_TRUE(both->same_top);
  // A constant on all logits changes no probability.
  const auto moved =
      compare_rows(std::vector<float>{1, 2, 3}, std::vector<float>{1001, 1002, 1003}, 0);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->kl, 0);
  EXPECT_EQ(moved->bigger_nll, moved->model_nll);
}

TEST(Quality, WhatIsNoDistributionIsRefused) {
  const std::vector<float> good{1, 2, 3};
  const auto said = [&](std::vector<float> bigger, std::vector<float> model) {
    const auto both = compare_rows(bigger, model, 0);
    return both ? std::string() : both.error().message;
  };
  EXPECT_THAT(said(good, {1, kNan, 3}), HasSubstr("the model's logit of token 1 is nan"));
  EXPECT_THAT(said({kNan, 2, 3}, good), HasSubstr("the bigger model's logit of token 0 is nan"));
  EXPECT_THAT(said(good, {1, 2, kInfinity}), HasSubstr("token 2 is inf"));
  EXPECT_THAT(said(good, {-kInfinity, -kInfinity, -kInfinity}),
              HasSubstr("by the model's logits no token can come"));
  EXPECT_THAT(said(good, {1, 2, -kInfinity}), HasSubstr("the divergence is inf"));
  EXPECT_THAT(said({-1000, 2, 3}, good), HasSubstr("the bigger model's surprise is 1003 nats"));
}

QualityChunk chunk_of(const std::vector<double>& kl, std::size_t same_top, double bigger,
                      double model) {
  QualityChunk chunk;
  chunk.tokens.assign(kl.size() + 1, 7);
  for (const double value : kl) chunk.kl.push_back(nano(value));
  chunk.same_top = same_top;
  chunk.bigger_nll = nano(bigger);
  chunk.model_nll = nano(model);
  return chunk;
}

TEST(Quality, FiguresOfAText) {
  // Two chunks; the mean is 0.4, statistics.stdev / sqrt(5) = 0.13784….
  const auto figures =
      quality_figures({chunk_of({0.1, 0.2, 0.4}, 2, 6, 6.5), chunk_of({0.9, 0.4}, 1, 4, 4.5)});
  EXPECT_EQ(figures.kl.n, 5);
  EXPECT_NEAR(figures.mean_kl, 0.4, 1e-15);
  EXPECT_NEAR(figures.mean_kl_error, 0.13784048752090222, 1e-15);
  EXPECT_NEAR(figures.kl.figure.median, 0.4, 1e-15);
  EXPECT_NEAR(figures.kl.figure.high, 0.9, 1e-15);
  EXPECT_FALSE(figures.kl.p99);  // of 5
  EXPECT_EQ(figures.same_top, 3);
  EXPECT_NEAR(figures.bigger_perplexity, std::exp(2), 1e-12);
  EXPECT_NEAR(figures.model_perplexity, std::exp(2.2), 1e-12);
  EXPECT_NEAR(figures.ratio(), std::exp(0.2), 1e-12);
  // A hundred and one values: the 99th percentile is the one of rank 100.
  std::vector<double> many;
  for (int i = 0; i <= 100; ++i) many.push_back(i / 1000.0);
  EXPECT_NEAR(*quality_figures({chunk_of(many, 101, 1, 1)}).kl.p99, 0.099, 1e-15);
  EXPECT_EQ(quality_figures({chunk_of({0.5}, 1, 1, 1)}).mean_kl_error, 0);  // of one
}

TEST(Quality, ARecordOfIt) {
  const std::vector<QualityChunk> chunks{chunk_of({0.1, 0.000000002}, 2, 6, 6.5),
                                         chunk_of({0.9}, 0, 4, 4.5)};
  const Json json = quality_json(chunks);
  EXPECT_EQ(json["kl"]["mean"], "0.333333334");
  EXPECT_EQ(json["same_top"]["share"], "0.666667");
  EXPECT_EQ(json["kl"]["p99"], Json());
  const auto back = quality_from_json(json);
  ASSERT_TRUE(back);
  EXPECT_EQ(quality_json(*back), json);

  const auto said = [&](const std::function<void(Json&)>& change) {
    Json changed = json;
    change(changed);
    const auto read = quality_from_json(changed);
    return read ? std::string() : read.error().message;
  };
  EXPECT_THAT(said([](Json& q) { q["chunks"] = Json::array(); }), HasSubstr("there are none"));
  EXPECT_THAT(said([](Json& q) { q["chunks"][1]["kl_nanonats"][0] = -1; }),
              HasSubstr("chunks[1].kl_nanonats[0]: -1 does not lie in"));
  EXPECT_THAT(said([](Json& q) { q["chunks"][0]["kl_nanonats"][1] = "5"; }),
              HasSubstr("chunks[0].kl_nanonats[1]: must be a whole number"));
  EXPECT_THAT(said([](Json& q) { q["chunks"][0]["kl_nanonats"].erase(0); }),
              HasSubstr("chunks[0].kl_nanonats: 1 values for 3 tokens"));
  EXPECT_THAT(said([](Json& q) { q["chunks"][0]["same_top"] = 3; }),
              HasSubstr("chunks[0].same_top: 3 does not lie in [0, 2]"));
  EXPECT_THAT(said([](Json& q) { q["chunks"][0]["bigger_nll_nanonats"] = INT64_MAX; }),
              HasSubstr("chunks[0].bigger_nll_nanonats"));
  EXPECT_THAT(said([](Json& q) { q["chunks"][0].erase("model_nll_nanonats"); }),
              HasSubstr("chunks[0].model_nll_nanonats"));
}

// Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
TEST(Statistics, WilsonIntervals) {
  const auto near = [](std::size_t hits, std::size_t n, double low, double high) {
    const Interval interval = wilson_interval(hits, n);
    EXPECT_NEAR(interval.low, low, 5e-5) << hits << " of " << n;
    EXPECT_NEAR(interval.high, high, 5e-5) << hits << " of " << n;
  };
  near(81, 263, 0.2553, 0.3662);
  near(15, 148, 0.0624, 0.1605);
  near(0, 20, 0, 0.1611);
  near(1, 29, 0.0061, 0.1718);
  near(20, 20, 0.8389, 1);
  near(0, 0, 0, 1);
}

// A tiny model, opened twice or beside another one.
struct Opened {
  Opened(const std::string& name, int threads) : team(threads) {
    file = *infer::Gguf::open(LATHE_SOURCE_DIR "/tests/data/models/" + name + ".gguf");
    tokenizer = *infer::Tokenizer::make(*infer::read_vocabulary(*file));
    model =
        *infer::Model::load(*file, team, {.kernels = &infer::best_kernel_table(), .progress = {}});
    engine = *infer::Engine::create(*infer::CpuExecutor::create(*model, team, {}), *tokenizer,
                                    {.kv_tokens = 512});
  }
  infer::ThreadTeam team;
  std::optional<infer::Gguf> file;
  std::unique_ptr<infer::Tokenizer> tokenizer;
  std::unique_ptr<infer::Model> model;
  std::unique_ptr<infer::Engine> engine;
};

std::vector<QualityChunk> compared(const std::string& bigger, const std::string& model,
                                   int threads = 1, std::size_t tokens = 300) {
  const Opened a(bigger, threads), b(model, threads);
  StopFlag stop;
  std::vector<std::size_t> heard;
  auto chunks = compare_models(*a.engine, *b.engine, *a.tokenizer, {.tokens = tokens, .chunk = 128},
                               stop, [&](std::size_t done) { heard.push_back(done); });
  EXPECT_TRUE(chunks) << chunks.error().message;
  EXPECT_EQ(heard.size(), chunks->size());
  return std::move(*chunks);
}

TEST(SideBySide, AModelAndItself) {
  for (const char* name : {"llama-q8_0", "gemma3", "qwen35"}) {  // windows, recurrent layers
    const QualityFigures figures = quality_figures(compared(name, name));
    EXPECT_EQ(figures.kl.n, 127 + 127 + 43) << name;
    EXPECT_EQ(figures.kl.figure.high, 0) << name;
    EXPECT_EQ(figures.same_top, figures.kl.n) << name;
    EXPECT_EQ(figures.ratio(), 1) << name;
  }
}

TEST(SideBySide, FewerBitsAreFurtherAway) {
  const auto mean = [](const char* model) {
    return quality_figures(compared("llama-q8_0", model)).mean_kl;
  };
  const double six = mean("llama-q6_k"), four = mean("llama-q4_0"), two = mean("llama-q2_k");
  EXPECT_GT(six, 0);
  EXPECT_LT(six, four);
  EXPECT_LT(four, two);
}

TEST(SideBySide, ThreadsChangeNoBit) {
  EXPECT_EQ(quality_json(compared("llama-q8_0", "llama-q4_0", 1)),
            quality_json(compared("llama-q8_0", "llama-q4_0", 2)));
}

TEST(SideBySide, WhatIsStoppedIsWhatWasComplete) {
  const Opened a("llama-q8_0", 1), b("llama-q4_0", 1);
  StopFlag stop;
  const auto chunks = compare_models(*a.engine, *b.engine, *a.tokenizer,
                                     {.tokens = 4096, .chunk = 64}, stop, [&](std::size_t done) {
                                       if (done == 128) stop.raise();
                                     });
  ASSERT_TRUE(chunks);
  EXPECT_EQ(chunks->size(), 2);
  // A rest that is too short to be read is left out.
  EXPECT_EQ(compared("llama-q8_0", "llama-q4_0", 1, 128 + 15).size(), 1);
}

}  // namespace
}  // namespace lathe::app
