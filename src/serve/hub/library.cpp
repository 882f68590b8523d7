// Looks for model files where this program and others keep them.
#include "serve/hub/library.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "ground/base/text.h"
#include "serve/hub/choose.h"
#include "serve/hub/listing.h"
#include "serve/hub/pulled.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxEntries = 100'000;  // of one place; beyond them nothing is looked at
constexpr int kMaxDepth = 8;
constexpr std::string_view kHub = "hf:", kOllama = "ollama:", kLmStudio = "lmstudio:";

// Regular files below `root` (links to them, too), relative, sorted; links to directories are not
// followed.
std::vector<std::string> files_below(const fs::path& root) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, error);
  std::size_t seen = 0;
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    if (++seen > kMaxEntries) break;
    if (it.depth() >= kMaxDepth) it.disable_recursion_pending();
    std::error_code gone;
    if (it->is_regular_file(gone))
      files.push_back(it->path().lexically_relative(root).generic_string());
  }
  std::ranges::sort(files);
  return files;
}

// The models among a directory's files, parts together, called by their paths.
std::vector<LibraryModel> models_in(const fs::path& root, const std::vector<std::string>& files,
                                    Keeper keeper, const std::string& prefix) {
  std::map<std::pair<std::string, std::size_t>, LibraryModel> models;
  for (const std::string& path : files) {
    if (!is_model_file(path)) continue;
    const ModelPart part = model_part(path);
    LibraryModel& model = models[{part.model, part.count}];
    std::error_code gone;
    const std::uintmax_t bytes = fs::file_size(root / path, gone);
    model.bytes += gone ? 0 : bytes;
    if (part.number == 1) model.file = root / path;
    model.name = prefix + part.model;
    model.keeper = keeper;
  }
  std::vector<LibraryModel> found;
  for (auto& [key, model] : models)
    if (!model.file.empty()) found.push_back(std::move(model));
  return found;
}

void append(std::vector<LibraryModel>& to, std::vector<LibraryModel> more) {
  for (LibraryModel& model : more) to.push_back(std::move(model));
}

// The directory itself; what has a note was pulled.
std::vector<LibraryModel> own_models(const fs::path& directory) {
  std::vector<std::string> files = files_below(directory);
  std::erase_if(files, [](const std::string& path) { return path.find('/') != path.npos; });
  std::vector<LibraryModel> models = models_in(directory, files, Keeper::kFolder, "");
  for (const PulledModel& note : read_notes(directory)) {
    if (note.files.empty()) continue;
    auto model = std::ranges::find(models, note.name, &LibraryModel::name);
    if (model == models.end())
      model = models.insert(
          models.end(),
          {.name = note.name, .file = directory / note.files.front().name, .bytes = note.bytes()});
    model->keeper = Keeper::kPulled;
    model->source = note.source;
    model->whole = note.whole(directory);
  }
  return models;
}

// "models--OWNER--REPO/snapshots/COMMIT/FILE", a link to a blob. The commit that "main" is at.
std::vector<LibraryModel> hub_models(const fs::path& cache) {
  constexpr std::string_view kModels = "models--";
  std::vector<LibraryModel> models;
  std::error_code error;
  for (fs::directory_iterator it(cache, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kModels)) continue;
    const auto commit = read_file(it->path() / "refs" / "main", 200);
    if (!commit || !is_safe_relative(trim(*commit)) || commit->find('/') != commit->npos) continue;
    const fs::path snapshot = it->path() / "snapshots" / std::string(trim(*commit));
    const std::string repo = replace_all(name.substr(kModels.size()), "--", "/");
    append(models, models_in(snapshot, files_below(snapshot), Keeper::kHubCache,
                             fmt::format("{}{}/", kHub, repo)));
  }
  return models;
}

// "manifests/HOST/OWNER/NAME/TAG" is JSON that names a blob.
std::optional<LibraryModel> ollama_model(const fs::path& root, const std::string& manifest) {
  const std::vector<std::string> parts = split(manifest, '/');
  if (parts.size() != 4) return {};
  const auto text = read_file(root / "manifests" / manifest, 1 << 20);
  const auto json = text ? parse_json(*text) : Result<Json>(std::unexpected(text.error()));
  const auto layer =
      json ? read_manifest(*json, manifest) : Result<RepoFile>(std::unexpected(json.error()));
  if (!layer) return {};
  LibraryModel model{.name = std::string(kOllama),
                     .file = root / "blobs" / ("sha256-" + layer->sha256),
                     .keeper = Keeper::kOllama};
  if (parts[0] != "registry.ollama.ai") model.name += parts[0] + "/";
  if (parts[0] != "registry.ollama.ai" || parts[1] != "library") model.name += parts[1] + "/";
  model.name += parts[2] + ":" + parts[3];
  std::error_code gone;
  model.bytes = fs::file_size(model.file, gone);
  return gone ? std::nullopt : std::optional(model);
}

std::vector<LibraryModel> ollama_models(const fs::path& root) {
  std::vector<LibraryModel> models;
  for (const std::string& manifest : files_below(root / "manifests"))
    if (auto model = ollama_model(root, manifest)) models.push_back(*std::move(model));
  return models;
}

}  // namespace

std::string_view keeper_name(Keeper keeper) {
  switch (keeper) {
    case Keeper::kPulled:
      return "pull";
    case Keeper::kFolder:
      return "models";
    case Keeper::kHubCache:
      return "hub cache";
    case Keeper::kOllama:
      return "Ollama";
    case Keeper::kLmStudio:
      break;
  }
  return "LM Studio";
}

std::vector<LibraryModel> list_library(const LibraryPlaces& places) {
  std::vector<LibraryModel> models = own_models(places.models);
  if (!places.hub_cache.empty()) append(models, hub_models(places.hub_cache));
  for (const fs::path& root : places.ollama) append(models, ollama_models(root));
  for (const fs::path& root : places.lm_studio)
    append(models, models_in(root, files_below(root), Keeper::kLmStudio, std::string(kLmStudio)));
  // One program may have two places, and one name is one model: the first place's.
  std::set<std::string> names;
  std::erase_if(models,
                [&](const LibraryModel& model) { return !names.insert(model.name).second; });
  std::ranges::stable_sort(models, {}, [](const LibraryModel& model) {
    return std::pair(model.keeper, std::string_view(model.name));
  });
  return models;
}

const LibraryModel* find_in_library(std::span<const LibraryModel> models, std::string_view name) {
  if (name.empty()) return nullptr;
  const std::string latest = fmt::format("{}:latest", name);
  for (const auto said : {&LibraryModel::name, &LibraryModel::source})
    for (const LibraryModel& model : models)
      if (model.whole && (model.*said == name || model.*said == latest)) return &model;
  return nullptr;
}

bool is_library_name(std::string_view name) {
  return name.starts_with(kHub) || name.starts_with(kOllama) || name.starts_with(kLmStudio);
}

}  // namespace lathe::serve
