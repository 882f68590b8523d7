// From what was heard to faults and a score.
#include "loop/judges/ears_score.h"

#include <algorithm>
#include <cmath>

#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "loop/senses/phones.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {
namespace {

constexpr double kWrongWordCap = 0.89;  // one wrong word never rounds up to nine of ten
constexpr double kBrokenSignalCap = 0.5;
constexpr double kDoubtfulAcoustic = -35;
constexpr double kEndCutDb = -32;
constexpr double kNoisyRangeDb = 20;
constexpr double kMaxPhonesPerSecond = 20;
constexpr double kMinPhonesPerSecond = 6;
constexpr int kFewPhones = 8;      // below, a pace says nothing: "Yes."
constexpr double kBreathDb = -24;  // a "word" that stays below this is no speech
constexpr double kTailPosterior = 0.3, kTailSeconds = 0.2;
constexpr double kPauseSlack = 0.12;
constexpr int kMinRate = 16'000;

Critique critique(std::string locus, std::string claim, std::string evidence, std::string kind) {
  Critique out{std::move(locus), "must", std::move(claim), std::move(evidence), ""};
  out.fingerprint = std::move(kind);
  return out;
}

// The word that is being said at a time, with its place: "pool @ 1.20-1.44 s".
std::string word_at(const std::vector<AlignedWord>& words, double time) {
  const AlignedWord* nearest = nullptr;
  double best = 0;
  for (const AlignedWord& word : words) {
    const double away = time < word.start ? word.start - time
                        : time > word.end ? time - word.end
                                          : 0.0;
    if (!nearest || away < best) {
      nearest = &word;
      best = away;
    }
  }
  if (!nearest) return fmt::format("@ {:.2f} s", time);
  return fault_locus({nearest->expected, nearest->start, nearest->end, nearest->heard, ""});
}

// The ear's reference for a word by rule comes from the voice's own rules: both could be wrong
// together. Where another engine differs by one sound at most, the pronunciation is nearly always
// right.
bool two_engines_agree(const ExpectedWord& word) {
  return !word.second_opinion.empty() &&
         std::ranges::any_of(word.pronunciations, [&](const std::string& phones) {
           return phone_distance(phones, word.second_opinion) <= 1;
         });
}

bool is_verified(const ExpectedWord& word) {
  return word.in_dictionary || two_engines_agree(word);
}

std::string phones_wanted(std::string_view word) {
  return fmt::format("'{}' is in no dictionary, give its phones under [make.pronounce]", word);
}

Json json_of(const AlignedWord& word, const ExpectedWord* expected) {
  static constexpr std::array<std::string_view, 4> kNames{"right", "wrong", "missing", "extra"};
  Json out{{"word", word.expected},
           {"match", kNames[static_cast<std::size_t>(word.match)]},
           {"heard", word.heard},
           {"start", std::round(word.start * 100) / 100},
           {"end", std::round(word.end * 100) / 100},
           {"posterior", std::round(word.posterior * 1000) / 1000}};
  if (expected) {
    out["acoustic"] = std::round(expected->acoustic * 10) / 10;
    if (!expected->in_dictionary)
      out["pronunciation"] = two_engines_agree(*expected) ? "two engines agree" : "not verified";
  }
  return out;
}

Critique word_critique(const AlignedWord& word, const ExpectedWord* expected) {
  WordFault fault{word.expected, word.start, word.end, word.heard, ""};
  if (expected && expected->in_dictionary &&
      std::ranges::find(expected->pronunciations, expected->voice_says) ==
          expected->pronunciations.end())
    fault.dictionary = expected->pronunciations.front();
  std::string claim;
  switch (word.match) {
    case WordMatch::kMissing:
      claim = fmt::format("the word '{}' is missing", word.expected);
      break;
    case WordMatch::kExtra:
      claim = fmt::format("'{}' is not in the line", word.heard);
      break;
    case WordMatch::kRight:
      claim = fmt::format("'{}' does not sound as it should", word.expected);
      break;
    case WordMatch::kWrong:
      claim = fmt::format("the word '{}' is not understood", word.expected);
  }
  if (expected && !is_verified(*expected)) claim += ": " + phones_wanted(word.expected);
  const std::string name = word.expected.empty() ? "+" + word.heard : word.expected;
  return critique(fault_locus(fault), std::move(claim), fault_evidence(fault),
                  fmt::format("word:{}:{}", word.index, name));
}

// A gap between two right words where the line has punctuation is a pause.
bool is_pause(const Gap& gap, const HeardTake& heard) {
  for (std::size_t i = 0; i + 1 < heard.words.size(); ++i) {
    const AlignedWord& before = heard.words[i];
    const AlignedWord& after = heard.words[i + 1];
    if (before.match != WordMatch::kRight || after.match != WordMatch::kRight) continue;
    const auto last = static_cast<std::size_t>(after.index - 1);
    if (last < heard.pause_after.size() && heard.pause_after[last] &&
        gap.at > before.end - kPauseSlack && gap.at + gap.seconds < after.start + kPauseSlack)
      return true;
  }
  return false;
}

Gap worst_dropout(const SignalFacts& facts, const HeardTake* heard) {
  Gap worst;
  for (const Gap& gap : facts.dropouts)
    if (gap.seconds > worst.seconds && !(heard && is_pause(gap, *heard))) worst = gap;
  return worst;
}

// For every word of the spoken text: does punctuation follow?
std::vector<bool> pauses_in(std::string_view spoken) {
  std::vector<bool> pauses;
  bool in_word = false;
  for (const char c : spoken) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c == '\'' && in_word);
    if (letter && !in_word) pauses.push_back(false);
    if (!letter && c != ' ' && !pauses.empty()) pauses.back() = true;
    in_word = letter;
  }
  return pauses;
}

}  // namespace

