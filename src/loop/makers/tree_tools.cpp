// What a model may do in a copy of a source tree, tool by tool.
#include "loop/makers/tree_tools.h"

#include <algorithm>

#include "ground/base/text.h"
#include "ground/sys/beneath.h"
#include "ground/sys/sandbox.h"
#include "loop/makers/code_check.h"
#include "loop/makers/code_patch.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMostNames = 300, kMostHits = 60, kMostLines = 400;
constexpr std::size_t kMaxResult = 16 << 10, kMaxLine = 400;
constexpr std::uint64_t kMaxTextBytes = 4 << 20;

Json schema(Json properties, Json required) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

Json text(std::string_view description) {
  return {{"type", "string"}, {"description", description}};
}

bool is_text(std::string_view bytes) {
  return bytes.find('\0') == bytes.npos && find_invalid_utf8(bytes) == bytes.npos;
}

// The end says most: a failure comes last.
std::string tail_of(std::string_view output) {
  if (output.size() <= kMaxResult) return make_valid_utf8(output);
  output = output.substr(output.size() - kMaxResult);
  const auto line = output.find('\n');
  return "…" + make_valid_utf8(line == output.npos ? output : output.substr(line));
}

std::string did_you_mean_file(const std::string& path, const fs::path& tree) {
  return did_you_mean(path, lathe::list_files(tree).value_or(std::vector<std::string>()));
}

}  // namespace

TreeTools::TreeTools(const Json& options, const MakeContext& context, TempDir clean, TempDir tree)
    : options_(options),
      context_(context),
      rule_(WriteRule::of(options)),
      clean_(std::move(clean)),
      tree_(std::move(tree)) {}

Result<TreeTools> TreeTools::make(const Json& options, const Changes& best,
                                  const MakeContext& context) {
  if (!context.place.checkout)
    return invalid("agent: there is no source tree to work on; set unit.tree in the recipe");
  LATHE_TRY(TempDir clean, TempDir::make("lathe-clean"));
  LATHE_TRY(TempDir tree, TempDir::make("lathe-agent"));
  for (const TempDir* each : {&clean, &tree})
    LATHE_TRY_STATUS(context.place.checkout(each->path()));
  LATHE_TRY_STATUS(apply_changes(best, tree.path()));
  TreeTools tools(options, context, std::move(clean), std::move(tree));
  auto surroundings = surroundings_of(options, context.place, tools.tree_.path());
  if (!surroundings) return at("agent", std::move(surroundings).error());
  tools.surroundings_ = *std::move(surroundings);
  return tools;
}

std::vector<Tool> TreeTools::tools() const {
  const Json path = text("relative to the project");
  std::vector<Tool> tools;
  const auto add = [&](const char* name, const char* description, Json parameters) {
    tools.push_back({name, description, std::move(parameters), true});
  };
  add("list_files", "The project's files.",
      schema({{"glob", text("like src/**; optional")}}, Json::array()));
  add("read_file", "Lines of a file, with their numbers.",
      schema({{"path", path},
              {"from", {{"type", "integer"}, {"minimum", 1}, {"description", "first line"}}},
              {"lines", {{"type", "integer"}, {"minimum", 1}, {"description", "at most 400"}}}},
             {"path"}));
  add("search", "Lines that contain a text, with their files and numbers.",
      schema({{"text", {{"type", "string"}, {"minLength", 1}}}, {"glob", text("optional")}},
             {"text"}));
  add("edit_file", "Replaces whole lines of a file. `old` must stand exactly once in it.",
      schema({{"path", path},
              {"old", text("the lines that go")},
              {"new", text("the lines in their place")}},
             {"path", "old", "new"}));
  add("write_file", "Makes a file, or a short one anew.",
      schema({{"path", path}, {"text", text("all of it")}}, {"path", "text"}));
  if (option_bool(options_, "commands"))
    add("run",
        "A command for sh in the project, in a sandbox without network. Shows what it prints.",
        schema({{"command", {{"type", "string"}, {"minLength", 1}}}}, {"command"}));
  return tools;
}

