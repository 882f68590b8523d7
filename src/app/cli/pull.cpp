// lathe pull OWNER/REPO[:QUANT|:FILE], ollama:NAME[:TAG]: brings a model of a hub or a registry.
#include "serve/hub/pull.h"

#include <unistd.h>

#include <cstdlib>

#include "app/cli/fits_here.h"
#include "app/cli/pool_flags.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "serve/net/endpoint.h"

namespace lathe::app {
namespace {

constexpr const char* kHub = "https://huggingface.co";
constexpr const char* kRegistry = "https://registry.ollama.ai";
constexpr Milliseconds kBetweenLines{1000}, kBetweenFrames{200};

struct PullFlags {
  std::string model, to, hub, registry = kRegistry, token_file, memory;
  std::string patience = "60s";
  bool anyway = false;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A token is one word; a file of it may end with a line break.
Result<std::string> read_token(const PullFlags& flags) {
  std::string token = variable("HF_TOKEN");
  if (!flags.token_file.empty()) {
    LATHE_TRY(token, read_file(flags.token_file, 4096));
  }
  token = std::string(trim(token));
  if (std::ranges::any_of(token, [](char c) { return c <= ' ' || c > '~'; }))
    return invalid("{}: holds no token: a token is one word",
                   flags.token_file.empty() ? "HF_TOKEN" : flags.token_file);
  return token;
}

Result<serve::HubAccess> access_to(const PullFlags& flags, const serve::ModelSource& source) {
  serve::HubAccess access;
  std::string base = source.ollama ? flags.registry : flags.hub;
  if (base.empty()) base = variable("HF_ENDPOINT");
  if (base.empty()) base = kHub;
  LATHE_TRY(const serve::Endpoint endpoint, serve::parse_base_url(base));
  access.base = endpoint.url;
  LATHE_TRY(access.patience, parse_duration(flags.patience));
  if (!source.ollama) {
    LATHE_TRY(access.token, read_token(flags));
  }
  return access;
}

// What a person or a program sees meanwhile.
class PullView {
 public:
  explicit PullView(const App& app) : app_(app), line_(!app.json && isatty(STDERR_FILENO) == 1) {}
  ~PullView() { clear(); }

  void plan(const serve::PullPlan& plan, std::uint64_t there) {
    if (app_.json) {
      Json files = Json::array();
      for (const serve::WantedFile& file : plan.files)
        files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
      print_json({{"event", "plan"},
                  {"source", plan.source.text()},
                  {"name", plan.name},
                  {"revision", plan.revision},
                  {"files", std::move(files)},
                  {"bytes", plan.bytes()},
                  {"there", there}});
      return;
    }
    std::string text = fmt::format("{}: {} in {}", plan.name, format_bytes(plan.bytes()),
                                   counted(plan.files.size(), "file"));
    if (plan.by_default) text += " (OWNER/REPO:QUANT chooses another)";
    if (there > 0) text += fmt::format(", {} are here", format_bytes(there));
    print_note(text);
  }

  void progress(const serve::PullProgress& progress) {
    const Milliseconds now = system_clock().monotonic();
    rate_.add(now, progress.done);
    if ((!line_ && !app_.json) || now - shown_ < (app_.json ? kBetweenLines : kBetweenFrames))
      return;
    shown_ = now;
    const auto left = rate_.left(progress.total);
    if (app_.json) {
      print_json(
          {{"event", "progress"},
           {"file", progress.file.name},
           {"done", progress.done},
           {"total", progress.total},
           {"bytes_per_second", static_cast<std::uint64_t>(rate_.bytes_per_second())},
           {"seconds_left", left ? Json(static_cast<double>(left->count()) / 1000) : Json()}});
      return;
    }
    fmt::print(stderr, "\r{}: {} of {} ({} %), {}/s{}\x1b[K", progress.file.name,
               format_bytes(progress.done), format_bytes(progress.total),
               progress.total == 0 ? 100 : progress.done * 100 / progress.total,
               format_bytes(static_cast<std::uint64_t>(rate_.bytes_per_second())),
               left ? ", " + format_duration(*left) + " left" : "");
  }

  void clear() const {
    if (line_) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  const App& app_;
  const bool line_;
  serve::RateMeter rate_;
  Milliseconds shown_{-1'000'000};
};

Status pull_model(const App& app, const PullFlags& flags) {
  LATHE_TRY(const serve::ModelSource source, serve::parse_source(flags.model));
  serve::PullOptions options;
  LATHE_TRY(options.access, access_to(flags, source));
  options.directory = flags.to.empty() ? app.config_dir / "models" : fs::path(flags.to);
  if (!flags.anyway) {
    LATHE_TRY(const std::uint64_t memory, memory_for_models(flags.memory));
    options.check = [memory](const infer::Gguf& headers) {
      return check_fits_here(headers, memory);
    };
  }
  PullView view(app);
  options.on_plan = [&](const serve::PullPlan& plan, std::uint64_t there) {
    view.plan(plan, there);
  };
  options.on_progress = [&](const serve::PullProgress& progress) { view.progress(progress); };
  auto pulled = serve::pull(source, options, *app.stop);
  view.clear();
  if (!pulled && pulled.error().kind == ErrorKind::kCancelled)
    pulled.error().message = "stopped; the same command goes on where it was";
  if (!pulled) return std::unexpected(pulled.error());
  if (app.json)
    print_json({{"event", "pulled"},
                {"name", pulled->name},
                {"file", pulled->path.string()},
                {"bytes", pulled->bytes},
                {"was_here", pulled->was_here}});
  else
    print(
        fmt::format("{}{}\n", pulled->path.string(), pulled->was_here ? " was here already" : ""));
  return {};
}

}  // namespace

void add_pull(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<PullFlags>();
  CLI::App* command = cli.add_subcommand("pull", "Fetch a model from a hub or a registry");
  command
      ->add_option("MODEL", flags->model,
                   "OWNER/REPO, OWNER/REPO:QUANT or OWNER/REPO:FILE.gguf of the Hugging Face hub, "
                   "or ollama:NAME[:TAG]")
      ->required();
  command->add_option("--to", flags->to,
                      "Directory for it (default: models in the configuration directory)");
  command->add_option(
      "--hub", flags->hub,
      "URL of the hub or a mirror (default: HF_ENDPOINT, else " + std::string(kHub) + ")");
  command->add_option("--registry", flags->registry, "URL of the registry or a mirror")
      ->capture_default_str();
  command->add_option("--token-file", flags->token_file,
                      "File with the hub's token, for gated models (default: HF_TOKEN)");
  command->add_option("--memory", flags->memory,
                      "It has to fit into, like 24GiB (default: what `lathe serve` would take)");
  command->add_flag("--anyway", flags->anyway, "Even if it does not fit or cannot run here");
  command->add_option("--patience", flags->patience, "Time for a server that is silent")
      ->capture_default_str();
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = pull_model(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
