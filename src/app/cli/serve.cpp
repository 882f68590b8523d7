// lathe serve [MODELS…]: a family of models behind OpenAI's, Anthropic's and Ollama's APIs, in one
// memory budget. lathe ps: what a running server holds.
#include <cstdlib>
#include <limits>
#include <thread>

#include "app/cli/consent_gate.h"
#include "app/cli/desktop.h"
#include "app/cli/devices.h"
#include "app/cli/document_reader.h"
#include "app/cli/drive.h"
#include "app/cli/fits_here.h"
#include "app/cli/foreign_key.h"
#include "app/cli/journals.h"
#include "app/cli/key_file.h"
#include "app/cli/link_contact.h"
#include "app/cli/model_library.h"
#include "app/cli/money.h"
#include "app/cli/node_here.h"
#include "app/cli/pool_flags.h"
#include "app/cli/pull_places.h"
#include "app/cli/running_server.h"
#include "app/cli/served_pictures.h"
#include "app/cli/served_views.h"
#include "app/cli/workshop.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "serve/account/account_host.h"
#include "serve/account/usage_routes.h"
#include "serve/hosts/host_group.h"
#include "serve/hosts/remote_host.h"
#include "serve/hub/pull.h"
#include "serve/mcp/http.h"
#include "serve/net/endpoint.h"
#include "serve/pool/local_worker.h"
#include "serve/reading/reading_host.h"
#include "serve/runs/run_routes.h"
#include "serve/server/api_routes.h"
#include "serve/server/pull.h"
#include "serve/server/server.h"
#include "serve/speech/speech_routes.h"
#include "serve/web/web_routes.h"

