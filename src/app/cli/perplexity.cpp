// lathe perplexity MODEL FILE: how surprised a model is by a text. The text is cut into windows of
// --window tokens; of each the second half is scored, so that every scored token has at least half
// a window before it (the way llama.cpp does it, so that figures compare).
#include <cmath>

#include "app/cli/local_model.h"

namespace lathe::app {
namespace {

struct Score {
  double sum = 0, squares = 0;
  std::size_t count = 0;

  double mean() const { return sum / static_cast<double>(count); }
  double perplexity() const { return std::exp(mean()); }
  // Standard error of the perplexity, from that of the mean.
  double error() const {
    if (count < 2) return 0;
    const auto n = static_cast<double>(count);
    const double variance = std::max(0.0, squares / n - mean() * mean()) / (n - 1);
    return std::sqrt(variance) * perplexity();
  }
};

Status score_window(const LocalModel& local, std::span<const infer::TokenId> tokens, Score& score) {
  const std::size_t first = tokens.size() / 2;
  std::size_t position = 0;
  return local.engine->logits(
      std::vector<infer::TokenId>(tokens.begin(), tokens.end()),
      [&](std::span<const float> logits) {
        if (position >= first && position + 1 < tokens.size()) {
          const auto surprise =
              -static_cast<double>(infer::logprob_of(logits, tokens[position + 1]).logprob);
          score.sum += surprise;
          score.squares += surprise * surprise;
          ++score.count;
        }
        ++position;
      },
      local.adapter.get());
}

Status measure(const App& app, const ModelFlags& flags, const std::string& path,
               std::size_t window) {
  LATHE_TRY(const std::string text, read_file(path));
  LATHE_TRY(LocalModel local, open_model(app, flags));
  if (window < 4 || window > local.engine->options().context) {
    return invalid("--window is {}; it must lie in [4, {}], the model's context", window,
                   local.engine->options().context);
  }
  std::vector<infer::TokenId> tokens = local.tokenizer->encode(text, true, false);
  const auto with_bos = local.tokenizer->encode("", true, false);
  if (tokens.size() < window) {
    return invalid("{}: {} tokens; at least one window of {} is needed (--window)", path,
                   tokens.size(), window);
  }
  Score score;
  const std::size_t windows = tokens.size() / window;
  for (std::size_t i = 0; i < windows; ++i) {
    if (app.stop->raised())
      return fail(ErrorKind::kCancelled, "stopped after {} of {} windows", i, windows);
    const std::span<infer::TokenId> part = std::span(tokens).subspan(i * window, window);
    if (!with_bos.empty()) part[0] = with_bos[0];
    LATHE_TRY_STATUS(score_window(local, part, score));
    if (!app.json) {
      fmt::print(stderr, "\r{} of {} windows: {:.4f}\x1b[K", i + 1, windows, score.perplexity());
    }
  }
  if (app.json) {
    print_json({{"perplexity", score.perplexity()},
                {"error", score.error()},
                {"tokens", score.count},
                {"windows", windows},
                {"window", window}});
  } else {
    fmt::print(stderr, "\r\x1b[K");
    print(fmt::format("perplexity {:.4f} ± {:.4f} over {} tokens ({} windows of {})\n",
                      score.perplexity(), score.error(), score.count, windows, window));
  }
  return {};
}

}  // namespace

void add_perplexity(CLI::App& cli, App& app, Action& action) {
  struct Flags : ModelFlags {
    std::string text;
    std::size_t window = 512;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = cli.add_subcommand("perplexity", "How surprised a model is by a text");
  add_model_flags(*command, flags);
  add_adapter_flag(*command, flags);
  command->add_option("file", flags->text, "A text file")->required();
  command->add_option("--window", flags->window, "Tokens of one window")->capture_default_str();
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = measure(app, *flags, flags->text, flags->window);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
