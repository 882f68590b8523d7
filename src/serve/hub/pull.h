// `lathe pull`: a model of a hub or registry, fetched whole and verified into a directory. Only
// what this is called for is ever fetched, and nothing of it is run. Any thread; calls into one
// directory may run at once.
#pragma once

#include "infer/formats/gguf.h"
#include "serve/hub/download.h"
#include "serve/hub/pulled.h"

namespace lathe::serve {

struct PullPlan {
  ModelSource source;
  std::string name;               // of the model, here
  std::string revision;           // of the hub's repository
  std::vector<WantedFile> files;  // of a split model all parts, in order
  bool by_default = false;        // nobody named the quantization

  std::uint64_t bytes() const;
};

struct PullProgress {
  const WantedFile& file;
  std::uint64_t file_done;
  std::uint64_t done, total;  // of all files
};

struct PullOptions {
  HubAccess access;
  fs::path directory;  // made when it is missing
  // Looks at the headers before the first byte of weights comes; an error ends it. Empty: no look.
  std::function<Status(const infer::Gguf& headers)> check = {};
  std::function<void(const PullPlan& plan, std::uint64_t there)> on_plan = {};
  std::function<void(const PullProgress& progress)> on_progress = {};
};

struct Pulled {
  std::string name;
  fs::path path;  // the file, or its first part
  std::uint64_t bytes = 0;
  bool was_here = false;  // nothing had to be fetched
};

Result<Pulled> pull(const ModelSource& source, const PullOptions& options, const StopFlag& stop);

// The speed of the last seconds, and what is left at that. Pure.
class RateMeter {
 public:
  void add(Milliseconds now, std::uint64_t done);
  double bytes_per_second() const;  // 0: not known yet
  std::optional<Milliseconds> left(std::uint64_t total) const;

 private:
  struct Mark {
    Milliseconds at;
    std::uint64_t done;
  };
  std::vector<Mark> marks_;  // of the last seconds, oldest first
};

}  // namespace lathe::serve
