// A file that is written beside its target and takes its place when it is whole: a reader sees the
// old file or the new one, never a part. What a killed process left beside the target is removed
// by the next that writes there. One thread a file.
#pragma once

#include <span>

#include "ground/base/file.h"

namespace lathe {

class PartFile {
 public:
  static Result<PartFile> create(const fs::path& target);
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&& other) noexcept;
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();  // removes what was not committed

  Status write(std::span<const std::byte> bytes);
  fs::path path() const { return name_; }  // of the part
  // Syncs and takes the target's place, with the permissions of a new file.
  Status commit();

 private:
  PartFile(fs::path target, std::string name, int fd);
  Status error(int code) const;

  fs::path target_;
  std::string name_;  // of the part; "": there is none any more
  int fd_ = -1;
};

}  // namespace lathe
