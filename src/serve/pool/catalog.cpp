// The models of directories and files, by name.
#include "serve/pool/catalog.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "ground/base/text.h"
#include "ground/base/toml.h"
#include "infer/kernels/kernels.h"
#include "serve/programs/read_program.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kSettings = "models.toml";
constexpr std::size_t kMaxModels = 10'000;
constexpr std::string_view kEncoder = "mmproj", kSeparators = "-_.";

// "name-00001-of-00003" → "name"; nullopt: a later part.
std::optional<std::string> model_name(const std::string& stem) {
  const std::size_t of = stem.rfind("-of-");
  if (of == stem.npos || of < 6 || stem.size() != of + 9) return stem;
  const std::string number = stem.substr(of - 5, 5);
  if (stem[of - 6] != '-' || number.find_first_not_of("0123456789") != number.npos) return stem;
  return number == "00001" ? std::optional(stem.substr(0, of - 6)) : std::nullopt;
}

// The NAME in an encoder's name, in lower case.
std::string name_in(std::string_view encoder) {
  std::string name = to_lower_ascii(encoder);
  const std::size_t at = name.find(kEncoder);
  if (at != name.npos) name.erase(at, kEncoder.size());
  const auto strip = [&] {
    while (!name.empty() && kSeparators.contains(name.back())) name.pop_back();
    while (!name.empty() && kSeparators.contains(name.front())) name.erase(0, 1);
  };
  strip();
  for (const std::string_view type : {"bf16", "f16", "f32", "q8_0", "model"})
    if (name.ends_with(type)) {
      name.resize(name.size() - type.size());
      strip();
    }
  return name;
}

