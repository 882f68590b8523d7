// Blobs as files: DIR/blobs/ab/ab12…, for their owner alone.
#pragma once

#include <optional>

#include "books/journal/blob_store.h"
#include "books/sqlite/file_lock.h"

namespace lathe::books {

class FileBlobs : public BlobStore {
 public:
  // `shared`: of all who use the directory; sweep() wants it alone. nullopt: nothing is stored here
  // and nothing swept, it can only be read.
  FileBlobs(fs::path directory, std::optional<FileLock> shared)
      : directory_(std::move(directory)), shared_(std::move(shared)) {}

  Status put(std::string_view sha256, std::string_view bytes) override;
  Result<std::string> get(std::string_view sha256) const override;
  Result<std::uint64_t> size(std::string_view sha256) const override;
  Status remove(std::string_view sha256) override;
  Result<Sweep> sweep(const Named& named) override;

 private:
  fs::path path_of(std::string_view sha256) const;
  Result<Sweep> sweep_alone(const Named& named) const;

  fs::path directory_;
  std::optional<FileLock> shared_;
};

// What is said where something is to be written in a directory that can only be read.
std::unexpected<Error> only_read(const fs::path& directory);

}  // namespace lathe::books
