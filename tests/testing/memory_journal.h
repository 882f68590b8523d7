// A journal in memory, for tests: what SqliteRecords and FileBlobs do, as plainly as can be.
// Objects that share a shelf stand before one place, as processes do before a directory. Blobs from
// any thread, as always; the rest from one.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "books/journal/journal.h"
#include "ground/base/hash.h"

namespace lathe::testing {

struct MemoryShelf {
  struct Run {
    books::RunHead head;
    std::string state;
    std::vector<books::Record> records;
  };
  std::map<std::string, Run> runs;
  std::vector<books::SealedRow> rows;
  books::LedgerTip tip;
  std::map<std::string, std::string, std::less<>> price_tables;
  std::map<std::string, books::LedgerIntent> intents;
  std::set<std::string> held;
  std::map<std::string, books::QueuedRun> queue;
  std::map<std::tuple<std::string, std::string, std::string>, books::TakeLabel> labels;
  std::mutex blobs_mutex;
  std::map<std::string, std::string, std::less<>> blobs;
  std::int64_t version = 0;
  int open = 0;  // journals
};

class MemoryRecords : public books::RecordStore {
 public:
  explicit MemoryRecords(std::shared_ptr<MemoryShelf> shelf) : shelf_(std::move(shelf)) {
    ++shelf_->open;
  }
  ~MemoryRecords() override { --shelf_->open; }

  std::string place() const override { return "memory"; }

  Result<std::unique_ptr<books::Hold>> take(const std::string& run) override {
    if (!shelf_->held.insert(run).second) return nullptr;
    return std::make_unique<Held>(shelf_, run);
  }

  Status create_run(const books::Lease& lease, const books::RunHead& head,
                    std::span<const books::Record> first) override {
    LATHE_TRY_STATUS(books::next_in_line(lease.run(), 0, first));
    const bool fresh =
        shelf_->runs.try_emplace(lease.run(), head, "open", std::vector(first.begin(), first.end()))
            .second;
    if (!fresh) return fail(ErrorKind::kUnavailable, "run {} is there already", lease.run());
    ++shelf_->version;
    return {};
  }

  Status append(const books::Lease& lease, const books::Record& record,
                const std::optional<std::string>& state,
                std::span<const books::LedgerRow> rows) override {
    const auto run = shelf_->runs.find(lease.run());
    if (run == shelf_->runs.end())
      return fail(ErrorKind::kNotFound, "there is no run {}", lease.run());
    auto& records = run->second.records;
    LATHE_TRY_STATUS(books::next_in_line(lease.run(), static_cast<std::int64_t>(records.size()),
                                         std::span(&record, 1)));
    records.push_back(record);
    if (state) run->second.state = *state;
    for (const books::LedgerRow& row : rows) shelf_->rows.push_back(books::seal(row, shelf_->tip));
    ++shelf_->version;
    return {};
  }

  Status put_queued(const books::QueuedRun& row) override {
    auto& there = shelf_->queue.try_emplace(row.run, row).first->second;
    there.paused = row.paused;
    ++shelf_->version;
    return {};
  }

  Status remove_queued(const std::string& run) override {
    shelf_->queue.erase(run);
    ++shelf_->version;
    return {};
  }

  Result<std::vector<books::QueuedRun>> queue() const override {
    std::vector<books::QueuedRun> rows;
    for (const auto& [run, row] : shelf_->queue) rows.push_back(row);
    std::ranges::stable_sort(rows, {}, &books::QueuedRun::added_ms);
    return rows;
  }

  Status remove_run(const books::Lease& lease) override {
    shelf_->queue.erase(lease.run());
    std::erase_if(shelf_->labels,
                  [&](const auto& label) { return label.second.run == lease.run(); });
    shelf_->version += static_cast<std::int64_t>(shelf_->runs.erase(lease.run()));
    return {};
  }

  Result<std::optional<std::int64_t>> put_label(const books::TakeLabel& label) override {
    if (!shelf_->runs.contains(label.run))
      return fail(ErrorKind::kNotFound, "there is no run {}", label.run);
    auto& there = shelf_->labels[{label.run, label.unit, label.blob}];
    if (there.revision != label.revision) return std::nullopt;
    there = label;
    ++shelf_->version;
    return ++there.revision;
  }

  Result<std::vector<books::TakeLabel>> labels(const std::string& run) const override {
    std::vector<books::TakeLabel> found;
    for (const auto& [key, label] : shelf_->labels)
      if (label.run == run && label.revision > 0) found.push_back(label);
    return found;
  }

  Status scrub() override { return {}; }

  Result<std::vector<books::Record>> records(const std::string& run,
                                             const books::RecordRange& range) const override {
    std::vector<books::Record> found;
    const auto there = shelf_->runs.find(run);
    if (there == shelf_->runs.end()) return found;
    std::ranges::copy_if(there->second.records, std::back_inserter(found), [&](const auto& record) {
      return record.seq >= range.from && (range.kind.empty() || record.kind == range.kind);
    });
    return found;
  }

