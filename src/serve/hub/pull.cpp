// What is wanted, whether it has room and fits, then every file.
#include "serve/hub/pull.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "serve/hub/choose.h"
#include "serve/hub/headers.h"

namespace lathe::serve {
namespace {

constexpr std::uint64_t kSpareBytes = std::uint64_t{16} << 20;  // of the disk, beside the files
constexpr Milliseconds kRateWindow{10'000}, kRateStep{250};

// The list of a mirror may leave digests out; the answer to the file itself has it.
Status ask_digest(const HubClient& client, WantedFile& file) {
  LATHE_TRY(const HttpAnswer head, client.head(file.url, file.name));
  std::string etag = head.header("x-linked-etag");
  std::erase(etag, '"');
  if (!is_sha256_hex(etag))
    return invalid("{}: the hub names no SHA-256 of it, so it could not be checked",
                   client.source().repo + "/" + file.name);
  file.sha256 = etag;
  return {};
}

Result<PullPlan> plan_of_hub(const HubClient& client) {
  const ModelSource& source = client.source();
  const std::string& base = client.access().base;
  LATHE_TRY(const Json answer, client.json(listing_url(base, source), source.repo));
  LATHE_TRY(const RepoListing listing, read_hub_listing(answer, source.repo));
  LATHE_TRY(const ChosenModel model, choose_model(listing, source));
  PullPlan plan{.source = source,
                .name = model.name,
                .revision = listing.revision,
                .files = {},
                .by_default = model.by_default};
  for (const RepoFile& file : model.files) {
    plan.files.push_back({hub_file_url(base, source.repo, listing.revision, file.path),
                          kept_name(file.path), file.bytes, file.sha256});
    if (file.sha256.empty()) LATHE_TRY_STATUS(ask_digest(client, plan.files.back()));
  }
  return plan;
}

Result<PullPlan> plan_of_registry(const HubClient& client) {
  const ModelSource& source = client.source();
  const std::string& base = client.access().base;
  const std::string what = source.text();
  LATHE_TRY(const Json answer, client.json(listing_url(base, source), what));
  LATHE_TRY(const RepoFile file, read_manifest(answer, what));
  const std::string_view repo = source.repo;
  const std::string owner_and_name =
      replace_all(repo.starts_with("library/") ? repo.substr(8) : repo, "/", "-");
  PullPlan plan{
      .source = source, .name = owner_and_name + "-" + source.wanted, .revision = {}, .files = {}};
  plan.files.push_back(
      {blob_url(base, repo, file.sha256), plan.name + ".gguf", file.bytes, file.sha256});
  return plan;
}

// The note of what an earlier pull brought under this name; one of another place is in the way.
Result<std::optional<PulledModel>> earlier_note(const PullPlan& plan, const fs::path& directory) {
  for (PulledModel& note : read_notes(directory)) {
    if (note.name != plan.name) continue;
    const auto earlier = parse_source(note.source);
    if (!earlier || earlier->ollama != plan.source.ollama || earlier->repo != plan.source.repo)
      return invalid(
          "{}: {} was pulled from {}: `lathe models rm {}` removes it, --to DIR puts "
          "this one elsewhere",
          directory.string(), plan.name, note.source, plan.name);
    return std::move(note);
  }
  return std::nullopt;
}

// What need not be fetched; a file of the name that is another one is nobody's to overwrite, but
// one that pull brought is.
Result<bool> is_here(const WantedFile& file, const fs::path& directory, const PulledFile* noted) {
  const fs::path path = directory / file.name;
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return false;
  if (noted != nullptr && noted->done && noted->sha256 == file.sha256) return size == file.bytes;
  if (size == file.bytes) {
    LATHE_TRY(const std::string hash, sha256_file(path));
    if (std::string_view(hash) == file.sha256) return true;
  }
  if (noted != nullptr) return false;
  return invalid("{}: is there, and is not the file that is wanted: move it away, or --to DIR",
                 path.string());
}

// What has come of a file that has changed since is of no use.
void drop_old_part(const WantedFile& file, const fs::path& directory, const PulledFile* noted) {
  std::error_code ignored;
  if (noted != nullptr && noted->sha256 != file.sha256)
    fs::remove(part_path(directory, file.name), ignored);
}

// What there is to do, and how much of it.
struct Work {
  PulledModel note;  // of what pull brings, or has brought
  std::vector<const WantedFile*> missing;
  std::uint64_t needed = 0;  // bytes
};

Result<Work> work_of(const PullPlan& plan, const fs::path& directory) {
  LATHE_TRY(const auto earlier, earlier_note(plan, directory));
  Work work{.note = {.name = plan.name,
                     .source = plan.source.text(),
                     .revision = plan.revision,
                     .files = {}},
            .missing = {}};
  for (const WantedFile& file : plan.files) {
    const PulledFile* noted = earlier ? earlier->find(file.name) : nullptr;
    LATHE_TRY(const bool here, is_here(file, directory, noted));
    // One that is here and not noted is somebody's own.
    if (!here || noted != nullptr)
      work.note.files.push_back({file.name, file.bytes, file.sha256, here});
    if (here) continue;
    drop_old_part(file, directory, noted);
    work.missing.push_back(&file);
    work.needed += file.bytes - bytes_there(directory, file);
  }
  return work;
}

Status check_space(const PullPlan& plan, const fs::path& directory, std::uint64_t needed) {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0) return {};  // then writing will tell
  const std::uint64_t room = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (needed == 0 || needed + kSpareBytes <= room) return {};
  return fail(ErrorKind::kUnavailable,
              "{}: has room for {}, and {} needs {} more: make room, or --to a directory elsewhere",
              directory.string(), format_bytes(room), plan.name, format_bytes(needed));
}

// The files that are to come, the first part last: a model is there when that is.
Status fetch(const HubClient& client, const PullPlan& plan, const PullOptions& options,
             Work& work) {
  std::uint64_t total = plan.bytes(), done = total;
  for (const WantedFile* file : work.missing) done -= file->bytes;
  std::ranges::reverse(work.missing);
  for (const WantedFile* file : work.missing) {
    const auto on_bytes = [&](std::uint64_t bytes) {
      if (options.on_progress) options.on_progress({*file, bytes, done + bytes, total});
    };
    LATHE_TRY_STATUS(download(client, *file, options.directory, on_bytes));
    done += file->bytes;
    std::ranges::find(work.note.files, file->name, &PulledFile::name)->done = true;
    LATHE_TRY_STATUS(write_note(options.directory, work.note));
  }
  return {};
}

}  // namespace

std::uint64_t PullPlan::bytes() const {
  std::uint64_t sum = 0;
  for (const WantedFile& file : files) sum += file.bytes;
  return sum;
}

Result<Pulled> pull(const ModelSource& source, const PullOptions& options, const StopFlag& stop) {
  const HubClient client(options.access, source, stop);
  LATHE_TRY(const PullPlan plan, source.ollama ? plan_of_registry(client) : plan_of_hub(client));
  LATHE_TRY_STATUS(make_directories(options.directory));
  LATHE_TRY(Work work, work_of(plan, options.directory));
  if (options.on_plan) options.on_plan(plan, plan.bytes() - work.needed);
  Pulled pulled{.name = plan.name,
                .path = options.directory / plan.files.front().name,
                .bytes = plan.bytes(),
                .was_here = work.missing.empty()};
  if (!pulled.was_here) {
    if (options.check) LATHE_TRY_STATUS(check_headers(client, plan, options.check));
    LATHE_TRY_STATUS(check_space(plan, options.directory, work.needed));
  }
  // Before the first file, so that whatever comes can be told from others' and removed.
  if (!work.note.files.empty()) LATHE_TRY_STATUS(write_note(options.directory, work.note));
  LATHE_TRY_STATUS(fetch(client, plan, options, work));
  return pulled;
}

void RateMeter::add(Milliseconds now, std::uint64_t done) {
  if (!marks_.empty() && now - marks_.back().at < kRateStep) return;
  marks_.push_back({now, done});
  while (marks_.size() > 2 && now - marks_.front().at > kRateWindow) marks_.erase(marks_.begin());
}

double RateMeter::bytes_per_second() const {
  if (marks_.size() < 2 || marks_.back().done < marks_.front().done) return 0;
  const auto seconds = std::chrono::duration<double>(marks_.back().at - marks_.front().at).count();
  return static_cast<double>(marks_.back().done - marks_.front().done) / seconds;
}

std::optional<Milliseconds> RateMeter::left(std::uint64_t total) const {
  const double rate = bytes_per_second();
  if (rate <= 0 || total < marks_.back().done) return {};
  const double seconds = static_cast<double>(total - marks_.back().done) / rate;
  return Milliseconds(static_cast<std::int64_t>(std::min(seconds, 1e9) * 1000));
}

}  // namespace lathe::serve
