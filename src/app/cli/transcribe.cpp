// lathe transcribe MODEL FILE: what is said in a sound, with times, as text, JSON or subtitles.
#include <iostream>

#include "app/cli/open_encoder.h"
#include "app/cli/output_file.h"
#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "infer/whisper/transcribe.h"
#include "work/transcript.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kDecodeLimit{300'000};

struct TranscribeFlags {
  std::string model, file, out, language, prompt, kernels;
  std::string format = "text";
  bool translate = false, words = false, no_past = false, force = false;
  double temperature = 0;
  std::size_t beams = 5;
  std::int64_t seed = 0;
  int threads = 0;
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

Result<infer::TranscribeOptions> options_of(const TranscribeFlags& flags,
                                            const infer::WhisperTokens& tokens) {
  infer::TranscribeOptions options;
  if (!flags.language.empty()) {
    options.language = infer::find_language(flags.language);
    if (!options.language)
      return invalid("--language: '{}' is none that Whisper knows; 'en' or 'german' are some",
                     flags.language);
    const bool known =
        tokens.languages == 0 ? *options.language == 0 : *options.language < tokens.languages;
    if (!known)
      return invalid("--language: this model does not know '{}'{}", flags.language,
                     tokens.languages == 0 ? ", only English" : "");
  }
  if (flags.translate && tokens.languages == 0)
    return invalid("--translate: this model knows English only");
  options.translate = flags.translate;
  options.words = flags.words;
  options.prompt = tokens.encode(flags.prompt);
  options.use_past = !flags.no_past;
  options.temperature = flags.temperature;
  options.beams = flags.beams;
  options.seed = static_cast<std::uint64_t>(flags.seed);
  return options;
}

void add_segment(const infer::TranscriptSegment& heard, Transcript& transcript) {
  TranscriptSegment& segment = transcript.segments.emplace_back();
  segment.text = make_valid_utf8(heard.text);
  segment.start = heard.start;
  segment.end = heard.end;
  segment.tokens = heard.tokens;
  segment.temperature = heard.temperature;
  segment.mean_logprob = heard.mean_logprob;
  segment.no_speech = heard.no_speech;
  for (const infer::SpokenWord& spoken : heard.words) {
    TranscriptWord& word = transcript.words->emplace_back();
    word.text = std::string(trim(make_valid_utf8(spoken.text)));
    word.start = spoken.start;
    word.end = spoken.end;
  }
}

Status transcribe(const App& app, const TranscribeFlags& flags) {
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
  LATHE_TRY(const auto model, open_encoder<infer::WhisperModel>(app, flags.kernels, file, team));
  LATHE_TRY(const auto tokens, infer::WhisperTokens::of(file));
  LATHE_TRY(const infer::TranscribeOptions options, options_of(flags, tokens));
  LATHE_TRY(const std::string bytes, read_sound(flags.file));
  const auto decoded = decode_sound_file(app.program, bytes, kDecodeLimit, *app.stop);
  if (!decoded) return at(flags.file, decoded.error());

  Transcript transcript;
  if (flags.words) transcript.words.emplace();
  transcript.seconds = decoded->sound.seconds();
  transcript.translated = flags.translate;
  const bool as_it_comes = *form == TranscriptForm::kText && flags.out.empty();
  WorkProgress progress(app, "hearing " + flags.file);
  const auto heard =
      infer::transcribe(*model, tokens, decoded->sound.samples, team, options, app.stop,
                        [&](const infer::TranscriptSegment* segment, double seconds) {
                          if (segment != nullptr) add_segment(*segment, transcript);
                          if (segment != nullptr && as_it_comes)
                            print(std::string(trim(transcript.segments.back().text)) + "\n");
                          progress.update(static_cast<std::uint64_t>(seconds * 100),
                                          static_cast<std::uint64_t>(transcript.seconds * 100));
                        });
  if (!heard) return std::unexpected(heard.error());
  transcript.language = infer::whisper_languages()[heard->language.value_or(0)].name;
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
  command->add_option("file", flags->file, "The sound: WAV, FLAC, Ogg, MP3; - is standard input")
      ->required();
  command->add_option("--language", flags->language,
                      "Spoken language, 'en' or 'german' (default: heard from the beginning)");
  command->add_flag("--translate", flags->translate, "Translate to English");
  command->add_option("--format", flags->format,
                      "text, json, verbose_json, srt or vtt (default: text)");
  command->add_flag("--words", flags->words, "verbose_json also says when each word was said");
  command->add_option("--out", flags->out, "File to write (default: standard output)");
  command->add_option("--prompt", flags->prompt,
                      "What was said before, or names and spellings to expect");
  command->add_flag("--no-past", flags->no_past,
                    "Each half minute for itself: what was written before is no prompt");
  command->add_option("--beams", flags->beams, "Texts that are followed side by side (default: 5)")
      ->check(CLI::Range(1, 16));
  command
      ->add_option("--temperature", flags->temperature,
                   "Of the first try; doubtful ones are tried again hotter (default: 0)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", flags->seed, "Of what is drawn at a temperature (default: 0)");
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