  Result<std::vector<books::RunRow>> runs() const override {
    std::vector<books::RunRow> rows;
    for (const auto& [id, run] : shelf_->runs)
      rows.push_back({run.head, run.state, static_cast<std::int64_t>(run.records.size())});
    std::ranges::sort(rows, std::greater(),
                      [](const auto& row) { return std::pair(row.created_ms, row.id); });
    return rows;
  }

  Result<std::int64_t> version() const override { return shelf_->version; }

  Status book(const books::LedgerChange& change) override {
    for (const books::LedgerIntent& intent : change.begun)
      if (shelf_->intents.contains(intent.row.id))
        return fail(ErrorKind::kUnavailable, "call {} is begun already", intent.row.id);
    for (const books::LedgerIntent& intent : change.begun)
      shelf_->intents.emplace(intent.row.id, intent);
    for (const std::string& id : change.ended) shelf_->intents.erase(id);
    for (const books::LedgerRow& row : change.rows)
      shelf_->rows.push_back(books::seal(row, shelf_->tip));
    for (const std::string& table : change.tables) shelf_->price_tables[sha256_hex(table)] = table;
    shelf_->version += change.empty() ? 0 : 1;
    return {};
  }
  Result<std::string> price_table(std::string_view sha256) const override {
    const auto found = shelf_->price_tables.find(sha256);
    if (found != shelf_->price_tables.end()) return found->second;
    return fail(ErrorKind::kNotFound, "there is no table of prices {}", sha256);
  }
  Result<std::vector<books::LedgerIntent>> intents() const override {
    std::vector<books::LedgerIntent> list;
    for (const auto& [id, intent] : shelf_->intents) list.push_back(intent);
    return list;
  }
  Status rows(const books::RowRange& range, const books::OnRow& on_row) const override {
    for (const books::SealedRow& sealed : shelf_->rows) {
      LATHE_TRY(const books::LedgerRow row, books::unseal(sealed));
      if ((range.run.empty() || row.run == range.run) && row.start_ms >= range.from_ms &&
          row.start_ms < range.to_ms)
        LATHE_TRY_STATUS(on_row(sealed));
    }
    return {};
  }
  Result<books::LedgerTip> ledger_tip() const override { return shelf_->tip; }

 private:
  class Held : public books::Hold {
   public:
    Held(std::shared_ptr<MemoryShelf> shelf, std::string run)
        : shelf_(std::move(shelf)), run_(std::move(run)) {}
    ~Held() override { shelf_->held.erase(run_); }

   private:
    std::shared_ptr<MemoryShelf> shelf_;
    std::string run_;
  };

  std::shared_ptr<MemoryShelf> shelf_;
};

class MemoryBlobs : public books::BlobStore {
 public:
  explicit MemoryBlobs(std::shared_ptr<MemoryShelf> shelf) : shelf_(std::move(shelf)) {}

  Status put(std::string_view sha256, std::string_view bytes) override {
    const std::lock_guard lock(shelf_->blobs_mutex);
    shelf_->blobs[std::string(sha256)] = bytes;
    return {};
  }
  Result<std::string> get(std::string_view sha256) const override {
    const std::lock_guard lock(shelf_->blobs_mutex);
    const auto found = shelf_->blobs.find(sha256);
    if (found != shelf_->blobs.end()) return found->second;
    return fail(ErrorKind::kNotFound, "there is no blob {}", sha256);
  }
  Result<std::uint64_t> size(std::string_view sha256) const override {
    LATHE_TRY(const std::string bytes, get(sha256));
    return bytes.size();
  }
  Status remove(std::string_view sha256) override {
    const std::lock_guard lock(shelf_->blobs_mutex);
    shelf_->blobs.erase(std::string(sha256));
    return {};
  }
  Result<books::Sweep> sweep(const Named& named) override {
    if (shelf_->open > 1) return fail(ErrorKind::kUnavailable, "another uses this shelf");
    LATHE_TRY(const auto kept, named());
    books::Sweep sweep;
    for (const auto& [sha, bytes] : shelf_->blobs)
      if (!kept.contains(sha)) sweep.freed_bytes += bytes.size();
    sweep.removed = static_cast<std::int64_t>(
        std::erase_if(shelf_->blobs, [&](const auto& blob) { return !kept.contains(blob.first); }));
    sweep.kept = static_cast<std::int64_t>(shelf_->blobs.size());
    return sweep;
  }

 private:
  std::shared_ptr<MemoryShelf> shelf_;
};

inline books::Journal memory_journal(
    const std::shared_ptr<MemoryShelf>& shelf = std::make_shared<MemoryShelf>()) {
  return books::Journal(std::make_unique<MemoryRecords>(shelf),
                        std::make_unique<MemoryBlobs>(shelf));
}

}  // namespace lathe::testing
