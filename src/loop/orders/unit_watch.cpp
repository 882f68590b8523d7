// The thread that looks, and those that wait for what it sees.
#include "loop/orders/unit_watch.h"

#include "loop/orders/leased_calls.h"

namespace lathe::loop {
namespace {

using books::LeaseStore;
using books::NodeRow;
using books::UnitRow;
using books::UnitSpec;
using books::UnitState;

constexpr Milliseconds kWatchSlice{100};  // how soon a stop or somebody new is seen

bool has_ended(const UnitRow& unit) {
  return unit.state == UnitState::kPassed || unit.state == UnitState::kGaveUp;
}

}  // namespace

UnitWatch::~UnitWatch() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// `anew`: whatever was thought to be there.
Status UnitWatch::add(const std::string& run, const UnitSpec& unit, bool anew) {
  const std::lock_guard guard(adding_);
  if (!store_) {
    LATHE_TRY(store_, open_());
  }
  const Status done = [&]() -> Status {
    if (anew || !there_.contains(run)) {
      LATHE_TRY(const std::vector<UnitRow> rows, store_->units(run));
      there_[run].clear();
      for (const UnitRow& row : rows) there_[run].insert(row.spec.id);
    }
    if (there_[run].contains(unit.id)) return {};
    LATHE_TRY_STATUS(store_->add_units(run, std::span(&unit, 1)));
    there_[run].insert(unit.id);
    return {};
  }();
  if (!done) {
    store_.reset();
    there_.erase(run);
  }
  return done;
}

Result<UnitRow> UnitWatch::ended(const std::string& run, const UnitSpec& unit, const StopFlag& stop,
                                 const std::function<void(std::string_view)>& progress) {
  for (bool anew = false;; anew = true) {
    LATHE_TRY_STATUS(add(run, unit, anew));
    std::unique_lock lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { watch(); });
    const auto stopped = [&] {
      return fail(ErrorKind::kCancelled, "the run was stopped while it waited for a node");
    };
    // A look that has begun before may not have seen it.
    runs_.try_emplace(run);
    std::int64_t wanted = begun_ + 1;
    hurry_ = true;
    wake_.notify_all();
    for (bool there = true; there;) {
      looked_.wait_for(lock, kWatchSlice, [&] { return runs_[run].look >= wanted; });
      const View& view = runs_[run];
      if (view.look < wanted) {
        if (stop.raised()) return stopped();
        continue;
      }
      if (trouble_) return std::unexpected(*trouble_);
      wanted = view.look + 1;
      const auto row = view.rows.find(unit.id);
      there = row != view.rows.end();
      if (there && has_ended(row->second)) return row->second;
      if (stop.raised()) return stopped();
      if (!there) continue;
      const std::string waits = waiting_text(row->second, nodes_, system_clock().unix_ms());
      lock.unlock();
      progress(waits);
      lock.lock();
    }
  }
}

std::vector<UnitRow> UnitWatch::rows(const std::string& run) const {
  std::vector<UnitRow> rows;
  const std::lock_guard lock(mutex_);
  if (const auto view = runs_.find(run); view != runs_.end())
    for (const auto& [id, row] : view->second.rows) rows.push_back(row);
  return rows;
}

std::set<std::string> UnitWatch::broken() {
  std::unique_lock lock(mutex_);
  if (!seen_ || system_clock().monotonic() - *seen_ > 2 * books::kLeasePoll) {
    lock.unlock();
    const auto store = open_();
    auto nodes = store ? (*store)->nodes() : std::unexpected(store.error());
    lock.lock();
    if (nodes) {
      nodes_ = *std::move(nodes);
      seen_ = system_clock().monotonic();
    }
  }
  std::set<std::string> broken;
  for (const NodeRow& node : nodes_)
    if (node.state == books::NodeState::kQuarantined) broken.insert(node.id);
  return broken;
}

void UnitWatch::forget(const std::string& run) {
  const std::scoped_lock locks(adding_, mutex_);
  there_.erase(run);
  runs_.erase(run);
}

void UnitWatch::watch() {
  std::unique_ptr<LeaseStore> store;
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (runs_.empty()) {
      wake_.wait(lock);
      continue;
    }
    lock.unlock();
    look(store);
    rest(store);
    lock.lock();
  }
}

void UnitWatch::look(std::unique_ptr<LeaseStore>& store) {
  std::vector<std::string> runs;
  std::int64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [run, view] : runs_) runs.push_back(run);
    number = ++begun_;
    hurry_ = false;
  }
  std::map<std::string, View> views;
  std::vector<NodeRow> nodes;
  const Status done = [&]() -> Status {
    if (!store) {
      LATHE_TRY(store, open_());
    }
    for (const std::string& run : runs) {
      LATHE_TRY(std::vector<UnitRow> rows, store->units(run));
      for (UnitRow& row : rows) {
        std::string id = row.spec.id;
        views[run].rows.insert_or_assign(std::move(id), std::move(row));
      }
    }
    LATHE_TRY(nodes, store->nodes());
    return {};
  }();
  if (!done) store.reset();
  const std::lock_guard lock(mutex_);
  trouble_ = done ? std::nullopt : std::optional(done.error());
  if (done) {
    nodes_ = std::move(nodes);
    seen_ = system_clock().monotonic();
  }
  for (const std::string& run : runs) {
    const auto view = runs_.find(run);
    if (view == runs_.end()) continue;  // forgotten meanwhile
    if (done) view->second.rows = std::move(views[run].rows);
    view->second.look = number;
  }
  looked_.notify_all();
}

// Until there is news, somebody new, or enough time has passed.
void UnitWatch::rest(std::unique_ptr<LeaseStore>& store) {
  const Milliseconds end = system_clock().monotonic() + patience_;
  for (;;) {
    const Milliseconds left = end - system_clock().monotonic();
    std::unique_lock lock(mutex_);
    if (ending_ || hurry_ || left <= Milliseconds(0)) return;
    const Milliseconds slice = std::min(left, kWatchSlice);
    if (!store) {
      wake_.wait_for(lock, slice);
      continue;
    }
    lock.unlock();
    const auto news = store->wait_for_end(slice);
    if (!news) store.reset();
    if (news && *news) return;
  }
}

}  // namespace lathe::loop
