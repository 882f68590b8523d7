// lathe transcribe MODEL FILE: what is said in a sound, with times, as text, JSON or subtitles.
#include <iostream>
#include <thread>

#include "app/cli/microphone.h"
#include "app/cli/open_encoder.h"
#include "app/cli/output_file.h"
#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "serve/pool/listener.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kSoundLimit{300'000};

struct TranscribeFlags {
  std::string model, file, out, kernels;
  std::string format = "text";
  TranscriptOptions options;
  bool no_past = false, no_vad = false, microphone = false, force = false;
  int threads = 0, raw = 0;
};

// A model, ready to hear.
struct OpenEars {
  std::unique_ptr<infer::WhisperModel> model;
  infer::WhisperTokens tokens;
  infer::ThreadTeam& team;
};

Result<std::string> read_sound(const std::string& file) {
  if (file != "-") return read_file(file, kMaxSoundFile);
  std::string bytes;
  std::vector<char> block(std::size_t{1} << 16);
  while (std::cin.read(block.data(), static_cast<std::streamsize>(block.size())) ||
         std::cin.gcount() > 0) {
    bytes.append(block.data(), static_cast<std::size_t>(std::cin.gcount()));
    if (bytes.size() > kMaxSoundFile)
      return invalid("standard input: is longer than {} MiB", kMaxSoundFile >> 20);
  }
  return bytes;
}

// Samples without a head: 16 bit, little-endian, one channel.
Result<Sound> raw_sound(std::string_view bytes, int rate) {
  std::vector<float> samples(bytes.size() / 2);
  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i] = static_cast<float>(static_cast<std::int16_t>(
                     static_cast<unsigned char>(bytes[2 * i]) |
                     static_cast<unsigned char>(bytes[2 * i + 1]) << 8U)) /
                 32768.0F;
  if (static_cast<double>(samples.size()) / rate > kMaxSoundSeconds)
    return invalid("the sound is longer than {:.0f} minutes; cut it into parts",
                   kMaxSoundSeconds / 60);
  return make_sound(samples, 1, rate);
}

Result<Sound> sound_of(const App& app, const TranscribeFlags& flags) {
  LATHE_TRY(const std::string bytes, read_sound(flags.file));
  auto decoded = flags.raw > 0 ? raw_sound(bytes, flags.raw) : [&]() -> Result<Sound> {
    LATHE_TRY(Decoded file, decode_sound_file(app.program, bytes, kSoundLimit, *app.stop));
    return std::move(file.sound);
  }();
  if (!decoded) return at(flags.file, decoded.error());
  return decoded;
}

// Until Ctrl-C; meanwhile a note says what the last half minute comes to so far. A second Ctrl-C
// ends what comes after it.
Result<Sound> record(const App& app, const TranscribeFlags& flags, const OpenEars& ears) {
  constexpr std::size_t kEach = 3 * kSoundRate, kWindow = 28 * kSoundRate;  // samples
  LATHE_TRY(const auto microphone, Microphone::start());
  print_note("listening; Ctrl-C ends the recording");
  TranscriptOptions options = flags.options;
  options.beams = 1;
  std::size_t from = 0, looked = 0;
  std::string said;
  while (!app.stop->raised()) {
    std::this_thread::sleep_for(Milliseconds(100));
    LATHE_TRY(const Sound sound, microphone->heard());
    if (sound.seconds() >= kMaxSoundSeconds) break;
    if (sound.samples.size() < looked + kEach) continue;
    looked = sound.samples.size();
    const auto heard =
        serve::write_down(*ears.model, ears.tokens, std::span(sound.samples).subspan(from),
                          ears.team, options, app.stop, {});
    if (!heard) break;
    if (heard->text() != said) print_note("… " + heard->text());
    said = heard->text();
    if (looked - from > kWindow) from = looked;
  }
  if (!clear_interrupt(app)) return fail(ErrorKind::kCancelled, "stopped");
  return microphone->stop();
}

Status check_flags(const TranscribeFlags& flags) {
  if (flags.microphone == !flags.file.empty())
    return invalid("a sound is wanted: a file, - for standard input, or --microphone");
  if (flags.microphone && flags.raw > 0)
    return invalid("--raw is for files; what the microphone hears has its own rate");
  return {};
}

