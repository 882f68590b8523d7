// The judge of units that say themselves what is right: the choice that a model should hold most
// likely, the text that it should say, or tests that its Python should pass.
#include <cmath>

#include "ground/base/fence.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/schema/regex.h"
#include "ground/sys/sandbox.h"
#include "loop/judges/judge.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxChoices = 64;
constexpr std::size_t kMaxExpectBytes = 10'000;
constexpr std::size_t kMaxOutputBytes = 1 << 20;
constexpr std::size_t kMaxEvidenceBytes = 2000;

constexpr OptionSpec kOptions[] = {
    {"ignore", OptionType::kStrings, "[]",
     "what may differ from an expected text: \"blanks\" (at the ends, and how many), \"case\" (one "
     "letter by one), \"punctuation\"; none: it is compared byte by byte"},
    {"time", OptionType::kDuration, "\"10s\"", "limit of a unit's tests"},
    {"memory", OptionType::kBytes, "\"1GiB\"", "limit of a unit's tests"},
};

Status check(const Json& options) {
  const std::vector<std::string> known{"blanks", "case", "punctuation"};
  for (const std::string& each : option_strings(options, "ignore"))
    if (std::ranges::find(known, each) == known.end())
      return invalid("ignore has '{}', but may hold {}{}", clip_utf8(make_valid_utf8(each), 60),
                     join(known, ", "), did_you_mean(each, known));
  return {};
}

bool is_text(const Json& value) {
  return value.is_string() && !value.get_ref<const std::string&>().empty();
}

Status check_choices(const Json& data) {
  const Json& choices = json_at(data, "choices");
  if (!choices.is_array() || choices.size() < 2 || choices.size() > kMaxChoices)
    return invalid("\"choices\" must be a list of 2 to {} texts", kMaxChoices);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (!is_text(choices[i])) return invalid("\"choices\"[{}] must be a text that is not empty", i);
    for (std::size_t k = 0; k < i; ++k)
      if (choices[k] == choices[i]) return invalid("\"choices\"[{}] is the same as [{}]", i, k);
  }
  const Json& answer = json_at(data, "answer");
  if (!answer.is_number_integer() || answer < 0 ||
      answer.get<std::int64_t>() >= std::ssize(choices))
    return invalid("\"answer\" must be the number of the right choice, from 0 to {}",
                   choices.size() - 1);
  if (data.contains("delimiter") && !json_at(data, "delimiter").is_string())
    return invalid("\"delimiter\" must be a text: what stands before each choice");
  return {};
}

// The texts that are right.
std::vector<std::string> expected_of(const Json& data) {
  const Json& expect = json_at(data, "expect");
  if (expect.is_string()) return {expect.get<std::string>()};
  return expect.get<std::vector<std::string>>();
}

Status check_expect(const Json& data) {
  const Json& expect = json_at(data, "expect");
  if (expect.is_array() ? expect.empty() || !std::ranges::all_of(expect, is_text)
                        : !is_text(expect))
    return invalid("\"expect\" must be a text, or a list of texts of which one is right");
  for (const std::string& text : expected_of(data))
    if (text.size() > kMaxExpectBytes)
      return invalid("\"expect\" has {} bytes, and may have {}", text.size(), kMaxExpectBytes);
  return {};
}

Status check_unit(const Unit& unit) {
  const Json& data = unit.data;
  const bool choices = data.contains("choices"), expect = data.contains("expect"),
             tests = data.contains("tests");
  if (choices + expect + tests != 1)
    return invalid("needs one of \"choices\" (with \"answer\"), \"expect\" and \"tests\"");
  if (data.contains("group") && !is_text(json_at(data, "group")))
    return invalid("\"group\" must be a text that is not empty");
  if (choices) return check_choices(data);
  if (expect) return check_expect(data);
  return is_text(json_at(data, "tests"))
             ? Status()
             : invalid("\"tests\" must be Python that fails where the answer is wrong");
}

Judgement verdict(const JudgeTask& task, bool pass, std::string claim, std::string evidence) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.outcome = pass ? Outcome::kPass : Outcome::kFail;
  judgement.score = pass ? 1 : 0;
  if (!pass)
    judgement.critiques.push_back({"", "must", std::move(claim),
                                   clip_utf8(make_valid_utf8(evidence), kMaxEvidenceBytes), "key"});
  return judgement;
}

// ---- choices ----

// Of equal ones the first.
std::size_t largest(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::ranges::max_element(values) - values.begin());
}

// acc: the most likely choice is the right one; acc_norm: the most likely by its bytes is.
Result<Judgement> judge_choice(const JudgeTask& task, const Json& data) {
  const auto answer = parse_json(task.bytes);
  if (!answer) return at("key: the candidate is not of choices", answer.error());
  const Json& weighed = json_at(*answer, "choices");
  const Json& choices = json_at(data, "choices");
  if (!weighed.is_array() || weighed.size() != choices.size())
    return invalid("key: the candidate weighs {} choices, the unit has {}; use kind = \"reply\"",
                   weighed.size(), choices.size());
  std::vector<double> sums, by_bytes;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Json& sum = json_at(weighed[i], "log_likelihood");
    if (json_at(weighed[i], "choice") != choices[i] || !sum.is_number() ||
        !std::isfinite(sum.get<double>()))
      return invalid("key: choice {} of the candidate is not the unit's, or has no likelihood", i);
    sums.push_back(sum.get<double>());
    const auto bytes = choices[i].get_ref<const std::string&>().size();
    by_bytes.push_back(sums.back() / static_cast<double>(bytes));
  }
  const auto right = json_at(data, "answer").get<std::size_t>();
  const std::size_t chosen = largest(sums), by_byte = largest(by_bytes);
  Judgement judgement =
      verdict(task, chosen == right,
              fmt::format("choice {} is held more likely than {}", chosen, right), "");
  judgement.evidence = {{"chosen", chosen},
                        {"chosen_by_byte", by_byte},
                        {kMarks, {{"acc", chosen == right}, {"acc_norm", by_byte == right}}}};
  return judgement;
}

