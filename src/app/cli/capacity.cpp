// lathe capacity MODEL: how many people share this box at which slowdown, by the closed model of
// app/bench/capacity.h, from a benchmark's own figures; --verify measures it.
#include "app/bench/capacity.h"

#include <algorithm>
#include <cmath>

#include "app/cli/bench_flags.h"
#include "ground/base/random.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr double kReadSeconds = 3;  // prompts are measured for so long

struct CapacityFlags {
  std::string path, record, think = "60s", answer = "200", fresh = "256";
  ModelFlags model;
  bool verify = false;
  std::size_t people = 0;        // of --verify; 0: as many as answer twice as slowly
  std::string seconds = "120s";  // of --verify
  std::uint64_t seed = 1;
};

// S(n) and S_pp from the rows of a benchmark; prefill at the size that is nearest to the prompt's.
Result<CapacityTerms> terms_of(const std::vector<BenchRow>& rows, CapacityTerms terms) {
  double nearest = 0;
  for (const BenchRow& row : rows) {
    const auto size = static_cast<double>(row.size);
    if (row.what == "streams") terms.decode.emplace_back(size, row.figure().median);
    const auto off = [&](double tokens) { return std::abs(tokens - terms.fresh_tokens); };
    if (row.what == "prefill" && (nearest == 0 || off(size) < off(nearest))) {
      nearest = size;
      terms.prefill = row.figure().median;
    }
  }
  std::ranges::sort(terms.decode);
  LATHE_TRY_STATUS(check(terms));
  return terms;
}

Result<std::vector<BenchRow>> recorded_rows(const CapacityFlags& flags) {
  LATHE_TRY(const std::string text, read_file(flags.record));
  const auto record = parse_record(text);
  if (!record) return at(flags.record, record.error());
  const Json& models = json_at(*record, "models");
  const std::string name = fs::path(flags.path).filename().string();
  for (const Json& model : models) {
    if (fs::path(json_string(model, "model")).filename() != name) continue;
    std::vector<BenchRow> rows;
    for (const Json& row : json_at(model, "rows")) {
      LATHE_TRY(rows.emplace_back(), row_from_json(row));
    }
    return rows;
  }
  return fail(ErrorKind::kNotFound, "{}: holds no figures of {}; measure them with lathe bench",
              flags.record, name);
}

// Shapes whose answers all have the length that is asked for.
Result<Shape> shape_of(const CapacityFlags& flags, double prompt, double answer) {
  Shape shape{.prompt_tokens = std::max<std::size_t>(8, static_cast<std::size_t>(prompt)),
              .answer_tokens = std::max(1, static_cast<int>(answer))};
  LATHE_TRY(shape.bias, no_ends(flags.path));
  return shape;
}

// Where the first question, which is always the same and does not count, takes up all of the time,
// there is three times as long as it took.
Result<Point> under_load(const App& app, const CapacityFlags& flags, Target& target,
                         const Shape& shape, const ClosedLoop& loop, double seconds) {
  LATHE_TRY(const Calibration calibration, calibrate(target, shape, flags.seed, *app.stop));
  const Questions questions = questions_of(shape, calibration, mix64(flags.seed) + loop.people);
  for (bool again = false;; again = true) {
    const Load load{loop, seconds, flags.seed};
    LATHE_TRY_STATUS(check(load));
    LATHE_TRY(Point point, drive(target, load, questions, {}, *app.stop));
    if (app.stop->raised()) return fail(ErrorKind::kCancelled, "stopped");
    if (point.summary.answered > 0) return point;
    if (again || point.samples.empty() || !point.samples.front().answered())
      return fail(ErrorKind::kUnavailable, "{}: nothing was answered within {:.0f} s",
                  load_name(load), seconds);
    seconds = 3e-6 * static_cast<double>(point.samples.front().end_us);
  }
}

