// POST /labels, GET /runs/{id}/labels, /runs/{id}/agreement
#include <algorithm>

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "serve/runs/answers.h"
#include "serve/server/fields.h"
#include "show/run/takes.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostReason = 4096;

// Whether the run has made such a take.
bool is_take(const FoldedRun& run, const books::TakeLabel& label) {
  return std::ranges::any_of(show::takes_of(run.state, run.id), [&](const show::Take& take) {
    return take.unit == label.unit && take.blob == label.blob;
  });
}

ApiResult<books::TakeLabel> read_label(const Json& body) {
  Fields fields(body);
  books::TakeLabel label;
  label.run = fields.text("run").value_or("");
  label.unit = fields.text("unit").value_or("");
  label.blob = fields.text("blob").value_or("");
  label.reason = fields.text("reason").value_or("");
  label.accept = fields.flag("accept", false);
  label.revision = fields.whole("seen", 0, std::int64_t{1} << 53).value_or(0);
  LATHE_TRY_STATUS(fields.status());
  for (const char* needed : {"run", "unit", "blob", "accept"})
    if (!fields.has(needed)) return refuse(fmt::format("'{}' is missing", needed), needed);
  if (label.reason.size() > kMostReason)
    return refuse(fmt::format("'reason' has more than {} bytes", kMostReason), "reason");
  return label;
}

}  // namespace

Handled put_label(RunDesk& desk, RunCall& call) {
  LATHE_TRY(books::TakeLabel label, read_label(call.body));
  call.names = {label.run};
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  if (!is_take(*run, label))
    return std::unexpected(
        ApiError{404, fmt::format("run {} has made no such take of this unit", run->id), "blob",
                 "not_found"});
  label.by = call.key;
  label.t_ms = system_clock().unix_ms();
  LATHE_TRY(books::Journal * journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto revision, or_api_error(journal->put_label(label)));
  if (!revision)
    return std::unexpected(ApiError{409,
                                    "this take has been labelled elsewhere since it was looked at; "
                                    "look again, then say it anew",
                                    "seen", "label_changed"});
  return json_reply({{"revision", *revision}});
}

// Nothing of what judges say of the takes is in it: who labels is to judge for themselves.
Handled list_labels(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto labels, or_api_error(journal->labels(run->id)));
  Json said = Json::array(), takes = Json::array();
  for (const books::TakeLabel& label : labels) said.push_back(show::to_json(label));
  for (const show::Take& take : show::takes_of(run->state, run->id)) takes.push_back(to_json(take));
  return json_reply({{"labels", std::move(said)}, {"takes", std::move(takes)}});
}

Handled show_agreement(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto labels, or_api_error(journal->labels(run->id)));
  Json judges = Json::array();
  for (const show::JudgeAgreement& each : show::agreement_of(run->state, labels))
    judges.push_back(to_json(each));
  return json_reply({{"labels", labels.size()}, {"judges", std::move(judges)}});
}

}  // namespace lathe::serve
