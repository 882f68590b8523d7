// lathe recipe list | check | explain
#include "app/cli/recipes.h"
#include "app/cli/shown.h"

#include <array>

#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/sys/subprocess.h"
#include "loop/conductor/conductor.h"
#include "loop/terms/ecosystems.h"

namespace lathe::app {
namespace {

Result<std::vector<std::string>> shipped_names(const App& app) {
  LATHE_TRY(const auto files, list_files(app.recipes_dir, 1000));
  std::vector<std::string> names;
  for (const std::string& file : files)
    if (file.ends_with(".toml") && file.find('/') == file.npos)
      names.push_back(file.substr(0, file.size() - 5));
  return names;
}

// The values that a person may want to change before a run: of the tables that have no lists of
// judges in them.
Json options_json(const loop::Recipe& recipe) {
  Json options = Json::array();
  for (const char* table : {"unit", "context", "memory", "make", "stop"})
    for (const auto& [key, value] : json_at(recipe.canonical, table).items()) {
      std::string_view help;
      for (const auto specs : {loop::recipe_options(table), recipe.maker->options})
        for (const OptionSpec& spec : specs)
          if (spec.name == key) help = spec.help;
      options.push_back(
          {{"name", fmt::format("{}.{}", table, key)}, {"default", value}, {"help", help}});
    }
  return options;
}

// Whom the recipe asks. One is needed where there is no other to make anything, or to judge.
Json workers_json(const loop::Recipe& recipe) {
  Json workers = Json::array();
  for (const std::string& rung : worker_rungs(recipe))
    workers.push_back({{"name", rung}, {"needed", recipe.ladder.size() == 1}});
  for (const loop::JudgeSpec& judge : recipe.judges)
    if (const std::string name = option_string(judge.options, "worker"); !name.empty())
      workers.push_back({{"name", name}, {"needed", judge.kind->advises == nullptr}});
  return workers;
}

Json recipe_json(const std::string& name, const Result<FoundRecipe>& found) {
  // It may want a program that this machine lacks; the others are for use.
  if (!found) return {{"name", name}, {"error", found.error().message}};
  return {{"name", name},
          {"description", found->recipe.description},
          {"path", found->path.string()},
          {"input", found->recipe.from},
          {"options", options_json(found->recipe)},
          {"workers", workers_json(found->recipe)}};
}

int list_recipes(const App& app) {
  const auto names = shipped_names(app);
  if (!names) return report_error(app, names.error());
  for (const std::string& name : *names) {
    const auto found = find_recipe(app, name, {});
    if (app.json)
      print_json(recipe_json(name, found));
    else if (!found)
      print(fmt::format("{:<16} not usable here: {}\n", name, found.error().message));
    else
      print(fmt::format("{:<16} {}\n", name, found->recipe.description));
  }
  return kExitPassed;
}

// What a run of the recipe would miss on this machine. Programs are looked for where the sandbox
// does.
std::vector<std::string> missing_for(const FoundRecipe& found) {
  std::error_code ignored;
  const fs::path dir = fs::absolute(found.path, ignored).parent_path();
  std::vector<std::string> missing = loop::missing_files(found.recipe, dir);
  if (auto fine = loop::check_schema_files(found.recipe, dir); missing.empty() && !fine)
    missing.push_back(fine.error().message);
  const auto look = [&](std::string_view whose, const Json& options) {
    const Json& command = json_at(options, "command");
    if (!command.is_array() || command.empty()) return;
    const std::string program = command.front().get<std::string>();
    const auto is_there = [&](const char* bin) {
      return fs::exists(fs::path(bin) / program, ignored);
    };
    bool there = false;
    if (program.find('/') == program.npos) {
      there = std::ranges::any_of(std::array{"/usr/local/bin", "/usr/bin", "/bin"}, is_there);
    } else if (fs::path(program).is_absolute()) {
      there = fs::exists(program, ignored);
    } else {
      const std::string laid = fs::path(program).lexically_normal().string();
      const auto files = option_strings(options, "files");
      there = !found.recipe.tree.empty() || std::ranges::find(files, laid) != files.end();
    }
    if (!there)
      missing.push_back(
          fmt::format("{}: there is no program '{}' of the system, and 'files' does "
                      "not bring it along",
                      whose, clip_utf8(program, 100)));
  };
  look("make", found.recipe.make_options);
  for (const loop::JudgeSpec& judge : found.recipe.judges)
    look(fmt::format("the judge '{}'", judge.name), judge.options);
  if (!found.recipe.from_tests() && !fs::exists(dir / found.recipe.from, ignored))
    missing.push_back(fmt::format("{}: there is no such file; give one with --input FILE",
                                  (dir / found.recipe.from).string()));
  return missing;
}

int check_recipe(const App& app, const std::string& name,
                 const std::vector<std::string>& overrides) {
  const auto found = find_recipe(app, name, overrides);
  if (!found) return report_error(app, found.error());
  const std::vector<std::string> missing = missing_for(*found);
  if (app.json) {
    print_json({{"recipe", found->recipe.name},
                {"sha256", found->recipe.sha256},
                {"warnings", found->recipe.warnings},
                {"missing", missing}});
    return kExitPassed;
  }
  for (const std::string& warning : found->recipe.warnings) print("warning: " + warning + "\n");
  for (const std::string& each : missing) print("missing: " + each + "\n");
  print(fmt::format("{}: {} ({}, sha256 {})\n", found->path.string(),
                    missing.empty() ? "fine" : "reads well, but cannot run as it is here",
                    counted(found->recipe.judges.size(), "judge"),
                    found->recipe.sha256.substr(0, 12)));
  return kExitPassed;
}

std::string toml_value(const Json& value) {
  // JSON's strings, numbers, booleans and lists are TOML's too; a table is written inline.
  if (!value.is_object()) return dump_json(value);
  std::vector<std::string> members;
  for (const auto& [key, member] : value.items())
    members.push_back(dump_json(Json(key)) + " = " + toml_value(member));
  return "{ " + join(members, ", ") + " }";
}

// `table`: "" is the top of the recipe; its tables are printed on their own.
void print_table(std::string_view table, const Json& values, std::span<const OptionSpec> kind) {
  for (const auto& [key, value] : values.items()) {
    if (table.empty() && value.is_structured()) continue;
    const OptionSpec* spec = nullptr;
    for (const auto list : {loop::recipe_options(table), kind})
      for (const OptionSpec& each : list)
        if (each.name == key) spec = &each;
    const std::string line = fmt::format("{} = {}", key, toml_value(value));
    print(spec ? fmt::format("{:<44} # {}\n", line, spec->help) : line + "\n");
  }
}

int explain_recipe(const App& app, const std::string& name,
                   const std::vector<std::string>& overrides) {
  const auto found = find_recipe(app, name, overrides);
  if (!found) return report_error(app, found.error());
  const loop::Recipe& recipe = found->recipe;
  if (app.json) {
    print_json(recipe.canonical);
    return kExitPassed;
  }
  print(fmt::format("# {} with its defaults; sha256 {}\n", found->path.string(), recipe.sha256));
  const auto table = [&](std::string_view title, const Json& values,
                         std::span<const OptionSpec> kind) {
    print(fmt::format("\n{}\n", title));
    print_table(title.substr(title.rfind('[') + 1, title.find(']') - title.rfind('[') - 1), values,
                kind);
  };
  const Json& all = recipe.canonical;
  print_table("", all, {});
  const loop::JudgeKind* tests = recipe.from_tests() ? loop::find_judge("tests") : nullptr;
  table("[unit]", all["unit"], tests ? tests->options : std::span<const OptionSpec>());
  if (recipe.context) table("[context]", all["context"], {});
  if (recipe.memory) table("[memory]", all["memory"], {});
  table("[make]", all["make"], recipe.maker->options);
  for (std::size_t i = 0; i < recipe.judges.size(); ++i)
    table("[[judge]]", all["judge"][i], recipe.judges[i].kind->options);
  for (const Json& tool : json_at(all, "tool")) table("[[tool]]", tool, {});
  if (!all["combine"].empty()) table("[combine]", all["combine"], {});
  table("[stop]", all["stop"], {});
  for (const std::string& warning : recipe.warnings) print("# warning: " + warning + "\n");
  return kExitPassed;
}

}  // namespace

Result<Json> recipes_shown(const App& app) {
  LATHE_TRY(const auto names, shipped_names(app));
  Json recipes = Json::array();
  for (const std::string& name : names)
    recipes.push_back(recipe_json(name, find_recipe(app, name, {})));
  return recipes;
}

Result<FoundRecipe> find_recipe(const App& app, const std::string& name,
                                std::span<const std::string> overrides, const std::string& input) {
  fs::path path = name;
  if (name.find('/') == name.npos && !name.ends_with(".toml")) {
    path = app.recipes_dir / (name + ".toml");
    if (std::error_code ignored; !fs::exists(path, ignored)) {
      const auto names = shipped_names(app);
      return fail(
          ErrorKind::kNotFound,
          "there is no recipe '{}'{}; `lathe recipe list` shows them, a path names your own",
          clip_utf8(name, 80), names ? did_you_mean(name, *names) : "");
    }
  }
  LATHE_TRY(const std::string text, read_file(path, 1 << 20));
  const fs::path root = input.empty() ? "." : input;
  const auto project = loop::find_project(root);
  const bool own_command = std::ranges::any_of(
      overrides, [](const std::string& each) { return each.starts_with("unit.command="); });
  const loop::Ecosystem& kind = project       ? *project->ecosystem
                                : own_command ? loop::unknown_project()
                                              : loop::ecosystems().back();
  std::error_code ignored;
  LATHE_TRY(
      loop::Recipe recipe,
      loop::parse_recipe(text, path.string(), overrides,
                         loop::project_values(kind, fs::absolute(root, ignored).lexically_normal(),
                                              plain_environment()["HOME"])));
  std::string told;
  if (json_string(recipe.canonical["unit"], "project") == "auto") {
    if (!project && !input.empty() && !own_command) return std::unexpected(project.error());
    told = project ? fmt::format("{} by {}", kind.name, project->marker) : std::string(kind.name);
  }
  return FoundRecipe{std::move(recipe), std::move(path), std::move(told)};
}

void add_recipe(CLI::App& cli, App& app, Action& action) {
  CLI::App* command = cli.add_subcommand("recipe", "List, check and explain recipes");
  command->require_subcommand(1);
  command->add_subcommand("list", "The recipes that come with lathe")->callback([&] {
    action = [&] { return list_recipes(app); };
  });
  struct Flags {
    std::string name;
    std::vector<std::string> set;
  };
  const auto add = [&](const char* verb, const char* help, auto run) {
    auto flags = std::make_shared<Flags>();
    CLI::App* sub = command->add_subcommand(verb, help);
    sub->add_option("recipe", flags->name, "A name or a path")->required();
    sub->add_option("--set", flags->set, "Change a value: --set make.best_of=4")->take_all();
    sub->callback([&app, &action, flags, run] {
      action = [&app, flags, run] { return run(app, flags->name, flags->set); };
    });
  };
  add("check", "Say what is wrong with a recipe, and what is unwise in it", check_recipe);
  add("explain", "Print a recipe with all its defaults", explain_recipe);
}

}  // namespace lathe::app
