// The judge that runs any program on the artifact and reads its exit code, a number that it prints,
// or a JSON verdict.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "ground/base/text.h"
#include "ground/schema/regex.h"
#include "ground/sys/sandbox.h"
#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxOutputBytes = 4 << 20;
constexpr std::size_t kMaxEvidenceBytes = 2000;
constexpr std::size_t kMaxCritiques = 50;

constexpr OptionSpec kOptions[] = {
    {"command", OptionType::kStrings, kMustBeGiven,
     "the program and its arguments; {file} is the artifact, which comes last if it is not named"},
    {"files", OptionType::kStrings, "[]", "files it needs, relative to the recipe"},
    {"extension", OptionType::kString, "\"txt\"", "of the file that the artifact is given as"},
    {"protocol", OptionType::kString, "\"exit\"",
     "exit: code 0 passes | number: against bar | json: one object with candidate, outcome, …"},
    {"number", OptionType::kString, "\"last\"",
     "where the number stands: last | json:/pointer | regex:pattern (the last one in its match)"},
    {"bar", OptionType::kNumber, {}, "the number that passes"},
    {"higher_is_better", OptionType::kBool, "true", "or lower"},
    {"time", OptionType::kDuration, "\"2m\"", "limit of one run"},
    {"memory", OptionType::kBytes, "\"4GiB\"", "limit for all its processes together"},
};

Status check(const Json& options) {
  const auto command = option_strings(options, "command");
  if (command.empty() || command.front().empty())
    return invalid("command is empty: name a program, like command = [\"python3\", \"check.py\"]");
  const std::string protocol = option_string(options, "protocol");
  if (protocol != "exit" && protocol != "number" && protocol != "json")
    return invalid("protocol '{}' is not exit, number or json", clip_utf8(protocol, 40));
  if ((protocol == "number") != options.contains("bar"))
    return invalid("{}", protocol == "number" ? "protocol \"number\" needs a bar"
                                              : "bar goes with protocol = \"number\"");
  const std::string number = option_string(options, "number");
  if (number.starts_with("regex:")) {
    LATHE_TRY([[maybe_unused]] const Regex regex,
              Regex::compile(std::string_view(number).substr(6), Regex::Flavour::kText));
  } else if (number != "last" && !number.starts_with("json:")) {
    return invalid("number '{}' is not last, json:/pointer or regex:pattern",
                   clip_utf8(number, 60));
  }
  const std::string extension = option_string(options, "extension");
  if (!is_safe_relative(extension) || extension.find('/') != extension.npos)
    return invalid("extension '{}' cannot end a file name", clip_utf8(extension, 60));
  return {};
}

// ---- the artifact on disk ----

Result<std::string> lay_parts(const JudgeTask& task, const fs::path& tree,
                              const std::string& extension) {
  Changes files;
  Json index = Json::array();
  for (std::size_t i = 0; i < task.parts.size(); ++i) {
    const Part& part = task.parts[i];
    const std::string name = fmt::format("{:05}.{}", i + 1, extension);
    if (!part.candidate.empty()) files.files["artifact/" + name] = part.bytes;
    index.push_back({{"key", part.unit.key},
                     {"text", part.unit.text},
                     {"passed", part.passed},
                     {"file", part.candidate.empty() ? Json() : Json(name)}});
  }
  files.files["artifact/index.json"] = dump_json(index, 1);
  LATHE_TRY_STATUS(apply_changes(files, tree));
  return "artifact";
}

// The path of what is judged, inside the sandbox.
Result<std::string> lay_artifact(const JudgeTask& task, const Place& place, const fs::path& tree) {
  const std::string extension = option_string(task.options, "extension");
  if (task.scope == Scope::kWhole) return lay_parts(task, tree, extension);
  if (task.media_type == kChangesMediaType) {
    if (!place.checkout) return invalid("command: there is no source tree to lay the changes over");
    LATHE_TRY_STATUS(place.checkout(tree));
    LATHE_TRY(const Changes changes, parse_changes(task.bytes));
    LATHE_TRY_STATUS(apply_changes(changes, tree));
    return ".";
  }
  const std::string name = "artifact." + extension;
  LATHE_TRY_STATUS(apply_changes({{{name, std::string(task.bytes)}}}, tree));
  return name;
}

