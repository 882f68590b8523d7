// What a hub or a registry says that it has, read from its JSON. Nothing in it is trusted: names
// are looked at, sizes and digests checked for their form. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ground/base/json.h"

namespace lathe::serve {

struct RepoFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;  // "": the listing does not say
};

struct RepoListing {
  std::string revision;  // the commit that all of it is from
  std::vector<RepoFile> files;
};

// The answer to /api/models/OWNER/REPO/revision/main?blobs=true. `place` names it in errors.
Result<RepoListing> read_hub_listing(const Json& answer, std::string_view place);
// A manifest's layer that is the model. Adapters and projectors are other layers.
Result<RepoFile> read_manifest(const Json& answer, std::string_view place);

// At most this large is a file of a model; more is a lie or a mistake.
inline constexpr std::uint64_t kMaxModelFile = std::uint64_t{1} << 44;

}  // namespace lathe::serve