HeardTake heard_take(const Decoded& take, const SignalFacts& facts, Hearing& hearing,
                     std::string_view spoken) {
  std::erase_if(hearing.heard, [&](const HeardWord& word) {
    return level_between(take.sound, word.start, word.end) < kBreathDb;
  });
  std::vector<AlignedWord> words = align_words(hearing);
  // The dying away of a last sound is sometimes heard as a short word that the ear itself doubts.
  const auto is_tail = [](const AlignedWord& word) {
    return word.match == WordMatch::kExtra && word.posterior < kTailPosterior &&
           word.end - word.start < kTailSeconds;
  };
  if (!words.empty() && is_tail(words.back())) words.pop_back();
  return {take, facts, hearing, std::move(words), pauses_in(spoken)};
}

Finding score_signal(const Decoded& take, const SignalFacts& facts, const SignalLimits& limits,
                     const HeardTake* heard) {
  static const std::vector<AlignedWord> kNoWords;
  const std::vector<AlignedWord>& words = heard ? heard->words : kNoWords;
  Finding finding;
  const auto fault = [&](std::string_view kind, double time, std::string claim,
                         std::string evidence) {
    const std::string place = time < 0 ? "" : word_at(words, time);
    finding.critiques.push_back(
        critique(place, std::move(claim), std::move(evidence), fmt::format("signal:{}", kind)));
  };
  const int clipped = std::max(take.clipped_runs, facts.clipped_runs);
  if (facts.silent) {
    fault("silent", -1, "nothing can be heard", fmt::format("{:.2f} s of silence", facts.seconds));
  } else {
    if (take.source_rate < kMinRate)
      fault("rate", -1, fmt::format("the recording has {} samples a second", take.source_rate),
            fmt::format("{} or more are needed", kMinRate));
    if (facts.end_db > kEndCutDb)
      fault("end", facts.seconds, "the end is cut off",
            fmt::format("the last 30 ms are only {:.0f} dB below the speech", -facts.end_db));
    if (clipped > limits.clip)
      fault("clip", -1, "the sound is clipped",
            fmt::format("{} runs of samples at full scale", clipped));
    const Gap dropout = worst_dropout(facts, heard);
    if (dropout.seconds > limits.dropout_s)
      fault("dropout", dropout.at + dropout.seconds / 2, "the sound drops out",
            fmt::format("{:.2f} s of nothing at {:.2f} s", dropout.seconds, dropout.at));
    else if (facts.silence_s > limits.silence_s)
      fault("silence", facts.silence_at, "there is a hole in the speech",
            fmt::format("{:.2f} s of silence at {:.2f} s", facts.silence_s, facts.silence_at));
    if (facts.range_db < kNoisyRangeDb)
      fault("noise", -1, "there is noise under the speech",
            fmt::format("only {:.0f} dB between loud and quiet", facts.range_db));
    if (facts.loudness.lufs < limits.lufs_low || facts.loudness.lufs > limits.lufs_high)
      fault("loudness", -1, "the loudness is outside its limits",
            fmt::format("{:.1f} LUFS, wanted {} to {}", facts.loudness.lufs, limits.lufs_low,
                        limits.lufs_high));
    if (facts.loudness.true_peak_db > limits.peak_db)
      fault("peak", -1, "the peaks are too high",
            fmt::format("{:.1f} dBTP", facts.loudness.true_peak_db));
  }
  finding.evidence = {{"seconds", facts.seconds},
                      {"rate", take.source_rate},
                      {"channels", take.source_channels},
                      {"lufs", facts.loudness.lufs},
                      {"true_peak_db", facts.loudness.true_peak_db},
                      {"clipped_runs", clipped},
                      {"dropout_s", worst_dropout(facts, heard).seconds},
                      {"silence_s", facts.silence_s},
                      {"range_db", facts.range_db},
                      {"start_db", facts.start_db},
                      {"end_db", facts.end_db}};
  const auto faults = static_cast<double>(finding.critiques.size());
  finding.score = facts.silent ? 0 : faults > 0 ? kBrokenSignalCap / faults : 1;
  return finding;
}

