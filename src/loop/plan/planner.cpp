// The planner's prompt and schema, and plans as TOML.
#include "loop/plan/planner.h"

#include <algorithm>

#include "ground/base/text.h"
#include "loop/plan/globs.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMostFilesShown = 500;
constexpr int kPlanTokens = 8192;

constexpr std::string_view kPlannerSystem =
    R"(You cut a piece of work into tasks that others do, several at once. Answer with one plan as JSON and nothing else.

- Few tasks, each with one clear result. One task is right where the work is small.
- Tasks that run at once write different files: name them in writes, as narrowly as you can. A task that needs what another makes names that task in deps.
- reads: the files that a task has to see. No path begins with '/' or has '..' in it.
- do: all that the one who does it has to know; they see neither this talk nor the other tasks.
- judges: for each task those that decide whether it is done, as "KIND:NAME" of a table in judge; at least one gate. "tests" runs a command in the tree and reads its report; it must pass when this task alone, and those before it, are done. whole: those that decide on everything together.
- difficulty: 1 easy, 3 hard.
)";

Json text_schema(std::size_t most) {
  return {{"type", "string"}, {"minLength", 1}, {"maxLength", most}};
}

Json list_schema(Json items, std::size_t least) {
  return {{"type", "array"}, {"items", std::move(items)}, {"minItems", least}};
}

Json object_schema(Json properties, std::vector<std::string> required) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

bool is_bare(std::string_view key) {
  return !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

// JSON's strings, numbers, booleans and lists are TOML's too, but for one character.
std::string toml_of(const Json& value) {
  if (value.is_array()) {
    std::vector<std::string> items;
    for (const Json& item : value) items.push_back(toml_of(item));
    return "[" + join(items, ", ") + "]";
  }
  if (!value.is_object()) return replace_all(dump_json(value), "\x7f", "\\u007F");
  std::vector<std::string> members;
  for (const auto& [key, member] : value.items())
    members.push_back((is_bare(key) ? key : toml_of(Json(key))) + " = " + toml_of(member));
  return members.empty() ? "{}" : "{ " + join(members, ", ") + " }";
}

std::string lines_of(const Json& table) {
  std::string lines;
  for (const auto& [key, value] : table.items()) {
    const bool empty = value.is_structured() && value.empty();
    if (!empty) lines += (is_bare(key) ? key : toml_of(Json(key))) + " = " + toml_of(value) + "\n";
  }
  return lines;
}

}  // namespace

Json plan_schema() {
  std::vector<std::string> makers{"code", "agent", "text"};
  const Json path = text_schema(kMaxGlobBytes);
  const Json paths = list_schema(path, 0);
  const Json ref = text_schema(80);
  Json task =
      object_schema({{"id", {{"type", "string"}, {"pattern", "^[a-z0-9-]{1,40}$"}}},
                     {"do", text_schema(kMaxInstruction)},
                     {"kind", {{"enum", makers}}},
                     {"deps", list_schema(text_schema(40), 0)},
                     {"reads", paths},
                     {"writes", list_schema(path, 1)},
                     {"judges", list_schema(ref, 1)},
                     {"difficulty", {{"enum", {1, 2, 3}}}}},
                    {"id", "do", "kind", "deps", "reads", "writes", "judges", "difficulty"});
  Json tasks = list_schema(std::move(task), 1);
  tasks["maxItems"] = kMaxTasks;
  Json judge = object_schema({{"kind", {{"enum", {"tests"}}}},
                              {"command", text_schema(1000)},
                              {"format", {{"enum", {"auto", "exit", "tap", "pytest"}}}}},
                             {"kind", "command", "format"});
  return object_schema({{"plan", {{"const", 1}}},
                        {"goal", text_schema(2000)},
                        {"protect", paths},
                        {"judge", {{"type", "object"}, {"additionalProperties", std::move(judge)}}},
                        {"whole", list_schema(ref, 1)},
                        {"task", std::move(tasks)}},
                       {"plan", "goal", "protect", "judge", "whole", "task"});
}

Request planner_request(const PlannerTask& task, const std::string& draft,
                        const std::string& refused) {
  std::string files;
  for (std::size_t i = 0; i < task.files.size() && i < kMostFilesShown; ++i)
    files += task.files[i] + "\n";
  if (task.files.size() > kMostFilesShown)
    files += fmt::format("… and {} more\n", task.files.size() - kMostFilesShown);
  Talk talk;
  talk.messages.push_back({"system", std::string(kPlannerSystem)});
  talk.messages.push_back(
      {"user", fmt::format("What is wanted:\n{}\n\n{}The project's files:\n{}\nThe plan must fit "
                           "this JSON Schema:\n{}",
                           trim(task.text),
                           task.tests.empty() ? std::string()
                                              : fmt::format("All tests run by: {}\n\n", task.tests),
                           files, dump_json(plan_schema()))});
  if (!refused.empty()) {
    talk.messages.push_back({"assistant", draft});
    talk.messages.push_back(
        {"user", fmt::format("This plan cannot be used: {}\nAnswer with the whole plan, corrected.",
                             refused)});
  }
  Request request;
  request.ask = std::move(talk);
  request.form = SchemaForm{plan_schema()};
  request.max_tokens = kPlanTokens;
  request.sampling.temperature = 0.2;
  request.sampling.seed = refused.empty() ? 1 : 2;
  request.labels = {{"purpose", "plan"}, {"attempt", refused.empty() ? "0" : "1"}};
  return request;
}

std::string plan_toml(const Json& canonical) {
  Json top = canonical;
  for (const char* table : {"judge", "task", "stop"}) top.erase(table);
  std::string text = lines_of(top);
  if (const Json& stop = json_at(canonical, "stop"); stop.is_object() && !stop.empty())
    text += "\n[stop]\n" + lines_of(stop);
  for (const auto& [name, judge] : json_at(canonical, "judge").items())
    text += fmt::format("\n[judge.{}]\n{}", name, lines_of(judge));
  for (const Json& task : json_at(canonical, "task")) text += "\n[[task]]\n" + lines_of(task);
  return text;
}

}  // namespace lathe::loop