// What a file is, is told by these: opening each one's header would take seconds.
std::string first_bytes_of(const fs::path& path) {
  std::string head(std::size_t{64} << 10, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  return head;
}

bool is_adapter(const fs::path& path) {
  const std::string head = first_bytes_of(path);
  return head.starts_with("GGUF") && head.find("adapter.type") != head.npos;
}

// As whisper.cpp's files are named and begin: the magic "ggml", its last letter first.
bool is_whisper(const fs::path& path) {
  char head[4] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(head, sizeof head);
  return std::string_view(head, sizeof head) == "lmgg";
}

// By its architecture, which every writer has in the first bytes.
bool is_talker(const fs::path& path) {
  constexpr std::string_view kKey = "general.architecture";
  constexpr std::size_t kBefore = 12;  // the value's type, and how long it is
  const std::string head = first_bytes_of(path);
  const std::size_t key = head.find(kKey);
  return head.starts_with("GGUF") && key != head.npos &&
         std::string_view(head).substr(key + kKey.size()).size() > kBefore &&
         std::string_view(head).substr(key + kKey.size() + kBefore).starts_with("qwen3tts");
}

bool is_below(const fs::path& path, const fs::path& directory) {
  const auto [end, rest] =
      std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return end == directory.end();
}

// Reads one [model.NAME] key by key; every problem names file and line.
class ModelTable {
 public:
  ModelTable(const std::string& file, const toml::table& table) : file_(file), table_(table) {}

  Status read(CatalogModel& model, std::string& path) {
    static const std::vector<std::string> kKnown{
        "file",   "aliases",     "context",        "kv",    "max_tokens", "priority",
        "pinned", "temperature", "top_k",          "top_p", "min_p",      "repeat_penalty",
        "draft",  "keep_alive",  "share_prefixes", "eyes",  "voices"};
    if (table_.contains("command")) return program(model);
    for (const auto& [key, node] : table_) {
      if (std::ranges::find(program_keys(), key.str()) != program_keys().end())
        return invalid("{}: '{}' is of a program, and this model has no command",
                       toml_place(file_, key.source()), key.str());
      if (std::ranges::find(kKnown, key.str()) == kKnown.end()) {
        return invalid("{}: '{}' is not known here{}", toml_place(file_, key.source()), key.str(),
                       did_you_mean(key.str(), kKnown));
      }
    }
    std::int64_t context = 0, max_tokens = 0, priority = 0, top_k = -1;
    LATHE_TRY_STATUS(value("file", "a string", path));
    LATHE_TRY_STATUS(whole("context", 1, 1 << 30, context));
    LATHE_TRY_STATUS(whole("max_tokens", 1, 1 << 30, max_tokens));
    LATHE_TRY_STATUS(whole("priority", -8, 8, priority));
    LATHE_TRY_STATUS(whole("top_k", 0, 1 << 24, top_k));
    LATHE_TRY_STATUS(value("pinned", "true or false", model.pinned));
    LATHE_TRY_STATUS(value("share_prefixes", "true or false", model.share_prefixes));
    LATHE_TRY_STATUS(value("draft", "a string", model.draft));
    std::string eyes;
    LATHE_TRY_STATUS(value("eyes", "a string", eyes));
    model.eyes = eyes;
    model.no_eyes = table_.contains("eyes") && eyes.empty();
    LATHE_TRY_STATUS(voices(model.voices));
    LATHE_TRY_STATUS(value("kv", "a string", model.kv));
    if (!infer::find_kv_type(model.kv))
      return invalid("{}: kv is '{}'; it must be f16, q8_0, q5_1, q4_0 or f32", place("kv"),
                     model.kv);
    model.context = static_cast<std::size_t>(context);
    model.max_tokens = static_cast<int>(max_tokens);
    model.priority = static_cast<int>(priority);
    if (top_k >= 0) model.sampling.top_k = static_cast<int>(top_k);
    LATHE_TRY_STATUS(number("temperature", 0, 2, model.sampling.temperature));
    LATHE_TRY_STATUS(number("top_p", 0, 1, model.sampling.top_p));
    LATHE_TRY_STATUS(number("min_p", 0, 1, model.sampling.min_p));
    LATHE_TRY_STATUS(number("repeat_penalty", 0.001, 1000, model.sampling.repeat_penalty));
    return residence(model);
  }

 private:
  // Of what a program serves: how it computes and draws is its own affair.
  Status program(CatalogModel& model) {
    std::vector<std::string> known{"aliases", "priority", "pinned", "keep_alive"};
    known.insert(known.end(), program_keys().begin(), program_keys().end());
    for (const auto& [key, node] : table_) {
      if (std::ranges::find(known, key.str()) == known.end())
        return invalid("{}: '{}' is not known of a model that a program serves{}",
                       toml_place(file_, key.source()), key.str(), did_you_mean(key.str(), known));
    }
    LATHE_TRY(model.program, read_program(table_, file_));
    const Status there = check_program(*model.program);
    if (!there) return at(place("command"), there.error());
    std::int64_t priority = 0;
    LATHE_TRY_STATUS(whole("priority", -8, 8, priority));
    model.priority = static_cast<int>(priority);
    LATHE_TRY_STATUS(value("pinned", "true or false", model.pinned));
    return residence(model);
  }
  Status residence(CatalogModel& model) const {
    LATHE_TRY(model.keep_alive, read_keep_alive(table_, file_));
    if (model.pinned && model.keep_alive > Milliseconds(0))
      return invalid("{}: what is pinned never leaves, so it has no keep_alive",
                     place("keep_alive"));
    return aliases(model.aliases);
  }
  std::string place(std::string_view key) const {
    const toml::node* node = table_.get(key);
    return toml_place(file_, node == nullptr ? table_.source() : node->source());
  }
  template <class T>
  Status value(std::string_view key, std::string_view what, T& out) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return {};
    const auto read = node->value_exact<T>();
    if (!read) return invalid("{}: '{}' must be {}", place(key), key, what);
    out = *read;
    return {};
  }
  Status whole(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t& out) const {
    LATHE_TRY_STATUS(value(key, "a whole number", out));
    if (table_.contains(key) && (out < min || out > max))
      return invalid("{}: {} is {}; it must lie in [{}, {}]", place(key), key, out, min, max);
    return {};
  }
  Status number(std::string_view key, double min, double max, std::optional<double>& out) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return {};
    out = node->value<double>();
    if (!out || !(*out >= min && *out <= max))
      return invalid("{}: {} must be a number in [{}, {}]", place(key), key, min, max);
    return {};
  }
  Status voices(std::map<std::string, fs::path>& out) const {
    const toml::node* node = table_.get("voices");
    if (node == nullptr) return {};
    const toml::table* recordings = node->as_table();
    if (recordings == nullptr)
      return invalid("{}: 'voices' must be a table, like {{anna = \"anna.wav\"}}", place("voices"));
    for (const auto& [name, recording] : *recordings) {
      const auto file = recording.value_exact<std::string>();
      if (!file || file->empty())
        return invalid("{}: voices.{} must be the name of a sound file",
                       toml_place(file_, name.source()), name.str());
      out[std::string(name.str())] = *file;
    }
    return {};
  }
  Status aliases(std::vector<std::string>& out) const {
    const toml::node* node = table_.get("aliases");
    if (node == nullptr) return {};
    const toml::array* list = node->as_array();
    if (list == nullptr)
      return invalid("{}: 'aliases' must be a list of strings", place("aliases"));
    for (const toml::node& each : *list) {
      const auto text = each.value_exact<std::string>();
      if (!text || text->empty())
        return invalid("{}: 'aliases' must be a list of strings", place("aliases"));
      out.push_back(*text);
    }
    return {};
  }

  const std::string& file_;
  const toml::table& table_;
};

