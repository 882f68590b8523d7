// Blobs as files.
#include "books/sqlite/file_blobs.h"

namespace lathe::books {
namespace {

constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{1} << 32;
constexpr std::size_t kMaxBlobs = 10'000'000;
constexpr Milliseconds kSweepPatience{1000};

}  // namespace

std::unexpected<Error> only_read(const fs::path& directory) {
  return fail(ErrorKind::kUnavailable,
              "{}: can only be read, nothing can be written there; give another directory with "
              "--journal",
              directory.string());
}

fs::path FileBlobs::path_of(std::string_view sha256) const {
  return directory_ / "blobs" / sha256.substr(0, 2) / sha256;
}

Status FileBlobs::put(std::string_view sha256, std::string_view bytes) {
  if (!shared_) return only_read(directory_);
  const fs::path path = path_of(sha256);
  // A blob that is there already is trusted only as far as its size: reading checks the hash.
  std::error_code ignored;
  if (fs::exists(path, ignored) && fs::file_size(path, ignored) == bytes.size()) return {};
  LATHE_TRY_STATUS(make_directories(path.parent_path()));
  LATHE_TRY_STATUS(write_file_atomic(path, bytes));
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write, ignored);
  return {};
}

Result<std::string> FileBlobs::get(std::string_view sha256) const {
  return read_file(path_of(sha256), kMaxBlobBytes);
}

Result<std::uint64_t> FileBlobs::size(std::string_view sha256) const {
  std::error_code error;
  const fs::path path = path_of(sha256);
  const std::uint64_t bytes = fs::file_size(path, error);
  if (!error) return bytes;
  return fail(error == std::errc::no_such_file_or_directory ? ErrorKind::kNotFound
                                                            : ErrorKind::kUnavailable,
              "{}: {}", path.string(), error.message());
}

Status FileBlobs::remove(std::string_view sha256) {
  if (!shared_) return only_read(directory_);
  std::error_code error;
  fs::remove(path_of(sha256), error);
  if (!error) return {};
  return fail(ErrorKind::kUnavailable, "{}: cannot be removed: {}", path_of(sha256).string(),
              error.message());
}

Result<Sweep> FileBlobs::sweep(const Named& named) {
  if (!shared_) return only_read(directory_);
  if (!shared_->alone(kSweepPatience)) {
    shared_->share();  // a change that fails gives up what was held before
    return fail(ErrorKind::kUnavailable,
                "{}: another lathe is using this journal; clean up when it has ended",
                directory_.string());
  }
  auto swept = sweep_alone(named);
  shared_->share();
  return swept;
}

Result<Sweep> FileBlobs::sweep_alone(const Named& named) const {
  LATHE_TRY(const std::set<std::string> kept, named());
  LATHE_TRY(const std::vector<std::string> files, list_files(directory_ / "blobs", kMaxBlobs));
  Sweep sweep;
  std::error_code ignored;
  for (const std::string& file : files) {
    const fs::path path = directory_ / "blobs" / file;
    if (kept.contains(path.filename().string())) {
      ++sweep.kept;
      continue;
    }
    sweep.freed_bytes += fs::file_size(path, ignored);
    if (fs::remove(path, ignored)) ++sweep.removed;
  }
  return sweep;
}

}  // namespace lathe::books
