// One request of a benchmark as its client saw it, and what many of them come to. Pure, any thread.
// Times are microseconds since the point began.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/bench/statistics.h"
#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe::app {

struct Sample {
  std::int64_t due_us = 0;   // when it should be sent: waiting counts from here
  std::int64_t sent_us = 0;  // when it was
  // When pieces that hold text came, thoughts included. The first one is the first token: events
  // without text (a role, a ping) are none.
  std::vector<std::int64_t> pieces_us = {};
  std::int64_t empty_us = -1;  // the first event without text before the first piece; -1: none
  std::int64_t end_us = 0;
  bool counted = false;  // the server said how many tokens; else the next three are 0
  std::int64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
  std::string finish = {};  // "stop", "length" …
  std::string error = {};   // "": it was answered
  std::string text = {};    // the answer's SHA-256, its first 16 digits
  bool fixed = false;       // always the same question: only its tokens count

  bool answered() const { return error.empty(); }
  // Of the answer: what the server counted, else pieces.
  double tokens() const {
    return static_cast<double>(counted ? answer_tokens
                                       : static_cast<std::int64_t>(pieces_us.size()));
  }
};

// What is promised to a person: the first token by then, and 95 % of the gaps between the pieces of
// an answer no longer than that.
struct Slo {
  double first_ms = 2000, gap_ms = 100;
};

struct Summary {
  std::size_t answered = 0, failed = 0;
  double answers_per_minute = 0;  // that ended within the window
  double good_per_minute = 0;     // of them, within the SLO
  double tokens_per_second = 0;   // that came within the window, of all together
  Spread first_ms = {}, gap_ms = {}, whole_ms = {};
  Spread each_per_second = {};  // tokens a second of one answer, from its first piece on
};
// `window_us`: > 0, how long requests were sent.
Summary summarize(const std::vector<Sample>& samples, std::int64_t window_us, const Slo& slo);

Json to_json(const Sample& sample);
Result<Sample> sample_from_json(const Json& json);
Json to_json(const Summary& summary);

}  // namespace lathe::app