bool TreeTools::reads_only(const std::string& tool) const {
  return tool == "list_files" || tool == "read_file" || tool == "search";
}

// What the model got wrong is told to it.
Result<ToolAnswer> TreeTools::call(const FunctionCall& call, const StopFlag& stop) {
  auto made = answer(call, stop);
  if (made) return ToolAnswer{*std::move(made)};
  const bool its_own =
      made.error().kind == ErrorKind::kInvalid || made.error().kind == ErrorKind::kNotFound;
  if (its_own) return ToolAnswer{made.error().message, false};
  return std::unexpected(made.error());
}

Result<std::string> TreeTools::answer(const FunctionCall& call, const StopFlag& stop) {
  const auto arguments = parse_json(call.arguments);
  if (!arguments || !arguments->is_object()) return invalid("the arguments are no JSON object");
  if (call.name == "list_files") return list_files(*arguments);
  if (call.name == "read_file") return read_file(*arguments);
  if (call.name == "search") return search(*arguments);
  if (call.name == "edit_file") return edit_file(*arguments);
  if (call.name == "write_file") return write_file(*arguments);
  return run(*arguments, stop);
}

Result<std::string> TreeTools::text_of(const std::string& path) const {
  auto bytes = read_beneath(tree_.path(), path, kMaxTextBytes);
  if (!bytes && bytes.error().kind == ErrorKind::kNotFound)
    return invalid("there is no file '{}'{}", clip_utf8(path, 200),
                   did_you_mean_file(path, tree_.path()));
  // Whatever a command has put there is the model's business, and no failure of this machine.
  if (!bytes) return invalid("{}", bytes.error().message);
  if (!is_text(*bytes)) return invalid("'{}' is no text", clip_utf8(path, 200));
  return bytes;
}

Result<std::string> TreeTools::list_files(const Json& arguments) const {
  const std::string glob = json_string(arguments, "glob", "**");
  LATHE_TRY(const std::vector<std::string> files, lathe::list_files(tree_.path()));
  std::string names;
  std::size_t count = 0;
  for (const std::string& file : files)
    if (glob_match(glob, file) && ++count <= kMostNames) names += file + "\n";
  if (count > kMostNames) names += fmt::format("… and {} more\n", count - kMostNames);
  return names.empty() ? "no file matches" : names;
}

Result<std::string> TreeTools::read_file(const Json& arguments) const {
  LATHE_TRY(const std::string bytes, text_of(json_string(arguments, "path")));
  const std::string shown = shown_text(bytes);
  const std::vector<std::string_view> lines = split_lines(shown);
  const auto from =
      static_cast<std::size_t>(std::max<std::int64_t>(1, json_int(arguments, "from", 1)));
  const auto wanted = static_cast<std::size_t>(
      std::clamp<std::int64_t>(json_int(arguments, "lines", kMostLines), 1, kMostLines));
  std::string result;
  std::size_t at = from;
  for (; at <= lines.size() && at < from + wanted && result.size() < kMaxResult; ++at)
    result += fmt::format("{:>5}  {}\n", at, clip_utf8(lines[at - 1], kMaxLine));
  if (at <= lines.size()) result += fmt::format("… {} lines in all\n", lines.size());
  return result.empty() ? fmt::format("the file has {} lines", lines.size()) : result;
}

Result<std::string> TreeTools::search(const Json& arguments) const {
  const std::string wanted = json_string(arguments, "text");
  const std::string glob = json_string(arguments, "glob", "**");
  LATHE_TRY(const std::vector<std::string> files, lathe::list_files(tree_.path()));
  std::string hits;
  std::size_t count = 0;
  for (const std::string& file : files) {
    if (!glob_match(glob, file)) continue;
    const auto bytes = text_of(file);
    if (!bytes) continue;
    const std::vector<std::string_view> lines = split_lines(*bytes);
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (lines[i].contains(wanted) && ++count <= kMostHits)
        hits += fmt::format("{}:{}: {}\n", file, i + 1, clip_utf8(trim(lines[i]), kMaxLine));
  }
  if (count > kMostHits) hits += fmt::format("… and {} more\n", count - kMostHits);
  return hits.empty() ? "nothing contains it" : hits;
}

