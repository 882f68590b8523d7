// Reads the listings of hubs and the manifests of registries.
#include "serve/hub/listing.h"

#include <algorithm>

#include "ground/base/hash.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kDigest = "sha256:";

// 0: not a size.
std::uint64_t size_of(const Json& object) {
  const std::int64_t size = json_int(object, "size", 0);
  if (size <= 0 || static_cast<std::uint64_t>(size) > kMaxModelFile) return 0;
  return static_cast<std::uint64_t>(size);
}

bool is_revision(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace

Result<RepoListing> read_hub_listing(const Json& answer, std::string_view place) {
  const Json& siblings = json_at(answer, "siblings");
  RepoListing listing{.revision = json_string(answer, "sha"), .files = {}};
  if (!siblings.is_array() || !is_revision(listing.revision))
    return invalid("{}: this is no listing of a hub: 'siblings' and 'sha' are wanted", place);
  for (const Json& each : siblings) {
    const Json& lfs = json_at(each, "lfs");
    RepoFile file{.path = json_string(each, "rfilename"),
                  .bytes = size_of(lfs.is_object() ? lfs : each),
                  .sha256 = json_string(lfs, "sha256", json_string(lfs, "oid"))};
    if (file.sha256.starts_with(kDigest)) file.sha256.erase(0, kDigest.size());
    if (!is_sha256_hex(file.sha256)) file.sha256.clear();
    if (!file.path.empty()) listing.files.push_back(std::move(file));
  }
  return listing;
}

Result<RepoFile> read_manifest(const Json& answer, std::string_view place) {
  const Json& layers = json_at(answer, "layers");
  if (!layers.is_array()) return invalid("{}: this is no manifest: 'layers' is wanted", place);
  const auto is_model = [](const Json& layer) {
    return json_string(layer, "mediaType") == "application/vnd.ollama.image.model";
  };
  const auto layer = std::ranges::find_if(layers, is_model);
  if (layer == layers.end())
    return fail(ErrorKind::kNotFound, "{}: has no layer that is a GGUF model", place);
  if (std::count_if(layer, layers.end(), is_model) > 1)
    return invalid("{}: has several models in one manifest, which is not understood", place);
  const std::string digest = json_string(*layer, "digest");
  RepoFile file{.path = {}, .bytes = size_of(*layer), .sha256 = {}};
  if (digest.starts_with(kDigest)) file.sha256 = digest.substr(kDigest.size());
  if (!is_sha256_hex(file.sha256) || file.bytes == 0)
    return invalid("{}: its model's digest or size is not one", place);
  return file;
}

}  // namespace lathe::serve
