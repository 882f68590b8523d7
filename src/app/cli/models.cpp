// lathe models: what is on this machine. lathe models rm NAME…: removes what `pull` brought.
#include "app/cli/model_library.h"
#include "app/cli/shown.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "serve/hub/pulled.h"

namespace lathe::app {
namespace {

struct ModelsFlags {
  std::string directory;  // "": the configuration's
  std::vector<std::string> names;
};

serve::LibraryPlaces places_of(const App& app, const std::string& directory) {
  serve::LibraryPlaces places = library_places(app);
  if (!directory.empty()) places.models = directory;
  return places;
}

int list_models(const App& app, const ModelsFlags& flags) {
  if (app.json) {
    print_json(models_shown(app, flags.directory));
    return kExitPassed;
  }
  const serve::LibraryPlaces places = places_of(app, flags.directory);
  const auto models = serve::list_library(places);
  if (models.empty())
    print(
        fmt::format("no models in {}, nor of other programs; `lathe pull OWNER/REPO` fetches one\n",
                    places.models.string()));
  std::size_t width = 5;
  for (const serve::LibraryModel& model : models) width = std::max(width, model.name.size());
  for (const serve::LibraryModel& model : models) {
    std::string remark;
    if (!model.whole)
      remark = fmt::format("  not whole; `lathe pull {}` goes on", model.source);
    else if (!model.source.empty())
      remark = "  " + model.source;
    print(fmt::format("{:<{}} {:>10}  {:<9}{}\n", model.name, width, format_bytes(model.bytes),
                      serve::keeper_name(model.keeper), remark));
  }
  return kExitPassed;
}

// What was pulled as `name`, whole or not.
Result<serve::PulledModel> find_pulled(const serve::LibraryPlaces& places,
                                       const std::string& name) {
  for (serve::PulledModel& model : serve::read_notes(places.models))
    if (model.name == name || model.source == name) return std::move(model);
  const auto models = serve::list_library(places);
  const serve::LibraryModel* other = serve::find_in_library(models, name);
  if (other == nullptr)
    return fail(ErrorKind::kNotFound, "there is no model '{}'; `lathe models` lists them", name);
  if (other->keeper == serve::Keeper::kFolder)
    return fail(ErrorKind::kDenied, "{}: was not brought by `lathe pull`; it is yours to remove",
                other->file.string());
  return fail(ErrorKind::kDenied, "{}: belongs to another program ({}); remove it there", name,
              serve::keeper_name(other->keeper));
}

Status remove_models(const App& app, const ModelsFlags& flags) {
  const serve::LibraryPlaces places = places_of(app, flags.directory);
  std::vector<serve::PulledModel> models;  // all are known before the first goes
  for (const std::string& name : flags.names) {
    LATHE_TRY(models.emplace_back(), find_pulled(places, name));
  }
  for (const serve::PulledModel& model : models) {
    LATHE_TRY_STATUS(serve::remove_pulled(places.models, model));
    if (app.json)
      print_json({{"removed", model.name}});
    else
      print(fmt::format("removed {}\n", model.name));
  }
  return {};
}

}  // namespace

Json models_shown(const App& app, const std::string& directory) {
  const serve::LibraryPlaces places = places_of(app, directory);
  Json list = Json::array();
  for (const serve::LibraryModel& model : serve::list_library(places))
    list.push_back({{"name", model.name},
                    {"file", model.file.string()},
                    {"bytes", model.bytes},
                    {"from", serve::keeper_name(model.keeper)},
                    {"source", model.source.empty() ? Json() : Json(model.source)},
                    {"whole", model.whole}});
  return {{"directory", places.models.string()}, {"models", std::move(list)}};
}

void add_models(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ModelsFlags>();
  CLI::App* command =
      cli.add_subcommand("models", "List the models on this machine, other programs' too");
  command->add_option("--in", flags->directory,
                      "Directory of models (default: models in the configuration directory)");
  CLI::App* remove = command->add_subcommand("rm", "Remove models that `lathe pull` brought");
  remove->add_option("NAME", flags->names, "As `lathe models` lists them")->required();
  remove->callback([&app, &action, flags] {
    action = [&app, flags] {
      const Status status = remove_models(app, *flags);
      return status ? kExitPassed : report_error(app, status.error());
    };
  });
  command->callback([&app, &action, flags, remove] {
    if (!remove->parsed()) action = [&app, flags] { return list_models(app, *flags); };
  });
}

}  // namespace lathe::app
