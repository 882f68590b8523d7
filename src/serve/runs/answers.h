// What there is to ask of runs: one function each. run_routes.cpp says where they are. All run on
// the desk's thread.
#pragma once

#include "serve/runs/run_desk.h"

namespace lathe::serve {

Handled list_runs(RunDesk& desk, RunCall& call);
Handled show_run(RunDesk& desk, RunCall& call);
Handled list_units(RunDesk& desk, RunCall& call);
Handled show_unit(RunDesk& desk, RunCall& call);
Handled watch_run(RunDesk& desk, RunCall& call);
Handled get_blob(RunDesk& desk, RunCall& call);
Handled get_page(RunDesk& desk, RunCall& call);
Handled get_picture(RunDesk& desk, RunCall& call);
Handled put_label(RunDesk& desk, RunCall& call);
Handled list_labels(RunDesk& desk, RunCall& call);
Handled show_agreement(RunDesk& desk, RunCall& call);
Handled start_run(RunDesk& desk, RunCall& call);
Handled stop_run(RunDesk& desk, RunCall& call);
Handled resume_run(RunDesk& desk, RunCall& call);

// The run that the path names, where this caller may know of it. Another's is not there for a key.
ApiResult<const FoldedRun*> run_listed(RunDesk& desk, const RunCall& call);
// The same, where it may see what the run says: its own. The owner is refused another's.
ApiResult<const FoldedRun*> run_of(RunDesk& desk, const RunCall& call);
// Its row of the list.
ApiResult<ListedRun> listed_run(RunDesk& desk, const std::string& id);
// Runs that are worked on or wait for it, as far as this caller may see them: rows of the list.
ApiResult<Json> open_runs(RunDesk& desk, const RunCall& call);
bool may_see(const RunCall& call, std::string_view begun_by);
// Whether it may know how far the run is, and stop it: the owner may of any.
bool may_list(const RunCall& call, std::string_view begun_by);

template <class T>
ApiResult<T> or_api_error(Result<T> result) {
  if (!result) return std::unexpected(api_error(result.error()));
  return *std::move(result);
}

}  // namespace lathe::serve
