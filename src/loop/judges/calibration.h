// How far a judge agrees with people: statistics over labelled candidates, and the record that lets
// it gate. Pure but for reading files.
#pragma once

#include <array>
#include <optional>

#include "loop/judges/judge.h"

namespace lathe::loop {

// One candidate that a person has judged.
struct Label {
  std::string name;  // the file's name, or "line 3"
  std::string bytes;
  std::string source;  // the unit's text, when the label gives it
  bool pass = false;
};

// One label a line: {"file": "a.txt", "label": "pass"} or {"text": "…", "label": "fail", "source":
// "…"}, or "pass<TAB>a.txt". Files are relative to the list. Empty lines and those with '#' in
// front don't count. Errors name the line.
Result<std::vector<Label>> read_labels(const fs::path& file);

// What a judgement says about the candidate: its outcome, or for an advisory one what it would have
// been; nothing when it was not judged.
std::optional<bool> verdict_of(const Judgement& judgement);

struct CalibrationTable {
  std::int64_t both_pass = 0;
  std::int64_t both_fail = 0;
  std::int64_t false_pass = 0;  // the judge passed what the person failed
  std::int64_t false_fail = 0;
  std::int64_t not_judged = 0;

  void add(bool person, std::optional<bool> judge);
  std::int64_t judged() const { return both_pass + both_fail + false_pass + false_fail; }
};

struct Interval {
  double low = 0, high = 0;
};

// Of `n` trials, `k` came out so (or so many on average): Wilson's score interval (1927), 95 %. n
// must be above 0.
Interval wilson(double k, double n);

struct Kappa {
  double value = 0;
  Interval interval;
};
// Cohen (1960), with the large-sample standard error of Fleiss, Cohen and Everitt (1969), 95 %.
// Nothing when chance alone would agree always: all labels and all verdicts are the same.
std::optional<Kappa> kappa(const CalibrationTable& table);

// "" when a judge that agrees so with people may be gone by: kappa of at least 0.6 on at least
// `least` judged labels. Else why not.
std::string agreement_problem(std::int64_t judged, double kappa, std::int64_t least);

// Decides a judge's verdicts: its kind, its options (but for those that only say how its verdict is
// used), the files that they name, and the model that answers.
Result<std::string> judge_identity(const JudgeKind& kind, const Json& options, const Place& place,
                                   const Worker* worker);

// The table with its rates: judged, not_judged, kappa and its interval, false_pass_rate …
Json agreement_json(const CalibrationTable& table);
// The same with what it is of, for people and for the option `calibration` of a judge.
Json calibration_record(const CalibrationTable& table, const JudgeKind& kind,
                        const std::string& identity, const Worker* worker);

// "" when this record lets a judge of this identity gate, else why not. It takes kappa of at least
// 0.6 on at least 20 judged labels.
std::string calibration_problem(const Json& record, const std::string& identity);

}  // namespace lathe::loop