Status TreeTools::put(const std::string& path, std::string text) {
  LATHE_TRY_STATUS(rule_.allows(path));
  LATHE_TRY_STATUS(outside_repositories(tree_.path(), path));
  const auto before = read_beneath(tree_.path(), path, kMaxTextBytes);
  LATHE_TRY_STATUS(no_leftovers(path, before.value_or(""), text));
  Changes change;
  change.files[path] = std::move(text);
  if (auto written = apply_changes(change, tree_.path()); !written)
    return invalid("{}", written.error().message);
  return {};
}

Result<std::string> TreeTools::edit_file(const Json& arguments) {
  const std::string path = json_string(arguments, "path");
  LATHE_TRY_STATUS(rule_.allows(path));
  LATHE_TRY(const std::string before, text_of(path));
  const std::vector<Replacement> exchange{
      {json_string(arguments, "old"), json_string(arguments, "new")}};
  if (trim(exchange[0].before).empty()) return invalid("`old` is empty: say which lines go");
  LATHE_TRY(std::string after, replace_lines(path, before, exchange));
  if (after == before) return std::string("nothing changed: `old` and `new` are the same");
  LATHE_TRY_STATUS(put(path, std::move(after)));
  return "done: " + path;
}

Result<std::string> TreeTools::write_file(const Json& arguments) {
  const std::string path = json_string(arguments, "path");
  LATHE_TRY_STATUS(put(path, json_string(arguments, "text")));
  return "done: " + path;
}

Result<std::string> TreeTools::run(const Json& arguments, const StopFlag& stop) {
  Sandbox sandbox;
  sandbox.tree = tree_.path();
  sandbox.read_only = surroundings_.read_only;
  sandbox.limits.memory_bytes = option_bytes(options_, "memory");
  sandbox.limits.processes = static_cast<int>(option_int(options_, "processes"));
  sandbox.unsafe_none = context_.place.unsafe_no_sandbox;
  Command command;
  command.argv = {"sh", "-c", json_string(arguments, "command")};
  command.env = surroundings_.env;
  command.time_limit =
      std::min(Milliseconds(option_duration_ms(options_, "command_time")), context_.time_limit);
  LATHE_TRY(const SandboxedExit result, run_sandboxed(sandbox, command, stop));
  if (result.exit.stopped) return fail(ErrorKind::kCancelled, "agent: stopped");
  const std::string printed = result.exit.out + result.exit.err;
  return fmt::format("{}{}{}\n{}", result.exit.describe(), result.contained.empty() ? "" : ", ",
                     result.contained, printed.empty() ? "it printed nothing" : tail_of(printed));
}

Result<std::map<std::string, std::optional<std::string>>> TreeTools::differences() const {
  std::map<std::string, std::optional<std::string>> changed;
  LATHE_TRY(const std::vector<std::string> before, lathe::list_files(clean_.path()));
  LATHE_TRY(const std::vector<std::string> after, lathe::list_files(tree_.path()));
  for (const std::string& file : before)
    if (!std::ranges::binary_search(after, file)) changed[file] = std::nullopt;
  for (const std::string& file : after) {
    LATHE_TRY(std::string now, read_beneath(tree_.path(), file));
    const auto was = read_beneath(clean_.path(), file);
    if (!was || *was != now) changed[file] = std::move(now);
  }
  return changed;
}

Result<Changes> TreeTools::changes() const {
  LATHE_TRY(auto changed, differences());
  Changes changes;
  for (auto& [file, now] : changed)
    if (rule_.allows(file) && outside_repositories(clean_.path(), file) && (!now || is_text(*now)))
      changes.files[file] = std::move(now);
  return changes;
}

std::vector<std::string> TreeTools::left_out() const {
  std::vector<std::string> files;
  const auto changed = differences();
  if (!changed) return files;
  for (const auto& [file, now] : *changed)
    if (!rule_.allows(file) || !outside_repositories(clean_.path(), file) ||
        (now && !is_text(*now)))
      files.push_back(file);
  return files;
}

}  // namespace lathe::loop
