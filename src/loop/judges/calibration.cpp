// How far a judge's verdicts agree with a person's labels.
#include "loop/judges/calibration.h"

#include <algorithm>
#include <cmath>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr double kZ = 1.959963984540054;  // 97.5 % of a normal distribution lie below
constexpr double kMinKappa = 0.6;
constexpr std::int64_t kMinLabels = 20;

Result<bool> parse_verdict(std::string_view word) {
  if (word == "pass") return true;
  if (word == "fail") return false;
  return invalid("the label must be pass or fail, not '{}'", clip_utf8(make_valid_utf8(word), 40));
}

Result<Label> parse_json_label(std::string_view line, const fs::path& directory) {
  LATHE_TRY(const Json json, parse_json(line));
  static const std::vector<std::string> kKeys{"file", "text", "label", "source"};
  for (const auto& [key, value] : json.items()) {
    if (!std::ranges::count(kKeys, key))
      return invalid("'{}' is not known here{}", clip_utf8(key, 40), did_you_mean(key, kKeys));
    if (!value.is_string()) return invalid("'{}' must be a string", key);
  }
  Label label;
  LATHE_TRY(label.pass, parse_verdict(json_string(json, "label")));
  label.source = json_string(json, "source");
  if (json.contains("file") == json.contains("text"))
    return invalid("a label needs either 'file' or 'text'");
  if (json.contains("text")) {
    label.bytes = json_string(json, "text");
    return label;
  }
  label.name = json_string(json, "file");
  LATHE_TRY(label.bytes, read_file(directory / label.name));
  return label;
}

Result<Label> parse_label(std::string_view line, const fs::path& directory) {
  if (line.starts_with('{')) return parse_json_label(line, directory);
  const auto tab = line.find('\t');
  if (tab == line.npos)
    return invalid("neither a JSON object nor pass or fail, a tab and a file name");
  Label label;
  LATHE_TRY(label.pass, parse_verdict(line.substr(0, tab)));
  label.name = trim(line.substr(tab + 1));
  LATHE_TRY(label.bytes, read_file(directory / label.name));
  return label;
}

Json rate(std::int64_t k, std::int64_t n) {
  if (n == 0) return nullptr;
  const Interval interval = wilson(static_cast<double>(k), static_cast<double>(n));
  return {{"rate", static_cast<double>(k) / static_cast<double>(n)},
          {"of", n},
          {"interval", {interval.low, interval.high}}};
}

}  // namespace

Result<std::vector<Label>> read_labels(const fs::path& file) {
  LATHE_TRY(const std::string text, read_file(file));
  std::vector<Label> labels;
  std::size_t number = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.starts_with('#')) continue;
    auto label = parse_label(line, file.parent_path());
    if (!label) return at(fmt::format("{}:{}", file.string(), number), std::move(label).error());
    if (label->name.empty()) label->name = fmt::format("line {}", number);
    labels.push_back(*std::move(label));
  }
  if (labels.empty()) return invalid("{}: holds no labels", file.string());
  return labels;
}

std::optional<bool> verdict_of(const Judgement& judgement) {
  Outcome outcome = judgement.outcome;
  if (outcome == Outcome::kAbstain)
    outcome = parse_outcome(json_string(judgement.evidence, "would")).value_or(Outcome::kAbstain);
  if (outcome == Outcome::kPass) return true;
  if (outcome == Outcome::kFail) return false;
  return std::nullopt;
}

void CalibrationTable::add(bool person, std::optional<bool> judge) {
  if (!judge)
    ++not_judged;
  else if (person)
    ++(*judge ? both_pass : false_fail);
  else
    ++(*judge ? false_pass : both_fail);
}

Interval wilson(double k, double n) {
  const double p = k / n, z2 = kZ * kZ / n;
  const double centre = (p + z2 / 2) / (1 + z2);
  const double half = kZ * std::sqrt(p * (1 - p) / n + z2 / (4 * n)) / (1 + z2);
  return {k <= 0 ? 0 : centre - half, k >= n ? 1 : centre + half};
}

