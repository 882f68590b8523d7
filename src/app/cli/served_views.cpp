// GET /pool, /recipes, /bench, /bench/{name}, /doctor, /catalog; POST /fit; and the table of all
// views
#include "app/cli/served_views.h"

#include <mutex>

#include "app/bench/record.h"
#include "app/cli/served_chats.h"
#include "app/cli/served_consents.h"
#include "app/cli/served_plans.h"
#include "app/cli/served_price.h"
#include "app/cli/shown.h"
#include "ground/base/text.h"
#include "ground/sys/energy.h"
#include "serve/runs/answers.h"
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::app {
namespace {

using serve::ApiError;
using serve::Call;
using serve::Handled;

constexpr std::size_t kMostModels = 64, kMostRecords = 500;
constexpr std::uint64_t kMostRecordBytes = std::uint64_t{32} << 20;

std::unexpected<ApiError> owners_only(std::string_view what) {
  return std::unexpected(
      ApiError{403, fmt::format("{} for whoever runs the server: with the owner's key", what)});
}

// Watts are joules between two looks.
class PowerMeter {
 public:
  Json now() {
    constexpr Milliseconds kShortest{500};
    const std::lock_guard lock(mutex_);
    const auto joules = meter_.joules();
    const Milliseconds time = system_clock().monotonic();
    if (joules && last_ && time - time_ >= kShortest)
      watts_ = (*joules - *last_) * 1000.0 / static_cast<double>((time - time_).count());
    if (!last_ || time - time_ >= kShortest) {
      last_ = joules;
      time_ = time;
    }
    return {{"watts", joules && watts_ ? Json(*watts_) : Json()},
            {"why", joules ? (watts_ ? "" : "known with the next look") : meter_.description()},
            {"scope", scope_name(meter_.scope())}};
  }

 private:
  std::mutex mutex_;
  EnergyMeter meter_;
  std::optional<double> last_, watts_;
  Milliseconds time_{0};
};

Handled pool(ModelHost& host, serve::RunDesk& desk, const std::shared_ptr<PowerMeter>& power,
             Call& call) {
  Json body = serve::status_json(host, call);
  body["energy"] = power->now();
  return desk.ask(serve::run_call(call),
                  [body = std::move(body)](serve::RunDesk& at, serve::RunCall& asked) -> Handled {
                    Json all = body;
                    LATHE_TRY(all["loops"], serve::open_runs(at, asked));
                    return serve::json_reply(all);
                  });
}

// A served model's name as its file: "coder:8192:2" as "/models/coder.gguf:8192:2".
std::string with_file(const std::map<std::string, fs::path>& files, const std::string& text) {
  std::string longest;
  for (const auto& [name, file] : files)
    if (name.size() > longest.size() && (text == name || text.starts_with(name + ":")))
      longest = name;
  if (longest.empty()) return text;
  return files.at(longest).string() + text.substr(longest.size());
}

Handled fit(const App& app, const ServedModels& served, Call& call) {
  if (!call.owner) return owners_only("sizes of models' files are");
  serve::Fields fields(call.body);
  FitQuestion question;
  question.memory = fields.text("memory").value_or("");
  question.kv = fields.text("kv").value_or("f16");
  const Json& models = fields.array("models");
  LATHE_TRY_STATUS(fields.status());
  const auto files = served.files();
  for (const Json& model : models) {
    if (!model.is_string()) return serve::refuse("'models' must be a list of texts", "models");
    question.models.push_back(with_file(files, model));
  }
  if (question.models.empty() || question.models.size() > kMostModels)
    return serve::refuse(fmt::format("'models' must name 1 to {} models", kMostModels), "models");
  LATHE_TRY(const Json shown, serve::or_api_error(fit_shown(question, app)));
  return serve::json_reply(shown);
}

// The recipe that somebody who has no models yet can run, and see every part of a loop at work.
Json demo_of(const std::string& name) {
  if (name != "voice-over") return nullptr;
  return {{"recipe", name},
          {"input_text",
           "Welcome to the workshop.\nThe lathe turns until the piece is right.\n"
           "Every take is heard before it is kept.\n"},
          {"workers", Json::object()}};
}

Handled recipes(const App& app) {
  LATHE_TRY(Json rows, serve::or_api_error(recipes_shown(app)));
  for (Json& row : rows) {
    row["summary"] = json_string(row, "description");
    row["demo"] = row.contains("error") ? Json() : demo_of(row["name"]);
  }
  return serve::json_reply(rows);
}

// A record's name is its file's, without ".json".
fs::path record_path(const App& app, const std::string& name) {
  return app.config_dir / "bench" / (name + ".json");
}

Json record_row(const App& app, const std::string& name) {
  Json row = {
      {"name", name}, {"created_ms", nullptr}, {"target", ""}, {"model", ""}, {"problem", ""}};
  const auto text = read_file(record_path(app, name), kMostRecordBytes);
  const auto record = text ? parse_record(*text) : std::unexpected(text.error());
  if (!record) {
    row["problem"] = record.error().message;
    return row;
  }
  if (const auto started = parse_utc(json_string(*record, "started"))) row["created_ms"] = *started;
  std::vector<std::string> models, targets;
  for (const Json& model : json_at(*record, "models")) {
    models.push_back(fs::path(json_string(model, "model")).filename().string());
    for (const Json& turn : json_at(model, "turns")) {
      const std::string target = json_string(turn, "target");
      if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
    }
  }
  row["model"] = join(models, ", ");
  row["target"] = join(targets, ", ");
  return row;
}

Handled bench_list(const App& app, const Call& call) {
  if (!call.owner) return owners_only("benchmarks are");
  std::error_code error;
  const fs::path directory = app.config_dir / "bench";
  Json records = Json::array();
  if (fs::is_directory(directory, error)) {
    LATHE_TRY(const auto files, serve::or_api_error(list_files(directory, 10 * kMostRecords)));
    for (const std::string& file : files) {
      if (!file.ends_with(".json") || file.find('/') != file.npos) continue;
      records.push_back(record_row(app, file.substr(0, file.size() - 5)));
      if (records.size() == kMostRecords) break;
    }
  }
  return serve::json_reply({{"directory", directory.string()}, {"records", std::move(records)}});
}

Handled bench_record(const App& app, const Call& call) {
  if (!call.owner) return owners_only("benchmarks are");
  const std::string& name = call.names.front();
  std::error_code error;
  if (!is_safe_relative(name) || name.find('/') != name.npos ||
      !fs::is_regular_file(record_path(app, name), error))
    return std::unexpected(
        ApiError{404,
                 fmt::format("there is no benchmark '{}'", clip_utf8(make_valid_utf8(name), 80)),
                 {},
                 "not_found"});
  LATHE_TRY(const std::string text,
            serve::or_api_error(read_file(record_path(app, name), kMostRecordBytes)));
  LATHE_TRY(const Json record, serve::or_api_error(parse_record(text)));
  return serve::json_reply(record);
}

Handled doctor(const App& app, const Call& call) {
  if (!call.owner) return owners_only("the machine is looked at");
  return serve::json_reply({{"findings", doctor_shown(app)}});
}

// Files that are served and lie in none of the places where models are looked for.
Json served_elsewhere(const std::map<std::string, fs::path>& files, const Json& models) {
  Json served = Json::array();
  for (const auto& [name, file] : files) {
    std::error_code error;
    const auto same = [&](const Json& model) {
      return fs::equivalent(json_string(model, "file"), file, error);
    };
    if (std::ranges::any_of(models, same)) continue;
    const std::uintmax_t bytes = fs::file_size(file, error);
    served.push_back({{"name", name},
                      {"file", file.string()},
                      {"bytes", error ? 0 : bytes},
                      {"from", "this server"},
                      {"source", nullptr},
                      {"whole", true}});
  }
  return served;
}

Handled catalog(const App& app, const ServedModels& served, const Call& call) {
  if (!call.owner) return owners_only("files of models are");
  Json shown = models_shown(app);
  shown["served"] = served_elsewhere(served.files(), shown["models"]);
  shown["pull"] = served.pulls;
  return serve::json_reply(shown);
}

}  // namespace

std::span<const ViewEndpoint> view_endpoints() {
  static constexpr ViewEndpoint kEndpoints[] = {
      {"GET", "/pool", "`/status`, the watts now, and the runs that are worked on or wait"},
      {"GET", "/recipes", "the recipes that come with lathe, with what may be `set`"},
      {"POST", "/fit", "`lathe fit --json`: `models` (those of the catalog), `memory`, `kv`"},
      {"POST", "/price",
       "what an answer is priced at, and by whom: `model`, and `usage` as the answer had it"},
      {"GET", "/bench", "the records of `lathe bench --out` in `bench` of the configuration"},
      {"GET", "/bench/{name}", "one of them"},
      {"GET", "/doctor", "`lathe doctor --json`"},
      {"GET", "/catalog",
       "`lathe models --json`; `served`: the server's own beside those; `pull`: whether "
       "models may be fetched"},
      {"POST", "/catalog/pull",
       "fetches `name`, written as for `lathe pull`; a stream of events. Only with `--allow-pull`"},
      {"GET", "/chats",
       "the key's own talks of the page, what was written last first; `search`: words that each "
       "begin a word of it; `from`, `limit` (at most 200). To the owner also `others`: how many "
       "each other key has"},
      {"POST", "/chats",
       "keeps one: `turns` (each with `role`, `text`, and what else is shown of it), `settings`, "
       "`title`, `model`; its `id`"},
      {"GET", "/chats/{id}", "one of them"},
      {"POST", "/chats/{id}",
       "the same, instead of what stood there; `seen`: the revision that was looked at; 409 where "
       "it was gone on with since"},
      {"DELETE", "/chats/{id}", "forgets it: no byte of it is left"},
      {"GET", "/consents", "`lathe consent list`, the newest first; `open`: how many wait. Owner"},
      {"GET", "/consents/{id}", "one of them with the exact `text` that would leave. Owner"},
      {"POST", "/consents/{id}",
       "`decision`: `allow` or `deny`; `secret_ok`: the kinds of secrets that may go. Owner"},
      {"GET", "/plans",
       "`lathe fleet show` of the newest 20 plans: each task and the merge. Owner"},
      {"GET", "/nodes",
       "`lathe fleet nodes`: `fleet` (its database, null where there is none), `own` (whether this "
       "machine may ask). Owner"},
  };
  return kEndpoints;
}

serve::RouteTable view_routes(const App& app, ModelHost& host, serve::RunDesk& desk,
                              ServedModels models) {
  const auto served = std::make_shared<const ServedModels>(std::move(models));
  const auto power = std::make_shared<PowerMeter>();
  serve::RouteTable table;
  const auto add = [&](std::string_view method, std::string_view path, serve::Handler handler) {
    table.rows.push_back({method, path, std::move(handler), method != "GET"});
  };
  add("GET", "/pool", [&host, &desk, power](Call& call) { return pool(host, desk, power, call); });
  add("GET", "/recipes", [&app](Call&) { return recipes(app); });
  add("POST", "/fit", [&app, served](Call& call) { return fit(app, *served, call); });
  add("POST", "/price", [&app, served](Call& call) {
    return served_price(app, served->prices, served->reach(json_string(call.body, "model")), call);
  });
  add("GET", "/bench", [&app](Call& call) { return bench_list(app, call); });
  add("GET", "/bench/{name}", [&app](Call& call) { return bench_record(app, call); });
  add("GET", "/doctor", [&app](Call& call) { return doctor(app, call); });
  add("GET", "/catalog", [&app, served](Call& call) { return catalog(app, *served, call); });
  // With leave to fetch, the route of serve/server/pull.h stands before this one.
  add("POST", "/catalog/pull", [](Call&) -> Handled {
    return std::unexpected(ApiError{
        403,
        "this server fetches no models: start it with `lathe serve --allow-pull`, or use `lathe "
        "pull`"});
  });
  const auto chats = std::make_shared<ServedChats>(app);
  const auto add_chats = [&](std::string_view method, std::string_view path,
                             serve::Handled (ServedChats::*answer)(const serve::RunCall&)) {
    add(method, path, [&desk, chats, answer](Call& call) {
      return desk.ask(serve::run_call(call),
                      [chats, answer](serve::RunDesk&, serve::RunCall& asked) {
                        return (*chats.*answer)(asked);
                      });
    });
  };
  add_chats("GET", "/chats", &ServedChats::list);
  add_chats("POST", "/chats", &ServedChats::add);
  add_chats("GET", "/chats/{id}", &ServedChats::show);
  add_chats("POST", "/chats/{id}", &ServedChats::change);
  add_chats("DELETE", "/chats/{id}", &ServedChats::forget);
  add("GET", "/consents", [&app](Call& call) { return list_of_consents(app, call); });
  add("GET", "/consents/{id}", [&app](Call& call) { return consent_text(app, call); });
  add("POST", "/consents/{id}", [&app](Call& call) { return decide_consent(app, call); });
  add("GET", "/plans", [&app](Call& call) { return list_of_plans(app, call); });
  add("GET", "/nodes", [&app](Call& call) { return list_of_nodes(app, call); });
  return table;
}

}  // namespace lathe::app
