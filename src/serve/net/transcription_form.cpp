// The form by hand, as RFC 7578 has it; the answer member by member.
#include "serve/net/transcription_form.h"

#include <algorithm>
#include <cmath>

#include "ground/base/hash.h"

namespace lathe::serve {

RemoteForm transcription_form(const std::string& model, const SoundRequest& request) {
  // A boundary that is nowhere in what it parts; the same form has the same bytes each time.
  std::string boundary = "lathe" + sha256_hex(request.file).substr(0, 32);
  while (request.file.contains(boundary) || request.options.prompt.contains(boundary))
    boundary = "lathe" + sha256_hex(boundary).substr(0, 32);
  RemoteForm form;
  form.type = "multipart/form-data; boundary=" + boundary;
  const auto add = [&](std::string_view name, std::string_view more, std::string_view data) {
    form.body += fmt::format("--{}\r\nContent-Disposition: form-data; name=\"{}\"{}\r\n\r\n",
                             boundary, name, more);
    form.body += data;
    form.body += "\r\n";
  };
  const TranscriptOptions& options = request.options;
  add("model", "", model);
  add("response_format", "", "verbose_json");
  if (options.temperature > 0) add("temperature", "", fmt::format("{}", options.temperature));
  if (!options.prompt.empty()) add("prompt", "", options.prompt);
  if (!options.language.empty()) add("language", "", options.language);
  if (options.words) {
    add("timestamp_granularities[]", "", "word");
    add("timestamp_granularities[]", "", "segment");
  }
  // Its first bytes say what it is; servers look at the name.
  const std::string_view kind = request.file.starts_with("RIFF")   ? "wav"
                                : request.file.starts_with("fLaC") ? "flac"
                                : request.file.starts_with("OggS") ? "ogg"
                                                                   : "mp3";
  add("file",
      fmt::format("; filename=\"sound.{}\"\r\nContent-Type: application/octet-stream", kind),
      request.file);
  form.body += fmt::format("--{}--\r\n", boundary);
  return form;
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
