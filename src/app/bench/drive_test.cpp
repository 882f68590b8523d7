// A server of known times under load: exact latencies, percentiles, goodput and the overload point,
// and each fault of a server found and named.
#include "app/bench/drive.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "app/bench/capacity.h"
#include "app/bench/fake_target_test.h"
#include "app/bench/serve_profile.h"

namespace lathe::app {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// One answer takes 100 ms to its first token and 10 gaps of 10 ms: 200 ms.
constexpr std::int64_t kWholeUs = 200'000;

Question question(std::size_t n) {
  Request request;
  request.ask = Talk{.messages = {{.role = "user", .content = fmt::format("question {}", n)}}};
  request.max_tokens = 64;
  return {std::move(request), false};
}

Point run(FakeServer server, Load load, Slo slo = {}) {
  FakeTarget target(server);
  StopFlag stop;
  auto point = drive(target, load, question, slo, stop);
  EXPECT_TRUE(point) << point.error().message;
  return point ? *point : Point{};
}

TEST(Drive, AClosedLoopOfOneIsTheServersOwnTime) {
  const Summary summary = run({}, {ClosedLoop{1}, 60, 1}).summary;
  EXPECT_EQ(summary.answered, 300);  // one each 200 ms, from 0 on
  EXPECT_EQ(summary.failed, 0);
  EXPECT_DOUBLE_EQ(summary.answers_per_minute, 300);
  EXPECT_DOUBLE_EQ(summary.tokens_per_second, 55);
  EXPECT_DOUBLE_EQ(summary.first_ms.figure.median, 100);
  EXPECT_DOUBLE_EQ(*summary.first_ms.p99, 100);
  EXPECT_DOUBLE_EQ(*summary.gap_ms.p95, 10);
  EXPECT_DOUBLE_EQ(summary.whole_ms.figure.high, 200);
  EXPECT_DOUBLE_EQ(summary.each_per_second.figure.median, 100);
}

TEST(Drive, WaitingInLineIsPartOfTheFirstToken) {
  // Three at once, one is served: each waits for the two before it.
  const Point point = run({}, {ClosedLoop{3}, 60, 1});
  EXPECT_DOUBLE_EQ(point.summary.answers_per_minute, 300);
  EXPECT_DOUBLE_EQ(point.summary.first_ms.figure.median, 500);
  EXPECT_DOUBLE_EQ(point.summary.first_ms.figure.low, 100);
  EXPECT_DOUBLE_EQ(point.summary.whole_ms.figure.high, 600);
}

TEST(Drive, AnOpenLoopIsAQueueWithLindleysWaits) {
  const Load load{Poisson{4}, 600, 7};
  const Point point = run({}, load);
  const auto times = arrivals(Poisson{4}, 600, 7);
  ASSERT_EQ(point.samples.size(), times.size());
  // The recursion of a queue with one server, from the schedule alone.
  std::int64_t free = 0;
  std::vector<double> first;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const std::int64_t start = std::max(times[i], free);
    free = start + kWholeUs;
    ASSERT_EQ(point.samples[i].due_us, times[i]);
    ASSERT_EQ(point.samples[i].pieces_us.front(), start + 100'000) << i;
    ASSERT_EQ(point.samples[i].end_us, free);
    first.push_back(static_cast<double>(start + 100'000 - times[i]) / 1e3);
  }
  std::ranges::sort(first);
  const auto rank = [&](double share) {
    return first[static_cast<std::size_t>(std::ceil(share * static_cast<double>(first.size()))) -
                 1];
  };
  EXPECT_DOUBLE_EQ(*point.summary.first_ms.p95, rank(0.95));
  EXPECT_DOUBLE_EQ(*point.summary.first_ms.p99, rank(0.99));
  // M/D/1 at 0.8: the mean wait is ρ·s / (2(1 − ρ)) = 400 ms.
  const double mean =
      std::accumulate(first.begin(), first.end(), 0.0) / static_cast<double>(first.size()) - 100;
  EXPECT_NEAR(mean, 400, 60);
}

TEST(Drive, TheScheduleIsTheSeedsAndPoisson) {
  const auto times = arrivals(Poisson{50}, 1000, 3);
  EXPECT_EQ(times, arrivals(Poisson{50}, 1000, 3));
  EXPECT_NE(times, arrivals(Poisson{50}, 1000, 4));
  EXPECT_NEAR(static_cast<double>(times.size()), 50'000, 5 * std::sqrt(50'000));
  EXPECT_TRUE(std::ranges::is_sorted(times));
  std::size_t longer = 0;
  for (std::size_t i = 1; i < times.size(); ++i)
    if (times[i] - times[i - 1] > 20'000) ++longer;
  EXPECT_NEAR(static_cast<double>(longer) / static_cast<double>(times.size()), std::exp(-1), 0.01);
}

TEST(Drive, PeopleWhoThinkAskLessOften) {
  const Point point = run({.slots = 64}, {ClosedLoop{8, 5}, 2000, 1});
  // Nobody waits: each asks once in 5.2 s on average.
  EXPECT_NEAR(point.summary.answers_per_minute, 8 * 60 / 5.2, 3);
  EXPECT_DOUBLE_EQ(point.summary.whole_ms.figure.high, 200);
}

// What `lathe capacity --verify` compares, where both sides are known: a queue with one server and
// exponential times has the model's product form.
TEST(Drive, PeopleWhoThinkWaitAsLongAsTheModelSays) {
  const FakeServer server{.first_us = 500'000, .gap_us = 0, .tokens = 1, .random = true};
  const CapacityTerms terms{.decode = {{1, 2}},  // two answers of a token a second
                            .prefill = 1,
                            .answer_tokens = 1,
                            .fresh_tokens = 0,
                            .think_seconds = 2};
  for (const std::size_t people : {1, 4, 8}) {
    const Point point = run(server, {ClosedLoop{people, 2}, 40'000, 3});
    double seconds = 0;
    for (const Sample& sample : point.samples)
      seconds += static_cast<double>(sample.end_us - sample.due_us) / 1e6;
    const double mean = seconds / static_cast<double>(point.samples.size());
    EXPECT_NEAR(mean / capacity_at(terms, people).seconds, 1, 0.02) << people;
  }
}

TEST(Drive, GoodputCountsWhatKeepsTheSlo) {
  // Of three in line the first token comes after 100, 300 and then always 500 ms.
  EXPECT_DOUBLE_EQ(run({}, {ClosedLoop{3}, 60, 1}, {499, 50}).summary.good_per_minute, 2);
  EXPECT_DOUBLE_EQ(run({}, {ClosedLoop{3}, 60, 1}, {500, 50}).summary.good_per_minute, 300);
  EXPECT_DOUBLE_EQ(run({}, {ClosedLoop{3}, 60, 1}, {500, 9.9}).summary.good_per_minute, 0);
}

TEST(Drive, TheFirstPointThatIsOverloadedIsFound) {
  // Four at once are served, 200 ms each: 20 answers a second, whatever more is asked.
  std::vector<Point> points;
  for (const std::size_t people : {1, 2, 4, 6, 8, 16})
    points.push_back(run({.slots = 4}, {ClosedLoop{people}, 60, 1}));
  const auto over = overload_in(points);
  ASSERT_TRUE(over);
  // 6 wait for 300 ms and 8 for 400 ms: not over twice as long; 16 for 800 ms.
  EXPECT_EQ(over->point, 5);
  EXPECT_THAT(over->why, HasSubstr("4.0 times as long"));
  EXPECT_EQ(&best_of(points), &points[2]);
  // A single point, and one without an error, is not.
  points.resize(1);
  EXPECT_FALSE(overload_in(points));
}

TEST(Drive, OverloadIsAlsoAnErrorAndFewerAnswers) {
  Summary best, worse, failing;
  best.answers_per_minute = 100;
  worse.answers_per_minute = 94.9;
  failing.answers_per_minute = 200;
  failing.failed = 1;
  EXPECT_EQ(overload_of({&best, &worse})->point, 1);
  worse.answers_per_minute = 95;
  EXPECT_FALSE(overload_of({&best, &worse}));
  EXPECT_EQ(overload_of({&best, &failing})->point, 1);
}

TEST(Drive, TheFrontierIsWhatNothingBeatsInBoth) {
  std::vector<Summary> points(4);
  const std::pair<double, double> each_all[] = {{100, 50}, {80, 120}, {70, 110}, {40, 200}};
  std::vector<const Summary*> list;
  for (std::size_t i = 0; i < points.size(); ++i) {
    points[i].each_per_second = spread_of({each_all[i].first});
    points[i].tokens_per_second = each_all[i].second;
    list.push_back(&points[i]);
  }
  EXPECT_EQ(frontier_of(list), (std::vector<bool>{true, true, false, true}));
}

// Ranks by python's exact binomials.
TEST(Drive, WhereA95thPercentileLies) {
  const auto ranks = [](std::size_t n) {
    std::vector<double> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(n - i);
    const auto within = spread_of(values).p95_interval;
    return within ? std::pair(within->low, within->high) : std::pair(0.0, 0.0);
  };
  EXPECT_EQ(ranks(71), std::pair(0.0, 0.0)) << "none of so few need lie above it";
  EXPECT_EQ(ranks(72), std::pair(64.0, 72.0));
  EXPECT_EQ(ranks(100), std::pair(90.0, 100.0));
  EXPECT_EQ(ranks(200), std::pair(184.0, 197.0));
  EXPECT_EQ(ranks(1000), std::pair(936.0, 964.0));
  EXPECT_EQ(to_json(spread_of(std::vector<double>(72, 5)))["p95_interval"],
            (Json{{"low", "5"}, {"high", "5"}}));
  EXPECT_EQ(to_json(spread_of({7}))["p95_interval"], Json());
}

TEST(Drive, PercentilesNeedEnoughOfThem) {
  std::vector<double> values(19, 1);
  EXPECT_FALSE(spread_of(values).p95);
  values.push_back(3);
  EXPECT_EQ(spread_of(values).p95, 1);  // rank 19 of 20
  EXPECT_FALSE(spread_of(values).p99);
  EXPECT_EQ(spread_of(values).tail(), 1);
  EXPECT_EQ(to_json(spread_of({7}))["p95"], Json());
  values.assign(100, 1);
  values[0] = 9;
  EXPECT_EQ(spread_of(values).p99, 1);
  values[1] = 9;
  EXPECT_EQ(spread_of(values).p99, 9);
  EXPECT_EQ(spread_of({}).n, 0);
}

TEST(Drive, AFigureOfOddAndEvenCounts) {
  EXPECT_EQ(figure_of({7}).median, 7);
  EXPECT_EQ(figure_of({3, 1, 2}).median, 2);
  EXPECT_EQ(figure_of({4, 1, 3, 2}).median, 2.5);
  EXPECT_EQ(figure_of({4, 1, 3, 2}).low, 1);
  EXPECT_EQ(figure_of({4, 1, 3, 2}).high, 4);
}

TEST(Drive, StopsWithWhatItHas) {
  FakeTarget target({});
  StopFlag stop;
  std::size_t heard = 0;
  const auto point = drive(target, {ClosedLoop{2}, 3600, 1}, question, {}, stop, [&](std::int64_t) {
    if (++heard == 200) stop.raise();
  });
  ASSERT_TRUE(point);
  EXPECT_TRUE(point->stopped);
  EXPECT_LT(point->window_us, 5'000'000);
  EXPECT_EQ(point->summary.answered, 18);  // 18 · 11 pieces, the other two never ended
  EXPECT_EQ(point->summary.failed, 0);
}

TEST(Drive, RefusesLoadsThatSayNothing) {
  FakeTarget target({});
  StopFlag stop;
  const auto refused = [&](Load load, Slo slo, std::string_view words) {
    const auto point = drive(target, load, question, slo, stop);
    ASSERT_FALSE(point);
    EXPECT_THAT(point.error().message, HasSubstr(words));
  };
  refused({ClosedLoop{1}, 0.001, 1}, {}, "0.001 s");
  refused({ClosedLoop{0}, 60, 1}, {}, "0 at once");
  refused({ClosedLoop{1, std::nan("")}, 60, 1}, {}, "think");
  refused({Poisson{1e9}, 60, 1}, {}, "requests a second");
  refused({Poisson{0}, 60, 1}, {}, "requests a second");
  refused({ClosedLoop{1}, 60, 1}, {0, 100}, "above 0");
  refused({ClosedLoop{1}, 60, 1}, {100, std::nan("")}, "above 0");
}

std::vector<std::string> faults(FakeServer server) {
  return faults_of(run(server, {ClosedLoop{2}, 30, 1}), {64, 0, false});
}

TEST(Faults, AGoodServerHasNone) {
  EXPECT_THAT(faults({}), IsEmpty());
}

TEST(Faults, AStreamThatIsKeptBack) {
  EXPECT_THAT(faults({.buffers = true}), Contains(HasSubstr("buffers its stream")));
}

TEST(Faults, AnEmptyFirstEventIsNoFirstToken) {
  const FakeServer server{.empty_early_us = 90'000};
  const Point point = run(server, {ClosedLoop{1}, 30, 1});
  EXPECT_DOUBLE_EQ(point.summary.first_ms.figure.median, 100);
  EXPECT_THAT(faults_of(point, {64, 0, false}),
              Contains(HasSubstr("without text, up to 90 ms before the first token")));
}

TEST(Faults, AnswersThatAreCut) {
  EXPECT_THAT(faults({.cut_to = 4}), Contains(HasSubstr("answers are cut")));
}

TEST(Faults, FivePercentOfErrors) {
  const auto found = faults({.slots = 2, .fails_each = 20});
  EXPECT_THAT(found, Contains(HasSubstr("requests failed, mostly so: status 500")));
  EXPECT_THAT(found, Each(Not(HasSubstr("stopped answering"))));
}

TEST(Faults, AServerThatDies) {
  const Point point = run({.dies_us = 10'000'000}, {ClosedLoop{2}, 3600, 1});
  EXPECT_THAT(faults_of(point, {64, 0, false}),
              Contains(HasSubstr("stopped answering 10.0 s after the point began")));
  // Nobody asks a dead server for an hour.
  EXPECT_TRUE(point.stopped);
  EXPECT_LT(point.wall_us, 20'000'000);
}

TEST(Faults, TooMuchToDoIsNoDeath) {
  // Of so many that come 512 are under way; the others fail at once, and the server goes on.
  const Point point = run({.slots = 8}, {Poisson{200}, 20, 1});
  EXPECT_FALSE(point.stopped);
  EXPECT_GT(point.summary.failed, 100);
  const auto found = faults_of(point, {64, 0, false});
  EXPECT_THAT(found, Contains(HasSubstr("not sent: 512 requests were under way")));
  EXPECT_THAT(found, Each(Not(HasSubstr("stopped answering"))));
}

TEST(Faults, PromptsFromTheCacheMakeAPointVoid) {
  EXPECT_THAT(faults({.warm = true}), Contains(HasSubstr("void")));
}

TEST(Faults, WarmPromptsMustComeFromTheCache) {
  const Point cold = run({}, {ClosedLoop{2}, 30, 1}),
              warm = run({.warm = true}, {ClosedLoop{2}, 30, 1});
  EXPECT_THAT(faults_of(warm, {64, 0, true}), IsEmpty());
  EXPECT_THAT(faults_of(cold, {64, 0, true}), Contains(HasSubstr("did not come from the cache")));
}

TEST(Faults, TokensThatNobodyCounts) {
  EXPECT_THAT(faults({.counts = false}), Contains(HasSubstr("pieces are counted")));
}

ServePlan small_plan() {
  ServePlan plan;
  plan.seconds = 20;
  plan.people = {1, 2, 4};
  plan.shares = {0.5, 1.2};
  plan.shape.prompt_tokens = 40;
  return plan;
}

Result<ServeResult> serve(FakeServer server) {
  FakeTarget target(server);
  StopFlag stop;
  return measure_serve(target, small_plan(), stop, [](const Point&) {});
}

TEST(Serve, LoadsGrowUntilOneIsTooMuchThenArrivalsComeByThemselves) {
  const auto result = serve({});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(result->faults, IsEmpty());
  // One slot: two people get no more and wait twice as long, four over twice.
  ASSERT_EQ(result->closed.size(), 3);
  EXPECT_EQ(overload_in(result->closed)->point, 2);
  ASSERT_EQ(result->poisson.size(), 2);
  const double rate = std::get<Poisson>(result->poisson[0].load.arrival).per_second;
  EXPECT_NEAR(rate, 0.5 * best_of(result->closed).summary.answers_per_minute / 60, 1e-6);
  // The first question of every point is the same one.
  std::vector<Point> all = result->closed;
  all.insert(all.end(), result->poisson.begin(), result->poisson.end());
  const SameBits bits = same_bits(all);
  EXPECT_EQ(bits.answers, 5);
  EXPECT_EQ(bits.different, 1);
  EXPECT_EQ(bits.hash.size(), 16);
}

TEST(Serve, PrefixesThatAreCachedInSecretAreSuspected) {
  const auto result = serve({.secret_cache = true});
  ASSERT_TRUE(result);
  EXPECT_THAT(result->faults, Contains(HasSubstr("caches prefixes in secret")));
}

TEST(Serve, WarmLoadsAskTheSamePromptEachTime) {
  FakeTarget target({.warm = true});
  StopFlag stop;
  ServePlan plan = small_plan();
  plan.shape.warm = true;
  const auto result = measure_serve(target, plan, stop, [](const Point&) {});
  ASSERT_TRUE(result);
  // 40 words share no more than eight tokens by chance; the calibration's new prompts share all
  // here.
  for (const Point& point : result->closed)
    for (const Sample& sample : point.samples)
      EXPECT_EQ(sample.text, result->closed[0].samples[0].text);
}

TEST(Serve, OtherBitsAreSeen) {
  const auto result = serve({.other_bits_each = 2});
  ASSERT_TRUE(result);
  std::vector<Point> all = result->closed;
  all.insert(all.end(), result->poisson.begin(), result->poisson.end());
  EXPECT_EQ(same_bits(all).different, 2);
  EXPECT_EQ(same_bits(all).hash, "");
}

TEST(Serve, AServerThatFailsAtOnceIsAnError) {
  const auto result = serve({.dies_us = 0});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("fake: connection refused"));
}

TEST(Sustained, FirstAgainstLastAndWhenItSettles) {
  // 100 a second for five minutes, then a slow fall to 80 that is over after ten.
  std::vector<double> tokens;
  for (int second = 0; second < 1800; ++second)
    tokens.push_back(second < 300 ? 100 : std::max(80.0, 100 - (second - 300) / 15.0));
  const SustainedFigures figures = sustained_figures(tokens);
  EXPECT_EQ(figures.first, 100);
  EXPECT_EQ(figures.last, 80);
  EXPECT_EQ(figures.first_seconds, 60);
  EXPECT_EQ(figures.last_seconds, 300);
  EXPECT_DOUBLE_EQ(figures.ratio(), 0.8);
  // 84 is reached 240 s after the fall began; the mean of ten seconds is there 4.5 s earlier.
  ASSERT_TRUE(figures.settled_seconds);
  EXPECT_NEAR(*figures.settled_seconds, 535.5, 1);
  // What is short has short windows, and says so.
  const SustainedFigures brief = sustained_figures({5, 6, 7, 8, 9, 10});
  EXPECT_EQ(brief.first_seconds, 1);
  EXPECT_EQ(brief.last_seconds, 3);
  EXPECT_EQ(brief.last, 9);
}

TEST(Sustained, KeepsWhatItHasWhenItIsStopped) {
  FakeTarget target({});
  StopFlag stop;
  const TempDir root = *TempDir::make();
  Sensors sensors(root.path());
  const auto result = measure_sustained(
      target, {ClosedLoop{1}, 1800, 1}, {}, {}, {}, sensors, stop, [&](const Reading& reading) {
        EXPECT_FALSE(reading.mhz || reading.celsius || reading.watts || reading.throttles);
        if (reading.at_us > 55'000'000) stop.raise();
      });
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->point.stopped);
  EXPECT_NEAR(static_cast<double>(result->tokens.size()), 60, 1);
  EXPECT_DOUBLE_EQ(result->figures.ratio(), 1);
  EXPECT_EQ(result->energy_scope, "none");
  EXPECT_FALSE(throttles_of(result->trace));
}

TEST(Sustained, EnergyIsThatOfTheWholeTraceOrNone) {
  SustainedResult result;
  Sample sample;
  sample.pieces_us = {1, 2, 3, 4};
  result.point.samples = {sample};
  for (const auto& [at_us, watts] :
       {std::pair(0, 0.0), std::pair(1'000'000, 10.0), std::pair(3'000'000, 15.0)})
    result.trace.push_back({.at_us = at_us, .watts = watts, .throttles = {}});
  EXPECT_EQ(joules_per_token(result), 10);  // 10 J and 30 J for four tokens
  result.trace[1].watts = std::nullopt;
  EXPECT_FALSE(joules_per_token(result));
}

}  // namespace
}  // namespace lathe::app
