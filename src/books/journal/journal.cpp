// What is the same over every store: names, hashes, leases that are waited for, gaps, clean-up.
#include "books/journal/journal.h"

#include <algorithm>
#include <random>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::size_t kShownIds = 3;

void collect_blobs(const Json& value, std::set<std::string>& blobs) {
  if (value.is_object()) {
    if (const Json& blob = json_at(value, "blob"); blob.is_string()) blobs.insert(blob);
  }
  if (value.is_structured())
    for (const Json& member : value) collect_blobs(member, blobs);
}

// Manifests of trees: blobs that name blobs.
void collect_manifests(const Json& value, std::set<std::string>& manifests) {
  if (value.is_object())
    if (std::string blob = json_string(json_at(value, "tree"), "blob"); !blob.empty())
      manifests.insert(std::move(blob));
  if (value.is_structured())
    for (const Json& member : value) collect_manifests(member, manifests);
}

// Those that `name` may stand for.
std::vector<std::string> fitting(std::span<const RunRow> rows, std::string_view name) {
  std::vector<std::string> found;
  for (const RunRow& row : rows) {
    if (row.id == name || name == "last") return {row.id};
    if (!name.empty() && row.id.starts_with(name)) found.push_back(row.id);
  }
  return found;
}

}  // namespace

Result<std::string> Journal::put_blob(std::string_view bytes) const {
  std::string sha = sha256_hex(bytes);
  LATHE_TRY_STATUS(blobs_->put(sha, bytes));
  return sha;
}

Result<std::string> Journal::blob(std::string_view sha256) const {
  if (!is_sha256_hex(sha256))
    return invalid("'{}' is not the name of a blob", clip_utf8(sha256, 80));
  LATHE_TRY(std::string bytes, blobs_->get(sha256));
  if (sha256_hex(bytes) != sha256)
    return invalid(
        "{}: the bytes of blob {} were changed after they were stored; this artifact is lost",
        records_->place(), sha256);
  return bytes;
}

Result<std::uint64_t> Journal::blob_size(std::string_view sha256) const {
  if (!is_sha256_hex(sha256))
    return invalid("'{}' is not the name of a blob", clip_utf8(sha256, 80));
  return blobs_->size(sha256);
}

Status Journal::forget_blob(std::string_view sha256) {
  if (!is_sha256_hex(sha256))
    return invalid("'{}' is not the name of a blob", clip_utf8(sha256, 80));
  return blobs_->remove(sha256);
}

Result<Lease> Journal::lease(const std::string& run, Milliseconds patience) const {
  if (!is_run_id(run)) return invalid("'{}' is not the id of a run", clip_utf8(run, 80));
  LeaseAsk ask{.patience = patience};
  while (true) {
    LATHE_TRY(auto hold, records_->take(run));
    ask = after_answer(ask, hold == nullptr);
    if (ask.state == LeaseAsk::State::kHolding) return Lease(run, std::move(hold));
    if (ask.state == LeaseAsk::State::kRefused)
      return fail(ErrorKind::kUnavailable,
                  "run {} is being worked on by another process; wait for it, or stop it first",
                  run);
    std::this_thread::sleep_for(kLeasePause);
  }
}

Result<Lease> Journal::create_run(const RunHead& head, std::span<const Record> first) {
  LATHE_TRY(Lease held, lease(head.id));
  LATHE_TRY_STATUS(records_->create_run(held, head, first));
  return held;
}

Status Journal::append(const Lease& lease, const Record& record,
                       const std::optional<std::string>& state, std::span<const LedgerRow> rows) {
  return records_->append(lease, record, state, rows);
}

Result<std::vector<RunRow>> Journal::runs() const {
  LATHE_TRY(std::vector<RunRow> rows, records_->runs());
  for (RunRow& row : rows) {
    if (row.state != "open" || !is_run_id(row.id)) continue;
    const auto hold = records_->take(row.id);
    row.live = hold && *hold == nullptr;
  }
  return rows;
}

Result<std::string> Journal::find_run(std::string_view name) const {
  LATHE_TRY(const std::vector<RunRow> rows, records_->runs());
  const std::vector<std::string> found = fitting(rows, name);
  // What stands in a store becomes part of file names.
  if (found.size() == 1 && !is_run_id(found.front()))
    return invalid("{}: names a run '{}', which is not the id of a run", records_->place(),
                   clip_utf8(make_valid_utf8(found.front()), 80));
  if (found.size() == 1) return found.front();
  if (found.empty())
    return fail(ErrorKind::kNotFound, "there is no run '{}' in {}; `lathe runs` lists them",
                clip_utf8(name, 80), records_->place());
  const std::size_t shown = std::min(found.size(), kShownIds);
  return invalid(
      "'{}' fits {} runs; give more of the id, like {}{}", clip_utf8(name, 80), found.size(),
      join(std::span(found).first(shown), ", "),
      shown < found.size() ? fmt::format(" or one of {} older ones", found.size() - shown) : "");
}

Result<std::vector<Record>> Journal::records(const std::string& run, std::string_view kind) const {
  return records_->records(run, {.kind = kind});
}

Result<std::vector<Record>> Journal::records(const std::string& run, std::int64_t from) const {
  LATHE_TRY(std::vector<Record> records, records_->records(run, {.from = from}));
  for (const Record& record : records)
    if (record.seq != from++)
      return invalid("{}: record {} of run {} is missing", records_->place(), from - 1, run);
  return records;
}