// ---- texts ----

Result<std::string> replaced(const std::string& text, std::string_view pattern,
                             std::string_view with) {
  LATHE_TRY(const Regex regex, Regex::compile(pattern, Regex::Flavour::kText));
  LATHE_TRY(const std::vector<Match> matches, regex.find_all(text, text.size() + 1));
  std::string result;
  std::size_t from = 0;
  for (const Match& match : matches) {
    result.append(text, from, match.begin - from).append(with);
    from = match.end;
  }
  return result.append(text, from);
}

// All of `text`, in any case.
Result<bool> same_in_any_case(const std::string& a, const std::string& b) {
  std::string pattern = R"((?i)\A)";
  for (const char c : a) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       static_cast<unsigned char>(c) >= 0x80;
    if (!plain) pattern += '\\';
    pattern += c;
  }
  LATHE_TRY(const Regex regex, Regex::compile(pattern + R"(\z)", Regex::Flavour::kText));
  LATHE_TRY(const auto found, regex.find(b));
  return found.has_value();
}

struct Ignored {
  bool blanks = false, letter_case = false, punctuation = false;
};

Result<std::string> without_ignored(std::string text, const Ignored& ignored) {
  if (ignored.punctuation) {
    LATHE_TRY(text, replaced(text, R"(\p{P}+)", ""));
  }
  if (ignored.blanks) {
    LATHE_TRY(text, replaced(text, R"(\s+)", " "));
    text = trim(text);
  }
  return text;
}

Result<Judgement> judge_text(const JudgeTask& task, const Json& data) {
  const auto has = [names = option_strings(task.options, "ignore")](std::string_view name) {
    return std::ranges::find(names, name) != names.end();
  };
  const Ignored ignored{has("blanks"), has("case"), has("punctuation")};
  bool pass = false;
  if (find_invalid_utf8(task.bytes) == std::string::npos) {
    LATHE_TRY(const std::string said, without_ignored(std::string(task.bytes), ignored));
    for (const std::string& expected : expected_of(data)) {
      LATHE_TRY(const std::string right, without_ignored(expected, ignored));
      if (ignored.letter_case) {
        LATHE_TRY(const bool same, same_in_any_case(right, said));
        pass |= same;
      } else {
        pass |= right == said;
      }
    }
  }
  Judgement judgement =
      verdict(task, pass, "The answer is not the expected text.", std::string(task.bytes));
  judgement.evidence = {{kMarks, {{"exact_match", pass}}}};
  return judgement;
}

// ---- code ----

// The inside of the first fenced block, else all of it.
std::string code_in(std::string_view reply) {
  std::string code;
  std::string_view fence;
  for (const std::string_view line : split_lines(reply)) {
    if (fence.empty()) {
      fence = fence_of(line);
    } else if (closes_fence(line, fence)) {
      return code;
    } else {
      code.append(line).append("\n");
    }
  }
  return fence.empty() ? std::string(reply) : code;
}

// The tests stand behind the code, in one program; its last line says that they were reached, which
// a program that ends before them does not.
Result<Judgement> judge_code(const JudgeTask& task, const JudgeContext& context, const Json& data) {
  const std::string tests = json_string(data, "tests");
  const std::string mark = "reached " + sha256_hex(task.candidate + tests);
  LATHE_TRY_STATUS(find_program("python3"));
  LATHE_TRY(const TempDir tree, TempDir::make("lathe-judge"));
  const std::string program =
      fmt::format("{}\n\n{}\n\nprint('\\n{}')\n", code_in(task.bytes), tests, mark);
  LATHE_TRY_STATUS(apply_changes({{{"answer.py", program}}}, tree.path()));
  Command command;
  command.argv = {"python3", "-I", "answer.py"};
  command.max_output = kMaxOutputBytes;
  command.time_limit =
      std::min(Milliseconds(option_duration_ms(task.options, "time")), context.time_limit);
  command.on_output = context.output;
  Sandbox sandbox;
  sandbox.tree = tree.path();
  sandbox.limits.memory_bytes = option_bytes(task.options, "memory");
  sandbox.unsafe_none = context.place.unsafe_no_sandbox;
  LATHE_TRY(const SandboxedExit result, run_sandboxed(sandbox, command, context.stop));
  const Exit& exit = result.exit;
  if (exit.stopped) return fail(ErrorKind::kCancelled, "key: stopped");
  const bool pass = exit.code == 0 && exit.signal == 0 && !exit.timed_out &&
                    result.contained.empty() && trim(exit.out).ends_with(mark);
  const std::string how = result.contained.empty() ? exit.describe() : result.contained;
  Judgement judgement =
      verdict(task, pass, fmt::format("The tests do not pass: {}.", how), exit.err);
  judgement.evidence = {{"exit", how}, {kMarks, {{"tests", pass}}}};
  return judgement;
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext& context) {
  const Unit& unit = task.units.front();
  LATHE_TRY_STATUS(check_unit(unit));
  if (unit.data.contains("choices")) return judge_choice(task, unit.data);
  if (unit.data.contains("expect")) return judge_text(task, unit.data);
  return judge_code(task, context, unit.data);
}

}  // namespace

extern const JudgeKind kKeyJudge;
const JudgeKind kKeyJudge{
    .name = "key",
    .summary = "what the unit itself says is right: a choice, a text, or tests of Python",
    .options = kOptions,
    .stage = Stage::kGate,
    .check = check,
    .check_unit = check_unit,
    .judge = judge,
};

}  // namespace lathe::loop
