// Opens a voice, and puts what it says where it is wanted.
#include "app/cli/speak_model.h"

#include <unistd.h>

#include <cstdio>

#include "app/cli/local_model.h"
#include "app/cli/loudspeaker.h"
#include "app/cli/model_library.h"
#include "app/cli/work_progress.h"
#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "infer/voice/voice.h"
#include "serve/pool/catalog.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kRecordingLimit{300'000};

// The file with the rest of a voice, which lies beside the talker's.
Result<infer::Gguf> open_rest(const fs::path& talker) {
  LATHE_TRY(const serve::Catalog catalog, serve::Catalog::read(talker));
  if (catalog.models().empty() || catalog.models().front().eyes.empty())
    return fail(ErrorKind::kNotFound,
                "{}: beside it lies no file with mmproj in its name; a voice has one, which "
                "makes sound of what this model says",
                talker.string());
  return infer::Gguf::open(catalog.models().front().eyes);
}

Result<std::unique_ptr<infer::Voice>> open_voice(const App& app, const ModelSpeaker& speaker,
                                                 infer::ThreadTeam& team) {
  infer::WeightLoading loading;
  LATHE_TRY(loading.kernels, choose_kernels(speaker.kernels));
  const fs::path path = model_path(app, speaker.path);
  LATHE_TRY(const infer::Gguf talker, infer::Gguf::open(path));
  LATHE_TRY(const infer::Gguf rest, open_rest(path));
  WorkProgress progress(app, "loading " + path.filename().string());
  loading.progress = [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total); };
  loading.stop = app.stop;
  return infer::Voice::open(talker, rest, team, loading);
}

Result<std::vector<float>> hear_speaker(const App& app, const std::string& recording,
                                        infer::Voice& voice) {
  LATHE_TRY(const std::string bytes, read_file(recording, kMaxSoundFile));
  const auto samples =
      decode_samples_file(app.program, bytes, infer::kVoiceRate, kRecordingLimit, *app.stop);
  if (!samples) return at(recording, samples.error());
  return voice.speaker(*samples, app.stop);
}

}  // namespace

void add_model_speaker(CLI::App& command, ModelSpeaker& speaker) {
  CLI::Option* model =
      command.add_option("--model", speaker.path,
                         "A model that speaks (Qwen3-TTS): a GGUF file with its mmproj-….gguf "
                         "beside it, or a name of `lathe models`");
  for (const char* other : {"--voice", "--speed", "--pitch"})
    model->excludes(command.get_option(other));
  command
      .add_option("--voice-from", speaker.recording,
                  "Speak like whoever is heard in this recording (WAV, FLAC, Ogg, MP3)")
      ->needs(model);
  command
      .add_option("--language", speaker.language,
                  "Spoken language, as the model calls it, like 'english' (default: it finds out)")
      ->needs(model);
  command
      .add_option("--seed", speaker.seed,
                  "Of what the model draws: the same seed, the same sound (default: 0)")
      ->needs(model);
  command.add_option("--threads", speaker.threads, "Threads that compute (default: one a core)")
      ->needs(model);
  command.add_option("--kernels", speaker.kernels, "Instruction set (default: the best one)")
      ->needs(model);
}

Status speak_with_model(const App& app, const ModelSpeaker& speaker, std::string_view text,
                        const SpeechTarget& target) {
  LATHE_TRY(const int threads, choose_threads(speaker.threads));
  infer::ThreadTeam team(threads);
  LATHE_TRY(const auto voice, open_voice(app, speaker, team));
  infer::VoiceWish wish;
  wish.language = to_lower_ascii(speaker.language);
  wish.seed = speaker.seed;
  if (!speaker.recording.empty()) {
    LATHE_TRY(wish.speaker, hear_speaker(app, speaker.recording, *voice));
  }
  const bool plays = target.file.empty() && ::isatty(STDOUT_FILENO) == 1;
  const bool streams = target.file.empty() && !plays;
  LATHE_TRY(const auto writer, SoundWriter::open(plays ? SoundFormat::kWav : target.format, streams,
                                                 infer::kVoiceRate));
  std::size_t samples = 0, sent = 0;
  const auto hand_on = [&] {
    if (streams) print_raw(std::string_view(writer->bytes()).substr(sent));
    sent = writer->bytes().size();
  };
  LATHE_TRY(const infer::SpokenText spoken,
            voice->speak(text, wish, app.stop, [&](std::span<const std::int16_t> more) -> Status {
              samples += more.size();
              LATHE_TRY_STATUS(writer->write(more));
              hand_on();
              if (std::ferror(stdout) != 0)
                return fail(ErrorKind::kUnavailable, "nobody takes the sound any more");
              return {};
            }));
  LATHE_TRY_STATUS(writer->finish());
  hand_on();
  const double seconds = static_cast<double>(samples) / infer::kVoiceRate;
  if (!spoken.ended)
    print_note(fmt::format("the model did not come to an end: {:.0f} s are there", seconds));
  if (plays) return play_wav(writer->bytes(), seconds, *app.stop);
  if (streams) return {};
  LATHE_TRY_STATUS(write_file_atomic(target.file, writer->bytes()));
  if (app.json)
    print_json({{"out", target.file},
                {"seconds", seconds},
                {"frames", spoken.frames},
                {"ended", spoken.ended},
                {"seed", wish.seed}});
  return {};
}

}  // namespace lathe::app
