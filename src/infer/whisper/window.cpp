// Beams of a window: what may come, what is taken, which one is best.
#include "infer/whisper/window.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lathe::infer {
WindowDecoder::WindowDecoder(WhisperModel& model, const WhisperTokens& tokens,
                             const TranscribeOptions& options)
    : model_(model), tokens_(tokens), options_(options) {
  rules_.times = options.times;
}

Result<WhisperWindow> WindowDecoder::run(std::span<const Id> prompt, std::size_t left,
                                         double temperature, std::mt19937_64& random,
                                         const StopFlag* stop) {
  count_ = std::max<std::size_t>(1, temperature > 0 ? options_.best_of : options_.beams);
  LATHE_TRY_STATUS(begin(prompt, stop));
  std::vector<float> first = beams_[0].logits;
  log_softmax(first);
  const double no_speech = std::exp(first[static_cast<std::size_t>(tokens_.no_speech)]);
  const std::size_t most = model_.sizes().text_context / 2 - 4;
  for (std::size_t step = 0; step < most; ++step) {
    for (Beam& beam : beams())
      if (beam.written.goes_on()) filter(beam, temperature);
    if (temperature > 0 || count_ == 1) {
      for (Beam& beam : beams())
        if (beam.written.goes_on()) draw(beam, temperature, random);
    } else {
      search();
    }
    const bool last = step + 1 == most;
    bool any = false;
    for (Beam& beam : beams()) {
      if (!beam.written.goes_on()) continue;
      check(beam.written, step, left);
      any = any || beam.written.goes_on();
      // Out of tokens, and not even half the window is written.
      if (last && !beam.written.done &&
          (beam.written.complete == 0 || beam.written.frames < model_.sizes().sound_rows))
        beam.written.failed = true;
    }
    if (!any || last) break;
    LATHE_TRY_STATUS(write(stop));
  }
  return best(no_speech);
}

// All beams are where the prompt ends.
Status WindowDecoder::begin(std::span<const Id> prompt, const StopFlag* stop) {
  while (beams_.size() < count_) {
    Beam& beam = beams_.emplace_back();
    LATHE_TRY(beam.sequence, model_.begin());
    LATHE_TRY(beam.other, model_.begin());
  }
  WhisperModel::Sequence& whole = beams_[0].sequence;
  model_.clear(whole);
  std::vector<WhisperModel::Row> rows;
  for (const Id token : prompt) rows.push_back({&whole, token, false});
  rows.back().wanted = true;
  LATHE_TRY(const auto logits, model_.step(rows, stop));
  for (Beam& beam : beams()) {
    if (&beam.sequence != &whole) model_.copy(whole, beam.sequence);
    beam.written = {};
    beam.written.frames = 2 * model_.sizes().sound_rows;
    beam.logits.assign(logits.begin(), logits.end());
  }
  return {};
}

// The last token of those that go on, and what comes behind it.
Status WindowDecoder::write(const StopFlag* stop) {
  std::vector<WhisperModel::Row> rows;
  std::vector<Beam*> those;
  for (Beam& beam : beams()) {
    if (!beam.written.goes_on()) continue;
    rows.push_back({&beam.sequence, beam.written.tokens.back(), true});
    those.push_back(&beam);
  }
  LATHE_TRY(const auto logits, model_.step(rows, stop));
  const std::size_t width = model_.sizes().vocabulary;
  for (std::size_t i = 0; i < those.size(); ++i) {
    const auto own = logits.subspan(i * width, width);
    those[i]->logits.assign(own.begin(), own.end());
  }
  return {};
}

void WindowDecoder::filter(Beam& beam, double temperature) const {
  if (temperature > 0)
    for (float& logit : beam.logits) logit = static_cast<float>(logit / temperature);
  const Written& written = beam.written;
  const Id earliest =
      tokens_.first_time +
      (written.timed ? static_cast<Id>(written.frames / WhisperTokens::kFramesATime) : 0);
  filter_next(tokens_, rules_, written.tokens, earliest, beam.logits);
}

// The most likely one, or by chance.
void WindowDecoder::draw(Beam& beam, double temperature, std::mt19937_64& random) const {
  const std::vector<float>& logits = beam.logits;
  auto token = static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
  if (temperature > 0) {
    double all = 0;
    for (const float logit : logits) all += std::exp(logit);
    double at = static_cast<double>(random() >> 11) * 0x1p-53 * all;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double share = std::exp(logits[i]);
      if (share == 0) continue;
      token = i;
      at -= share;
      if (at < 0) break;
    }
  }
  take(beam.written, static_cast<Id>(token), logits[token]);
}