Result<SandboxedExit> run_program(const JudgeTask& task, const JudgeContext& context) {
  LATHE_TRY(const TempDir tree, TempDir::make("lathe-judge"));
  LATHE_TRY(const std::string file, lay_artifact(task, context.place, tree.path()));
  LATHE_TRY_STATUS(
      lay_recipe_files(context.place, option_strings(task.options, "files"), tree.path()));
  Command command;
  bool named = false;
  for (const std::string& argument : option_strings(task.options, "command")) {
    named |= argument.find("{file}") != argument.npos;
    command.argv.push_back(replace_all(argument, "{file}", file));
  }
  if (!named) command.argv.push_back(file);
  command.env = {{"LATHE_CANDIDATE", task.candidate},
                 {"LATHE_UNIT", task.units.empty() ? "" : task.units.front().key}};
  command.max_output = kMaxOutputBytes;
  command.time_limit =
      std::min(Milliseconds(option_duration_ms(task.options, "time")), context.time_limit);
  command.on_output = context.output;
  Sandbox sandbox;
  sandbox.tree = tree.path();
  sandbox.limits.memory_bytes = option_bytes(task.options, "memory");
  sandbox.unsafe_none = context.place.unsafe_no_sandbox;
  return run_sandboxed(sandbox, command, context.stop);
}

// ---- reading the answer ----

std::unexpected<Error> not_judged(const Exit& exit, std::string_view why) {
  return invalid("command: {} ({}): {}", why, exit.describe(),
                 clip_utf8(make_valid_utf8(trim(exit.err.empty() ? exit.out : exit.err)), 400));
}

std::optional<double> to_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// The last word that is a number; "score=0.9," counts as one. "nan" and "inf" are none, and hide
// no earlier number: the last word that could be one decides.
std::optional<double> last_number(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const auto last_digit = text.find_last_of(kDigits);
  if (last_digit == text.npos) return std::nullopt;
  const std::string tail = to_lower_ascii(text.substr(last_digit + 1));
  if (tail.find("nan") != tail.npos || tail.find("inf") != tail.npos) return std::nullopt;
  auto begin = text.find_last_not_of("0123456789.eE+-", last_digit);
  begin = begin == text.npos ? 0 : begin + 1;
  while (text[begin] == 'e' || text[begin] == 'E' || text[begin] == '+') ++begin;  // "score=", "+3"
  // All of it or nothing: half of "1e999" or of a date would be another number.
  return to_number(text.substr(begin, last_digit + 1 - begin));
}

