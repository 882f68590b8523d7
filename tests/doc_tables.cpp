// The tables of the documentation, from the descriptors: makers, judges and their options, keys of
// recipes, commands, endpoints, architectures, tensor types. A table stands in a page between
// "<!-- table: NAME -->" and "<!-- end of table -->".
//
// usage: lathe_doc_tables DIRECTORY           says which tables differ, and fails then
//        lathe_doc_tables DIRECTORY --write   writes them anew
#include <cstdio>
#include <map>
#include <set>

#include "app/cli/app.h"
#include "app/cli/served_views.h"
#include "ground/base/file.h"
#include "ground/base/text.h"
#include "infer/answers/answer_format.h"
#include "infer/convert/hf_family.h"
#include "infer/encoders/sound_model.h"
#include "infer/encoders/vision_model.h"
#include "infer/models/blueprint.h"
#include "infer/quant/tensor_type.h"
#include "loop/conductor/recipe.h"
#include "loop/judges/judge.h"
#include "loop/makers/maker.h"
#include "serve/runs/run_routes.h"
#include "serve/server/api_routes.h"

namespace {

using namespace lathe;

constexpr std::string_view kBegin = "\n<!-- table: ", kBeginEnd = " -->\n";
constexpr std::string_view kEnd = "<!-- end of table -->";

std::string table(std::string_view head, const std::vector<std::vector<std::string>>& rows) {
  const auto columns = static_cast<std::size_t>(std::ranges::count(head, '|') + 1);
  std::string text = fmt::format("| {} |\n|", head);
  for (std::size_t i = 0; i < columns; ++i) text += "---|";
  for (const auto& row : rows) {
    text += "\n|";
    for (const std::string& cell : row) text += " " + replace_all(cell, "|", "\\|") + " |";
  }
  return text + "\n";
}

std::string code(std::string_view text) {
  return fmt::format("`{}`", text);
}

std::string makers() {
  std::vector<std::vector<std::string>> rows;
  for (const loop::MakerKind* maker : loop::maker_kinds())
    rows.push_back({code(maker->name),
                    maker->needs_worker             ? "workers"
                    : maker->is_own_rung != nullptr ? "voices, workers"
                    : !maker->own_rung.empty()      ? code(maker->own_rung) + ", workers"
                                                    : "–",
                    std::string(maker->summary)});
  return table("kind | ladder | what it does", rows);
}

std::string judges() {
  std::vector<std::vector<std::string>> rows;
  for (const loop::JudgeKind* judge : loop::judge_kinds())
    rows.push_back(
        {code(judge->name),
         fmt::format("{}{}", loop::stage_name(judge->stage), judge->can_whole ? ", whole" : ""),
         std::string(judge->summary)});
  return table("kind | stage | what it does", rows);
}

// A component's options: one row each, what it is called before the first.
void add_options(std::vector<std::vector<std::string>>& rows, std::string name,
                 std::span<const OptionSpec> options) {
  for (const OptionSpec& option : options) {
    const std::string fallback = option.fallback == kMustBeGiven ? "must be given"
                                 : option.fallback.empty()       ? "–"
                                                                 : code(option.fallback);
    rows.push_back(
        {std::exchange(name, ""), code(option.name), fallback, std::string(option.help)});
  }
}

constexpr std::string_view kOptionHead = "of | option | default | what it says";

std::string maker_options() {
  std::vector<std::vector<std::string>> rows;
  for (const loop::MakerKind* maker : loop::maker_kinds())
    add_options(rows, code(maker->name), maker->options);
  return table(kOptionHead, rows);
}

std::string judge_options() {
  std::vector<std::vector<std::string>> rows;
  for (const loop::JudgeKind* judge : loop::judge_kinds())
    add_options(rows, code(judge->name), judge->options);
  return table(kOptionHead, rows);
}

std::string recipe_keys() {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [shown, name] : {std::pair("at the top", ""),
                                    {"`[unit]`", "unit"},
                                    {"`[context]`", "context"},
                                    {"`[memory]`", "memory"},
                                    {"`[make]`", "make"},
                                    {"`[[judge]]`", "judge"},
                                    {"`[combine]`", "combine"},
                                    {"`[stop]`", "stop"},
                                    {"`[[tool]]`", "tool"}})
    add_options(rows, shown, loop::recipe_options(name));
  return table(kOptionHead, rows);
}

std::string commands() {
  CLI::App cli;
  app::App shared;
  app::Action action;
  for (const app::CommandSpec& command : app::commands()) command.add(cli, shared, action);
  std::vector<std::vector<std::string>> rows;
  for (const CLI::App* command : cli.get_subcommands({})) {
    rows.push_back({code("lathe " + command->get_name()), command->get_description()});
    for (const CLI::App* sub : command->get_subcommands({}))
      rows.push_back(
          {code("lathe " + command->get_name() + " " + sub->get_name()), sub->get_description()});
  }
  return table("command | what it does", rows);
}

// What stands in one row: paths that do the same for one API are told of together.
std::string endpoints() {
  std::vector<std::vector<std::string>> rows;
  for (const serve::ApiEndpoint& route : serve::api_endpoints()) {
    std::string path(route.path);
    if (path.ends_with('*')) path.replace(path.size() - 1, 1, "{id}");
    const std::string shown = code(fmt::format("{} {}", route.method, path));
    if (!rows.empty() && rows.back()[1] == route.about)
      rows.back()[0] += ", " + shown;
    else
      rows.push_back({shown, std::string(route.about)});
  }
  return table("path | what it is", rows);
}

