// The takes of a run that a person may judge, and how far its judges agree with what was said of
// them. Pure.
#pragma once

#include "books/journal/record_store.h"
#include "loop/conductor/state.h"
#include "loop/judges/calibration.h"

namespace lathe::show {

// A candidate, the first time that its bytes were made for these units.
struct Take {
  std::string unit;       // the key of the track's first unit
  std::size_t index = 0;  // of its track
  int lap = 0, n = 0;
  std::string blob, media_type, extension;
};
// In an order that tells nothing of how they came about, the same for each who asks: by the run's
// id.
std::vector<Take> takes_of(const loop::RunState& state, std::string_view run_id);

// With how many labels a judge is more than advice to the person who labels.
inline constexpr std::int64_t kEnoughLabels = 50;

struct CriterionAgreement {
  std::string name;
  std::int64_t agree = 0, of = 0;
};
struct JudgeAgreement {
  std::string judge;
  loop::CalibrationTable table;
  std::vector<CriterionAgreement> criteria;  // of judges that answer questions, in their order
  std::string why;                           // it is no more than advice; "": it is
};
// One for each judge of units. A label counts where its take stands in the run.
std::vector<JudgeAgreement> agreement_of(const loop::RunState& state,
                                         std::span<const books::TakeLabel> labels);
Json to_json(const JudgeAgreement& agreement);
Json to_json(const Take& take);
Json to_json(const books::TakeLabel& label);

}  // namespace lathe::show
