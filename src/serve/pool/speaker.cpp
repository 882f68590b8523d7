// Texts spoken by Qwen3-TTS: files, wishes, who speaks.
#include "serve/pool/speaker.h"

#include <sys/stat.h>

#include <algorithm>

#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "infer/models/blueprint.h"
#include "serve/pool/model_front.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kRecordingLimit{300'000};

std::unexpected<Error> cannot_be(std::string_view code, std::string message) {
  return std::unexpected(Error{ErrorKind::kInvalid, std::move(message), std::string(code)});
}

ModelInfo speaker_info(const CatalogModel& model, const infer::Gguf& talker,
                       const infer::Gguf& rest, const infer::Blueprint& blueprint) {
  ModelInfo info;
  info.name = model.name;
  info.aliases = model.aliases;
  info.architecture = blueprint.architecture;
  info.quantization = quantization_of(talker);
  info.file_bytes = talker.file_bytes() + rest.file_bytes();
  for (const infer::Gguf* file : {&talker, &rest})
    for (const infer::GgufTensor& tensor : file->tensors()) info.parameters += tensor.elements();
  struct stat status = {};
  if (::stat(talker.path().c_str(), &status) == 0) info.modified = status.st_mtim.tv_sec;
  info.context = info.trained_context = blueprint.context;
  info.embedding = blueprint.embedding;
  info.speaks = true;
  for (const auto& [voice, recording] : model.voices) info.voices.push_back(voice);
  info.pinned = model.pinned;
  return info;
}

}  // namespace

Result<std::unique_ptr<SpeakerFile>> SpeakerFile::open(const CatalogModel& model) {
  LATHE_TRY(infer::Gguf talker, infer::Gguf::open(model.file));
  LATHE_TRY(const infer::Blueprint blueprint, infer::read_runnable_blueprint(talker));
  if (blueprint.codes == 0) return invalid("{}: speaks nothing", model.file.string());
  if (model.eyes.empty())
    return fail(ErrorKind::kNotFound,
                "{}: beside it lies no file with mmproj in its name; a model that speaks has one, "
                "which makes sound of what it says",
                model.file.string());
  LATHE_TRY(infer::Gguf rest, infer::Gguf::open(model.eyes));
  LATHE_TRY(infer::VoicePrompt prompt, infer::VoicePrompt::of(talker, blueprint.codes));
  ModelInfo info = speaker_info(model, talker, rest, blueprint);
  info.languages = prompt.languages();
  return std::make_unique<SpeakerFile>(SpeakerFile{
      std::move(talker), std::move(rest), std::move(prompt), model.voices, std::move(info)});
}

Result<infer::VoiceWish> SpeakerFile::wish_of(const SpeechRequest& request) const {
  const std::string& voice = request.voice;
  if (!voice.empty() && !recordings.contains(voice))
    return cannot_be("unsupported_voice",
                     fmt::format("'{}' is no voice of '{}'; there are its own, which is default{}",
                                 clip_utf8(make_valid_utf8(voice), 60), info.name,
                                 info.voices.empty() ? "" : ", " + join(info.voices, ", ")));
  if (request.speed != 1)
    return cannot_be("unsupported_value",
                     fmt::format("'{}' has a pace of its own: speed must be 1", info.name));
  infer::VoiceWish wish;
  wish.language = to_lower_ascii(request.language);
  wish.seed = static_cast<std::uint64_t>(request.seed.value_or(0));
  const bool known = wish.language.empty() ||
                     std::ranges::find(info.languages, wish.language) != info.languages.end();
  if (!known)
    return cannot_be("unsupported_language",
                     fmt::format("'{}' is none of the languages of '{}': {}",
                                 clip_utf8(make_valid_utf8(request.language), 40), info.name,
                                 join(info.languages, ", ")));
  const auto rows = prompt.rows(request.text, wish.language, !voice.empty());
  if (!rows) return cannot_be("unsupported_text", rows.error().message);
  return wish;
}

Result<BookedBytes> Speaker::bytes(const SpeakerFile& file, const infer::KernelTable& kernels,
                                   int threads) {
  LATHE_TRY(infer::VoiceBytes bytes, infer::Voice::bytes(file.talker, file.rest, kernels, threads));
  BookedBytes booked;
  booked.weights = std::move(bytes.weights);
  booked.scratch = std::move(bytes.scratch);
  booked.media = std::move(bytes.talk);
  return booked;
}

Result<std::unique_ptr<Speaker>> Speaker::load(const SpeakerFile& file, fs::path program,
                                               int threads, const infer::WeightLoading& loading) {
  std::unique_ptr<Speaker> speaker(new Speaker(file, std::move(program), threads));
  LATHE_TRY(speaker->voice_, infer::Voice::open(file.talker, file.rest, speaker->team_, loading));
  return speaker;
}

// The row of a recording; of the model's own voice none.
Result<std::vector<float>> Speaker::who(const std::string& voice, const StopFlag& stop) {
  if (voice.empty()) return std::vector<float>();
  if (const auto known = known_.find(voice); known != known_.end()) return known->second;
  const auto heard = [&]() -> Result<std::vector<float>> {
    LATHE_TRY(const std::string bytes, read_file(file_.recordings.at(voice), kMaxSoundFile));
    LATHE_TRY(const auto samples,
              decode_samples_file(program_, bytes, kSpeechRate, kRecordingLimit, stop));
    return voice_->speaker(samples, &stop);
  }();
  if (heard) return known_[voice] = *heard;
  if (heard.error().kind == ErrorKind::kCancelled) return heard;
  // Where the recording lies is nobody's business but this machine's.
  return cannot_be(
      "unsupported_voice",
      without_place(file_.recordings.at(voice), voice,
                    at("the recording of the voice '" + voice + "'", heard.error()).error())
          .message);
}

Result<Speech> Speaker::speak(const SpeechRequest& request, const StopFlag& stop,
                              const ModelHost::OnSamples& on_samples) {
  static_assert(infer::kVoiceRate == kSpeechRate);
  const std::scoped_lock lock(mutex_);
  LATHE_TRY(infer::VoiceWish wish, file_.wish_of(request));
  LATHE_TRY(wish.speaker, who(request.voice, stop));
  LATHE_TRY(const infer::SpokenText spoken,
            voice_->speak(request.text, wish, &stop,
                          [&](std::span<const std::int16_t> samples) -> Status {
                            on_samples(samples);
                            return {};
                          }));
  Speech speech;
  speech.ended = spoken.ended;
  speech.usage.counted = true;
  speech.usage.prompt_tokens = static_cast<std::int64_t>(
      file_.prompt.tokenizer().encode(trim(request.text), false, false).size());
  speech.usage.completion_tokens = static_cast<std::int64_t>(spoken.frames);
  return speech;
}

}  // namespace lathe::serve
