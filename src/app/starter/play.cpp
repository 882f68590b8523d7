// Plays tasks with a model for its accepted takes.
#include "app/starter/play.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "loop/judges/judge.h"
#include "loop/makers/maker.h"

namespace lathe::app {

namespace {

// The share of the visible tests that pass: 1 is a pass.
Result<double> score_of(std::span<const loop::Unit> units, std::string_view source) {
  const loop::JudgeKind& judge = *loop::find_judge("mini");
  const auto options = check_options(Json::object(), judge.options);
  LATHE_CHECK(options.has_value());
  const loop::Place place;
  const StopFlag stop;
  LATHE_TRY(const loop::Judgement judgement,
            judge.judge({.options = *options, .units = units, .candidate = "c", .bytes = source},
                        {place, nullptr, stop}));
  LATHE_CHECK((judgement.outcome == loop::Outcome::kPass) == (judgement.score == 1));
  return judgement.score;
}

}  // namespace

Result<std::unique_ptr<Player>> Player::open(const fs::path& model, int threads) {
  LATHE_TRY(serve::Catalog catalog, serve::Catalog::read(model));
  serve::PoolOptions options;
  options.memory = std::uint64_t{2} << 30;
  options.threads = threads;
  auto player = std::make_unique<Player>();
  player->pool_ = std::make_unique<serve::Pool>(std::move(catalog), std::move(options));
  LATHE_TRY(const std::string name, player->pool_->resolve(model.stem().string()));
  player->worker_ = std::make_unique<serve::LocalWorker>(*player->pool_, name, "starter");
  return player;
}

Result<std::vector<PlayedLap>> Player::play(const loop::MiniTask& task, int laps, bool feedback,
                                            std::uint64_t seed, int best_of) {
  const loop::MakerKind& maker = *loop::find_maker("mini");
  Json given = Json::object();
  given["seed"] = seed;
  if (temperature_) given["temperature"] = *temperature_;
  const auto options = check_options(given, maker.options);
  LATHE_CHECK(options.has_value());
  const std::vector<loop::Unit> units{{task.id, task.text, to_json(task)}};
  const loop::Place place;
  const StopFlag stop;
  Usage usage;
  const loop::MakeContext context{
      .place = place, .worker = worker_.get(), .stop = stop, .usage = &usage};
  std::vector<loop::Attempt> attempts;
  std::vector<PlayedLap> played;
  double best_score = -1;
  for (int lap = 1; lap <= laps && (played.empty() || !played.back().visible); ++lap) {
    auto proposal = maker.propose({*options, {}, units, attempts, best_of});
    LATHE_CHECK(proposal.has_value());
    if (!feedback && lap > 1)
      proposal = loop::Proposal{loop::Move::kResample,
                                0,
                                1,
                                {{"temperature", option_number(*options, "temperature")}},
                                ""};
    loop::Attempt attempt;
    attempt.lap = lap;
    attempt.move = proposal->move;
    PlayedLap now = played.empty() ? PlayedLap{} : played.back();
    now.tried.clear();
    for (int n = 0; n < proposal->n; ++n) {
      loop::MakeTask making{*options, units, proposal->move, lap, n};
      making.setting = proposal->setting;
      if (!played.empty() && !played.back().source.empty()) making.best = played.back().source;
      const Result<loop::Made> made = maker.make(making, context);
      if (!made && made.error().kind != ErrorKind::kInvalid) return std::unexpected(made.error());
      if (!made) continue;
      attempt.made = true;
      now.tried.push_back(made->bytes);
      LATHE_TRY(const double score, score_of(units, made->bytes));
      if (score <= best_score) continue;
      best_score = attempt.score = score;
      attempt.gained = true;
      attempt.passed = now.visible = score == 1;
      now.source = made->bytes;
      const std::string body = made->bytes.substr(made->bytes.find('\n') + 1);
      now.hidden = now.visible && std::ranges::all_of(loop::run_mini_tests(task, body, task.hidden),
                                                      &std::string::empty);
    }
    now.tokens = usage.prompt_tokens + usage.completion_tokens;
    now.completion = usage.completion_tokens;
    attempts.push_back(std::move(attempt));
    played.push_back(std::move(now));
  }
  return played;
}

Status in_parallel(std::size_t count, std::size_t threads,
                   const std::function<Status(std::size_t)>& each) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Status first;
  const auto work = [&] {
    for (std::size_t i; (i = next++) < count;) {
      Status status = each(i);
      if (status) continue;
      const std::scoped_lock lock(mutex);
      if (first) first = std::move(status);
      next = count;
    }
  };
  std::vector<std::jthread> team;
  for (std::size_t i = 0; i < threads; ++i) team.emplace_back(work);
  team.clear();
  return first;
}

}  // namespace lathe::app
