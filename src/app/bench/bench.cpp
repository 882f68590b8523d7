// Measures a model: prefill, decode, widths, streams, depths; what memory gives; the report.
#include "app/bench/bench.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "app/bench/corpus.h"
#include "ground/base/random.h"
#include "infer/engine/engine.h"
#include "infer/tensor/memory.h"

namespace lathe::app {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What one run of some requests took: when each of their tokens came, from the start.
struct Timeline {
  std::vector<double> tokens;
  std::size_t cached = 0;  // tokens of the prompts that were computed before
  double first() const { return tokens.front(); }
  double last() const { return tokens.back(); }
};

class Bench {
 public:
  Bench(const infer::Model& model, const infer::Tokenizer& tokenizer, infer::ThreadTeam& team,
        const BenchPlan& plan, const StopFlag& stop,
        const std::function<void(const BenchRow&)>& heard)
      : model_(model),
        tokenizer_(tokenizer),
        team_(team),
        plan_(plan),
        stop_(stop),
        heard_(heard) {}

  Result<std::vector<BenchRow>> run() {
    LATHE_TRY_STATUS(fits());
    LATHE_TRY_STATUS(warm_up());
    LATHE_TRY_STATUS(look_at_rest());
    plan_prefill();
    plan_decode();
    plan_widths();
    plan_streams();
    plan_depths();
    plan_reuse();
    // Fisher and Yates: what drifts while it is measured meets every figure alike.
    for (std::size_t i = tasks_.size(); i > 1; --i)
      std::swap(tasks_[i - 1], tasks_[random_at(plan_.seed, 0, i) % i]);
    Status status;
    for (std::size_t i = 0; i < tasks_.size() && status; ++i) status = tasks_[i]();
    if (!status && status.error().kind != ErrorKind::kCancelled)
      return std::unexpected(status.error());
    std::erase_if(rows_, [](const Row& row) { return row.row.samples.size() < row.wanted; });
    if (!status && rows_.empty()) return std::unexpected(status.error());
    std::vector<BenchRow> rows;
    for (Row& row : rows_) rows.push_back(std::move(row.row));
    return rows;
  }

 private:
  static constexpr std::size_t kSteps = 8;         // of a width
  static constexpr std::size_t kStreamPrompt = 8;  // tokens
  static constexpr std::size_t kGroup = 8;         // tokens of one rate at depth
  std::size_t depth_answer() const { return kGroup * static_cast<std::size_t>(plan_.repeat) + 1; }

  Result<std::unique_ptr<infer::Engine>> engine(std::size_t tokens, std::size_t step_tokens = 512) {
    LATHE_TRY(auto executor, infer::CpuExecutor::create(
                                 model_, team_, {.kv = plan_.kv, .step_tokens = step_tokens}));
    return infer::Engine::create(std::move(executor), tokenizer_, {.kv_tokens = tokens});
  }

  // Tokens of a text that no earlier prompt began with.
  std::vector<infer::TokenId> text(std::size_t size) {
    return corpus_tokens(tokenizer_, random_at(plan_.seed, 1, ++texts_), size);
  }

  Result<Timeline> time(infer::Engine& engine, std::vector<std::vector<infer::TokenId>> prompts,
                        std::size_t answer) {
    if (stop_.raised()) return fail(ErrorKind::kCancelled, "stopped");
    Timeline timeline;
    const double start = now();
    for (auto& prompt : prompts) {
      infer::GenerationRequest request;
      request.prompt = std::move(prompt);
      request.max_tokens = answer;
      request.sampler.temperature = 0;
      request.ignore_end = true;
      LATHE_TRY([[maybe_unused]] const infer::SequenceId id, engine.add(std::move(request)));
    }
    while (!engine.idle()) {
      engine.step([&](const infer::TokenEvent& event) {
        timeline.tokens.push_back(now() - start);
        if (event.finished) timeline.cached += event.usage.cached_tokens;
      });
    }
    return timeline;
  }

  using Task = std::function<Status()>;
  struct Row {
    BenchRow row;
    std::size_t wanted;  // samples
  };

  std::size_t repeat() const { return static_cast<std::size_t>(plan_.repeat); }
  // A row that tasks fill; what add() wants.
  std::size_t row(std::string what, std::size_t size, std::string unit, std::size_t wanted = 0) {
    rows_.push_back(
        {{std::move(what), size, std::move(unit), {}}, wanted == 0 ? repeat() : wanted});
    return rows_.size() - 1;
  }
  void add(std::size_t index, double sample) {
    BenchRow& row = rows_[index].row;
    row.samples.push_back(sample);
    if (row.samples.size() < rows_[index].wanted) return;
    row = make_row(row.what, row.size, row.unit, std::move(row.samples));
    heard_(row);
  }
  void repeated(Task task) { tasks_.insert(tasks_.end(), repeat(), task); }

