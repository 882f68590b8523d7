// The names of models elsewhere, and their URLs.
#include "serve/hub/source.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kLongestName = 96, kLongestFile = 400;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kLongestName && text != "." && text != ".." &&
         std::ranges::all_of(text, is_plain);
}

bool is_repo(std::string_view text) {
  const auto slash = text.find('/');
  return slash != text.npos && is_name(text.substr(0, slash)) && is_name(text.substr(slash + 1));
}

// Printable, and no way out of the repository.
bool is_file(std::string_view text) {
  return text.size() <= kLongestFile &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c != '\\' && c != 0x7f; }) &&
         std::ranges::all_of(split(text, '/'), [](const std::string& part) {
           return !part.empty() && part != "." && part != "..";
         });
}

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_plain(c) || c == '/')
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<ModelSource> parse_registry_name(std::string_view text, std::string_view whole) {
  ModelSource source{.ollama = true, .repo = std::string(text), .wanted = "latest"};
  if (const auto colon = text.find(':'); colon != text.npos) {
    source.repo = std::string(text.substr(0, colon));
    source.wanted = std::string(text.substr(colon + 1));
  }
  if (source.repo.find('/') == std::string::npos) source.repo = "library/" + source.repo;
  if (!is_repo(source.repo) || !is_name(source.wanted))
    return invalid("'{}' is no model of a registry: write ollama:NAME[:TAG], like ollama:qwen3:8b",
                   clip_utf8(make_valid_utf8(whole), 200));
  return source;
}

// Without what a browser or another program puts in front; "": it is none of the hub's.
std::string_view after_host(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  for (const std::string_view host : {"hf.co/", "huggingface.co/"})
    if (text.starts_with(host)) return text.substr(host.size());
  return {};
}

}  // namespace

std::string ModelSource::text() const {
  if (!ollama) return wanted.empty() ? repo : repo + ":" + wanted;
  const std::string_view name = repo;
  return fmt::format("ollama:{}:{}", name.starts_with("library/") ? name.substr(8) : name, wanted);
}

Result<ModelSource> parse_source(std::string_view text) {
  constexpr std::string_view kRegistry = "ollama:";
  if (text.starts_with(kRegistry)) return parse_registry_name(text.substr(kRegistry.size()), text);
  const std::string_view within = after_host(text);
  const std::string_view name = within.empty() ? text : within;
  const auto colon = name.find(':');
  ModelSource source{.repo = std::string(name.substr(0, colon))};
  if (colon != name.npos) source.wanted = std::string(name.substr(colon + 1));
  const bool wanted_ok = colon == name.npos || is_file(source.wanted);
  if (!is_repo(source.repo) || !wanted_ok)
    return invalid(
        "'{}' names no model: write OWNER/REPO, OWNER/REPO:QUANT or OWNER/REPO:FILE.gguf of a hub, "
        "or ollama:NAME[:TAG]",
        clip_utf8(make_valid_utf8(text), 200));
  return source;
}

Result<ModelSource> parse_ollama_name(std::string_view text) {
  if (!after_host(text).empty() || text.starts_with("ollama:")) return parse_source(text);
  return parse_registry_name(text, text);
}

std::string listing_url(std::string_view base, const ModelSource& source) {
  if (source.ollama) return fmt::format("{}/v2/{}/manifests/{}", base, source.repo, source.wanted);
  return fmt::format("{}/api/models/{}/revision/main?blobs=true", base, source.repo);
}

std::string page_url(std::string_view base, const ModelSource& source) {
  return fmt::format("{}/{}", base, source.repo);
}

std::string hub_file_url(std::string_view base, std::string_view repo, std::string_view revision,
                         std::string_view path) {
  return fmt::format("{}/{}/resolve/{}/{}", base, repo, encoded(revision), encoded(path));
}

std::string blob_url(std::string_view base, std::string_view repo, std::string_view sha256) {
  return fmt::format("{}/v2/{}/blobs/sha256:{}", base, repo, sha256);
}

}  // namespace lathe::serve