std::string run_endpoints() {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const auto& endpoint) {
    rows.push_back(
        {code(fmt::format("{} {}", endpoint.method, endpoint.path)), std::string(endpoint.about)});
  };
  for (const serve::RunEndpoint& endpoint : serve::run_endpoints()) add(endpoint);
  for (const app::ViewEndpoint& endpoint : app::view_endpoints()) add(endpoint);
  return table("path | what it is", rows);
}

std::string imported() {
  std::map<std::string_view, std::vector<std::string>> by_architecture;
  for (const infer::HfFamily& family : infer::hf_families())
    for (const std::string_view name : {family.gguf, family.with_experts})
      if (!name.empty()) by_architecture[name].push_back(code(family.hf));
  std::vector<std::vector<std::string>> rows;
  for (const auto& [architecture, classes] : by_architecture)
    rows.push_back({code(architecture), join(classes, ", ")});
  return table("GGUF | class", rows);
}

std::string architectures() {
  std::vector<std::vector<std::string>> rows;
  for (const infer::Architecture& architecture : infer::architectures())
    rows.push_back({code(architecture.name)});
  return table("architecture", rows);
}

std::string projectors() {
  std::vector<std::vector<std::string>> rows;
  for (const infer::Projector& projector : infer::projectors())
    rows.push_back({code(projector.name), std::string(projector.models)});
  return table("clip.projector_type | models", rows);
}

std::string sound_projectors() {
  std::vector<std::vector<std::string>> rows;
  for (const infer::SoundProjector& projector : infer::sound_projectors())
    rows.push_back({code(projector.name), std::string(projector.models)});
  return table("projector_type | models", rows);
}

std::string tensor_types() {
  std::vector<std::vector<std::string>> rows;
  for (const infer::TensorTypeInfo& type : infer::tensor_types())
    rows.push_back({code(type.name), std::to_string(type.block), std::to_string(type.block_bytes),
                    fmt::format("{:.4g}", 8.0 * static_cast<double>(type.block_bytes) /
                                              static_cast<double>(type.block)),
                    type.encode ? "yes" : "no"});
  return table("type | elements of a block | bytes of a block | bits an element | written", rows);
}

std::string answer_formats() {
  std::vector<std::vector<std::string>> rows;
  for (const infer::FormatInfo& info : infer::answer_formats())
    rows.push_back({code(info.name), std::string(info.models), code(info.example)});
  return table("format | models | a call", rows);
}

const std::map<std::string, std::string (*)(), std::less<>> kTables{
    {"answer formats", answer_formats},
    {"makers", makers},
    {"judges", judges},
    {"maker options", maker_options},
    {"judge options", judge_options},
    {"recipe keys", recipe_keys},
    {"commands", commands},
    {"endpoints", endpoints},
    {"run endpoints", run_endpoints},
    {"architectures", architectures},
    {"imported", imported},
    {"projectors", projectors},
    {"sound_projectors", sound_projectors},
    {"tensor types", tensor_types},
};

// The page with its tables as they should be; `found` gets their names.
Result<std::string> with_tables(std::string_view page, std::set<std::string>& found) {
  std::string text;
  for (auto begin = page.find(kBegin); begin != page.npos; begin = page.find(kBegin)) {
    const auto name_at = begin + kBegin.size();
    const auto name_end = page.find(kBeginEnd, name_at);
    const auto end = page.find(kEnd, name_at);
    if (name_end == page.npos || end == page.npos) return invalid("a table that does not end");
    const std::string name(page.substr(name_at, name_end - name_at));
    const auto row = kTables.find(name);
    if (row == kTables.end()) return invalid("there is no table '{}'", name);
    found.insert(name);
    text += page.substr(0, name_end + kBeginEnd.size());
    text += "\n" + row->second() + "\n";
    page.remove_prefix(end);
  }
  text += page;
  return text;
}

// Pages whose tables are not as they should be.
Result<int> check_pages(const fs::path& directory, bool write) {
  std::set<std::string> found;
  int different = 0;
  LATHE_TRY(const std::vector<std::string> files, list_files(directory));
  for (const std::string& file : files) {
    if (!file.ends_with(".md")) continue;
    LATHE_TRY(const std::string page, read_file(directory / file));
    const auto wanted = with_tables(page, found);
    if (!wanted) return at((directory / file).string(), wanted.error());
    if (*wanted == page) continue;
    ++different;
    fmt::print(
        "{}/{}: {}\n", directory.string(), file,
        write ? "written" : "its tables are not those of the program; `make docs` writes them");
    if (write) LATHE_TRY_STATUS(write_file_atomic(directory / file, *wanted));
  }
  for (const auto& [name, make] : kTables)
    if (!found.contains(name)) return invalid("the table '{}' stands in no page", name);
  return write ? 0 : different;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto different = check_pages(argv[1], argc > 2 && std::string_view(argv[2]) == "--write");
  if (different) return *different == 0 ? 0 : 1;
  fmt::print(stderr, "{}\n", different.error().message);
  return 2;
}
