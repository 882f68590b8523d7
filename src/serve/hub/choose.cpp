// Groups a repository's files into models, and picks one.
#include "serve/hub/choose.h"

#include <algorithm>
#include <map>
#include <optional>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kSuffix = ".gguf";
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kMaxParts = 1024;
constexpr std::size_t kListed = 20;
// In this order where nobody says: near enough to the original at a third of its bytes.
constexpr std::string_view kPreferred[] = {"Q4_K_M", "MXFP4", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0"};

std::optional<std::size_t> five_digits(std::string_view text) {
  std::size_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::size_t>(c - '0');
  }
  return number;
}

std::string base_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
}

}  // namespace

ModelPart model_part(std::string_view path) {
  const std::string_view stem = path.substr(0, path.size() - kSuffix.size());
  constexpr std::size_t kTail = std::string_view("-00001-of-00003").size();
  if (stem.size() <= kTail) return {std::string(stem)};
  const std::string_view tail = stem.substr(stem.size() - kTail);
  const auto number = five_digits(tail.substr(1, 5)), count = five_digits(tail.substr(10));
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !number || !count || *number < 1 ||
      *number > *count)
    return {std::string(stem)};
  return {std::string(stem.substr(0, stem.size() - kTail)), *number, *count};
}

bool is_model_file(std::string_view path) {
  const std::string name = to_lower_ascii(base_name(path));
  return path.ends_with(kSuffix) && name.size() > kSuffix.size() &&
         name.find("mmproj") == name.npos && name.find("imatrix") == name.npos;
}

namespace {

struct Candidate {
  std::string path;  // without number and suffix
  std::size_t count = 1;
  std::map<std::size_t, const RepoFile*> parts;
};

std::vector<Candidate> candidates_of(const RepoListing& listing) {
  std::map<std::pair<std::string, std::size_t>, Candidate> models;
  for (const RepoFile& file : listing.files) {
    if (!is_model_file(file.path)) continue;
    const ModelPart part = model_part(file.path);
    Candidate& model = models[{part.model, part.count}];
    model.path = part.model;
    model.count = part.count;
    model.parts[part.number] = &file;
  }
  std::vector<Candidate> all;
  for (auto& [key, model] : models) all.push_back(std::move(model));
  return all;
}

bool has_quant(const Candidate& model, std::string_view quant) {
  const std::string name = to_lower_ascii(base_name(model.path)), end = to_lower_ascii(quant);
  if (name == end) return true;
  return name.size() > end.size() && name.ends_with(end) &&
         std::string_view("-._").find(name[name.size() - end.size() - 1]) != std::string_view::npos;
}

std::string list_of(const std::vector<Candidate>& models) {
  std::string text;
  for (std::size_t i = 0; i < std::min(models.size(), kListed); ++i)
    text += (i == 0 ? "" : ", ") + make_valid_utf8(base_name(models[i].path));
  return text + (models.size() > kListed ? ", …" : "");
}

Result<ChosenModel> chosen(const Candidate& model, const ModelSource& source, bool by_default) {
  ChosenModel out{.name = base_name(model.path), .files = {}, .by_default = by_default};
  if (model.count > kMaxParts || model.parts.size() != model.count)
    return fail(ErrorKind::kNotFound, "{}: {} has {} parts, and {} of them are there", source.repo,
                make_valid_utf8(model.path), model.count, model.parts.size());
  for (const auto& [number, file] : model.parts) {
    if (kept_name(file->path).empty())
      return invalid("{}: '{}' is no name that a file may have here", source.repo,
                     clip_utf8(make_valid_utf8(file->path), 200));
    if (file->bytes == 0)
      return invalid("{}: {}: the hub does not say how large it is", source.repo, file->path);
    out.files.push_back(*file);
  }
  return out;
}

// "m-Q4_K_XL" of that and "m-UD-Q4_K_XL"; nullptr: they are not of one model.
const Candidate* plainest(const std::vector<Candidate>& models, std::string_view quant) {
  const auto shortest = std::ranges::min_element(
      models, {}, [](const Candidate& model) { return base_name(model.path).size(); });
  const std::string name = base_name(shortest->path);
  const std::string start = name.substr(0, name.size() - quant.size());
  const bool all = std::ranges::all_of(models, [&](const Candidate& model) {
    return &model == &*shortest ||
           (base_name(model.path).starts_with(start) && base_name(model.path) != name);
  });
  return all ? &*shortest : nullptr;
}

std::vector<Candidate> of_quant(const std::vector<Candidate>& all, std::string_view quant) {
  std::vector<Candidate> some;
  std::ranges::copy_if(all, std::back_inserter(some),
                       [&](const Candidate& model) { return has_quant(model, quant); });
  return some;
}

}  // namespace

std::string kept_name(std::string_view path) {
  std::string name = base_name(path);
  const bool printable =
      std::ranges::all_of(name, [](char c) { return c > ' ' && c != '\\' && c != 0x7f; });
  return printable && !name.starts_with('.') && name.size() <= kLongestName ? name : "";
}

Result<ChosenModel> choose_model(const RepoListing& listing, const ModelSource& source) {
  const std::vector<Candidate> all = candidates_of(listing);
  if (all.empty())
    return fail(ErrorKind::kNotFound,
                "{}: holds no GGUF file: look for a repository of the same model whose name ends "
                "with GGUF (`lathe import` makes a GGUF of safetensors)",
                source.repo);
  const std::string& wanted = source.wanted;
  if (wanted.ends_with(kSuffix)) {
    const ModelPart part = model_part(wanted);
    const auto named = std::ranges::find_if(all, [&](const Candidate& model) {
      return model.path == part.model && model.count == part.count;
    });
    if (named == all.end())
      return fail(ErrorKind::kNotFound, "{}: has no file {}; it has {}", source.repo, wanted,
                  list_of(all));
    return chosen(*named, source, false);
  }
  if (!wanted.empty()) {
    const std::vector<Candidate> some = of_quant(all, wanted);
    if (some.empty())
      return fail(ErrorKind::kNotFound, "{}: has nothing in {}; it has {}", source.repo, wanted,
                  list_of(all));
    if (const Candidate* one = plainest(some, wanted)) return chosen(*one, source, false);
    return invalid("{}: {} may be {}; name the file, like {}:FILE.gguf", source.repo, wanted,
                   list_of(some), source.repo);
  }
  if (all.size() == 1) return chosen(all.front(), source, false);
  for (const std::string_view quant : kPreferred) {
    const std::vector<Candidate> some = of_quant(all, quant);
    if (some.empty()) continue;
    if (const Candidate* one = plainest(some, quant)) return chosen(*one, source, true);
  }
  return invalid("{}: has several models: {}; name one, like {}:QUANT", source.repo, list_of(all),
                 source.repo);
}

}  // namespace lathe::serve
