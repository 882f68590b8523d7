// lathe_check: any judge, on a file or a text.
#include "app/tools/below_root.h"
#include "app/tools/judged.h"
#include "app/tools/tool_list.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

// Settings may name files: those that are there come along.
void take_along(const fs::path& root, const Json& settings,
                std::map<std::string, std::string>& files) {
  if (settings.is_structured())
    for (const Json& each : settings) take_along(root, each, files);
  if (!settings.is_string() || settings.get_ref<const std::string&>().size() > 200) return;
  const std::string name = settings;
  if (!is_safe_relative(name)) return;
  if (auto file = read_below(root, name)) files[name] = std::move(file->bytes);
}

serve::McpResult check(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  const auto take = [&]() -> Result<loop::GivenTake> {
    loop::GivenTake given;
    std::string name = "text";
    if (arguments.contains("file") == arguments.contains("text"))
      return invalid("give either 'file' or 'text'");
    if (arguments.contains("text")) {
      given.bytes = json_string(arguments, "text");
      given.media_type = "text/plain";
    } else {
      LATHE_TRY(NamedFile file, read_below(workshop.root, json_string(arguments, "file")));
      name = file.path;
      given.bytes = std::move(file.bytes);
      given.media_type = file.media_type;
    }
    given.unit = {name, json_string(arguments, "source"), Json::object()};
    given.title = name;
    given.extension = fs::path(name).extension().string();
    take_along(workshop.root, json_at(arguments, "settings"), given.beside);
    return given;
  }();
  if (!take) return serve::mcp_failure(take.error());
  Json judge = {{"kind", arguments["judge"]}};
  judge.update(arguments.value("settings", Json::object()));
  judge["kind"] = arguments["judge"];
  return judge_given(workshop, "check", Json::array({judge}), *take, call);
}

}  // namespace

serve::McpTool check_tool(const Workshop& workshop) {
  std::vector<std::string> names;
  for (const loop::JudgeKind* kind : loop::judge_kinds()) names.emplace_back(kind->name);
  return {
      .name = "lathe_check",
      .description = "Judge a file or a text by one of Lathe's judges: " + join(names, ", ") +
                     ". Settings are the judge's options; `lathe judge list` says them. A "
                     "setting that is wrong is named.",
      .input_schema = {{"type", "object"},
                       {"properties",
                        {{"judge", {{"type", "string"}}},
                         {"file", {{"type", "string"}}},
                         {"text", {{"type", "string"}}},
                         {"source", {{"type", "string"}, {"description", "what it was made from"}}},
                         {"settings", {{"type", "object"}}}}},
                       {"required", {"judge"}},
                       {"additionalProperties", false}},
      .run = [&workshop](const Json& arguments, serve::McpCall& call) {
        return check(workshop, arguments, call);
      }};
}

}  // namespace lathe::app
