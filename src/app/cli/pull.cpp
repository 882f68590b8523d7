// lathe pull OWNER/REPO[:QUANT|:FILE], ollama:NAME[:TAG]: brings a model of a hub or a registry.
#include "serve/hub/pull.h"

#include <unistd.h>

#include "app/cli/fits_here.h"
#include "app/cli/pool_flags.h"
#include "app/cli/pull_places.h"
#include "ground/base/plural.h"
#include "ground/base/units.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kBetweenLines{1000}, kBetweenFrames{200};

struct PullFlags {
  PullPlaces places;
  std::string model, to, memory;
  bool anyway = false;
};

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
  LATHE_TRY(options.access, access_to(app, flags.places, source));
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
  add_place_flags(*command, flags->places);
  command->add_option("--memory", flags->memory,
                      "It has to fit into, like 24GiB (default: what `lathe serve` would take)");
  command->add_flag("--anyway", flags->anyway, "Even if it does not fit or cannot run here");
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = pull_model(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
}

}  // namespace lathe::app
