// Workers by name: of the command line, workers.toml and the running server.
#include "app/cli/workers.h"

#include <cstdio>

#include "app/cli/foreign_key.h"
#include "app/cli/pool_flags.h"
#include "app/cli/running_server.h"
#include "ground/base/option.h"
#include "ground/base/text.h"
#include "ground/base/toml.h"
#include "loop/script/scripted_worker.h"
#include "serve/net/http_worker.h"
#include "serve/pool/local_worker.h"
#include "serve/programs/read_program.h"

namespace lathe::app {
namespace {

struct WorkerSpec {
  std::string name = {}, url = {}, model = {}, script = {}, key_env = {}, file = {};
  std::string key_file = {}, api = {}, tier = {};
  std::int64_t context = 0;
  fs::path place = {};  // the directory of the file that names it
  std::optional<serve::CatalogModel> program = {};
};

// A model's file, or one of Whisper's.
bool is_model_file(const std::string& where) {
  return (where.ends_with(".gguf") || where.ends_with(".bin")) && where.find("://") == where.npos;
}

// The files of "FILE.gguf" or "FILE.gguf+ADAPTER.gguf", and the name that the catalog has for them.
std::vector<fs::path> files_of(const std::string& where) {
  const auto plus = where.find(".gguf+");
  if (plus == where.npos) return {where};
  return {where.substr(0, plus + 5), where.substr(plus + 6)};
}

std::string model_name(const std::vector<fs::path>& files) {
  std::string name = files.front().stem().string();
  return files.size() == 1 ? name : name + "+" + files.back().stem().string();
}

// "coder=http://…#model" or "coder=script:FILE"
Result<WorkerSpec> parse_spec(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0 || equals + 1 == text.size())
    return invalid(
        "--worker {}: write it as NAME=URL, NAME=URL#MODEL, NAME=FILE.gguf, "
        "NAME=FILE.gguf+ADAPTER.gguf or NAME=script:FILE",
        clip_utf8(text, 100));
  WorkerSpec spec;
  spec.name = text.substr(0, equals);
  const std::string where = text.substr(equals + 1);
  if (where.starts_with("script:")) {
    spec.script = where.substr(7);
  } else if (is_model_file(where)) {
    spec.file = where;
  } else {
    const auto hash = where.find('#');
    spec.url = where.substr(0, hash);
    if (hash != where.npos) spec.model = where.substr(hash + 1);
  }
  return spec;
}

// [worker.NAME] with a command: a model of this process's pool that a program serves.
Result<WorkerSpec> program_entry(const std::string& name, const toml::table& entry,
                                 const fs::path& file) {
  std::vector<std::string> known{"keep_alive"};
  known.insert(known.end(), serve::program_keys().begin(), serve::program_keys().end());
  for (const auto& [key, member] : entry)
    if (std::ranges::find(known, key.str()) == known.end())
      return invalid("{}: '{}' is not known of a worker that is a program{}",
                     toml_place(file.string(), key.source()), key.str(),
                     did_you_mean(key.str(), known));
  serve::CatalogModel model{.name = name};
  LATHE_TRY(model.program, serve::read_program(entry, file));
  LATHE_TRY(model.keep_alive, serve::read_keep_alive(entry, file));
  const Status there = serve::check_program(*model.program);
  if (!there)
    return at(toml_place(file.string(), entry.source()) + ": worker." + name, there.error());
  return WorkerSpec{.name = name, .program = std::move(model)};
}

// What is said of a worker behind a URL.
Status check_server_entry(const WorkerSpec& spec, const std::string& place) {
  if (spec.url.empty() && (spec.context > 0 || !(spec.api + spec.tier + spec.key_file).empty()))
    return invalid("{}: worker.{}: api, tier, key_file and context are of a worker behind a url",
                   place, spec.name);
  if (!spec.api.empty() && !serve::find_api_dialect(spec.api)) {
    std::vector<std::string> names;
    for (const serve::ApiDialect* each : serve::api_dialects()) names.emplace_back(each->name);
    return invalid("{}: worker.{}: there is no api '{}'; there are {}", place, spec.name,
                   clip_utf8(spec.api, 40), join(names, ", "));
  }
  if (!spec.tier.empty() && spec.tier != "cloud")
    return invalid("{}: worker.{}: the tier of a worker can be \"cloud\", not '{}'", place,
                   spec.name, clip_utf8(spec.tier, 40));
  if (!spec.key_env.empty() && !spec.key_file.empty())
    return invalid("{}: worker.{} has key_env and key_file: one of them", place, spec.name);
  return {};
}

// CONFIG/workers.toml; it may be missing.
Result<std::vector<WorkerSpec>> read_config(const fs::path& file) {
  std::vector<WorkerSpec> specs;
  auto text = read_file(file, 1 << 20);
  if (!text && text.error().kind == ErrorKind::kNotFound) return specs;
  if (!text) return std::unexpected(text.error());
  LATHE_TRY(const toml::table table, parse_toml(*text, file.string()));
  const auto* workers = table["worker"].as_table();
  for (const auto& [key, value] : table)
    if (key.str() != "worker")
      return invalid("{}: '{}' is not known here; a worker is a table [worker.NAME]",
                     toml_place(file.string(), key.source()), key.str());
  if (!workers) return specs;
  for (const auto& [name, node] : *workers) {
    const std::string place = toml_place(file.string(), name.source());
    const auto* entry = node.as_table();
    if (!entry) return invalid("{}: worker.{} must be a table", place, name.str());
    if (entry->contains("command")) {
      LATHE_TRY(specs.emplace_back(), program_entry(std::string(name.str()), *entry, file));
      continue;
    }
    WorkerSpec spec;
    spec.name = std::string(name.str());
    spec.place = file.parent_path();
    const std::vector<std::string> known{"url",      "model", "script", "key_env", "file",
                                         "key_file", "api",   "tier",   "context"};
    for (const auto& [key, member] : *entry) {
      const auto string = member.value_exact<std::string>();
      if (std::ranges::find(known, key.str()) == known.end())
        return invalid("{}: '{}' is not known here{}", toml_place(file.string(), key.source()),
                       key.str(), did_you_mean(key.str(), known));
      if (key.str() == "context") {
        spec.context = member.value_exact<std::int64_t>().value_or(0);
        if (spec.context < 1)
          return invalid("{}: 'context' is a number of tokens",
                         toml_place(file.string(), key.source()));
        continue;
      }
      if (!string)
        return invalid("{}: '{}' must be a string", toml_place(file.string(), key.source()),
                       key.str());
      (key.str() == "url"        ? spec.url
       : key.str() == "model"    ? spec.model
       : key.str() == "script"   ? spec.script
       : key.str() == "file"     ? spec.file
       : key.str() == "key_file" ? spec.key_file
       : key.str() == "api"      ? spec.api
       : key.str() == "tier"     ? spec.tier
                                 : spec.key_env) = *string;
    }
    LATHE_TRY_STATUS(check_server_entry(spec, place));
    if (spec.url.empty() + spec.script.empty() + spec.file.empty() != 2)
      return invalid("{}: worker.{} needs one of url, file, script and command", place, spec.name);
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<std::unique_ptr<Worker>> make_worker(const App& app, const WorkerSpec& spec,
                                            const WorkerFlags& flags, Reach allowed,
                                            const serve::ConsentGate& consent) {
  if (!spec.script.empty()) {
    LATHE_TRY(auto scripted, loop::ScriptedWorker::load(spec.name, spec.script));
    return std::unique_ptr<Worker>(std::move(scripted));
  }
  serve::HttpWorkerConfig config;
  config.name = spec.name;
  config.base_url = spec.url;
  config.model = spec.model;
  config.context = spec.context;
  config.allowed = allowed;
  config.background = flags.background;
  config.contacts = app.contacts.get();
  config.allowed_by = fmt::format("worker {}, --allow {}", spec.name, flags.allow);
  config.holds_beyond = true;
  auto key = foreign_key(spec.key_env, spec.key_file.empty() ? "" : spec.place / spec.key_file);
  if (!key) return at("worker " + spec.name, std::move(key).error());
  config.api_key = *std::move(key);
  config.api = serve::find_api_dialect(spec.api);  // without one OpenAI's
  config.cloud = spec.tier == "cloud";
  config.consent = consent;
  if (flags.show_outgoing)
    config.on_outgoing = [name = spec.name, url = spec.url](std::string_view text) {
      std::fprintf(stderr, "--- to %s (%s)\n%.*s\n---\n", name.c_str(), url.c_str(),
                   static_cast<int>(text.size()), text.data());
    };
  LATHE_TRY(auto worker, serve::HttpWorker::make(std::move(config)));
  return std::unique_ptr<Worker>(std::move(worker));
}

}  // namespace

void add_worker_flags(CLI::App& command, WorkerFlags& flags) {
  command
      .add_option("--worker", flags.specs,
                  "NAME=URL, NAME=URL#MODEL, NAME=FILE.gguf, NAME=FILE.gguf+ADAPTER.gguf or "
                  "NAME=script:FILE; may be given again")
      ->take_all();
  command
      .add_option("--allow", flags.allow,
                  "How far prompts may travel, if the recipe's privacy allows it too")
      ->check(CLI::IsMember({"local", "lan", "any"}))
      ->capture_default_str();
  command
      .add_option("--consent-wait", flags.consent_wait,
                  "How long a call to a cloud waits for your consent; 0s: not at all")
      ->capture_default_str();
  command.add_flag("--show-outgoing", flags.show_outgoing,
                   "Print the exact text that is sent to a worker");
}

Result<WorkerTable> WorkerTable::make(const App& app, const WorkerFlags& flags, Reach privacy,
                                      std::function<void(const std::function<void()>& work)> alone,
                                      loop::CallNotes* notes) {
  const Reach allowed = std::min(privacy, parse_reach(flags.allow).value_or(Reach::kLocal));
  LATHE_TRY(serve::ConsentGate consent,
            consent_gate_of(app, flags.consent_wait, std::move(alone), notes));
  LATHE_TRY(std::vector<WorkerSpec> specs, read_config(app.config_dir / "workers.toml"));
  for (const std::string& text : flags.specs) {
    LATHE_TRY(WorkerSpec spec, parse_spec(text));
    std::erase_if(specs, [&](const WorkerSpec& other) { return other.name == spec.name; });
    specs.push_back(std::move(spec));
  }
  // The running server's models answer for names that nobody gives.
  if (const auto base = running_server(app)) {
    if (const auto names = server_models(app, {.base = *base})) {
      for (const std::string& name : *names) {
        if (std::ranges::find(specs, name, &WorkerSpec::name) != specs.end()) continue;
        specs.push_back({.name = name,
                         .url = *base + "/v1",
                         .model = name,
                         .key_env = server_key().empty() ? "" : "LATHE_API_KEY"});
      }
    }
  }
  WorkerTable table;
  std::vector<fs::path> files;
  for (const WorkerSpec& spec : specs) {
    if (spec.file.empty()) continue;
    for (const fs::path& file : files_of(spec.file))
      if (std::ranges::find(files, file) == files.end()) files.push_back(file);
  }
  const bool programs =
      std::ranges::any_of(specs, [](const WorkerSpec& spec) { return spec.program.has_value(); });
  if (!files.empty() || programs) {
    LATHE_TRY(serve::PoolOptions options, local_pool_options(app));
    LATHE_TRY(serve::Catalog catalog, serve::Catalog::read(files));
    for (const WorkerSpec& spec : specs)
      if (spec.program) LATHE_TRY_STATUS(catalog.add(*spec.program));
    table.pool_ = std::make_unique<serve::Pool>(std::move(catalog), std::move(options));
  }
  for (const WorkerSpec& spec : specs) {
    if (spec.file.empty() && !spec.program) {
      LATHE_TRY(table.workers_[spec.name], make_worker(app, spec, flags, allowed, consent));
    } else {
      const std::string asked = spec.program ? spec.name : model_name(files_of(spec.file));
      LATHE_TRY(const std::string model, table.pool_->find(asked));
      table.models_[spec.name] = model;
      table.workers_[spec.name] =
          std::make_unique<serve::LocalWorker>(*table.pool_, model, spec.name);
    }
  }
  return table;
}

std::vector<std::string> WorkerTable::names() const {
  std::vector<std::string> names;
  for (const auto& [name, worker] : workers_) names.push_back(name);
  return names;
}

std::map<std::string, serve::Pool::Room> WorkerTable::rooms() const {
  std::map<std::string, serve::Pool::Room> rooms;
  for (const auto& [name, model] : models_) rooms[name] = pool_->room_of(model);
  return rooms;
}

Worker* WorkerTable::find(const std::string& name) const {
  const auto found = workers_.find(name);
  return found == workers_.end() ? nullptr : found->second.get();
}

}  // namespace lathe::app
