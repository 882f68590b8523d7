// The form field by field; the answer member by member.
#include "serve/net/transcription_form.h"

#include <algorithm>
#include <cmath>

namespace lathe::serve {

WrittenForm transcription_form(const std::string& model, const SoundRequest& request) {
  const TranscriptOptions& options = request.options;
  const std::string temperature = fmt::format("{}", options.temperature);
  std::vector<FormField> fields{{"model", model}, {"response_format", "verbose_json"}};
  if (options.temperature > 0) fields.push_back({"temperature", temperature});
  if (!options.prompt.empty()) fields.push_back({"prompt", options.prompt});
  if (!options.language.empty()) fields.push_back({"language", options.language});
  if (options.words) {
    fields.push_back({"timestamp_granularities[]", "word"});
    fields.push_back({"timestamp_granularities[]", "segment"});
  }
  // Its first bytes say what it is; servers look at the name.
  const char* name = request.file.starts_with("RIFF")   ? "sound.wav"
                     : request.file.starts_with("fLaC") ? "sound.flac"
                     : request.file.starts_with("OggS") ? "sound.ogg"
                                                        : "sound.mp3";
  fields.push_back({"file", request.file, name});
  return write_form(fields);
}

Result<Transcription> transcription_of(const Json& json, std::string_view place,
                                       const TranscriptOptions& asked) {
  if (!json_at(json, "text").is_string())
    return fail(ErrorKind::kUnavailable, "{}: its answer has no text", place);
  Transcription heard;
  Transcript& transcript = heard.transcript;
  transcript.language = json_string(json, "language");
  transcript.translated = asked.translate;
  transcript.seconds = std::clamp(json_number(json, "duration", 0), 0.0, 1e6);
  for (const Json& each : json_at(json, "segments")) {
    TranscriptSegment& segment = transcript.segments.emplace_back();
    segment.text = json_string(each, "text");
    segment.start = json_number(each, "start", 0);
    segment.end = json_number(each, "end", 0);
    for (const Json& token : json_at(each, "tokens"))
      if (token.is_number_integer()) segment.tokens.push_back(token.get<std::int32_t>());
    segment.temperature = json_number(each, "temperature", 0);
    segment.mean_logprob = json_number(each, "avg_logprob", 0);
    segment.no_speech = json_number(each, "no_speech_prob", 0);
    heard.usage.completion_tokens += static_cast<std::int64_t>(segment.tokens.size());
  }
  // A server that knows texts only.
  if (transcript.segments.empty() && !json_string(json, "text").empty()) {
    TranscriptSegment& segment = transcript.segments.emplace_back();
    segment.text = json_string(json, "text");
    segment.end = transcript.seconds;
  }
  if (asked.words) transcript.words.emplace();
  if (asked.words)
    for (const Json& each : json_at(json, "words")) {
      TranscriptWord& word = transcript.words->emplace_back();
      word.text = json_string(each, "word");
      word.start = json_number(each, "start", 0);
      word.end = json_number(each, "end", 0);
    }
  heard.usage.calls = 1;
  heard.usage.prompt_tokens = std::llround(std::ceil(transcript.seconds * kSoundRowsASecond));
  heard.usage.counted = transcript.seconds > 0;
  return heard;
}

}  // namespace lathe::serve