// As it is served: S(n) of closed loops with next to no prompts, S_pp of the first token of one.
Result<CapacityTerms> measured_terms(const App& app, const CapacityFlags& flags,
                                     CapacityTerms terms, Target& target) {
  LATHE_TRY(const Shape writing, shape_of(flags, 0, terms.answer_tokens));
  double speed = 0;
  for (const std::size_t people : {1, 2, 4, 8, 16, 32}) {
    const double seconds = listening_seconds(terms.answer_tokens, people, speed);
    LATHE_TRY(const Point point, under_load(app, flags, target, writing, {people}, seconds));
    speed = written_per_second(point.samples, static_cast<double>(point.window_us) / 1e6);
    terms.decode.emplace_back(static_cast<double>(people), speed);
    if (!app.json) print(fmt::format("{} at once: {:.1f} tok/s\n", people, speed));
  }
  LATHE_TRY(const Shape reading, shape_of(flags, terms.fresh_tokens, 1));
  LATHE_TRY(const Point point, under_load(app, flags, target, reading, {1}, kReadSeconds));
  std::vector<double> speeds;
  for (const Sample& sample : point.samples)
    if (sample.answered() && !sample.fixed && !sample.pieces_us.empty())
      speeds.push_back(static_cast<double>(sample.prompt_tokens - sample.cached_tokens) * 1e6 /
                       static_cast<double>(sample.pieces_us.front() - sample.sent_us));
  if (!speeds.empty()) terms.prefill = figure_of(std::move(speeds)).median;
  if (!app.json) print(fmt::format("prompts: {:.1f} tok/s\n", terms.prefill));
  LATHE_TRY_STATUS(check(terms));
  return terms;
}

// The lengths and times that are asked for.
Result<CapacityTerms> asked_terms(const CapacityFlags& flags) {
  CapacityTerms terms;
  LATHE_TRY(const Milliseconds think, parse_duration(flags.think));
  terms.think_seconds = static_cast<double>(think.count()) / 1e3;
  const auto answer = parse_decimal(flags.answer), fresh = parse_decimal(flags.fresh);
  if (!answer || *answer < 1 || *answer > 1e7)
    return invalid("--answer is '{}'; it must lie in [1, 10000000] tokens", flags.answer);
  if (!fresh || *fresh < 0 || *fresh > 1e7)
    return invalid("--fresh is '{}'; it must lie in [0, 10000000] tokens", flags.fresh);
  terms.answer_tokens = *answer;
  terms.fresh_tokens = *fresh;
  if (!(terms.think_seconds > 0))
    return invalid("--think is '{}'; it must be above 0", flags.think);
  return terms;
}

constexpr std::string_view kAssumptions[] = {
    "everybody works alone: an agent that asks many things at once is many people",
    "the model stays in memory: bringing another one in takes seconds of nothing",
    "prompts are computed one after the other, answers all at once",
    "beyond the most streams that were measured, the box writes no faster",
    "means, not the slowest answers",
};

Json terms_json(const CapacityTerms& terms) {
  Json curve = Json::array();
  for (const auto& [streams, speed] : terms.decode)
    curve.push_back({{"streams", streams}, {"tokens_per_second", speed}});
  return {{"decode", std::move(curve)},
          {"prefill_per_second", terms.prefill},
          {"answer_tokens", terms.answer_tokens},
          {"fresh_tokens", terms.fresh_tokens},
          {"think_seconds", terms.think_seconds}};
}

Json point_json(const CapacityPoint& point) {
  return {{"people", point.people},
          {"seconds", point.seconds},
          {"slowdown", point.slowdown},
          {"answers_per_minute", point.answers_per_minute}};
}

constexpr double kSlowdowns[] = {1.5, 2, 3};

void print_capacity(const CapacityFlags& flags, const CapacityTerms& terms) {
  std::string text = fmt::format(
      "{}: answers of {} tokens, {} new tokens a prompt, {} s to think\none alone waits {:.2f} s\n",
      flags.path, decimal(terms.answer_tokens), decimal(terms.fresh_tokens),
      decimal(terms.think_seconds), capacity_at(terms, 1).seconds);
  for (const double slowdown : kSlowdowns) {
    const std::size_t people = people_at(terms, slowdown);
    text += fmt::format("{} × as slow: {}{} people\n", decimal(slowdown), people,
                        people == kMostPeople ? " or more" : "");
  }
  text += fmt::format("\n{:>8} {:>12} {:>10} {:>14}\n", "people", "an answer", "slowdown",
                      "answers/min");
  const std::size_t most = std::min(kMostPeople, 2 * people_at(terms, kSlowdowns[2]));
  for (std::size_t people = 1; people <= most; people *= 2) {
    const CapacityPoint point = capacity_at(terms, people);
    text += fmt::format("{:>8} {:>10.2f} s {:>9.2f}× {:>14.1f}\n", point.people, point.seconds,
                        point.slowdown, point.answers_per_minute);
  }
  text += "\nwhat this assumes:\n";
  for (const std::string_view each : kAssumptions) text += fmt::format("- {}\n", each);
  print(text);
}

struct VerifiedCapacity {
  CapacityPoint model;  // at the lengths that really were
  double measured = 0;  // seconds, mean
  std::size_t answers = 0, failed = 0;
};

