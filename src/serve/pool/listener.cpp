// Sounds written down by Whisper: options, decoding, segments.
#include "serve/pool/listener.h"

#include <sys/stat.h>

#include <cmath>

#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "serve/pool/model_front.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kSoundDecodeLimit{300'000};
// Beside the model's own one: two for each text that is followed, at most five of them.
constexpr std::uint64_t kSequences = 10;

std::unexpected<Error> unknown_language(std::string message) {
  return std::unexpected(Error{ErrorKind::kInvalid, std::move(message), "unsupported_language"});
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

}  // namespace

Result<infer::TranscribeOptions> whisper_options(const TranscriptOptions& asked,
                                                 const infer::WhisperTokens& tokens) {
  infer::TranscribeOptions options;
  const bool english_only = tokens.languages == 0;
  if (!asked.language.empty()) {
    const auto language = infer::find_language(asked.language);
    if (!language)
      return unknown_language(
          fmt::format("the language '{}' is none that Whisper knows; 'en' or 'german' are some",
                      clip_utf8(make_valid_utf8(asked.language), 40)));
    if (english_only ? *language != 0 : *language >= tokens.languages)
      return unknown_language(fmt::format("this model does not know the language '{}'{}",
                                          asked.language, english_only ? ", only English" : ""));
    options.language = language;
  }
  if (asked.translate && english_only)
    return std::unexpected(Error{ErrorKind::kInvalid,
                                 "this model knows English only, and translates nothing",
                                 "unsupported_value"});
  options.translate = asked.translate;
  options.words = asked.words;
  options.prompt = tokens.encode(asked.prompt);
  options.use_past = asked.use_past;
  options.temperature = asked.temperature;
  options.beams = static_cast<std::size_t>(asked.beams);
  options.skip_silence = asked.skip_silence;
  options.seed = static_cast<std::uint64_t>(asked.seed);
  return options;
}

Result<Transcript> write_down(infer::WhisperModel& model, const infer::WhisperTokens& tokens,
                              std::span<const std::int16_t> samples, infer::ThreadTeam& team,
                              const TranscriptOptions& asked, const StopFlag* stop,
                              const std::function<void(const TranscriptSegment*, double)>& hear) {
  LATHE_TRY(const infer::TranscribeOptions options, whisper_options(asked, tokens));
  Transcript transcript;
  if (asked.words) transcript.words.emplace();
  transcript.seconds = static_cast<double>(samples.size()) / kSoundRate;
  transcript.translated = asked.translate;
  const auto heard = infer::transcribe(
      model, tokens, samples, team, options, stop,
      [&](const infer::TranscriptSegment* segment, double seconds) {
        if (segment != nullptr) add_segment(*segment, transcript);
        if (hear) hear(segment != nullptr ? &transcript.segments.back() : nullptr, seconds);
      });
  if (!heard) return std::unexpected(heard.error());
  transcript.language = infer::whisper_languages()[heard->language.value_or(0)].name;
  return transcript;
}

Result<std::unique_ptr<ListenerFile>> ListenerFile::open(const CatalogModel& model) {
  LATHE_TRY(infer::Gguf file, infer::Gguf::open(model.file));
  if (!infer::WhisperModel::is_one(file))
    return invalid("{}: is no Whisper model", model.file.string());
  LATHE_TRY(infer::WhisperTokens tokens, infer::WhisperTokens::of(file));
  LATHE_TRY(const infer::WhisperSizes sizes, infer::WhisperSizes::of(file));
  ModelInfo info;
  info.name = model.name;
  info.aliases = model.aliases;
  info.architecture = "whisper";
  info.quantization = quantization_of(file);
  info.file_bytes = file.file_bytes();
  for (const infer::GgufTensor& tensor : file.tensors()) info.parameters += tensor.elements();
  struct stat status = {};
  if (::stat(file.path().c_str(), &status) == 0) info.modified = status.st_mtim.tv_sec;
  info.context = info.trained_context = sizes.text_context;
  info.embedding = sizes.width;
  info.transcribes = true;
  info.pinned = model.pinned;
  return std::make_unique<ListenerFile>(
      ListenerFile{std::move(file), std::move(tokens), std::move(info)});
}

Result<BookedBytes> Listener::bytes(const ListenerFile& file, const infer::KernelTable& kernels,
                                    int threads) {
  LATHE_TRY(const auto bytes, infer::WhisperModel::bytes(file.file, kernels, threads));
  constexpr auto kSamples = static_cast<std::uint64_t>(kMaxSoundSeconds * kSoundRate * 2);
  BookedBytes booked;
  booked.weights = DeviceBytes(kHostDevice, bytes.weights);
  booked.scratch = DeviceBytes(kHostDevice, bytes.scratch + kSequences * bytes.sequence);
  booked.media = DeviceBytes(kHostDevice, kSamples);
  return booked;
}

Result<std::unique_ptr<Listener>> Listener::load(const ListenerFile& file, fs::path program,
                                                 int threads, const infer::WeightLoading& loading) {
  std::unique_ptr<Listener> listener(new Listener(file, std::move(program), threads));
  LATHE_TRY(listener->model_, infer::WhisperModel::open(file.file, listener->team_, loading));
  return listener;
}

Result<Transcription> Listener::hear(const SoundRequest& request, const StopFlag& stop,
                                     const ModelHost::OnSegment& on_segment) {
  const std::scoped_lock lock(mutex_);
  auto decoded = decode_sound_file(program_, request.file, kSoundDecodeLimit, stop);
  if (!decoded) {
    Error error = decoded.error();
    if (error.kind == ErrorKind::kInvalid) error.code = "unsupported_sound";
    return std::unexpected(std::move(error));
  }
  Transcription heard;
  LATHE_TRY(heard.transcript,
            write_down(*model_, file_.tokens, decoded->sound.samples, team_, request.options, &stop,
                       [&](const TranscriptSegment* segment, double) {
                         if (segment != nullptr && on_segment) on_segment(*segment);
                       }));
  heard.usage.counted = true;
  heard.usage.prompt_tokens = std::llround(std::ceil(heard.transcript.seconds * kSoundRowsASecond));
  for (const TranscriptSegment& segment : heard.transcript.segments)
    heard.usage.completion_tokens += static_cast<std::int64_t>(segment.tokens.size());
  return heard;
}

}  // namespace lathe::serve