Status transcribe(const App& app, const TranscribeFlags& flags) {
  LATHE_TRY_STATUS(check_flags(flags));
  const auto form = parse_transcript_form(app.json ? "verbose_json" : flags.format);
  if (!form)
    return invalid("--format: '{}' is none; text, json, verbose_json, srt and vtt are",
                   flags.format);
  if (!flags.out.empty())
    LATHE_TRY_STATUS(check_output(flags.out, {flags.model, flags.file}, flags.force));
  LATHE_TRY(const int threads, choose_threads(flags.threads));
  LATHE_TRY(const infer::Gguf file, infer::Gguf::open(flags.model));
  infer::ThreadTeam team(threads);
  if (!infer::WhisperModel::is_one(file))
    return invalid("{}: is no Whisper model; those are files like ggml-base.bin", flags.model);
  OpenEars ears{.model = {}, .tokens = {}, .team = team};
  LATHE_TRY(ears.model, open_encoder<infer::WhisperModel>(app, flags.kernels, file, team));
  LATHE_TRY(ears.tokens, infer::WhisperTokens::of(file));
  TranscriptOptions options = flags.options;
  options.use_past = !flags.no_past;
  options.skip_silence = !flags.no_vad;
  LATHE_TRY_STATUS(serve::whisper_options(options, ears.tokens));  // before the sound is read
  LATHE_TRY(const Sound sound, flags.microphone ? record(app, flags, ears) : sound_of(app, flags));

  const bool as_it_comes = *form == TranscriptForm::kText && flags.out.empty();
  WorkProgress progress(app, "hearing " + (flags.microphone ? "the recording" : flags.file));
  const auto all = static_cast<std::uint64_t>(sound.seconds() * 100);
  LATHE_TRY(const Transcript transcript,
            serve::write_down(*ears.model, ears.tokens, sound.samples, team, options, app.stop,
                              [&](const TranscriptSegment* segment, double seconds) {
                                if (segment != nullptr && as_it_comes)
                                  print(std::string(trim(segment->text)) + "\n");
                                progress.update(static_cast<std::uint64_t>(seconds * 100), all);
                              }));
  if (as_it_comes) return {};
  const std::string text = print_transcript(transcript, *form);
  if (flags.out.empty()) {
    print(text);
    return {};
  }
  return write_file_atomic(flags.out, text);
}

}  // namespace

void add_transcribe(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<TranscribeFlags>();
  CLI::App* command =
      cli.add_subcommand("transcribe", "Write down what is said in a sound, with a Whisper model");
  command->add_option("model", flags->model, "The model, a file like ggml-base.bin")->required();
  command->add_option("file", flags->file, "The sound: WAV, FLAC, Ogg, MP3; - is standard input");
  command->add_flag(
      "--microphone", flags->microphone,
      "Record what is said, until Ctrl-C; what it comes to so far is on standard error");
  command
      ->add_option("--raw", flags->raw,
                   "The sound has no head: 16 bit, little-endian, one channel, so many samples a "
                   "second")
      ->check(CLI::Range(4000, 192000));
  command->add_flag("--no-vad", flags->no_vad, "Listen to long silence, too");
  command->add_option("--language", flags->options.language,
                      "Spoken language, 'en' or 'german' (default: heard from the beginning)");
  command->add_flag("--translate", flags->options.translate, "Translate to English");
  command->add_option("--format", flags->format,
                      "text, json, verbose_json, srt or vtt (default: text)");
  command->add_flag("--words", flags->options.words,
                    "verbose_json also says when each word was said");
  command->add_option("--out", flags->out, "File to write (default: standard output)");
  command->add_option("--prompt", flags->options.prompt,
                      "What was said before, or names and spellings to expect");
  command->add_flag("--no-past", flags->no_past,
                    "Each half minute for itself: what was written before is no prompt");
  command
      ->add_option("--beams", flags->options.beams,
                   "Texts that are followed side by side (default: 5)")
      ->check(CLI::Range(1, 16));
  command
      ->add_option("--temperature", flags->options.temperature,
                   "Of the first try; doubtful ones are tried again hotter (default: 0)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", flags->options.seed,
                      "Of what is drawn at a temperature (default: 0)");
  command->add_option("--threads", flags->threads, "Threads that compute (default: one a core)");
  command->add_option("--kernels", flags->kernels, "Instruction set (default: the best one)");
  add_force_flag(*command, flags->force);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = transcribe(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
