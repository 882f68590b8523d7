// Measures a model: prefill, decode, widths, streams, depths; what memory gives; the report.
#include "app/bench/bench.h"

#include <algorithm>
#include <chrono>

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
    LATHE_TRY_STATUS(prefill());
    LATHE_TRY_STATUS(decode());
    LATHE_TRY_STATUS(widths());
    LATHE_TRY_STATUS(streams());
    LATHE_TRY_STATUS(depths());
    LATHE_TRY_STATUS(reuse());
    return std::move(rows_);
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

  // Random tokens that no earlier prompt began with.
  std::vector<infer::TokenId> nonce(std::size_t size) {
    std::vector<infer::TokenId> ids(size);
    for (infer::TokenId& id : ids) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      id = static_cast<infer::TokenId>((state_ >> 33) % model_.blueprint().vocabulary);
    }
    return ids;
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
      engine.step([&](const infer::TokenEvent&) { timeline.tokens.push_back(now() - start); });
    }
    return timeline;
  }

  void report(std::string what, std::size_t size, std::string unit, std::vector<double> values) {
    rows_.push_back({std::move(what), size, std::move(unit), figure_of(std::move(values))});
    heard_(rows_.back());
  }

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
    LATHE_TRY([[maybe_unused]] const Timeline timeline, time(*engine, {nonce(32)}, 8));
    return {};
  }

  Status prefill() {
    for (const std::size_t size : plan_.prompts) {
      std::vector<double> rates;
      for (int i = 0; i < plan_.repeat; ++i) {
        LATHE_TRY(auto engine, this->engine(size + infer::kChunk));
        LATHE_TRY(const Timeline timeline, time(*engine, {nonce(size)}, 1));
        rates.push_back(static_cast<double>(size) / timeline.first());
      }
      report("prefill", size, "tok/s", std::move(rates));
    }
    return {};
  }

  // What memory gives all threads at the moment, in bytes a second, from the weights themselves.
  double plain_reads() const {
    constexpr std::size_t kMost = std::size_t{1} << 30;
    const auto weights = model_.packed().first(std::min(kMost, model_.packed().size()));
    const std::size_t parts = static_cast<std::size_t>(team_.size());
    const std::size_t part = weights.size() / parts / 64 * 64;
    const double start = now();
    team_.run(parts, [&](std::size_t i, int) { infer::read_all(weights.subspan(i * part, part)); });
    return static_cast<double>(parts * part) / (now() - start);
  }

  // How much of the time is memory's: what decode reads a second, beside plain reads just before
  // and after it.
  Status decode() {
    const double token = static_cast<double>(model_.bytes_per_token());
    std::vector<double> rates, reads, parts;
    for (int i = 0; i < plan_.repeat; ++i) {
      LATHE_TRY(auto engine, this->engine(plan_.answer + 2 * infer::kChunk));
      const double before = plain_reads();
      LATHE_TRY(const Timeline timeline, time(*engine, {nonce(4)}, plan_.answer));
      const double plain = (before + plain_reads()) / 2;
      rates.push_back(static_cast<double>(plan_.answer - 1) / (timeline.last() - timeline.first()));
      reads.push_back(rates.back() * token * 1e-9);
      parts.push_back(rates.back() * token / plain * 100);
    }
    report("decode", plan_.answer, "tok/s", std::move(rates));
    report("decode, weights read", plan_.answer, "GB/s", std::move(reads));
    report("decode, of plain reads", plan_.answer, "%", std::move(parts));
    return {};
  }

  // A prompt computed w tokens at a time: what verifying a draft of w tokens costs.
  Status widths() {
    for (const std::size_t width : plan_.widths) {
      std::vector<double> milliseconds;
      for (int i = 0; i < plan_.repeat; ++i) {
        LATHE_TRY(auto engine, this->engine(width * kSteps + infer::kChunk, width));
        LATHE_TRY(const Timeline timeline, time(*engine, {nonce(width * kSteps)}, 1));
        milliseconds.push_back(timeline.first() / kSteps * 1e3);
      }
      report("step", width, "ms", std::move(milliseconds));
    }
    return {};
  }

  Status streams() {
    for (const std::size_t count : plan_.streams) {
      std::vector<double> rates;
      for (int i = 0; i < plan_.repeat; ++i) {
        const std::size_t each = kStreamPrompt + plan_.answer;
        LATHE_TRY(auto engine, this->engine(count * (each + 2 * infer::kChunk)));
        std::vector<std::vector<infer::TokenId>> prompts;
        for (std::size_t s = 0; s < count; ++s) prompts.push_back(nonce(kStreamPrompt));
        LATHE_TRY(const Timeline timeline, time(*engine, std::move(prompts), plan_.answer));
        const auto tokens = static_cast<double>(count * (plan_.answer - 1));
        rates.push_back(tokens / (timeline.last() - timeline.tokens[count - 1]));
      }
      report("streams", count, "tok/s", std::move(rates));
    }
    return {};
  }

  // One prompt per depth; the answer's tokens are the repetitions.
  Status depths() {
    for (const std::size_t depth : plan_.depths) {
      const std::size_t answer = depth_answer();
      LATHE_TRY(auto engine, this->engine(depth + answer + infer::kChunk));
      LATHE_TRY(const Timeline timeline, time(*engine, {nonce(depth)}, answer));
      std::vector<double> rates;
      for (std::size_t i = 0; i + kGroup < timeline.tokens.size(); i += kGroup) {
        rates.push_back(kGroup / (timeline.tokens[i + kGroup] - timeline.tokens[i]));
      }
      report("decode at depth", depth, "tok/s", std::move(rates));
    }
    return {};
  }

  // The same prompt again: the first token comes from the cached prefix.
  Status reuse() {
    const std::size_t size = *std::max_element(plan_.prompts.begin(), plan_.prompts.end());
    std::vector<double> cold, cached;
    for (int i = 0; i < plan_.repeat; ++i) {
      LATHE_TRY(auto engine, this->engine(2 * size + 4 * infer::kChunk));
      const std::vector<infer::TokenId> prompt = nonce(size);
      LATHE_TRY(const Timeline first, time(*engine, {prompt}, 1));
      LATHE_TRY(const Timeline again, time(*engine, {prompt}, 1));
      cold.push_back(first.first() * 1e3);
      cached.push_back(again.first() * 1e3);
    }
    report("first token, new prompt", size, "ms", std::move(cold));
    report("first token, cached prompt", size, "ms", std::move(cached));
    return {};
  }

  const infer::Model& model_;
  const infer::Tokenizer& tokenizer_;
  infer::ThreadTeam& team_;
  const BenchPlan& plan_;
  const StopFlag& stop_;
  const std::function<void(const BenchRow&)>& heard_;
  std::vector<BenchRow> rows_;
  std::uint64_t state_ = 42;
};

}  // namespace

Figure figure_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back()};
}

Result<std::vector<BenchRow>> bench_model(const infer::Model& model,
                                          const infer::Tokenizer& tokenizer,
                                          infer::ThreadTeam& team, const BenchPlan& plan,
                                          const StopFlag& stop,
                                          const std::function<void(const BenchRow&)>& heard) {
  return Bench(model, tokenizer, team, plan, stop, heard).run();
}

}  // namespace lathe::app
