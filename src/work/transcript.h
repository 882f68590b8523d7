// What is asked of a sound, what was heard in it, with times, and the forms that people and players
// read it in. Values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"

namespace lathe {

// How a sound is to be written down.
struct TranscriptOptions {
  std::string language = {};  // code or English name; empty: the first half minute tells
  bool translate = false;     // to English
  bool words = false;         // when each was said, too
  std::string prompt = {};    // what was said before, or names and spellings to expect
  bool use_past = true;       // what was written of one half minute is a prompt for the next
  double temperature = 0;     // of the first try; doubtful ones are tried again hotter
  int beams = 5;              // texts that are followed side by side
  std::int64_t seed = 0;      // of what is drawn at a temperature
  bool skip_silence = true;   // long silence is not listened to
};

struct TranscriptWord {
  std::string text;
  double start = 0, end = 0;  // seconds
};

struct TranscriptSegment {
  std::string text;  // as it was written, blanks at its ends included
  double start = 0, end = 0;
  std::vector<std::int32_t> tokens = {};
  double temperature = 0, mean_logprob = 0, no_speech = 0;  // of the window that it stands in
};

struct Transcript {
  std::string language = {};  // its English name, lower case; empty: not known
  bool translated = false;    // to English
  double seconds = 0;         // of the sound
  std::vector<TranscriptSegment> segments = {};
  std::optional<std::vector<TranscriptWord>> words = {};  // nullopt: not asked for

  // All of it, without blanks at its ends.
  std::string text() const;
};

// As OpenAI's API names them.
enum class TranscriptForm { kText, kJson, kVerboseJson, kSrt, kVtt };
std::string_view transcript_form_name(TranscriptForm form);
std::optional<TranscriptForm> parse_transcript_form(std::string_view name);
std::string_view transcript_media_type(TranscriptForm form);

std::string print_transcript(const Transcript& transcript, TranscriptForm form);
// {"text", "language", "duration", "task", "segments", "words"}: the verbose form.
Json to_json(const Transcript& transcript);

}  // namespace lathe
