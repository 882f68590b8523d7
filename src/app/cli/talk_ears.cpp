// One recording a turn: from the answer on where it may be interrupted, else from its end on.
#include "app/cli/talk_ears.h"

#include <thread>

#include "app/cli/open_encoder.h"
#include "app/talk/utterance.h"
#include "ground/base/text.h"
#include "serve/pool/listener.h"

namespace lathe::app {

Result<std::unique_ptr<TalkEars>> TalkEars::open(const App& app, const std::string& model) {
  auto ears = std::make_unique<TalkEars>();
  LATHE_TRY(const int threads, choose_threads(0));
  ears->team_ = std::make_unique<infer::ThreadTeam>(threads);
  LATHE_TRY(infer::Gguf file, infer::Gguf::open(model));
  ears->file_ = std::make_unique<infer::Gguf>(std::move(file));
  if (!infer::WhisperModel::is_one(*ears->file_))
    return invalid("{}: is no Whisper model; those are files like ggml-base.bin", model);
  LATHE_TRY(ears->model_, open_encoder<infer::WhisperModel>(app, "", *ears->file_, *ears->team_));
  LATHE_TRY(ears->tokens_, infer::WhisperTokens::of(*ears->file_));
  return ears;
}

Status TalkEars::stay_open() {
  LATHE_TRY(microphone_, Microphone::start());
  from_ = 0;
  return {};
}

Result<std::optional<std::string>> TalkEars::listen(const App& app) {
  print_note("listening; Ctrl-C ends the talk");
  if (!microphone_) LATHE_TRY_STATUS(stay_open());
  const std::unique_ptr<Microphone> microphone = std::move(microphone_);
  while (!app.stop->raised()) {
    LATHE_TRY(const Sound sound, microphone->heard(from_));
    if (!utterance_ended(sound.samples)) {
      std::this_thread::sleep_for(Milliseconds(100));
      continue;
    }
    from_ += sound.samples.size();
    LATHE_TRY(const Transcript said,
              serve::write_down(*model_, tokens_, sound.samples, *team_, {}, app.stop, {}));
    const std::string text(trim(said.text()));
    if (!text.empty()) return text;
  }
  return std::nullopt;
}

bool TalkEars::interrupted() {
  constexpr std::size_t kLead = kSoundRate / 2;  // a word begins softly
  const auto sound = microphone_->heard(from_);
  if (!sound) return false;  // listen() will say why
  const auto begins = speech_in(sound->samples);
  const std::size_t known = begins.value_or(sound->samples.size());
  from_ += known - std::min(known, kLead);
  return begins.has_value();
}

}  // namespace lathe::app