std::optional<Kappa> kappa(const CalibrationTable& table) {
  const auto n = static_cast<double>(table.judged());
  if (n == 0) return std::nullopt;
  // p[i][j]: the person said i, the judge j; 1 is pass.
  const std::array<std::array<double, 2>, 2> p{
      {{static_cast<double>(table.both_fail) / n, static_cast<double>(table.false_pass) / n},
       {static_cast<double>(table.false_fail) / n, static_cast<double>(table.both_pass) / n}}};
  const std::array<double, 2> person{p[0][0] + p[0][1], p[1][0] + p[1][1]};
  const std::array<double, 2> judge{p[0][0] + p[1][0], p[0][1] + p[1][1]};
  const double agreed = p[0][0] + p[1][1];
  const double chance = person[0] * judge[0] + person[1] * judge[1];
  if (chance >= 1) return std::nullopt;
  const double value = (agreed - chance) / (1 - chance);
  double sum = 0;
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j)
      sum += i == j ? p[i][j] * std::pow(1 - (person[i] + judge[i]) * (1 - value), 2)
                    : p[i][j] * std::pow((1 - value) * (judge[i] + person[j]), 2);
  sum -= std::pow(value - chance * (1 - value), 2);
  const double error = std::sqrt(std::max(sum, 0.0) / n) / (1 - chance);
  return Kappa{value, {std::max(value - kZ * error, -1.0), std::min(value + kZ * error, 1.0)}};
}

Result<std::string> judge_identity(const JudgeKind& kind, const Json& options, const Place& place,
                                   const Worker* worker) {
  Json identity = {{"kind", kind.name}, {"model", worker ? worker->info().model : ""}};
  for (const auto& [key, value] : options.items()) {
    // The worker's name and a file's are aliases: what counts is the model and the text.
    if (key == "calibration" || key == "advisory" || key == "worker") continue;
    if (key.ends_with("_file") && value.is_string() && !value.get<std::string>().empty()) {
      LATHE_TRY(const std::string bytes, read_file(place.recipe_dir / value.get<std::string>()));
      identity["files"][key] = sha256_hex(bytes);
    } else {
      identity["options"][key] = value;
    }
  }
  return sha256_hex(canonical_json(identity));
}

Json agreement_json(const CalibrationTable& table) {
  const auto agreement = kappa(table);
  Json json = {{"judged", table.judged()},
               {"not_judged", table.not_judged},
               {"both_pass", table.both_pass},
               {"both_fail", table.both_fail},
               {"false_pass", table.false_pass},
               {"false_fail", table.false_fail},
               {"kappa", nullptr}};
  if (agreement) {
    json["kappa"] = agreement->value;
    json["kappa_interval"] = {agreement->interval.low, agreement->interval.high};
  }
  json["false_pass_rate"] = rate(table.false_pass, table.false_pass + table.both_fail);
  json["false_fail_rate"] = rate(table.false_fail, table.false_fail + table.both_pass);
  return json;
}

Json calibration_record(const CalibrationTable& table, const JudgeKind& kind,
                        const std::string& identity, const Worker* worker) {
  Json record = {
      {"judge", kind.name}, {"identity", identity}, {"model", worker ? worker->info().model : ""}};
  record.update(agreement_json(table));
  return record;
}

std::string calibration_problem(const Json& record, const std::string& identity) {
  if (json_string(record, "identity") != identity)
    return "it was made for other options of the judge or another model";
  return agreement_problem(json_int(record, "judged", 0), json_number(record, "kappa", -1),
                           kMinLabels);
}

std::string agreement_problem(std::int64_t judged, double kappa, std::int64_t least) {
  if (judged < least) return fmt::format("it rests on {} labels, and needs {}", judged, least);
  if (!(kappa >= kMinKappa))
    return fmt::format("its kappa is {:.2f}, and must be at least {}", kappa, kMinKappa);
  return {};
}

}  // namespace lathe::loop
