// Transcripts as text, JSON and subtitles.
#include "work/transcript.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

Transcript two_lines() {
  Transcript transcript;
  transcript.language = "english";
  transcript.seconds = 3725.5;
  TranscriptSegment first, second;
  first.text = " Hello & <you>.";
  first.end = 1.2345;
  first.tokens = {5, 7};
  second.text = " It goes --> on\nhere.";
  second.start = 3661.0009;
  second.end = 3725.5;
  transcript.segments = {first, second};
  return transcript;
}

TEST(Transcript, IsTextWithoutBlanksAtItsEnds) {
  EXPECT_EQ(two_lines().text(), "Hello & <you>. It goes --> on\nhere.");
  EXPECT_EQ(print_transcript(two_lines(), TranscriptForm::kText),
            "Hello & <you>. It goes --> on\nhere.\n");
  EXPECT_EQ(print_transcript({}, TranscriptForm::kText), "\n");
}

TEST(Transcript, IsSubtitlesThatPlayersRead) {
  EXPECT_EQ(print_transcript(two_lines(), TranscriptForm::kSrt),
            "1\n00:00:00,000 --> 00:00:01,235\nHello & <you>.\n\n"
            "2\n01:01:01,001 --> 01:02:05,500\nIt goes → on here.\n\n");
  EXPECT_EQ(print_transcript(two_lines(), TranscriptForm::kVtt),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.235\nHello &amp; &lt;you&gt;.\n\n"
            "01:01:01.001 --> 01:02:05.500\nIt goes --&gt; on here.\n\n");
  EXPECT_EQ(print_transcript({}, TranscriptForm::kVtt), "WEBVTT\n\n");
}

TEST(Transcript, IsJsonAsTheApiHasIt) {
  EXPECT_EQ(print_transcript(two_lines(), TranscriptForm::kJson),
            "{\"text\":\"Hello & <you>. It goes --> on\\nhere.\"}\n");
  Transcript transcript = two_lines();
  const Json json = to_json(transcript);
  EXPECT_EQ(json["task"], "transcribe");
  EXPECT_EQ(json["duration"], 3725.5);
  EXPECT_EQ(json["segments"][0]["id"], 0);
  EXPECT_EQ(json["segments"][0]["tokens"], Json({5, 7}));
  EXPECT_EQ(json["segments"][1]["start"], 3661.0009);
  EXPECT_FALSE(json.contains("words"));
  TranscriptWord word;
  word.text = "Hello";
  word.end = 0.5;
  transcript.words = {word};
  transcript.translated = true;
  EXPECT_EQ(to_json(transcript)["words"][0]["end"], 0.5);
  EXPECT_EQ(to_json(transcript)["task"], "translate");
}

TEST(Transcript, FormsHaveNames) {
  for (const char* name : {"text", "json", "verbose_json", "srt", "vtt"})
    EXPECT_EQ(transcript_form_name(*parse_transcript_form(name)), name);
  EXPECT_EQ(parse_transcript_form("pdf"), std::nullopt);
  EXPECT_EQ(transcript_media_type(TranscriptForm::kVtt), "text/vtt; charset=utf-8");
}

}  // namespace
}  // namespace lathe