// People with seeded times to think, in a pool as a server has it. The model is asked for the mean
// lengths that came of it, since prompts are made of words.
Result<VerifiedCapacity> verify(const App& app, const CapacityFlags& flags, CapacityTerms terms,
                                Target& target) {
  LATHE_TRY(const Milliseconds time, parse_duration(flags.seconds));
  const std::size_t people = flags.people > 0 ? flags.people : people_at(terms, 2);
  LATHE_TRY(const Shape shape, shape_of(flags, terms.fresh_tokens, terms.answer_tokens));
  LATHE_TRY(const Point point, under_load(app, flags, target, shape, {people, terms.think_seconds},
                                          static_cast<double>(time.count()) / 1e3));
  VerifiedCapacity verified;
  double seconds = 0, answer = 0, fresh = 0;
  for (const Sample& sample : point.samples) {
    if (!sample.answered()) {
      ++verified.failed;
      continue;
    }
    ++verified.answers;
    seconds += static_cast<double>(sample.end_us - sample.due_us) / 1e6;
    answer += sample.tokens();
    fresh += static_cast<double>(sample.prompt_tokens - sample.cached_tokens);
  }
  const auto n = static_cast<double>(verified.answers);
  verified.measured = seconds / n;
  terms.answer_tokens = answer / n;
  terms.fresh_tokens = fresh / n;
  verified.model = capacity_at(terms, people);
  return verified;
}

Status run_capacity(const App& app, const CapacityFlags& flags) {
  LATHE_TRY(CapacityTerms terms, asked_terms(flags));
  PooledModel pooled;
  if (flags.record.empty() || flags.verify) {
    ModelFlags wanted = flags.model;
    wanted.path = flags.path;
    LATHE_TRY(pooled, open_pooled(app, wanted));
  }
  if (flags.record.empty()) {
    LATHE_TRY(terms, measured_terms(app, flags, std::move(terms), *pooled.target));
  } else {
    LATHE_TRY(const auto rows, recorded_rows(flags));
    auto complete = terms_of(rows, std::move(terms));
    if (!complete) return at(flags.record, complete.error());
    terms = std::move(*complete);
  }
  Json out = {{"model", flags.path}, {"terms", terms_json(terms)}};
  for (const double slowdown : kSlowdowns)
    out["people"].push_back({{"slowdown", slowdown}, {"people", people_at(terms, slowdown)}});
  for (std::size_t people = 1; people <= 64; people *= 2)
    out["table"].push_back(point_json(capacity_at(terms, people)));
  out["assumes"] = kAssumptions;
  if (!app.json) print_capacity(flags, terms);
  if (flags.verify) {
    LATHE_TRY(const VerifiedCapacity verified, verify(app, flags, terms, *pooled.target));
    const double ratio = verified.measured / verified.model.seconds;
    out["verified"] = {{"people", verified.model.people},
                       {"answers", verified.answers},
                       {"failed", verified.failed},
                       {"measured_seconds", verified.measured},
                       {"model_seconds", verified.model.seconds},
                       {"ratio", ratio}};
    if (!app.json)
      print(fmt::format(
          "\nmeasured with {} people: {:.3f} s an answer (mean of {}{}); the model says {:.3f} s; "
          "ratio {:.3f}\n",
          verified.model.people, verified.measured, verified.answers,
          verified.failed == 0 ? "" : fmt::format(", {} failed", verified.failed),
          verified.model.seconds, ratio));
  }
  if (app.json) print_json(out);
  return {};
}

}  // namespace

void add_capacity(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<CapacityFlags>();
  CLI::App* command =
      cli.add_subcommand("capacity", "How many people share this box, at which slowdown");
  command->add_option("model", flags->path, "A GGUF file")->required();
  command->add_option("--bench", flags->record,
                      "A record of lathe bench (default: it is measured now)");
  command->add_option("--answer", flags->answer, "Tokens of an answer")->capture_default_str();
  command->add_option("--fresh", flags->fresh, "Tokens of a prompt that are not cached")
      ->capture_default_str();
  command->add_option("--think", flags->think, "Between an answer and the next question, mean")
      ->capture_default_str();
  command->add_option("--threads", flags->model.threads,
                      "Threads that compute (default: one a core)");
  command->add_option("--kv", flags->model.kv, "Type of the KV cache: f16, q8_0, q5_1, q4_0 or f32")
      ->capture_default_str();
  command->add_flag("--verify", flags->verify, "Measure it: people who ask and think");
  command
      ->add_option("--people", flags->people,
                   "How many of --verify (default: as many as wait twice as long)")
      ->check(CLI::Range(1, 512));
  command->add_option("--seconds", flags->seconds, "How long --verify asks")->capture_default_str();
  command->add_option("--seed", flags->seed, "Of prompts and times to think")
      ->capture_default_str();
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = run_capacity(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