// The likeliest continuations of all beams become the beams that go on.
void WindowDecoder::search() {
  std::vector<Choice> choices;
  std::vector<std::size_t> order(model_.sizes().vocabulary);
  for (std::size_t b = 0; b < count_; ++b) {
    const Beam& beam = beams_[b];
    if (!beam.written.goes_on()) continue;
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(std::min(count_, order.size()));
    std::partial_sort(order.begin(), middle, order.end(), [&](std::size_t x, std::size_t y) {
      return beam.logits[x] != beam.logits[y] ? beam.logits[x] > beam.logits[y] : x < y;
    });
    for (auto at = order.begin(); at != middle; ++at) {
      const float logprob = beam.logits[*at];
      choices.push_back({b, static_cast<Id>(*at), logprob, beam.written.sum + logprob});
    }
  }
  std::ranges::stable_sort(choices, std::greater{}, &Choice::sum);
  const auto same = [&](const Choice& x, const Choice& y) {
    return x.token == y.token && beams_[x.beam].written.tokens == beams_[y.beam].written.tokens;
  };
  std::size_t at = 0;
  for (Beam& beam : beams()) {
    if (!beam.written.goes_on()) continue;
    if (at >= choices.size()) at = 0;
    const Choice& choice = choices[at++];
    while (at < choices.size() && same(choices[at], choice)) ++at;
    beam.from = choice.beam;
    beam.next = beams_[choice.beam].written;
    take(beam.next, choice.token, choice.logprob);
  }
  follow();
}

// Beams become what they go on as. First all that another one is read for.
void WindowDecoder::follow() {
  const auto moves = [&](const Beam& beam) {
    return beam.written.goes_on() && &beam != &beams_[beam.from];
  };
  for (Beam& beam : beams())
    if (moves(beam)) model_.copy(beams_[beam.from].sequence, beam.other);
  for (Beam& beam : beams())
    if (moves(beam)) std::swap(beam.sequence, beam.other);
  for (Beam& beam : beams())
    if (beam.written.goes_on()) std::swap(beam.written, beam.next);
}

void WindowDecoder::take(Written& written, Id token, float logprob) const {
  written.tokens.push_back(token);
  written.logprobs.push_back(logprob);
  written.sum += logprob;
}

// What the last token means: a time that runs backwards, an end.
void WindowDecoder::check(Written& written, std::size_t step, std::size_t left) const {
  const Id token = written.tokens.back();
  if (token > tokens_.first_time) {
    const std::size_t frames = tokens_.frames_of(token);
    if (written.timed && written.frames > frames && written.complete < step) {
      written.failed = true;
      return;
    }
    written.frames = frames;
    written.complete = step + 1;
    written.timed = true;
  }
  const bool at_end = written.frames + kLeastFrames >= left;
  if (token != tokens_.end && !(written.timed && at_end)) return;
  written.done = true;
  if (!options_.times) {
    written.complete = step + 1;
    written.frames = 2 * model_.sizes().sound_rows;
  } else if (written.complete == 0) {
    if (at_end)
      written.complete = step + 1;
    else
      written.failed = true;
  }
}

WhisperWindow WindowDecoder::best(double no_speech) const {
  WhisperWindow window;
  window.no_speech = no_speech;
  window.failed = true;
  double most = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < count_; ++i) {
    const Written& written = beams_[i].written;
    const auto count = static_cast<std::ptrdiff_t>(written.complete);
    const std::span<const Id> tokens = std::span(written.tokens).first(written.complete);
    const double sum =
        std::accumulate(written.logprobs.begin(), written.logprobs.begin() + count, 0.0);
    const double score = count == 0 ? 0 : sum / static_cast<double>(count);
    const bool circles =
        tokens.size() > kEntropyTokens && entropy_of(tokens) < options_.least_entropy;
    const bool failed = written.failed || circles;
    // One that failed counts where all did.
    if (failed && (!window.failed || i > 0)) continue;
    if (!failed && !window.failed && score <= most) continue;
    most = score;
    window.tokens.assign(tokens.begin(), tokens.end());
    window.logprobs.assign(written.logprobs.begin(), written.logprobs.begin() + count);
    window.frames = written.frames;
    window.score = score;
    window.failed = failed;
  }
  return window;
}

}  // namespace lathe::infer