// One [model.NAME] of the file in `directory`; what it names is there.
Result<CatalogModel> read_entry(const fs::path& directory, const std::string& file,
                                const toml::key& name, const toml::table& entry) {
  CatalogModel model{.name = std::string(name.str())};
  std::string target = model.name + ".gguf";
  LATHE_TRY_STATUS(ModelTable(file, entry).read(model, target));
  if (model.program) return model;
  const std::string place =
      fmt::format("{}: model.{}", toml_place(file, name.source()), name.str());
  model.file = target;
  std::error_code error;
  if (!model.draft.empty() && model.draft != "mtp") {
    if (fs::path(model.draft).is_relative()) model.draft = (directory / model.draft).string();
    if (!fs::is_regular_file(model.draft, error))
      return fail(ErrorKind::kNotFound, "{}: draft is \"mtp\" or a file; there is no {}", place,
                  model.draft);
  }
  std::vector<fs::path*> files{&model.file, &model.eyes};
  for (auto& [voice, recording] : model.voices) files.push_back(&recording);
  for (fs::path* each : files) {
    if (each->empty()) continue;
    if (each->is_relative()) *each = directory / *each;
    if (!fs::is_regular_file(*each, error))
      return fail(ErrorKind::kNotFound, "{}: there is no file {}", place, each->string());
  }
  return model;
}

}  // namespace

bool is_encoder_name(std::string_view stem) {
  return to_lower_ascii(stem).contains(kEncoder);
}

bool encoder_goes_with(std::string_view encoder, std::string_view model) {
  return to_lower_ascii(model).starts_with(name_in(encoder));
}

Result<Catalog> Catalog::read(const fs::path& place) {
  return read(std::vector<fs::path>{place});
}

Result<Catalog> Catalog::read(const std::vector<fs::path>& places) {
  Catalog catalog;
  for (const fs::path& place : places) {
    std::error_code error;
    if (fs::is_directory(place, error)) {
      LATHE_TRY_STATUS(catalog.add_directory(place));
      LATHE_TRY_STATUS(catalog.add_settings(place));
    } else if (fs::is_regular_file(place, error)) {
      LATHE_TRY_STATUS(catalog.add(
          {.name = model_name(place.stem().string()).value_or(place.stem()), .file = place}));
    } else {
      return fail(ErrorKind::kNotFound, "{}: there is no such file or directory", place.string());
    }
  }
  catalog.find_eyes();
  return catalog;
}

