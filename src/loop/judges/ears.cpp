// The judge that listens: takes and narrations.
#include "loop/judges/ears.h"

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/senses/language.h"
#include "loop/senses/phones.h"
#include "loop/senses/spoken.h"
#include "loop/senses/voice.h"
#include "loop/senses/word_list.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kBlockLines = 100;
constexpr std::size_t kMaxExpectedWords = 5000;
constexpr double kChunkSeconds = 60;  // of narration heard at once
constexpr double kJoinPause = 0.35;

constexpr OptionSpec kOptions[] = {
    {"check", OptionType::kString, "\"words_heard\"",
     "words_heard: every word right; audio_facts: the signal only; script_cover: the share of the "
     "script in the whole narration"},
    {"bar", OptionType::kBar, "\"9/10\"", "words_heard: the score that passes"},
    {"min", OptionType::kBar, "0.98", "script_cover: the share of words that passes"},
    {"limits", OptionType::kTable, "{}",
     "clip (runs), silence_s, dropout_s, lufs = [low, high], peak_db"},
    {"pronounce", OptionType::kTable, "{}",
     "word = \"phones\": how it may be said besides the dictionary", true},
    {"expect", OptionType::kString, {}, "the line that should be heard; default: the unit's text"},
    {"script",
     OptionType::kString,
     {},
     "a file with the lines that may be said; default: the run's units"},
};

Result<SignalLimits> limits_from(const Json& options) {
  SignalLimits limits;
  const Json& table = json_at(options, "limits");
  if (!table.is_object()) return limits;
  for (const auto& [key, value] : table.items()) {
    if (key == "lufs") {
      if (!value.is_array() || value.size() != 2 || !value[0].is_number() || !value[1].is_number())
        return invalid("limits.lufs must be [low, high], like [-26, -12]");
      limits.lufs_low = value[0].get<double>();
      limits.lufs_high = value[1].get<double>();
      continue;
    }
    if (!value.is_number()) return invalid("limits.{} must be a number", key);
    if (key == "clip")
      limits.clip = static_cast<int>(std::clamp(value.get<double>(), 0.0, 1e9));
    else if (key == "silence_s")
      limits.silence_s = value.get<double>();
    else if (key == "dropout_s")
      limits.dropout_s = value.get<double>();
    else if (key == "peak_db")
      limits.peak_db = value.get<double>();
    else
      return invalid("limits.{} is not known: there are clip, silence_s, dropout_s, lufs, peak_db",
                     key);
  }
  return limits;
}

Result<std::map<std::string, std::string>> pronounce_from(const Json& options) {
  std::map<std::string, std::string> out;
  for (const auto& [word, phones] : json_at(options, "pronounce").items()) {
    const auto cmu = phones.is_string() ? cmu_phones(phones.get<std::string>()) : std::nullopt;
    if (!cmu)
      return invalid(
          "pronounce.{} must be phones of the CMU dictionary, like \"k uw b er n eh t "
          "iy z\"",
          word);
    for (const std::string& spoken : words_of(word)) out[spoken] = *cmu;
  }
  return out;
}

Status check_ears(const Json& options) {
  const std::string check = option_string(options, "check");
  if (check != "words_heard" && check != "audio_facts" && check != "script_cover")
    return invalid("check = \"{}\" is not known: words_heard, audio_facts or script_cover", check);
  LATHE_TRY_STATUS(limits_from(options));
  LATHE_TRY_STATUS(pronounce_from(options));
  return {};
}

// The lines of the `script` file, or of the run.
Result<std::vector<Unit>> script_units(const JudgeTask& task, const JudgeContext& context) {
  const std::string name = option_string(task.options, "script");
  if (name.empty()) return std::vector<Unit>(task.all_units.begin(), task.all_units.end());
  LATHE_TRY(const std::string text, read_file(context.place.recipe_dir / name));
  std::vector<Unit> units;
  for (const std::string_view line : split_lines(text)) {
    Unit unit;
    unit.key = fmt::format("L{}", units.size() + 1);
    unit.text = line;
    if (!words_of(spoken_text(line)).empty()) units.push_back(std::move(unit));
  }
  return units;
}

std::string expected_text(const JudgeTask& task) {
  if (const std::string given = option_string(task.options, "expect"); !given.empty()) return given;
  std::vector<std::string> lines;
  for (const Unit& unit : task.units) lines.push_back(unit.text);
  return join(lines, "\n");
}

Judgement failed(const JudgeTask& task, double bar, Critique critique) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.outcome = Outcome::kFail;
  judgement.bar = bar;
  judgement.evidence = {{"problem", critique.claim}};
  judgement.critiques.push_back(std::move(critique));
  return judgement;
}

Judgement not_judged(const JudgeTask& task, double bar, std::string why) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.outcome = Outcome::kError;
  judgement.bar = bar;
  judgement.evidence = {{"not_judged", std::move(why)}};
  return judgement;
}

