// Windows of a sound, one after the other, to segments.
#include "infer/whisper/transcribe.h"

#include <algorithm>
#include <cmath>

#include "infer/whisper/align.h"
#include "infer/whisper/silence.h"
#include "infer/whisper/window.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kFramesASecond = 100;
constexpr std::size_t kFramesATime = WhisperTokens::kFramesATime;
constexpr double kHighest = 1.0;    // temperature
constexpr double kPastBelow = 0.5;  // hotter than that, the past would only mislead

class Transcriber {
 public:
  using Id = WhisperTokens::Id;
  Transcriber(WhisperModel& model, const WhisperTokens& tokens, const TranscribeOptions& options,
              const StopFlag* stop)
      : model_(model),
        tokens_(tokens),
        options_(options),
        stop_(stop),
        decoder_(model, tokens, options),
        past_(options.prompt),
        random_(options.seed) {}

  Result<Transcript> run(const MelReader& mel, std::size_t frames,
                         std::span<const SilentStretch> silence,
                         const std::function<void(const TranscriptSegment*, double)>& hear) {
    Transcript transcript;
    if (options_.language && tokens_.languages > 0)
      transcript.language = language_ = *options_.language;
    for (std::size_t at = 0;;) {
      at = behind_silence(silence, at);
      if (at + kLeastFrames >= frames) break;
      LATHE_TRY_STATUS(model_.encode(mel.read(at, 2 * model_.sizes().sound_rows), stop_));
      if (!transcript.language && tokens_.languages > 0) {
        LATHE_TRY(language_, spoken());
        transcript.language = language_;
      }
      LATHE_TRY(const WhisperWindow window, write(frames - at));
      const bool silent =
          window.no_speech > options_.most_no_speech && window.score < options_.least_logprob;
      const std::size_t before = transcript.segments.size();
      if (!silent) add_segments(window, at, transcript.segments);
      if (options_.words)
        LATHE_TRY_STATUS(
            add_words(std::span(transcript.segments).subspan(before), at, frames - at));
      remember(window, silent);
      const auto& written = window.tokens;
      // A window whose last words have an end of their own, and no beginning of more, is done.
      const bool alone = written.size() > 1 && !tokens_.is_time(written[written.size() - 2]) &&
                         tokens_.is_time(written.back());
      at += std::max<std::size_t>(
          kFramesATime,
          alone ? std::min(frames - at, 2 * model_.sizes().sound_rows) : window.frames);
      if (!hear) continue;
      const double done = static_cast<double>(std::min(at, frames)) / kFramesASecond;
      for (std::size_t i = before; i < transcript.segments.size(); ++i)
        hear(&transcript.segments[i], done);
      if (before == transcript.segments.size()) hear(nullptr, done);
    }
    return transcript;
  }

 private:
  // The likeliest language of the window.
  Result<std::size_t> spoken() {
    LATHE_TRY(WhisperModel::Sequence sequence, model_.begin());
    const WhisperModel::Row row{&sequence, tokens_.start, true};
    LATHE_TRY(const auto logits, model_.step({&row, 1}, stop_));
    const auto languages =
        logits.subspan(static_cast<std::size_t>(tokens_.first_language), tokens_.languages);
    return static_cast<std::size_t>(std::ranges::max_element(languages) - languages.begin());
  }

  // What is to be written.
  std::vector<Id> start_tokens() const {
    if (tokens_.languages == 0) return {tokens_.start};
    return {tokens_.start, tokens_.language(language_),
            options_.translate ? tokens_.translate : tokens_.transcribe};
  }

  std::vector<Id> prompt(bool with_past) const {
    std::vector<Id> prompt;
    if (with_past && !past_.empty()) {
      const std::size_t most = model_.sizes().text_context / 2 - 1;
      const auto last = std::span(past_).last(std::min(past_.size(), most));
      prompt.push_back(tokens_.previous);
      prompt.insert(prompt.end(), last.begin(), last.end());
    }
    const std::vector<Id> start = start_tokens();
    prompt.insert(prompt.end(), start.begin(), start.end());
    if (!options_.times) prompt.push_back(tokens_.no_times);
    return prompt;
  }

  // At rising temperatures, until it is no longer doubtful.
  Result<WhisperWindow> write(std::size_t left) {
    for (temperature_ = options_.temperature;; temperature_ += options_.temperature_step) {
      LATHE_TRY(const WhisperWindow window, decoder_.run(prompt(temperature_ < kPastBelow), left,
                                                         temperature_, random_, stop_));
      const bool doubtful = window.failed || (window.score < options_.least_logprob &&
                                              window.no_speech < options_.most_no_speech);
      if (!doubtful || options_.temperature_step <= 0 ||
          temperature_ + options_.temperature_step > kHighest + 1e-6)
        return window;
    }
  }