// Of the encoders beside a model that go with it, the one whose name says most of it.
void Catalog::find_eyes() {
  std::map<fs::path, std::vector<fs::path>> encoders;  // by directory
  for (CatalogModel& model : models_) {
    if (model.program || model.transcribes || model.no_eyes || !model.eyes.empty()) continue;
    const fs::path directory = model.file.parent_path().empty() ? "." : model.file.parent_path();
    const auto [known, fresh] = encoders.try_emplace(directory);
    std::error_code error;
    if (fresh)
      for (auto entry = fs::directory_iterator(directory, error);
           !error && entry != fs::directory_iterator(); entry.increment(error))
        if (entry->path().extension() == ".gguf" && is_encoder_name(entry->path().stem().string()))
          known->second.push_back(entry->path());
    const auto rank = [](const fs::path& encoder) {  // of several types the first by name
      const std::string stem = encoder.stem().string();
      return std::pair(-static_cast<std::ptrdiff_t>(name_in(stem).size()), stem);
    };
    for (const fs::path& encoder : known->second) {
      std::error_code gone;
      if (encoder_goes_with(encoder.stem().string(), model.file.stem().string()) &&
          fs::is_regular_file(encoder, gone) &&
          is_below(fs::canonical(encoder, gone), fs::canonical(directory, gone)) &&
          (model.eyes.empty() || rank(encoder) < rank(model.eyes)))
        model.eyes = encoder;
    }
  }
}

Status Catalog::link(const std::string& address, bool rows, std::size_t layers) {
  if (models_.size() != 1 || models_.front().program || models_.front().transcribes ||
      models_.front().speaks)
    return invalid("--link is for one GGUF file; {} are served", models_.size());
  if (!adapters_.empty())
    return invalid("--link: a model on two machines takes no adapters, and '{}' lies beside it",
                   adapters_.front().name);
  if (rows && layers != 0)
    return invalid(
        "--link-layers {} is for --link-split layers: by rows, all layers are on both machines",
        layers);
  models_.front().link = address;
  models_.front().link_rows = rows;
  models_.front().link_layers = layers;
  return {};
}

Status Catalog::add(CatalogModel model) {
  model.transcribes = !model.program && is_whisper(model.file);
  model.speaks = !model.program && is_talker(model.file);
  if (!model.voices.empty() && !model.speaks)
    return invalid("the model '{}' has voices, and is none that speaks: {}", model.name,
                   model.file.string());
  if (!model.program && is_adapter(model.file)) {
    adapters_.push_back({model.name, model.file});
    return {};
  }
  if (named(model.name) != nullptr) {
    const auto what = [](const CatalogModel& one) {
      return one.program ? "the program " + one.program->command.front() : one.file.string();
    };
    return invalid("the model '{}' is there twice: {} and {}", model.name, what(*named(model.name)),
                   what(model));
  }
  if (models_.size() == kMaxModels) return invalid("there are more than {} models", kMaxModels);
  models_.insert(std::ranges::upper_bound(models_, model.name, {}, &CatalogModel::name),
                 std::move(model));
  return {};
}

void Catalog::add_alias(std::string_view name, const std::string& alias) {
  if (CatalogModel* model = named(name); model != nullptr && find(alias) == nullptr)
    model->aliases.push_back(alias);
}

Status Catalog::add_directory(const fs::path& directory) {
  std::error_code error;
  const fs::path root = fs::canonical(directory, error);
  if (error) return fail(ErrorKind::kUnavailable, "{}: {}", directory.string(), error.message());
  for (auto entry = fs::directory_iterator(root, error); entry != fs::directory_iterator();
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.extension() != ".gguf" && !(path.extension() == ".bin" && is_whisper(path))) continue;
    const auto name = model_name(path.stem().string());
    if (!name || is_encoder_name(*name)) continue;
    std::error_code gone;
    const fs::path target = fs::canonical(path, gone);
    if (gone || !fs::is_regular_file(target, gone)) {
      notes_.push_back(fmt::format("{}: is no regular file; left out", path.string()));
    } else if (!is_below(target, root)) {
      notes_.push_back(fmt::format(
          "{}: is a link out of the directory; left out (name the file in {} to have it)",
          path.string(), kSettings));
    } else {
      LATHE_TRY_STATUS(add({.name = *name, .file = path}));
    }
  }
  if (error) return fail(ErrorKind::kUnavailable, "{}: {}", directory.string(), error.message());
  return {};
}

