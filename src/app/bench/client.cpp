// Questions, and the look at a target before it is measured.
#include "app/bench/client.h"

#include <algorithm>
#include <set>

#include "app/bench/corpus.h"
#include "ground/base/random.h"

namespace lathe::app {
namespace {

constexpr std::uint64_t kPairs = 3;  // of a new prompt and the same one again
constexpr std::uint64_t kFixed = 0;  // the seed of the question that is always the same

Request request_of(const Shape& shape, double tokens_per_word, std::uint64_t seed) {
  const auto words = static_cast<std::size_t>(
      std::max(4.0, static_cast<double>(shape.prompt_tokens) / tokens_per_word));
  Request request;
  request.ask = Talk{.messages = {{.role = "user", .content = corpus_text(seed, words)}}};
  request.max_tokens = shape.answer_tokens;
  request.sampling.temperature = 0;
  request.sampling.seed = 1;
  request.sampling.logit_bias = shape.bias;
  return request;
}

double first_ms(const Sample& sample) {
  return sample.pieces_us.empty() ? 0 : static_cast<double>(sample.pieces_us.front()) / 1e3;
}

// One question alone.
Result<Sample> ask(Target& target, Request request, const StopFlag& stop) {
  constexpr std::int64_t kLookUs = 100'000;
  static constexpr std::uint64_t kId = ~std::uint64_t{0};
  Sample sample;
  const std::int64_t start = target.now_us();
  target.ask(kId, request);
  for (;;) {
    const auto event = target.next(target.now_us() + kLookUs);
    if (stop.raised()) target.cancel();
    if (!event) continue;
    if (event->kind == TargetEvent::Kind::kText) sample.pieces_us.push_back(event->at_us - start);
    if (event->kind != TargetEvent::Kind::kEnd) continue;
    if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
    if (!event->error.empty())
      return fail(ErrorKind::kUnavailable, "{}: {}", target.where(), event->error);
    sample.counted = event->usage.counted;
    sample.prompt_tokens = event->usage.prompt_tokens;
    sample.cached_tokens = event->usage.cached_tokens;
    sample.answer_tokens = event->usage.completion_tokens;
    return sample;
  }
}

}  // namespace

Result<Calibration> calibrate(Target& target, const Shape& shape, std::uint64_t seed,
                              const StopFlag& stop) {
  Calibration found;
  const auto prompt = [&](std::uint64_t number) {
    Request request = request_of(shape, found.tokens_per_word, mix64(seed) + number);
    request.max_tokens = std::min(shape.answer_tokens, 8);
    return request;
  };
  // The first one may load the model, and says how long words are.
  Shape small = shape;
  small.prompt_tokens = std::min<std::size_t>(shape.prompt_tokens, 64);
  const std::size_t words = std::max<std::size_t>(4, small.prompt_tokens * 10 / 13);
  Request opener = request_of(small, 1.3, mix64(seed));
  opener.max_tokens = std::min(shape.answer_tokens, 8);
  LATHE_TRY(const Sample first, ask(target, std::move(opener), stop));
  found.counts = first.counted && first.prompt_tokens > 0;
  if (found.counts)
    found.tokens_per_word =
        std::max(0.2, static_cast<double>(first.prompt_tokens) / static_cast<double>(words));
  std::vector<double> fresh, again;
  for (std::uint64_t pair = 1; pair <= kPairs; ++pair) {
    LATHE_TRY(const Sample first_time, ask(target, prompt(pair), stop));
    LATHE_TRY(const Sample second_time, ask(target, prompt(pair), stop));
    found.shared_tokens = std::max(found.shared_tokens, first_time.cached_tokens);
    found.cached_tokens = second_time.cached_tokens;
    fresh.push_back(first_ms(first_time));
    again.push_back(first_ms(second_time));
  }
  if (shape.warm) {
    LATHE_TRY([[maybe_unused]] const Sample computed,
              ask(target, request_of(shape, found.tokens_per_word, kFixed), stop));
  }
  // As a record holds them; what disturbs a moment makes nothing look cached.
  found.new_ms = *parse_decimal(decimal(figure_of(fresh).low));
  found.again_ms = *parse_decimal(decimal(figure_of(again).median));
  return found;
}

std::string cache_fault_of(const Calibration& calibration) {
  if (calibration.cached_tokens > calibration.shared_tokens || calibration.new_ms < 20) return "";
  if (calibration.again_ms > calibration.new_ms / 3) return "";
  return fmt::format(
      "the same prompt again had its first token after {:.0f} ms instead of {:.0f} ms, and the "
      "server says that nothing of it was cached: it probably caches prefixes in secret",
      calibration.again_ms, calibration.new_ms);
}

Questions questions_of(const Shape& shape, const Calibration& calibration, std::uint64_t seed) {
  return [=](std::size_t n) -> Question {
    if (n == 0 || shape.warm)
      return {request_of(shape, calibration.tokens_per_word, kFixed), n == 0};
    return {request_of(shape, calibration.tokens_per_word, mix64(mix64(seed) + n)), false};
  };
}

SameBits same_bits(const std::vector<Point>& points) {
  std::set<std::string> texts;
  SameBits found;
  for (const Point& point : points) {
    for (const Sample& sample : point.samples) {
      if (!sample.fixed || !sample.answered()) continue;
      ++found.answers;
      texts.insert(sample.text);
    }
  }
  found.different = texts.size();
  if (texts.size() == 1) found.hash = *texts.begin();
  return found;
}

}  // namespace lathe::app