  // Before anything is measured: a refusal after an hour would have cost that hour.
  Status fits() const {
    const auto fit = [&](std::string_view what, std::size_t size, std::size_t answer) -> Status {
      if (size + answer <= model_.blueprint().context) return {};
      return invalid("{} needs {} tokens and {} more; the model's context is {} tokens", what, size,
                     answer, model_.blueprint().context);
    };
    for (const std::size_t size : plan_.prompts) LATHE_TRY_STATUS(fit("a prompt", size, 1));
    for (const std::size_t size : plan_.depths)
      LATHE_TRY_STATUS(fit("a depth", size, depth_answer()));
    for (const std::size_t width : plan_.widths)
      LATHE_TRY_STATUS(fit(fmt::format("{} steps of width {}", kSteps, width), kSteps * width, 1));
    return fit("an answer", kStreamPrompt, plan_.answer);
  }

  Status warm_up() {
    LATHE_TRY(auto engine, this->engine(256));
    LATHE_TRY([[maybe_unused]] const Timeline timeline, time(*engine, {text(32)}, 8));
    return {};
  }

  std::optional<double> joules() const { return plan_.joules ? plan_.joules() : std::nullopt; }

  Status look_at_rest() {
    if (!joules()) return {};
    const std::size_t watts = row("at rest", 1, "W", 1);
    const double start = now();
    const auto before = joules();
    while (now() - start < static_cast<double>(plan_.rest.count()) / 1e3) {
      if (stop_.raised()) return fail(ErrorKind::kCancelled, "stopped");
      std::this_thread::sleep_for(Milliseconds(20));
    }
    const auto after = joules();
    if (!before || !after) return {};
    rest_watts_ = (*after - *before) / (now() - start);
    add(watts, *rest_watts_);
    return {};
  }

  // Joules for each of so many tokens, in all and above rest; nothing where they cannot be read.
  struct Energy {
    std::size_t all, above;
  };
  std::optional<Energy> energy_rows(const std::string& of, std::size_t size) {
    if (!rest_watts_) return std::nullopt;
    const std::size_t all = row(of + ", energy", size, "J/tok");
    return Energy{all, row(of + ", energy above rest", size, "J/tok")};
  }
  // Where it can no longer be read the rows stay incomplete, and are left out.
  void add_energy(const std::optional<Energy>& rows, const std::optional<double>& before,
                  double start, std::size_t tokens) {
    const auto after = joules();
    if (!rows || !before || !after) return;
    const double taken = *after - *before, seconds = now() - start;
    add(rows->all, taken / static_cast<double>(tokens));
    add(rows->above, (taken - *rest_watts_ * seconds) / static_cast<double>(tokens));
  }

  void plan_prefill() {
    for (const std::size_t size : plan_.prompts) {
      const std::size_t rates = row("prefill", size, "tok/s");
      repeated([this, size, rates, energy = energy_rows("prefill", size)]() -> Status {
        LATHE_TRY(auto engine, this->engine(size + infer::kChunk));
        const auto before = joules();
        const double start = now();
        LATHE_TRY(const Timeline timeline, time(*engine, {text(size)}, 1));
        add(rates, static_cast<double>(size) / timeline.first());
        add_energy(energy, before, start, size);
        return {};
      });
    }
  }

  // What memory gives all threads at the moment, in bytes a second, from the weights themselves:
  // from the caches, where those hold them.
  double plain_reads() const {
    constexpr std::size_t kMost = std::size_t{1} << 30, kLeast = std::size_t{64} << 20;
    const auto weights = model_.packed().first(std::min(kMost, model_.packed().size()));
    const std::size_t parts = static_cast<std::size_t>(team_.size());
    const std::size_t part = weights.size() / parts / 64 * 64;
    // Small weights are read often, so that what is measured is no waking of threads.
    const std::size_t times = kLeast / std::max<std::size_t>(weights.size(), 1) + 1;
    const double start = now();
    team_.run(parts, [&](std::size_t i, int) {
      for (std::size_t n = 0; n < times; ++n) infer::read_all(weights.subspan(i * part, part));
    });
    return static_cast<double>(times * parts * part) / (now() - start);
  }