Finding score_words(const HeardTake& take) {
  Finding finding;
  const Hearing& hearing = take.hearing;
  const SignalFacts& facts = take.facts;
  const std::vector<AlignedWord>& words = take.words;
  Json list = Json::array();
  double wrong = 0;
  int phones = 0;
  std::string heard;
  std::vector<std::string> unverified;
  std::vector<Critique>
      extra;  // what is said besides comes last: it is the consequence of the rest
  for (const AlignedWord& word : words) {
    const ExpectedWord* expected =
        word.index < 0 ? nullptr : &hearing.expected[static_cast<std::size_t>(word.index)];
    list.push_back(json_of(word, expected));
    if (expected && !expected->pronunciations.empty())
      phones += count_phones(expected->pronunciations.front());
    if (!word.heard.empty()) heard += (heard.empty() ? "" : " ") + word.heard;
    const bool doubtful = word.match == WordMatch::kRight && hearing.aligned && expected &&
                          expected->acoustic < kDoubtfulAcoustic;
    if (word.match == WordMatch::kRight && !doubtful) continue;
    wrong += 1;
    (expected ? finding.critiques : extra).push_back(word_critique(word, expected));
  }
  for (const ExpectedWord& word : hearing.expected)
    if (!is_verified(word) && std::ranges::find(unverified, word.word) == unverified.end())
      unverified.push_back(word.word);
  // A word that nobody knows how to say spoils its neighbours.
  if (wrong > 0)
    for (const std::string& word : unverified)
      if (std::ranges::none_of(finding.critiques, [&](const Critique& each) {
            return each.claim.ends_with(phones_wanted(word));
          }))
        finding.critiques.push_back(
            critique("", phones_wanted(word), "", fmt::format("unverified:{}", word)));
  std::ranges::move(extra, std::back_inserter(finding.critiques));
  const auto count = static_cast<double>(std::max<std::size_t>(hearing.expected.size(), 1));
  finding.score = std::clamp(1 - wrong / count, 0.0, 1.0);
  if (wrong > 0) finding.score = std::min(finding.score, kWrongWordCap);

  const double speech = facts.speech_end - facts.speech_start;
  const double pace = speech > 0 ? phones / speech : 0;
  if (phones >= kFewPhones && (pace > kMaxPhonesPerSecond || pace < kMinPhonesPerSecond)) {
    finding.critiques.push_back(
        critique(word_at(words, facts.speech_start),
                 pace > kMaxPhonesPerSecond ? "it is spoken too fast" : "it is spoken too slowly",
                 fmt::format("{:.1f} sounds a second; people speak {} to {}", pace,
                             kMinPhonesPerSecond, kMaxPhonesPerSecond),
                 "pace"));
    finding.score = std::min(finding.score, kWrongWordCap);
  }
  if (!hearing.aligned && wrong == 0) {
    const bool any = !words.empty();
    finding.critiques.push_back(critique(any ? word_at(words, words.back().end) : "",
                                         "the words do not fit the sound to its end",
                                         "no forced alignment", "alignment"));
    finding.score = std::min(finding.score, kWrongWordCap);
  }
  finding.evidence = {{"heard", heard},
                      {"words", list},
                      {"sounds_per_second", std::round(pace * 10) / 10},
                      {"note", "accepted or not with the script as prior"}};
  if (!unverified.empty()) {
    finding.evidence["not_verified"] = unverified;
    finding.evidence["caveat"] = fmt::format(
        "{} not verified: {}", counted(unverified.size(), "word"), join(unverified, ", "));
  }
  return finding;
}