  void add_segments(const WhisperWindow& window, std::size_t at,
                    std::vector<TranscriptSegment>& segments) const {
    const auto seconds = [&](std::size_t frames) {
      return static_cast<double>(at + frames) / kFramesASecond;
    };
    TranscriptSegment segment;
    const auto begin = [&](std::size_t frames) {
      segment = {};
      segment.start = seconds(frames);
      segment.mean_logprob = window.score;
      segment.no_speech = window.no_speech;
      segment.temperature = temperature_;
    };
    const auto end = [&](std::size_t frames) {
      segment.end = seconds(frames);
      if (!segment.text.empty()) segments.push_back(segment);
      begin(frames);
    };
    begin(0);
    for (std::size_t i = 0; i < window.tokens.size(); ++i) {
      const Id token = window.tokens[i];
      if (tokens_.is_time(token)) {
        if (segment.text.empty())
          begin(tokens_.frames_of(token));
        else
          end(tokens_.frames_of(token));
      } else if (tokens_.is_text(token)) {
        segment.text += tokens_.text(token);
        segment.tokens.push_back(token);
        segment.logprobs.push_back(window.logprobs[i]);
      }
    }
    end(window.frames);
  }

  // When the words of a window's segments were said.
  Status add_words(std::span<TranscriptSegment> segments, std::size_t at, std::size_t left) {
    std::vector<Id> tokens = start_tokens();
    tokens.push_back(tokens_.no_times);
    const std::size_t before = tokens.size() - 1;  // each row looks at the token behind it
    std::vector<std::string_view> texts;
    for (const TranscriptSegment& segment : segments)
      for (const Id token : segment.tokens) {
        tokens.push_back(token);
        texts.push_back(tokens_.text(token));
      }
    if (texts.empty()) return {};
    const std::size_t columns =
        std::clamp<std::size_t>(left / kFramesATime, 1, model_.sizes().sound_rows);
    LATHE_TRY(const std::vector<float> gaze, model_.gaze(tokens, columns, stop_));
    std::vector<double> cost(gaze.begin() + static_cast<std::ptrdiff_t>(before * columns),
                             gaze.end());
    for (double& each : cost) each = -each;
    const std::vector<std::size_t> entered = warp(cost, texts.size() + 1, columns);
    const auto seconds = [&](std::size_t token) {
      return static_cast<double>(at + kFramesATime * entered[token]) / kFramesASecond;
    };
    std::size_t token = 0;
    for (TranscriptSegment& segment : segments) {
      const auto own = std::span(texts).subspan(token, segment.tokens.size());
      for (const std::size_t length : word_lengths(own, has_blanks())) {
        SpokenWord& word = segment.words.emplace_back();
        word.start = seconds(token);
        for (const std::size_t end = token + length; token < end; ++token)
          word.text += texts[token];
        word.end = seconds(token);
      }
    }
    return {};
  }

  // Between its words.
  bool has_blanks() const {
    constexpr std::string_view kWithout[] = {"zh", "ja", "th", "lo", "my", "yue"};
    return tokens_.languages == 0 ||
           std::ranges::find(kWithout, whisper_languages()[language_].code) == std::end(kWithout);
  }

  // What the next window may be told.
  void remember(const WhisperWindow& window, bool silent) {
    if (!options_.use_past) {
      past_ = options_.prompt;
      return;
    }
    if (temperature_ >= kPastBelow) past_.clear();
    if (!silent) past_.insert(past_.end(), window.tokens.begin(), window.tokens.end());
  }

  WhisperModel& model_;
  const WhisperTokens& tokens_;
  const TranscribeOptions& options_;
  const StopFlag* stop_;
  WindowDecoder decoder_;
  std::size_t language_ = 0;
  std::vector<Id> past_;
  std::mt19937_64 random_;
  double temperature_ = 0;  // that the last window was written at
};

}  // namespace

Result<Transcript> transcribe(WhisperModel& model, const WhisperTokens& tokens,
                              std::span<const std::int16_t> samples, ThreadTeam& team,
                              const TranscribeOptions& options, const StopFlag* stop,
                              const std::function<void(const TranscriptSegment*, double)>& hear) {
  const MelReader mel(samples, model.mel(), team);
  const MelSpec& spec = model.mel().spec();
  // Of the sound itself, without the silence behind it.
  const std::size_t heard = samples.size() + spec.front;
  const std::size_t frames = heard < spec.fft ? 0 : (heard - spec.fft) / spec.hop + 1;
  std::vector<SilentStretch> silence;
  if (options.skip_silence) silence = silent_stretches(samples);
  return Transcriber(model, tokens, options, stop).run(mel, frames, silence, hear);
}

}  // namespace lathe::infer