Status Journal::enqueue(const std::string& run, std::int64_t now_ms, bool paused) {
  LATHE_TRY(const auto first, records_->records(run, {.kind = "run"}));
  if (first.empty())
    return fail(ErrorKind::kNotFound, "{}: there is no run {}", records_->place(), run);
  return records_->put_queued({run, now_ms, paused});
}

Result<std::optional<std::int64_t>> Journal::put_label(const TakeLabel& label) {
  if (!is_sha256_hex(label.blob))
    return invalid("'{}' is not the name of a blob", clip_utf8(make_valid_utf8(label.blob), 80));
  return records_->put_label(label);
}

Status Journal::remove_run(const std::string& run) {
  LATHE_TRY(const Lease held, lease(run));
  return records_->remove_run(held);
}

Status Journal::rows(const RowRange& range,
                     const std::function<void(const LedgerRow&)>& on_row) const {
  return records_->rows(range, [&](const SealedRow& sealed) -> Status {
    auto row = unseal(sealed);
    if (!row)
      return fail(row.error().kind, "{}: {}; `lathe ledger --verify` looks through all of them",
                  records_->place(), row.error().message);
    on_row(*row);
    return {};
  });
}

Result<std::int64_t> Journal::verify_ledger() const {
  ChainCheck check;
  // The tip first: rows that are put behind it meanwhile are not looked for.
  LATHE_TRY(const LedgerTip tip, records_->ledger_tip());
  const Status along = records_->rows({}, [&](const SealedRow& row) -> Status {
    return row.number <= tip.number ? check.take(row) : Status();
  });
  if (!along) return at(records_->place(), along.error());
  if (const Status end = check.end(tip); !end) return at(records_->place(), end.error());
  return check.rows();
}

Result<std::int64_t> Journal::book_lost_calls() {
  LATHE_TRY(const std::vector<LedgerIntent> there, records_->intents());
  std::set<std::string> owners;
  for (const LedgerIntent& intent : there)
    if (is_run_id(intent.owner)) owners.insert(intent.owner);
  std::int64_t lost = 0;
  for (const std::string& owner : owners) {
    LATHE_TRY(auto hold, records_->take(owner));
    if (hold == nullptr) continue;  // its process lives
    const Lease taken(owner, std::move(hold));
    // Asked again: another may have been here before.
    LATHE_TRY(const std::vector<LedgerIntent> left, records_->intents());
    LedgerChange change;
    for (const LedgerIntent& intent : left) {
      if (intent.owner != owner) continue;
      change.ended.push_back(intent.row.id);
      change.rows.push_back(intent.row);
    }
    LATHE_TRY_STATUS(records_->book(change));
    LATHE_TRY_STATUS(records_->remove_run(taken));
    lost += std::ssize(change.rows);
  }
  return lost;
}

Result<Lease> Journal::serving_lease() const {
  std::random_device random;
  return lease(fmt::format("serving-{:08x}{:08x}", random(), random()));
}

Result<std::set<std::string>> Journal::blobs_of(const std::string& run) const {
  std::int64_t missing = 0;
  return blobs_of(run, missing);
}

Result<std::set<std::string>> Journal::blobs_of(const std::string& run,
                                                std::int64_t& missing) const {
  std::set<std::string> named, manifests;
  LATHE_TRY(const std::vector<Record> run_records, records(run));
  for (const Record& record : run_records) {
    collect_blobs(record.body, named);
    collect_manifests(record.body, manifests);
  }
  for (const std::string& manifest : manifests) {
    const auto text = blob(manifest);
    if (!text && text.error().kind == ErrorKind::kUnavailable) return std::unexpected(text.error());
    const auto tree = text ? parse_json(*text) : Result<Json>(std::unexpected(text.error()));
    // One that is lost names nothing any more; the others are still cleaned up after.
    if (!tree)
      ++missing;
    else
      collect_blobs(*tree, named);
  }
  return named;
}

Result<std::set<std::string>> Journal::named_blobs(std::int64_t& missing) const {
  std::set<std::string> named;
  LATHE_TRY(const std::vector<RunRow> rows, runs());
  for (const RunRow& row : rows) {
    LATHE_TRY(std::set<std::string> of_run, blobs_of(row.id, missing));
    named.merge(of_run);
  }
  return named;
}

Result<GcReport> Journal::erase(std::span<const std::string> runs) {
  GcReport report;
  const auto remove = [&]() -> Result<std::set<std::string>> {
    std::vector<Lease> held;
    for (const std::string& run : runs) {
      LATHE_TRY(Lease one, lease(run));
      held.push_back(std::move(one));
    }
    for (const Lease& one : held) LATHE_TRY_STATUS(records_->remove_run(one));
    LATHE_TRY_STATUS(records_->scrub());
    return named_blobs(report.missing);
  };
  LATHE_TRY(static_cast<Sweep&>(report), blobs_->sweep(remove));
  return report;
}

Result<GcReport> Journal::gc() {
  GcReport report;
  LATHE_TRY(static_cast<Sweep&>(report),
            blobs_->sweep([&] { return named_blobs(report.missing); }));
  LATHE_TRY_STATUS(records_->scrub());
  return report;
}

}  // namespace lathe::books