Status Catalog::add_settings(const fs::path& directory) {
  const fs::path path = directory / kSettings;
  const auto text = read_file(path, 1 << 20);
  if (!text && text.error().kind == ErrorKind::kNotFound) return {};
  if (!text) return std::unexpected(text.error());
  const std::string file = path.string();
  LATHE_TRY(const toml::table table, parse_toml(*text, file));
  for (const auto& [key, node] : table) {
    if (key.str() == "model" && node.is_table()) continue;
    if (key.str() == "default" && node.is_string()) continue;
    return invalid("{}: '{}' is not known here; there are default = \"NAME\" and [model.NAME]",
                   toml_place(file, key.source()), key.str());
  }
  fallback_ = table["default"].value_or(std::string());
  if (const toml::table* models = table["model"].as_table()) {
    for (const auto& [name, node] : *models) {
      const toml::table* entry = node.as_table();
      if (entry == nullptr)
        return invalid("{}: model.{} must be a table", toml_place(file, name.source()), name.str());
      LATHE_TRY(CatalogModel model, read_entry(directory, file, name, *entry));
      if (model.program)
        notes_.push_back(fmt::format("{}: '{}' is the program {}", file, model.name,
                                     join(model.program->command, " ")));
      // The entry stands for the file that the directory already listed.
      std::erase_if(models_, [&](const CatalogModel& other) {
        std::error_code error;
        return other.name == model.name ||
               (!model.program && fs::equivalent(other.file, model.file, error));
      });
      LATHE_TRY_STATUS(add(std::move(model)));
    }
  }
  if (!fallback_.empty() && named(fallback_) == nullptr)
    return invalid("{}: default names '{}', and there is no such model", file, fallback_);
  if (const CatalogModel* model = fallback(); model != nullptr && model->speaks)
    return invalid("{}: default names '{}', which speaks texts and answers none", file, fallback_);
  return {};
}

CatalogModel* Catalog::named(std::string_view name) {
  const auto found = std::ranges::find(models_, name, &CatalogModel::name);
  return found == models_.end() ? nullptr : &*found;
}

const CatalogModel* Catalog::find(std::string_view asked) const {
  const auto found = std::ranges::find(models_, asked, &CatalogModel::name);
  if (found != models_.end()) return &*found;
  for (const CatalogModel& model : models_) {
    for (const std::string& alias : model.aliases) {
      const bool glob = alias.ends_with('*');
      if (glob ? asked.starts_with(std::string_view(alias).substr(0, alias.size() - 1))
               : asked == alias)
        return &model;
    }
  }
  // Ollama's clients put a tag behind the name.
  if (asked.ends_with(":latest")) return find(asked.substr(0, asked.size() - 7));
  return nullptr;
}

NamedModel Catalog::find_adapted(std::string_view asked) const {
  if (const CatalogModel* model = find(asked)) return {.model = model};
  const std::size_t plus = asked.rfind('+');
  if (plus == asked.npos) return {};
  const CatalogModel* model = find(asked.substr(0, plus));
  const auto adapter = std::ranges::find(adapters_, asked.substr(plus + 1), &CatalogAdapter::name);
  if (model == nullptr || model->program || adapter == adapters_.end()) return {};
  return {model, &*adapter};
}

const CatalogModel* Catalog::only_text_model() const {
  const CatalogModel* only = nullptr;
  for (const CatalogModel& model : models_) {
    if (model.transcribes || model.speaks) continue;
    if (only != nullptr) return nullptr;
    only = &model;
  }
  return only;
}

const CatalogModel* Catalog::fallback() const {
  const auto found = std::ranges::find(models_, fallback_, &CatalogModel::name);
  return found == models_.end() ? nullptr : &*found;
}

}  // namespace lathe::serve