Result<double> printed_number(const Json& options, std::string_view out) {
  const std::string where = option_string(options, "number");
  std::optional<double> value;
  if (where == "last") {
    value = last_number(out);
  } else if (where.starts_with("regex:")) {
    LATHE_TRY(const Regex regex,
              Regex::compile(std::string_view(where).substr(6), Regex::Flavour::kText));
    const std::string text = make_valid_utf8(out);
    LATHE_TRY(const std::vector<Match> matches, regex.find_all(text, 100'000));
    if (!matches.empty())
      value = last_number(std::string_view(text).substr(matches.back().begin,
                                                        matches.back().end - matches.back().begin));
  } else {
    LATHE_TRY(const Json json, parse_json(out));
    try {
      const Json::json_pointer pointer(where.substr(5));
      if (json.contains(pointer) && json.at(pointer).is_number())
        value = json.at(pointer).get<double>();
    } catch (const Json::exception& error) {
      return invalid("command: number '{}': {}", where, error.what());
    }
  }
  if (!value || !std::isfinite(*value))
    return invalid("command: no number at '{}' in its output: {}", where,
                   clip_utf8(make_valid_utf8(trim(out)), 300));
  return *value;
}

Result<Judgement> by_exit_code(Judgement judgement, const Exit& exit) {
  judgement.evidence["exit"] = exit.describe();
  if (exit.code == 0) {
    judgement.outcome = Outcome::kPass;
    judgement.score = 1;
    return judgement;
  }
  judgement.outcome = Outcome::kFail;
  const std::string said = make_valid_utf8(trim(exit.err).empty() ? exit.out : exit.err);
  const auto lines = split_lines(trim(said));
  judgement.critiques.push_back({"", "must",
                                 lines.empty() ? exit.describe() : clip_utf8(lines.front(), 300),
                                 clip_utf8(said, kMaxEvidenceBytes), ""});
  return judgement;
}

Result<Judgement> by_number(Judgement judgement, const Json& options, const Exit& exit) {
  if (exit.code != 0) return not_judged(exit, "the program failed, so its number does not count");
  LATHE_TRY(const double value, printed_number(options, exit.out));
  const double bar = option_number(options, "bar");
  const bool higher = option_bool(options, "higher_is_better");
  const bool pass = higher ? value >= bar : value <= bar;
  judgement.evidence["number"] = value;
  judgement.evidence["bar"] = bar;
  judgement.outcome = pass ? Outcome::kPass : Outcome::kFail;
  // How near it is, for ranking candidates that fail.
  const double share = higher ? value / bar : bar / value;
  judgement.score = pass ? 1 : std::isfinite(share) ? std::clamp(share, 0.0, 0.99) : 0;
  if (!pass)
    judgement.critiques.push_back(
        {"", "must", fmt::format("{} is {} the bar of {}", value, higher ? "below" : "above", bar),
         clip_utf8(make_valid_utf8(exit.out), kMaxEvidenceBytes), "number"});
  return judgement;
}

Result<Judgement> by_json(Judgement judgement, const Exit& exit) {
  if (exit.code != 0) return not_judged(exit, "the program failed, so its verdict does not count");
  auto answer = parse_json(exit.out);
  if (!answer) return at("command: its output is not one JSON value", answer.error());
  const std::string candidate = json_string(*answer, "candidate");
  if (candidate != judgement.candidate)
    return invalid("command: it answered for candidate '{}', not '{}'", clip_utf8(candidate, 70),
                   judgement.candidate);
  const auto outcome = parse_outcome(json_string(*answer, "outcome"));
  if (!outcome || *outcome == Outcome::kError)
    return invalid("command: its outcome is {}, not \"pass\", \"fail\" or \"abstain\"",
                   clip_utf8(dump_json(json_at(*answer, "outcome")), 60));
  judgement.outcome = *outcome;
  judgement.score = json_number(*answer, "score", *outcome == Outcome::kPass ? 1 : 0);
  judgement.bar = json_number(*answer, "bar", *outcome == Outcome::kPass ? judgement.score : 1);
  for (const char* key : {"score", "bar"})
    if (answer->contains(key) && !json_at(*answer, key).is_number())
      return invalid("command: its {} is {}, not a number", key,
                     clip_utf8(dump_json(json_at(*answer, key)), 60));
  for (const Json& each : json_at(*answer, "critiques")) {
    Critique critique = critique_from_json(each);
    if (critique.claim.empty()) return invalid("command: one of its critiques has no claim");
    if (critique.severity != "should") critique.severity = "must";
    critique.claim = clip_utf8(critique.claim, 500);
    critique.evidence = clip_utf8(critique.evidence, kMaxEvidenceBytes);
    if (judgement.critiques.size() < kMaxCritiques) judgement.critiques.push_back(critique);
  }
  if (const Json& evidence = json_at(*answer, "evidence"); evidence.is_object())
    judgement.evidence = evidence;
  return judgement;
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext& context) {
  LATHE_TRY(const SandboxedExit result, run_program(task, context));
  const Exit& exit = result.exit;
  if (exit.stopped) return fail(ErrorKind::kCancelled, "command: stopped");
  if (exit.timed_out || !result.contained.empty())
    return fail(ErrorKind::kTimeout, "command: the program was ended: {}",
                result.contained.empty() ? exit.describe() : result.contained);
  if (exit.signal != 0 || exit.code >= 126) return not_judged(exit, "the program broke");
  if (exit.output_cut)
    return invalid("command: the program printed more than {} bytes", kMaxOutputBytes);
  Judgement judgement;
  judgement.candidate = task.candidate;
  const std::string protocol = option_string(task.options, "protocol");
  if (protocol == "number") return by_number(std::move(judgement), task.options, exit);
  if (protocol == "json") return by_json(std::move(judgement), exit);
  return by_exit_code(std::move(judgement), exit);
}

}  // namespace

extern const JudgeKind kCommandJudge;
const JudgeKind kCommandJudge{
    .name = "command",
    .summary = "runs any program on the artifact: exit code, a number against a bar, or JSON",
    .options = kOptions,
    .stage = Stage::kGate,
    .can_whole = true,
    .check = check,
    .judge = judge,
};

}  // namespace lathe::loop