  // How much of the time is memory's: what decode reads a second, beside plain reads just before
  // and after it.
  void plan_decode() {
    const std::size_t rates = row("decode", plan_.answer, "tok/s");
    const std::size_t reads = row("decode, weights read", plan_.answer, "GB/s");
    const std::size_t plain = row("plain reads", plan_.answer, "GB/s");
    const std::size_t parts = row("decode, of plain reads", plan_.answer, "%");
    repeated([this, rates, reads, plain, parts,
              energy = energy_rows("decode", plan_.answer)]() -> Status {
      LATHE_TRY(auto engine, this->engine(plan_.answer + 2 * infer::kChunk));
      const double before = plain_reads();
      const auto taken = joules();
      const double start = now();
      LATHE_TRY(const Timeline timeline, time(*engine, {text(4)}, plan_.answer));
      add_energy(energy, taken, start, plan_.answer);
      const double given = (before + plain_reads()) / 2;
      const double rate =
          static_cast<double>(plan_.answer - 1) / (timeline.last() - timeline.first());
      const double read = rate * static_cast<double>(model_.bytes_per_token());
      add(rates, rate);
      add(reads, read * 1e-9);
      add(plain, given * 1e-9);
      add(parts, read / given * 100);
      return {};
    });
  }

  // A prompt computed w tokens at a time: what verifying a draft of w tokens costs.
  void plan_widths() {
    for (const std::size_t width : plan_.widths) {
      repeated([this, width, milliseconds = row("step", width, "ms")]() -> Status {
        LATHE_TRY(auto engine, this->engine(width * kSteps + infer::kChunk, width));
        LATHE_TRY(const Timeline timeline, time(*engine, {text(width * kSteps)}, 1));
        add(milliseconds, timeline.first() / kSteps * 1e3);
        return {};
      });
    }
  }

  void plan_streams() {
    for (const std::size_t count : plan_.streams) {
      repeated([this, count, rates = row("streams", count, "tok/s")]() -> Status {
        const std::size_t each = kStreamPrompt + plan_.answer;
        LATHE_TRY(auto engine, this->engine(count * (each + 2 * infer::kChunk)));
        std::vector<std::vector<infer::TokenId>> prompts;
        for (std::size_t s = 0; s < count; ++s) prompts.push_back(text(kStreamPrompt));
        LATHE_TRY(const Timeline timeline, time(*engine, std::move(prompts), plan_.answer));
        const auto tokens = static_cast<double>(count * (plan_.answer - 1));
        add(rates, tokens / (timeline.last() - timeline.tokens[count - 1]));
        return {};
      });
    }
  }

  // One prompt per depth; the answer's tokens are the repetitions.
  void plan_depths() {
    for (const std::size_t depth : plan_.depths) {
      tasks_.push_back([this, depth, rates = row("decode at depth", depth, "tok/s")]() -> Status {
        const std::size_t answer = depth_answer();
        LATHE_TRY(auto engine, this->engine(depth + answer + infer::kChunk));
        LATHE_TRY(const Timeline timeline, time(*engine, {text(depth)}, answer));
        for (std::size_t i = 0; i + kGroup < timeline.tokens.size(); i += kGroup)
          add(rates, kGroup / (timeline.tokens[i + kGroup] - timeline.tokens[i]));
        return {};
      });
    }
  }

  // The same prompt again: the first token comes from the cached prefix.
  void plan_reuse() {
    const std::size_t size = *std::max_element(plan_.prompts.begin(), plan_.prompts.end());
    const std::size_t cold = row("first token, new prompt", size, "ms");
    const std::size_t cached = row("first token, cached prompt", size, "ms");
    repeated([this, size, cold, cached]() -> Status {
      LATHE_TRY(auto engine, this->engine(2 * size + 4 * infer::kChunk));
      const std::vector<infer::TokenId> prompt = text(size);
      LATHE_TRY(const Timeline first, time(*engine, {prompt}, 1));
      LATHE_TRY(const Timeline again, time(*engine, {prompt}, 1));
      if (first.cached > 0 || (size > infer::kChunk && again.cached == 0))
        return fail(ErrorKind::kUnavailable,
                    "a new prompt of {} tokens had {} of them from the cache, the same one again "
                    "{}: the figures are void",
                    size, first.cached, again.cached);
      add(cold, first.first() * 1e3);
      add(cached, again.first() * 1e3);
      return {};
    });
  }

  const infer::Model& model_;
  const infer::Tokenizer& tokenizer_;
  infer::ThreadTeam& team_;
  const BenchPlan& plan_;
  const StopFlag& stop_;
  const std::function<void(const BenchRow&)>& heard_;
  std::vector<Row> rows_;
  std::vector<Task> tasks_;
  std::uint64_t texts_ = 0;
  std::optional<double> rest_watts_;  // nothing: energy is not measured
};

}  // namespace

Result<std::vector<BenchRow>> bench_model(const infer::Model& model,
                                          const infer::Tokenizer& tokenizer,
                                          infer::ThreadTeam& team, const BenchPlan& plan,
                                          const StopFlag& stop,
                                          const std::function<void(const BenchRow&)>& heard) {
  return Bench(model, tokenizer, team, plan, stop, heard).run();
}

}  // namespace lathe::app
