// The judge that lets a model with ears write down what a take says, without the script, and lays
// that beside the words that should be said.
#include <algorithm>
#include <array>
#include <cmath>

#include "ground/base/text.h"
#include "loop/judges/ears_align.h"
#include "loop/judges/ears_score.h"
#include "loop/judges/inquiry.h"
#include "loop/senses/spoken.h"
#include "loop/senses/word_fault.h"
#include "loop/senses/word_list.h"
#include "loop/terms/origin.h"

namespace lathe::loop {

extern const JudgeKind kListenJudge;

namespace {

constexpr std::size_t kMaxWords = 2000, kMostCritiques = 50;

constexpr OptionSpec kOptions[] = {
    {"worker", OptionType::kString, kMustBeGiven,
     "the name of the worker that writes it down: a Whisper model's, or a server with "
     "/audio/transcriptions"},
    {"expect", OptionType::kString, "\"\"", "the words to be said, instead of the unit's text"},
    {"bar", OptionType::kBar, "\"9/10\"", "the share of words that passes"},
    {"language", OptionType::kString, "\"\"", "spoken language; default: as the model hears it"},
    {"calibration", OptionType::kString, {}, "the record of `lathe judge calibrate`"},
    {"advisory", OptionType::kBool, "false", "never gate, even when calibrated"},
};

std::string expected_text(const JudgeTask& task) {
  if (const std::string given = option_string(task.options, "expect"); !given.empty()) return given;
  std::vector<std::string> lines;
  for (const Unit& unit : task.units) lines.push_back(unit.text);
  return join(lines, "\n");
}

// As spoken words; those that one written word comes to share its time.
void add_heard(std::string_view written, double start, double end, Hearing& hearing) {
  const std::vector<std::string> words = words_of(spoken_text(written));
  const double each = words.empty() ? 0 : (end - start) / static_cast<double>(words.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    HeardWord& word = hearing.heard.emplace_back();
    word.word = words[i];
    word.start = start + each * static_cast<double>(i);
    word.end = word.start + each;
  }
}

// How people say words of the trade: JSON may be written as "jason".
void add_sounds(Hearing& hearing) {
  std::vector<std::string> words;
  for (const HeardWord& word : hearing.heard) words.push_back(word.word);
  for (const ExpectedWord& word : hearing.expected) words.push_back(word.word);
  const auto phones = listed_phones(words);
  for (HeardWord& word : hearing.heard)
    if (const auto found = phones.find(word.word); found != phones.end())
      word.phones = found->second;
  for (ExpectedWord& word : hearing.expected)
    if (const auto found = phones.find(word.word); found != phones.end())
      word.pronunciations.push_back(found->second);
}

Result<Hearing> hearing_of(const Transcript& transcript, const std::vector<std::string>& expected) {
  Hearing hearing;
  for (const std::string& word : expected) hearing.expected.emplace_back().word = word;
  if (transcript.words && !transcript.words->empty())
    for (const TranscriptWord& word : *transcript.words)
      add_heard(word.text, word.start, word.end, hearing);
  else
    add_heard(transcript.text(), 0, 0, hearing);
  if (hearing.heard.size() > kMaxWords)
    return invalid("the model wrote {} words for a take of {}", hearing.heard.size(),
                   expected.size());
  add_sounds(hearing);
  return hearing;
}

Critique critique_of(const AlignedWord& word, bool gates) {
  const WordFault fault{.word = word.expected,
                        .start = word.start,
                        .end = word.end,
                        .heard = word.heard,
                        .dictionary = {}};
  const std::string named = word.expected.empty() ? word.heard : word.expected;
  const std::string_view claim = word.match == WordMatch::kMissing ? "is not heard"
                                 : word.match == WordMatch::kExtra ? "is heard and not in the line"
                                                                   : "is heard as another word";
  return {.locus = word.end > 0 ? fault_locus(fault) : named,
          .severity = gates ? "must" : "should",
          .claim = fmt::format("'{}' {}", named, claim),
          .evidence = fault_evidence(fault),
          .fingerprint = {}};
}

double hundredths(double value) {
  return std::round(value * 100) / 100;
}

Judgement count(const std::vector<AlignedWord>& words, const Transcript& transcript, double bar,
                bool gates) {
  static constexpr std::array<std::string_view, 4> kNames{"right", "wrong", "missing", "extra"};
  Judgement judgement;
  Json listed = Json::array();
  std::size_t right = 0;
  for (const AlignedWord& word : words) {
    listed.push_back({{"word", word.expected},
                      {"match", kNames[static_cast<std::size_t>(word.match)]},
                      {"heard", word.heard},
                      {"start", hundredths(word.start)},
                      {"end", hundredths(word.end)}});
    right += word.match == WordMatch::kRight;
    if (word.match != WordMatch::kRight && judgement.critiques.size() < kMostCritiques)
      judgement.critiques.push_back(critique_of(word, gates));
  }
  judgement.score = static_cast<double>(right) / static_cast<double>(words.size());
  judgement.bar = bar;
  judgement.outcome = judgement.score >= bar ? Outcome::kPass : Outcome::kFail;
  judgement.evidence = {{"transcript", clip_utf8(make_valid_utf8(transcript.text()), 4000)},
                        {"language", transcript.language},
                        {"words", std::move(listed)}};
  return judgement;
}

Result<Judgement> listen_and_count(const JudgeTask& task, const JudgeContext& context, bool gates,
                                   Usage& usage) {
  const std::string text = expected_text(task);
  const std::vector<std::string> expected = words_of(spoken_text(text));
  if (expected.empty())
    return invalid("there is no word to listen for in '{}': set expect", clip_utf8(text, 80));
  if (expected.size() > kMaxWords)
    return invalid("{} words in one take are too many (at most {}): split the script",
                   expected.size(), kMaxWords);
  SoundRequest request;
  request.file = task.bytes;
  request.options.language = option_string(task.options, "language");
  request.options.words = true;
  request.labels = labels_of({.purpose = "listen"});
  request.time_limit = context.time_limit;
  LATHE_TRY(const Transcription heard, context.worker->transcribe(request, context.stop));
  usage += heard.usage;
  LATHE_TRY(const Hearing hearing, hearing_of(heard.transcript, expected));
  return count(align_words(hearing), heard.transcript, option_bar(task.options, "bar"), gates);
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext& context) {
  return judge_by_inquiry(kListenJudge, task, context, listen_and_count);
}

}  // namespace

const JudgeKind kListenJudge{
    .name = "listen",
    .summary = "a model with ears writes a take down without the script, and the engine compares",
    .options = kOptions,
    .needs_worker = true,
    .stage = Stage::kRubric,
    .advises = advises_uncalibrated,
    .judge = judge,
    .exhibits = heard_words,
};

}  // namespace lathe::loop
