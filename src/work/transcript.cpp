// Transcripts as text, JSON, and subtitles (SubRip, WebVTT).
#include "work/transcript.h"

#include <cmath>

#include "ground/base/text.h"

namespace lathe {
namespace {

struct FormRow {
  TranscriptForm form;
  std::string_view name, media_type;
};
constexpr FormRow kForms[] = {
    {TranscriptForm::kText, "text", "text/plain; charset=utf-8"},
    {TranscriptForm::kJson, "json", "application/json"},
    {TranscriptForm::kVerboseJson, "verbose_json", "application/json"},
    {TranscriptForm::kSrt, "srt", "application/x-subrip; charset=utf-8"},
    {TranscriptForm::kVtt, "vtt", "text/vtt; charset=utf-8"},
};

// 01:02:03,004
std::string clock_time(double seconds, char point) {
  const auto all = std::llround(std::max(seconds, 0.0) * 1000);
  return fmt::format("{:02}:{:02}:{:02}{}{:03}", all / 3'600'000, all / 60'000 % 60,
                     all / 1000 % 60, point, all % 1000);
}

// One line, which holds nothing that players take for more than text: WebVTT has markup, SubRip no
// way to write its arrow.
std::string cue(std::string_view text, bool markup) {
  std::string line;
  for (const char c : trim(text)) {
    if (c == '\n' || c == '\r')
      line += ' ';
    else if (markup && (c == '&' || c == '<' || c == '>'))
      line += c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;";
    else
      line += c;
  }
  for (std::size_t at = 0; (at = line.find("-->", at)) != std::string::npos;)
    line.replace(at, 3, "→");
  return line;
}

}  // namespace

std::string Transcript::text() const {
  std::string all;
  for (const TranscriptSegment& segment : segments) all += segment.text;
  return std::string(trim(all));
}

std::string_view transcript_form_name(TranscriptForm form) {
  return kForms[static_cast<std::size_t>(form)].name;
}

std::optional<TranscriptForm> parse_transcript_form(std::string_view name) {
  for (const FormRow& row : kForms)
    if (row.name == name) return row.form;
  return std::nullopt;
}

std::string_view transcript_media_type(TranscriptForm form) {
  return kForms[static_cast<std::size_t>(form)].media_type;
}

Json to_json(const Transcript& transcript) {
  Json segments = Json::array();
  for (const TranscriptSegment& segment : transcript.segments) {
    segments.push_back({{"id", segments.size()},
                        {"start", segment.start},
                        {"end", segment.end},
                        {"text", segment.text},
                        {"tokens", segment.tokens},
                        {"temperature", segment.temperature},
                        {"avg_logprob", segment.mean_logprob},
                        {"no_speech_prob", segment.no_speech}});
  }
  Json json{{"task", transcript.translated ? "translate" : "transcribe"},
            {"language", transcript.language},
            {"duration", transcript.seconds},
            {"text", transcript.text()},
            {"segments", std::move(segments)}};
  if (!transcript.words) return json;
  Json words = Json::array();
  for (const TranscriptWord& word : *transcript.words)
    words.push_back({{"word", word.text}, {"start", word.start}, {"end", word.end}});
  json["words"] = std::move(words);
  return json;
}

std::string print_transcript(const Transcript& transcript, TranscriptForm form) {
  switch (form) {
    case TranscriptForm::kText:
      return transcript.text() + "\n";
    case TranscriptForm::kJson:
      return dump_json(Json{{"text", transcript.text()}}) + "\n";
    case TranscriptForm::kVerboseJson:
      return dump_json(to_json(transcript)) + "\n";
    case TranscriptForm::kSrt:
    case TranscriptForm::kVtt:
      break;
  }
  const bool vtt = form == TranscriptForm::kVtt;
  std::string lines = vtt ? "WEBVTT\n\n" : "";
  std::size_t number = 0;
  for (const TranscriptSegment& segment : transcript.segments) {
    if (!vtt) lines += fmt::format("{}\n", ++number);
    const char point = vtt ? '.' : ',';
    lines += fmt::format("{} --> {}\n{}\n\n", clock_time(segment.start, point),
                         clock_time(segment.end, point), cue(segment.text, vtt));
  }
  return lines;
}

}  // namespace lathe