void add_coverage(Coverage& coverage, const Hearing& hearing,
                  const std::vector<std::size_t>& line_of) {
  for (const std::size_t line : line_of) ++coverage.words[line];
  for (const AlignedWord& word : align_words(hearing)) {
    if (word.match != WordMatch::kRight || word.index < 0) continue;
    // Several expected words may have been heard as one.
    const auto count = static_cast<std::size_t>(1 + std::ranges::count(word.expected, ' '));
    for (std::size_t k = 0; k < count; ++k)
      ++coverage.heard[line_of[static_cast<std::size_t>(word.index) + k]];
  }
}

bool add_heard(Coverage& coverage, std::size_t line, const std::vector<std::string>& words,
               std::span<const Judgement> judgements) {
  for (const Judgement& judgement : judgements) {
    const Json& list = json_at(judgement.evidence, "words");
    if (!list.is_array()) continue;
    std::vector<std::string> judged;
    std::int64_t right = 0;
    for (const Json& word : list) {
      const std::vector<std::string> expected = split(json_string(word, "word"), ' ');
      if (json_string(word, "word").empty()) continue;
      judged.insert(judged.end(), expected.begin(), expected.end());
      if (json_string(word, "match") == "right") right += std::ssize(expected);
    }
    if (judged != words) continue;
    coverage.words[line] += std::ssize(words);
    coverage.heard[line] += right;
    return true;
  }
  return false;
}

Finding score_cover(const Coverage& coverage, const std::vector<std::string>& lines) {
  Finding finding;
  std::int64_t words = 0, heard = 0;
  Json gaps = Json::array();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    words += coverage.words[i];
    heard += coverage.heard[i];
    if (coverage.heard[i] == coverage.words[i]) continue;
    gaps.push_back(
        {{"line", lines[i]}, {"heard", coverage.heard[i]}, {"words", coverage.words[i]}});
    if (2 * coverage.heard[i] < coverage.words[i])
      finding.critiques.push_back(
          critique(lines[i], "the narration lacks this line",
                   fmt::format("{} of {} words heard", coverage.heard[i], coverage.words[i]),
                   fmt::format("line:{}", i)));
  }
  finding.score = words == 0 ? 0 : static_cast<double>(heard) / static_cast<double>(words);
  finding.evidence = {{"covered", finding.score}, {"words", words}, {"gaps", gaps}};
  return finding;
}

std::vector<Exhibit> heard_words(Json& evidence) {
  const Json& words = json_at(evidence, "words");
  if (!words.is_array()) return {};
  SoundExhibit sound;
  for (const Json& word : words)
    sound.words.push_back({json_string(word, "word"), json_string(word, "heard"),
                           json_string(word, "match"), json_number(word, "start", 0),
                           json_number(word, "end", 0)});
  return {std::move(sound)};
}

}  // namespace lathe::loop