Judgement concluded(const JudgeTask& task, double bar, Finding finding) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.score = finding.score;
  judgement.bar = bar;
  judgement.outcome = finding.score >= bar ? Outcome::kPass : Outcome::kFail;
  judgement.evidence = std::move(finding.evidence);
  judgement.critiques = std::move(finding.critiques);
  return judgement;
}

// A file that cannot be read is a fault of the take; a decoder that dies of it judges nothing.
Result<std::optional<Decoded>> decode_take(MediaPool& pool, std::string_view bytes,
                                           const JudgeContext& context, std::string& problem) {
  auto decoded = pool.decode(bytes, context.time_limit, context.stop);
  if (decoded) return std::move(*decoded);
  if (decoded.error().kind != ErrorKind::kInvalid) return std::unexpected(decoded.error());
  problem = decoded.error().message;
  return std::nullopt;
}

// The block of the script that the expected line stands in; the line itself where it is not in it.
std::vector<std::vector<std::string>> prior_for(const std::vector<Unit>& script,
                                                const std::string& expected,
                                                const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < script.size(); ++i)
    if (script[i].text == expected || words_of(spoken_text(script[i].text)) == words)
      return script_block(script, i);
  auto lines = script.empty() ? std::vector<std::vector<std::string>>() : script_block(script, 0);
  lines.push_back(words);
  return lines;
}

Result<Judgement> judge_take(const JudgeTask& task, const JudgeContext& context) {
  const bool words_wanted = option_string(task.options, "check") == "words_heard";
  const double bar = words_wanted ? option_bar(task.options, "bar") : 1;
  LATHE_TRY(const SignalLimits limits, limits_from(task.options));
  const auto pool = media_pool(context.place.media, context.place.program);
  std::string problem;
  LATHE_TRY(const auto take, decode_take(*pool, task.bytes, context, problem));
  if (!take) return failed(task, bar, {"", "must", problem, "", "signal:unreadable"});
  if (!words_wanted)
    return concluded(task, bar, score_signal(*take, signal_facts(take->sound), limits, nullptr));

  EarScript script;
  LATHE_TRY(script.pronounce, pronounce_from(task.options));
  const std::string text = expected_text(task);
  const std::string spoken = spoken_text(text);
  const std::vector<std::string> words = words_of(spoken);
  if (words.empty())
    return invalid("there is no word to listen for in '{}': set expect", clip_utf8(text, 80));
  if (words.size() > kMaxExpectedWords)
    return invalid("{} words in one take are too many for the ear (at most {}): split the script",
                   words.size(), kMaxExpectedWords);
  // English is all that voice and ear know: German words that happen to be surnames there would
  // count as right.
  if (const std::string language = foreign_language(text); !language.empty())
    return not_judged(task, bar,
                      fmt::format("the line seems to be in {}: voice and ear know English "
                                  "only",
                                  language));
  LATHE_TRY(const std::vector<Unit> units, script_units(task, context));
  script.lines = prior_for(units, text, words);
  for (const auto& line : script.lines) script.pronounce.merge(listed_phones(line));
  LATHE_TRY(Hearing hearing,
            pool->hear(script, take->sound, words, context.time_limit, context.stop));
  for (ExpectedWord& word : hearing.expected)
    if (!word.in_dictionary)
      word.second_opinion = espeak_pronunciation(word.word, context.stop).value_or("");
  return concluded(task, bar, judge_words(*take, std::move(hearing), spoken, kWordsHeardLimits));
}

struct Chunk {
  std::vector<Sound> sounds;
  std::vector<std::string> words;
  std::vector<std::size_t> line_of;
  double seconds = 0;
};