namespace lathe::app {
namespace {

constexpr int kVoices = 2;  // that speak at once

struct ServeFlags {
  std::vector<std::string> models;
  std::vector<std::string> listen, hosts, origins, remotes;
  std::string allow = "local";  // how far what is asked of the remotes may travel
  int port = 8080, threads = 0, sequences = 32, max_tokens = 8192;
  std::string device = "cpu";  // beside the processor
  std::string memory, snapshots, api_key_env, remote_key_env, mcp;
  std::string languages = kLanguages;  // of scanned pages in documents
  std::size_t queue = 256;
  bool no_speculation = false, allow_pull = false, no_web = false;
  bool open = false;  // the page, as soon as it is served
  PullPlaces pull;
  std::string grace = "30s";
  bool node = false;  // of the fleet
  int slots = 1;
  int busy_at = 60;  // percent; 0: not looked at
  bool on_battery = false;
  std::string link;  // HOST:PORT of who has the rest of the model
  std::string link_split = "layers";
  std::size_t link_layers = 0;
};

Result<serve::PoolOptions> pool_options(const App& app, const ServeFlags& flags) {
  serve::PoolOptions options;
  LATHE_TRY(options.memory, memory_for_models(flags.memory));
  LATHE_TRY(options.threads, choose_threads(flags.threads));
  if (flags.sequences < 1 || flags.sequences > 1024)
    return invalid("--sequences is {}; it must lie in [1, 1024]", flags.sequences);
  if (flags.max_tokens < 1)
    return invalid("--max-tokens is {}; it must be at least 1", flags.max_tokens);
  options.sequences = static_cast<std::size_t>(flags.sequences);
  options.max_tokens = flags.max_tokens;
  options.queue = flags.queue;
  options.speculate = !flags.no_speculation;
  options.programs = program_places(app);
  options.program = app.program;
  options.on_link = [&app](const std::string& address) {
    return record_link(app, serve::ContactKind::kOut, address);
  };
  LATHE_TRY(auto accelerator, choose_device(app, flags.device, infer::best_kernel_table()));
  if (accelerator != nullptr)
    options.multiplier = [accelerator] { return accelerator->multiplier(); };
  options.snapshots = flags.snapshots;
  if (!flags.snapshots.empty()) LATHE_TRY_STATUS(make_directories(flags.snapshots));
  options.log = [json = app.json](const std::string& line) {
    if (json) {
      print_json({{"event", "log"}, {"message", line}});
    } else {
      print_note(line);
    }
  };
  return options;
}

Result<std::string> key_in(std::string_view flag, const std::string& variable) {
  auto key = foreign_key(variable, {});
  return key ? key : at(flag, key.error());
}

Result<serve::ServerConfig> server_config(const App& app, const ServeFlags& flags) {
  serve::ServerConfig config;
  LATHE_TRY(config.keys, serve::KeyFile::open(keys_path(app), print_note));
  if (!flags.listen.empty()) config.addresses = flags.listen;
  if (flags.port < 0 || flags.port > 65535)
    return invalid("--port is {}; it must lie in [0, 65535]", flags.port);
  config.port = static_cast<std::uint16_t>(flags.port);
  config.hosts = flags.hosts;
  config.origins = flags.origins;
  if (!flags.api_key_env.empty()) {
    LATHE_TRY(std::string key, key_in("--api-key-env", flags.api_key_env));
    config.api_keys = {std::move(key)};
  }
  return config;
}

using Remotes = std::vector<std::unique_ptr<serve::RemoteHost>>;

// NAME=URL, each looked at once.
Result<Remotes> open_remotes(const App& app, const ServeFlags& flags) {
  Remotes remotes;
  for (const std::string& text : flags.remotes) {
    const auto equals = text.find('=');
    if (equals == text.npos || equals == 0 || equals + 1 == text.size())
      return invalid("--remote {}: write it as NAME=URL", clip_utf8(text, 100));
    serve::RemoteHostConfig config;
    config.name = text.substr(0, equals);
    config.url = text.substr(equals + 1);
    if (!flags.remote_key_env.empty()) {
      LATHE_TRY(config.api_key, key_in("--remote-key-env", flags.remote_key_env));
    }
    config.allowed = parse_reach(flags.allow).value_or(Reach::kLocal);
    config.contacts = app.contacts.get();
    config.allowed_by = fmt::format("--remote {}, --allow {}", config.name, flags.allow);
    config.log = [](const std::string& line) { print_note("note: " + line); };
    // A client is told at once that a person's consent is wanted, and asks again.
    LATHE_TRY(config.consent, consent_gate_of(app, "0s"));
    // Each look at another machine is a contact that is written down.
    config.look_again = Milliseconds(15'000);
    LATHE_TRY(auto remote, serve::RemoteHost::open(std::move(config)));
    remotes.push_back(std::move(remote));
  }
  return remotes;
}

// Where a server's calls are written down: what is answered must be accounted for.
Result<std::unique_ptr<serve::Bookkeeper>> open_books(const App& app,
                                                      std::span<const books::PriceTable> prices) {
  auto journal = open_ledger(app);
  books::LedgerChange tables;
  for (const books::PriceTable& table : prices) tables.tables.push_back(table.text);
  const Status written = journal ? journal->book(tables) : std::unexpected(journal.error());
  if (!written)
    return at(
        "a server writes down what it answers, and its ledger cannot be written; mend what is "
        "said here, or give another directory with --journal",
        written.error());
  return serve::Bookkeeper::start(*std::move(journal));
}

// What each key used today, before this server was started, counts too.
Status seed_quotas(const App& app, serve::QuotaMeter& quotas) {
  LATHE_TRY(const books::Journal journal, open_ledger(app));
  const std::int64_t day = system_clock().unix_ms() / kDayMs;
  return journal.rows({.from_ms = day * kDayMs}, [&](const books::LedgerRow& row) {
    if (row.key.empty() || !row.served()) return;
    const auto& tokens = row.tokens;
    quotas.seed(row.key, day,
                tokens.fresh.value_or(0) + tokens.cached.value_or(0) + tokens.out.value_or(0),
                row.energy.millijoules.value_or(0));
  });
}

// The pool and the remotes, each behind its account.
struct AccountedHosts {
  std::unique_ptr<serve::AccountHost> pool;
  std::vector<std::pair<Reach, std::unique_ptr<serve::AccountHost>>> remotes;
  Reach reach_of_pool;

  AccountedHosts(serve::Pool& own, const Remotes& others, serve::Bookkeeper& books,
                 const std::vector<books::PriceTable>& prices, Reach linked)
      : reach_of_pool(linked) {
    serve::AccountedFamily family{.engine = build_name()};
    family.reach = linked;
    pool = std::make_unique<serve::AccountHost>(own, books, family);
    family.price = [&prices](const std::string& model) -> std::optional<books::Price> {
      const books::Price* price = books::find_price(prices, model);
      return price != nullptr ? std::optional(*price) : std::nullopt;
    };
    for (const auto& remote : others) {
      family.where = remote->url();
      family.reach = remote->reach();
      remotes.emplace_back(family.reach,
                           std::make_unique<serve::AccountHost>(*remote, books, family));
    }
  }

  // Of the one that answers for the model.
  Reach reach_of(const std::string& model) const {
    if (pool->find(model)) return reach_of_pool;
    for (const auto& [far, remote] : remotes)
      if (remote->find(model)) return far;
    return reach_of_pool;
  }

  // The pool and the remotes that are no farther than `reach`.
  serve::HostGroup within(Reach reach) const {
    std::vector<ModelHost*> hosts{pool.get()};
    for (const auto& [far, remote] : remotes)
      if (far <= reach) hosts.push_back(remote.get());
    return serve::HostGroup(hosts);
  }
};

// What a model was pulled as is a name of it; to Ollama's clients without their registry's.
void add_pulled_names(serve::Catalog& catalog, std::span<const serve::LibraryModel> library) {
  constexpr std::string_view kOllama = "ollama:";
  for (const serve::LibraryModel& model : library) {
    const serve::CatalogModel* known = catalog.find(model.name);
    std::error_code error;
    if (model.source.empty() || known == nullptr || !fs::equivalent(known->file, model.file, error))
      continue;
    const std::string name = known->name;
    catalog.add_alias(name, model.source);
    if (model.source.starts_with(kOllama))
      catalog.add_alias(name, model.source.substr(kOllama.size()));
  }
}

Result<serve::Catalog> read_catalog(const App& app, const ServeFlags& flags) {
  const auto library = serve::list_library(library_places(app));
  const fs::path own = app.config_dir / "models";
  // Whoever names no models may have none yet: runs need none, and the page says how to get one.
  const bool may_be_empty = flags.models.empty() || !flags.remotes.empty() || flags.allow_pull;
  std::error_code error;
  std::vector<fs::path> places;
  std::vector<const serve::LibraryModel*> named;
  for (const std::string& text : flags.models) {
    const serve::LibraryModel* model = serve::find_in_library(library, text);
    if (model == nullptr || fs::exists(text, error))
      places.emplace_back(text);
    else
      named.push_back(model);
  }
  if (flags.models.empty() && fs::exists(own, error)) places = {own};
  LATHE_TRY(serve::Catalog catalog, serve::Catalog::read(places));
  for (const serve::LibraryModel* model : named)
    LATHE_TRY_STATUS(catalog.add({.name = model->name, .file = model->file}));
  add_pulled_names(catalog, library);
  for (const std::string& note : catalog.notes()) print_note("note: " + note);
  if (catalog.models().empty() && !may_be_empty)
    return fail(ErrorKind::kNotFound,
                "{}: there is no GGUF file; put models there, name them, or fetch one with `lathe "
                "pull`",
                places.front().string());
  return catalog;
}

// Fetches into the first directory that is served, as `lathe pull` does, and takes the model in.
serve::PullModel puller_of(const App& app, const ServeFlags& flags, serve::Pool& pool,
                           std::uint64_t memory) {
  std::error_code error;
  const auto served = std::ranges::find_if(
      flags.models, [&](const std::string& place) { return fs::is_directory(place, error); });
  const fs::path directory =
      served == flags.models.end() ? app.config_dir / "models" : fs::path(*served);
  return [&app, directory, memory, &pool, places = flags.pull](const std::string& name,
                                                               const serve::OnPullStep& on_step,
                                                               const StopFlag& stop) -> Status {
    LATHE_TRY(const serve::ModelSource source, serve::parse_ollama_name(name));
    serve::PullOptions options{.access = {}, .directory = directory};
    LATHE_TRY(options.access, access_to(app, places, source));
    options.check = [memory](const infer::Gguf& headers) {
      return check_fits_here(headers, memory);
    };
    options.on_progress = [&](const serve::PullProgress& progress) {
      on_step({progress.file.sha256, progress.file.bytes, progress.file_done});
    };
    LATHE_TRY(const serve::Pulled pulled, serve::pull(source, options, stop));
    return pool.add_model(
        {.name = pulled.name, .file = pulled.path, .aliases = {name, source.text()}});
  };
}

// How far what a model reads travels to its last layers.
Result<Reach> reach_of_link(const std::string& link) {
  if (!link.contains(':')) return Reach::kLocal;  // none, or a port of this machine
  LATHE_TRY(const serve::UrlParts parts, serve::parts_of("http://" + link));
  return serve::reach_of_host(parts.host);
}

Status check_link(const ServeFlags& flags) {
  LATHE_TRY(const Reach reach, reach_of_link(flags.link));
  if (reach <= parse_reach(flags.allow).value_or(Reach::kLocal)) return {};
  return fail(ErrorKind::kDenied,
              "--link {}: what the model reads goes to another machine; say --allow lan if it may",
              flags.link);
}

// What must stay on this machine is not asked of a model whose last layers are on another one.
serve::RouteTable refused_here(serve::RouteTable table, const std::string& link) {
  table = serve::reach_only(std::move(table), Reach::kLocal);
  for (serve::Route& route : table.rows) {
    if (route.method != "POST") continue;
    route.handler = [link](serve::Call&) -> serve::Handled {
      return std::unexpected(serve::ApiError{
          403, fmt::format("the model's last layers are at {}, and this request may not leave this "
                           "machine; allow it to (--allow lan), or serve the model without --link",
                           link)});
    };
  }
  return table;
}

// A model that this machine has no room for is no work that it could take.
std::vector<std::string> those_that_fit(const DriveSetup& setup, serve::Pool& pool) {
  const std::map<std::string, serve::Pool::Room> own = setup.rooms();
  std::vector<std::string> fit;
  for (std::string& name : setup.workers()) {
    const auto here = own.find(name);
    const serve::Pool::Room room = here != own.end() ? here->second : pool.room_of(name);
    if (room.fits())
      fit.push_back(std::move(name));
    else
      print_note(
          fmt::format("{} takes {}, and there are {} for models: the fleet is not told of it", name,
                      format_bytes(room.takes), format_bytes(room.has)));
  }
  return fit;
}

// This server's machine as a node: its models are the workers, which ask this server in the
// background.
class ServedNode {
 public:
  static Result<std::unique_ptr<ServedNode>> start(const App& app, const ServeFlags& flags,
                                                   serve::Pool& pool) {
    auto served = std::make_unique<ServedNode>();
    LATHE_TRY(FleetAccess access, fleet_access(app));
    DriveFlags drive;
    drive.parallel = flags.slots;
    drive.workers.background = true;
    LATHE_TRY(served->setup_, DriveSetup::make(app, drive, Reach::kLocal, nullptr));
    NodeHere::Options options{.bench = served->setup_->bench()};
    options.workers = those_that_fit(*served->setup_, pool);
    options.slots = flags.slots;
    options.limits = LoadLimits{.on_battery = flags.on_battery};
    options.limits->cpu =
        flags.busy_at == 0 ? std::numeric_limits<double>::infinity() : flags.busy_at / 100.0;
    options.models = [&pool] {
      std::vector<std::string> names;
      for (const ModelInfo& model : pool.status().models) {
        const auto can = model.capabilities();
        if (std::ranges::find(can, "completion") != can.end()) names.push_back(model.name);
      }
      return names;
    };
    options.canary = [&pool](const std::string& model, const StopFlag& stop) {
      serve::LocalWorker worker(pool, model);
      return canary_of(worker, stop);
    };
    const std::string said =
        fmt::format("a node of the fleet at {}: {} ({})\n", access.place, access.name, access.node);
    LATHE_TRY(served->node_, NodeHere::start(app, std::move(access), std::move(options)));
    if (!app.json) print(said);
    return served;
  }

 private:
  std::unique_ptr<DriveSetup> setup_;
  std::unique_ptr<NodeHere> node_;
};

// Documents in requests, as `lathe chat` reads them, and films.
serve::ReadDocument document_reader(const App& app, PeoplesReader documents) {
  return [&app, reader = std::make_shared<PeoplesReader>(std::move(documents))](
             const Document& document, const StopFlag& stop) -> Result<Content> {
    if (document.kind == "film") return shown_film(app, document.name, *document.bytes, stop);
    LATHE_TRY(const DocumentText text,
              reader->read("document." + document.kind, *document.bytes, stop));
    return Content(quoted_document(document.name, text));
  };
}

Status serve(const App& app, const ServeFlags& flags) {
  LATHE_TRY(const Milliseconds grace, parse_duration(flags.grace));
  LATHE_TRY(PeoplesReader reader, PeoplesReader::make(app, flags.languages));
  LATHE_TRY(serve::Catalog catalog, read_catalog(app, flags));
  LATHE_TRY_STATUS(check_link(flags));
  if (!flags.link.empty())
    LATHE_TRY_STATUS(catalog.link(flags.link, flags.link_split == "rows", flags.link_layers));
  LATHE_TRY(serve::PoolOptions options, pool_options(app, flags));
  LATHE_TRY(serve::ServerConfig config, server_config(app, flags));
  config.contacts = app.contacts.get();
  std::string names;
  for (const serve::CatalogModel& model : catalog.models())
    names += (names.empty() ? "" : ", ") + model.name;
  for (const std::string& remote : flags.remotes) names += (names.empty() ? "" : ", ") + remote;
  const std::uint64_t memory = options.memory;
  LATHE_TRY(const std::vector<books::PriceTable> prices, load_prices(app));
  // The books outlive the hosts: what ends last is written, too.
  LATHE_TRY(const auto books, open_books(app, prices));
  LATHE_TRY_STATUS(seed_quotas(app, *config.quotas));
  LATHE_TRY(const Remotes remotes, open_remotes(app, flags));
  serve::Pool pool(std::move(catalog), std::move(options));
  LATHE_TRY(const Reach linked, reach_of_link(flags.link));
  const AccountedHosts hosts(pool, remotes, *books, prices, linked);
  serve::HostGroup here = hosts.within(Reach::kLocal), near = hosts.within(Reach::kLan),
                   all = hosts.within(Reach::kAny);
  serve::DocumentDesk documents(document_reader(app, std::move(reader)));
  serve::ReadingHost own(*hosts.pool, documents), read_here(here, documents),
      read_near(near, documents), read_all(all, documents);
  std::vector<serve::RouteTable> tables{serve::api_routes(own)};
  if (!remotes.empty())
    tables = {serve::forwarded_only(serve::api_routes(own)),
              serve::reach_only(serve::api_routes(read_here), Reach::kLocal),
              serve::reach_only(serve::api_routes(read_near), Reach::kLan),
              serve::api_routes(read_all)};
  if (linked != Reach::kLocal)
    tables.insert(tables.begin(), refused_here(serve::api_routes(own), flags.link));
  serve::SpeechDesk desk(app.program, kVoices);
  std::vector<serve::RouteTable> spoken{serve::speech_routes(desk, *hosts.pool)};
  if (!remotes.empty())
    spoken = {serve::forwarded_only(serve::speech_routes(desk, *hosts.pool)),
              serve::reach_only(serve::speech_routes(desk, here), Reach::kLocal),
              serve::reach_only(serve::speech_routes(desk, near), Reach::kLan),
              serve::speech_routes(desk, all)};
  tables.insert(tables.begin(), spoken.begin(), spoken.end());
  tables.insert(tables.begin(), serve::usage_routes(
                                    *books, [&app] { return open_ledger(app); },
                                    [](const serve::Call& call) { return call.owner; }));
  const std::string owner_key = config.api_keys.empty() ? "" : config.api_keys.front();
  ServedLoops loops(app, owner_key, app.journal_dir);
  loops.take_up_again(serve::kOwnerName);
  ServedPictures pictures(app);
  serve::RunDesk runs([&app] { return open_ledger(app); }, loops.starter(), pictures.drawer());
  tables.insert(tables.begin(),
                {serve::run_routes(runs),
                 view_routes(app, all, runs,
                             {flags.allow_pull, [&pool] { return pool.files(); },
                              [&hosts](const std::string& model) { return hosts.reach_of(model); },
                              prices})});
  const DriveFlags of_tools{};
  std::unique_ptr<AgentDesk> agents;
  if (!flags.mcp.empty()) {
    LATHE_TRY(agents, AgentDesk::open(app, of_tools, {flags.mcp}, owner_key));
    tables.insert(tables.begin(), serve::mcp_routes(agents->server()));
  }
  if (flags.allow_pull)
    tables.insert(tables.begin(), serve::pull_routes(pool, puller_of(app, flags, pool, memory)));
  const auto sessions = std::make_shared<serve::Sessions>();
  const auto page = flags.no_web ? std::vector<serve::RouteTable>() : serve::web_routes(sessions);
  if (!page.empty()) config.sessions = sessions;
  tables.insert(tables.begin(), page.begin(), page.end());
  LATHE_TRY(auto server, serve::Server::start(std::move(config), tables));
  // Every address is reached by its own name; loopback is meant by "all".
  std::string address = flags.listen.empty() ? "127.0.0.1" : flags.listen.front();
  if (address == "0.0.0.0" || address == "::") address = "127.0.0.1";
  if (address.find(':') != address.npos) address = "[" + address + "]";
  const std::string url = fmt::format("http://{}:{}", address, server->port());
  if (app.json) {
    print_json({{"event", "ready"}, {"url", url}, {"memory", memory}});
  } else {
    print(fmt::format(
        "serving {} at {}/v1 · {} for models · Ctrl-C ends\n",
        names.empty() ? "no models yet (`lathe pull` fetches one)" : clip_utf8(names, 300), url,
        format_bytes(memory)));
    if (!page.empty()) print(fmt::format("in a browser: {}/\n", url));
    if (flags.open) open_on_desktop(url + "/");
  }
  // Found by `lathe run`, `ps` and loops on this machine, for as long as it runs.
  const ServerNote note(app, url);
  std::unique_ptr<ServedNode> node;
  if (flags.node) {
    LATHE_TRY(node, ServedNode::start(app, flags, pool));
  }
  while (!app.stop->raised()) std::this_thread::sleep_for(Milliseconds(50));
  node.reset();  // gives back what it was at
  if (!app.json) fmt::print(stderr, "finishing what is under way ({})\n", format_duration(grace));
  runs.close();
  server->stop(grace);
  return {};
}

// While a model loads, how far it is.
std::string state_text(const Json& model) {
  const std::string state = json_string(model, "state");
  return state == "loading" ? fmt::format("{:.0f} %", 100 * json_number(model, "loaded", 0))
                            : state;
}

std::string seconds_text(double seconds) {
  return seconds > 0 ? fmt::format("{:.1f} s", seconds) : "";
}

Status ps(const App& app, const ServerFlags& flags) {
  LATHE_TRY(const ServerAddress server, find_server(app, flags));
  LATHE_TRY(const Json status, get_json(app, server, "/status"));
  if (app.json) {
    print_json(status);
    return {};
  }
  print(fmt::format("{:<28} {:<8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>9} {:>8}\n",
                    "MODEL", "STATE", "WEIGHTS", "KV", "PREFIXES", "SCRATCH", "MEDIA", "STREAMS",
                    "WAITING", "TOK/S", "LOAD"));
  const auto bytes = [](const Json& model, const char* key) {
    return format_bytes(static_cast<std::uint64_t>(json_int(model, key, 0)));
  };
  for (const Json& model : json_at(status, "models")) {
    print(
        fmt::format("{:<28} {:<8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>9.1f} {:>8}\n",
                    clip_utf8(json_string(model, "name"), 28), state_text(model),
                    bytes(model, "weights"), bytes(model, "kv"), bytes(model, "prefix"),
                    bytes(model, "scratch"), bytes(model, "media"), json_int(model, "running", 0),
                    json_int(model, "waiting", 0), json_number(model, "tokens_per_second", 0),
                    seconds_text(json_number(model, "load_seconds", 0))));
  }
  for (const Json& model : json_at(status, "models")) {
    if (json_int(model, "program", 0) == 0) continue;
    const std::string used =
        json_at(model, "used").is_number() ? bytes(model, "used") : std::string("not readable");
    print(fmt::format("{}: a program of its own, {} in use, {} booked\n",
                      clip_utf8(json_string(model, "name"), 28), used, bytes(model, "program")));
  }
  print(fmt::format("{} of {} booked · {} resident · {} waiting\n", bytes(status, "memory_booked"),
                    bytes(status, "memory_limit"), bytes(status, "resident"),
                    json_int(status, "queued", 0)));
  const Json& devices = json_at(status, "devices");
  if (devices.size() < 2) return {};
  for (const auto& [device, memory] : devices.items())
    print(fmt::format("{}: {} of {} booked\n", device, bytes(memory, "booked"),
                      bytes(memory, "limit")));
  return {};
}

}  // namespace

void add_serve(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = cli.add_subcommand(
      "serve", "Serve models to every OpenAI-, Anthropic- or Ollama-compatible client");
  command->add_option("models", flags->models,
                      "GGUF files, directories of them with an optional models.toml, or names of "
                      "`lathe models` (default: models in the configuration directory)");
  command->add_option("--port", flags->port, "TCP port; 0: any that is free")
      ->capture_default_str();
  command->add_option("--listen", flags->listen,
                      "IP address to listen on (default: loopback only; others need keys)");
  command->add_option(
      "--api-key-env", flags->api_key_env,
      "Environment variable that holds the owner's API key, which may do everything; people's are "
      "made by `lathe key`");
  command->add_option("--host", flags->hosts, "A name that this server goes by (Host header)");
  command->add_option("--origin", flags->origins, "A web page's origin that may call it");
  command->add_option("--remote", flags->remotes,
                      "NAME=URL of a server whose models are served, too; may be given again");
  command->add_option(
      "--remote-key-env", flags->remote_key_env,
      "Environment variable that holds the remotes' API key (default: none is sent)");
  command
      ->add_option("--allow", flags->allow,
                   "How far what is asked of the remotes, or goes over --link, may travel")
      ->check(CLI::IsMember({"local", "lan", "any"}))
      ->capture_default_str();
  command->add_option("--memory", flags->memory,
                      "For weights, KV and scratch of all models (default: what is free, less a "
                      "reserve)");
  command->add_option("--threads", flags->threads, "That compute (default: one a core)");
  command->add_option("--sequences", flags->sequences, "Answers of one model at once")
      ->capture_default_str();
  command
      ->add_option("--max-tokens", flags->max_tokens, "Of an answer whose request names no limit")
      ->capture_default_str();
  command->add_option("--queue", flags->queue, "Requests that may wait")->capture_default_str();
  command->add_option("--device", flags->device, kDeviceHelp)->capture_default_str();
  command->add_option("--snapshots", flags->snapshots,
                      "Directory that keeps computed prefixes over a restart (default: none)");
  command->add_flag("--allow-pull", flags->allow_pull,
                    "Clients may have models fetched (POST /api/pull)");
  add_place_flags(*command, flags->pull);
  command->add_option("--mcp", flags->mcp,
                      "Tools for agents at POST /mcp; files below this directory may be read");
  add_languages_flag(*command, flags->languages);
  command->add_flag("--no-web", flags->no_web, "Serve no page to browsers, the APIs alone");
  command->add_flag("--node", flags->node,
                    "Take work of the fleet that `lathe fleet join` joined, as there is room");
  command->add_option("--slots", flags->slots, "With --node: pieces of work at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command
      ->add_option("--busy-at", flags->busy_at,
                   "With --node: take nothing while work waits for a processor this much of the "
                   "time, in percent; 0: not looked at")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command->add_flag("--on-battery", flags->on_battery,
                    "With --node: take work on the battery, too");
  command->add_option("--link", flags->link,
                      "HOST:PORT of `lathe link` on a machine that has the rest of the model");
  command
      ->add_option("--link-split", flags->link_split,
                   "What each machine has: `layers`, here the first ones and there the last ones, "
                   "or `rows`, half of every matrix (`lathe fit --boxes` says which is faster)")
      ->check(CLI::IsMember({"layers", "rows"}))
      ->needs("--link")
      ->capture_default_str();
  command
      ->add_option("--link-layers", flags->link_layers,
                   "Layers that are here (default: half of the weights)")
      ->needs("--link");
  command->add_flag("--no-speculation", flags->no_speculation, "Do not check drafts");
  command->add_option("--grace", flags->grace, "Time for answers under way when it is stopped")
      ->capture_default_str();
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = serve(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

// The page of the server that runs here; where none does, of one that serves until Ctrl-C.
void add_open(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ServeFlags>();
  flags->open = true;
  CLI::App* command =
      cli.add_subcommand("open",
                         "Open the page of `lathe serve`; serves until Ctrl-C where no "
                         "server runs");
  command->add_option("--port", flags->port, "TCP port of a server that is started; 0: any")
      ->capture_default_str();
  command->callback([&app, &action, flags] {
    action = [&app, flags]() -> int {
      if (const auto url = running_server(app)) {
        open_on_desktop(*url + "/");
        if (app.json)
          print_json({{"url", *url + "/"}});
        else
          print(*url + "/\n");
        return kExitPassed;
      }
      const Status status = serve(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

void add_ps(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ServerFlags>();
  CLI::App* command = cli.add_subcommand("ps", "Show what a running server holds");
  add_server_flags(*command, *flags, "Its URL (default: the one that runs here)");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = ps(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
