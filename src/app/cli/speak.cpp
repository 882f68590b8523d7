// lathe speak TEXT|FILE|-: a text spoken by one of the voices here, or by a model, to a file, to a
// program, or to the loudspeaker.
#include <unistd.h>

#include "app/cli/loudspeaker.h"
#include "app/cli/output_file.h"
#include "app/cli/speak_model.h"
#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/media/sound_encode.h"
#include "loop/senses/voice.h"
#include "serve/speech/voice_names.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 20;
constexpr Milliseconds kSentenceLimit{120'000};

struct SpeakFlags {
  std::string text, out, voice, format;
  double speed = 1, pitch = 1;
  ModelSpeaker model;
  bool force = false;
};

Result<std::string> read_text(const std::string& text) {
  if (text == "-") return read_standard_input();
  std::error_code error;
  if (fs::is_regular_file(text, error)) return read_file(text, kMaxText);
  return text;
}

// By --format, else by the file's name, else WAV.
Result<SoundFormat> format_of(const SpeakFlags& flags) {
  std::string name = flags.format;
  if (name.empty() && fs::path(flags.out).has_extension())
    name = fs::path(flags.out).extension().string().substr(1);
  if (name == "ogg") name = "opus";
  const auto format = parse_sound_format(name.empty() ? "wav" : name);
  if (!format) return invalid("--format: '{}' is none; wav, flac, opus, mp3 and pcm are", name);
  LATHE_TRY_STATUS(can_write(*format));
  return *format;
}

Status speak(const App& app, const SpeakFlags& flags) {
  if (!flags.out.empty())
    LATHE_TRY_STATUS(check_output(flags.out, {flags.text, flags.model.path, flags.model.recording},
                                  flags.force));
  LATHE_TRY(const SoundFormat format, format_of(flags));
  if (!flags.model.path.empty()) {
    LATHE_TRY(const std::string text, read_text(flags.text));
    return speak_with_model(app, flags.model, text, {flags.out, format});
  }
  loop::VoiceSetting setting;
  LATHE_TRY(setting.voice, serve::find_voice(flags.voice));
  setting.stretch = 1 / flags.speed;
  setting.pitch = flags.pitch;
  LATHE_TRY(const std::string text, read_text(flags.text));
  const bool plays = flags.out.empty() && ::isatty(STDOUT_FILENO) == 1;
  loop::MediaPool voices(app.program, 1);
  std::unique_ptr<SoundWriter> writer;
  if (!plays) {
    LATHE_TRY(writer, SoundWriter::open(format, false));
  }
  LATHE_TRY_STATUS(loop::speak_text(
      voices, text, setting, kSentenceLimit, *app.stop, [&](const Sound& sentence) {
        return plays ? play_sound(sentence, *app.stop) : writer->write(sentence);
      }));
  if (plays) return {};
  LATHE_TRY_STATUS(writer->finish());
  if (!flags.out.empty()) return write_file_atomic(flags.out, writer->bytes());
  print_raw(writer->bytes());
  return {};
}

}  // namespace

void add_speak(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<SpeakFlags>();
  CLI::App* command = cli.add_subcommand("speak", "Speak a text with one of the voices here");
  command->add_option("text", flags->text, "The text, a file with it, or - for standard input")
      ->required();
  command->add_option("--out", flags->out,
                      "File to write (default: played at a terminal, else standard output)");
  command->add_option("--voice", flags->voice,
                      "flite:slt, espeak-ng:en-us+klatt3, or OpenAI's name for one, like alloy "
                      "(default: flite:rms)");
  command->add_option("--format", flags->format,
                      "wav, flac, opus, mp3 or pcm (default: as the file is called, else wav)");
  command->add_option("--speed", flags->speed, "Above 1 is faster (default: 1)")
      ->check(CLI::Range(0.25, 4.0));
  command->add_option("--pitch", flags->pitch, "Factor on the voice's own pitch (default: 1)")
      ->check(CLI::Range(0.5, 2.0));
  add_model_speaker(*command, flags->model);
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = speak(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