// The narration in order. Takes that words_heard has listened to count as they were heard; the
// others are heard now, a minute at a time.
Result<Judgement> judge_narration(const JudgeTask& task, const JudgeContext& context) {
  const double min = option_bar(task.options, "min");
  const auto pool = media_pool(context.place.media, context.place.program);
  LATHE_TRY(const auto pronounce, pronounce_from(task.options));
  std::vector<Unit> units;
  std::vector<std::string> lines;
  for (const Part& part : task.parts) {
    units.push_back(part.unit);
    lines.push_back(part.unit.text);
  }
  Coverage coverage(lines.size());
  Chunk chunk;
  const auto hear = [&](std::size_t upto) -> Status {
    Hearing hearing;
    if (chunk.sounds.empty()) {
      for (const std::string& word : chunk.words)
        hearing.expected.push_back({word, {}, "", true, ""});
    } else {
      EarScript script{script_block(units, upto), pronounce};
      for (const auto& line : script.lines) script.pronounce.merge(listed_phones(line));
      LATHE_TRY(hearing, pool->hear(script, joined(chunk.sounds, kJoinPause), chunk.words,
                                    context.time_limit, context.stop));
    }
    add_coverage(coverage, hearing, chunk.line_of);
    chunk = {};
    return {};
  };
  for (std::size_t i = 0; i < task.parts.size(); ++i) {
    const Part& part = task.parts[i];
    const std::vector<std::string> words = words_of(spoken_text(part.unit.text));
    if (add_heard(coverage, i, words, part.judgements)) continue;
    // An ear is prepared for one block of the script.
    if (!chunk.line_of.empty() && chunk.line_of.back() / kBlockLines != i / kBlockLines)
      LATHE_TRY_STATUS(hear(chunk.line_of.back()));
    std::string problem;
    std::optional<Decoded> take;
    if (!part.bytes.empty()) {
      LATHE_TRY(take, decode_take(*pool, part.bytes, context, problem));
    }
    chunk.words.insert(chunk.words.end(), words.begin(), words.end());
    chunk.line_of.insert(chunk.line_of.end(), words.size(), i);
    if (take) {
      chunk.seconds += take->sound.seconds();
      chunk.sounds.push_back(std::move(take->sound));
    }
    if (context.progress)
      context.progress(fmt::format("hearing line {} of {}", i + 1, task.parts.size()));
    if (chunk.seconds > kChunkSeconds) LATHE_TRY_STATUS(hear(i));
  }
  if (!chunk.line_of.empty()) LATHE_TRY_STATUS(hear(chunk.line_of.back()));
  return concluded(task, min, score_cover(coverage, lines));
}

// A narration in one file, judged outside a run.
Result<Judgement> judge_narration_file(const JudgeTask& task, const JudgeContext& context) {
  const double min = option_bar(task.options, "min");
  const auto pool = media_pool(context.place.media, context.place.program);
  std::string problem;
  LATHE_TRY(const auto take, decode_take(*pool, task.bytes, context, problem));
  if (!take) return failed(task, min, {"", "must", problem, "", "signal:unreadable"});
  LATHE_TRY(std::vector<Unit> units, script_units(task, context));
  if (units.empty()) units.assign(task.units.begin(), task.units.end());
  std::vector<std::string> words, lines;
  std::vector<std::size_t> line_of;
  EarScript script;
  LATHE_TRY(script.pronounce, pronounce_from(task.options));
  for (const Unit& unit : units) {
    const auto line = words_of(spoken_text(unit.text));
    words.insert(words.end(), line.begin(), line.end());
    line_of.insert(line_of.end(), line.size(), lines.size());
    lines.push_back(unit.text);
    script.lines.push_back(line);
  }
  script.pronounce.merge(listed_phones(words));
  if (words.empty() || words.size() > kMaxExpectedWords)
    return invalid("a narration in one file is judged for 1 to {} words, not {}", kMaxExpectedWords,
                   words.size());
  LATHE_TRY(const Hearing hearing,
            pool->hear(script, take->sound, words, context.time_limit, context.stop));
  Coverage coverage(lines.size());
  add_coverage(coverage, hearing, line_of);
  return concluded(task, min, score_cover(coverage, lines));
}

Result<Judgement> judge_ears(const JudgeTask& task, const JudgeContext& context) {
  if (option_string(task.options, "check") != "script_cover") return judge_take(task, context);
  return task.scope == Scope::kWhole ? judge_narration(task, context)
                                     : judge_narration_file(task, context);
}

}  // namespace

std::vector<std::vector<std::string>> script_block(std::span<const Unit> units, std::size_t index) {
  std::vector<std::vector<std::string>> lines;
  const std::size_t first = index / kBlockLines * kBlockLines;
  for (std::size_t i = first; i < std::min(first + kBlockLines, units.size()); ++i)
    if (auto words = words_of(spoken_text(units[i].text)); !words.empty())
      lines.push_back(std::move(words));
  return lines;
}

Finding judge_words(const Decoded& take, Hearing hearing, std::string_view spoken,
                    const SignalLimits& limits) {
  const SignalFacts facts = signal_facts(take.sound);
  const HeardTake heard = heard_take(take, facts, hearing, spoken);
  Finding words = score_words(heard);
  // A take that is broken as a sound is not "every word heard", however well the ear guesses.
  Finding signal = score_signal(take, facts, limits, &heard);
  words.evidence["signal"] = std::move(signal.evidence);
  if (!signal.critiques.empty()) words.score = std::min(words.score, signal.score);
  std::ranges::move(signal.critiques, std::back_inserter(words.critiques));
  return words;
}

const JudgeKind kEarsJudge = {
    .name = "ears",
    .summary = "listens: are all words there, is the sound sound, is the script complete",
    .options = kOptions,
    .needs_worker = false,
    .stage = Stage::kGate,
    .can_whole = true,
    .check = check_ears,
    .judge = judge_ears,
    .exhibits = heard_words,
};

}  // namespace lathe::loop
