// lathe recipe list | check | explain
#include "app/cli/recipes.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/sys/subprocess.h"
#include "loop/terms/ecosystems.h"

namespace lathe {
namespace {

Result<std::vector<std::string>> shipped_names(const App& app) {
  LATHE_TRY(const auto files, list_files(app.recipes_dir, 1000));
  std::vector<std::string> names;
  for (const std::string& file : files)
    if (file.ends_with(".toml") && file.find('/') == file.npos)
      names.push_back(file.substr(0, file.size() - 5));
  return names;
}

int list_recipes(const App& app) {
  const auto names = shipped_names(app);
  if (!names) return report_error(app, names.error());
  for (const std::string& name : *names) {
    const auto found = find_recipe(app, name, {});
    if (!found) return report_error(app, found.error());
    if (app.json)
      print_json({{"name", name},
                  {"description", found->recipe.description},
                  {"path", found->path.string()}});
    else
      print(fmt::format("{:<14} {}\n", name, found->recipe.description));
  }
  return kExitPassed;
}

int check_recipe(const App& app, const std::string& name,
                 const std::vector<std::string>& overrides) {
  const auto found = find_recipe(app, name, overrides);
  if (!found) return report_error(app, found.error());
  if (app.json) {
    print_json({{"recipe", found->recipe.name},
                {"sha256", found->recipe.sha256},
                {"warnings", found->recipe.warnings}});
    return kExitPassed;
  }
  for (const std::string& warning : found->recipe.warnings) print("warning: " + warning + "\n");
  print(fmt::format("{}: fine ({} judges, sha256 {})\n", found->path.string(),
                    found->recipe.judges.size(), found->recipe.sha256.substr(0, 12)));
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

void print_table(std::string_view title, const Json& table,
                 const std::vector<std::span<const OptionSpec>>& specs) {
  print(fmt::format("\n{}\n", title));
  for (const auto& [key, value] : table.items()) {
    std::string_view help;
    for (const auto list : specs)
      for (const OptionSpec& spec : list)
        if (spec.name == key) help = spec.help;
    const std::string line = fmt::format("{} = {}", key, toml_value(value));
    print(help.empty() ? line + "\n" : fmt::format("{:<44} # {}\n", line, help));
  }
}

int explain_recipe(const App& app, const std::string& name,
                   const std::vector<std::string>& overrides) {
  const auto found = find_recipe(app, name, overrides);
  if (!found) return report_error(app, found.error());
  const Recipe& recipe = found->recipe;
  if (app.json) {
    print_json(recipe.canonical);
    return kExitPassed;
  }
  print(fmt::format("# {} with its defaults; sha256 {}\n", found->path.string(), recipe.sha256));
  for (const auto& [key, value] : recipe.canonical.items())
    if (!value.is_structured()) print(fmt::format("{} = {}\n", key, toml_value(value)));
  print_table("[unit]", recipe.canonical["unit"], {});
  print_table("[make]", recipe.canonical["make"], {recipe.maker->options});
  for (std::size_t i = 0; i < recipe.judges.size(); ++i)
    print_table("[[judge]]", recipe.canonical["judge"][i], {recipe.judges[i].kind->options});
  if (!recipe.canonical["combine"].empty())
    print_table("[combine]", recipe.canonical["combine"], {});
  print_table("[stop]", recipe.canonical["stop"], {});
  for (const std::string& warning : recipe.warnings) print("# warning: " + warning + "\n");
  return kExitPassed;
}

}  // namespace

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
  const auto project = find_project(root);
  const Ecosystem& kind = project ? *project->ecosystem : ecosystems().back();
  std::error_code ignored;
  LATHE_TRY(Recipe recipe,
            parse_recipe(text, path.string(), overrides,
                         project_values(kind, fs::absolute(root, ignored).lexically_normal(),
                                        plain_environment()["HOME"])));
  std::string told;
  if (json_string(recipe.canonical["unit"], "project") == "auto") {
    if (!project && !input.empty()) return std::unexpected(project.error());
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

}  // namespace lathe
