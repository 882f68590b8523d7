// What servers say of their tools: read with limits, kept as one text whose hash is theirs, and
// shown so that no character of it acts and no word of it passes for ours. Pure.
#pragma once

#include <string>
#include <vector>

#include "ground/base/result.h"
#include "work/tool_set.h"

namespace lathe::serve {

struct ToolDefinition {
  std::string name;
  std::string description = {};
  Json schema = Json::object();  // of its arguments, as it came
  bool reads_only = false;       // it says so

  bool operator==(const ToolDefinition&) const = default;
};

// One of the list `tools`. Errors: no name, no schema of an object.
Result<ToolDefinition> read_definition(const Json& tool);

// All of a server, whatever their order, as canonical JSON.
std::string definitions_text(std::vector<ToolDefinition> tools);
// The inverse; what is no such text has none.
std::vector<ToolDefinition> definitions_from(std::string_view text);
// What is different, a line each.
std::vector<std::string> definitions_diff(const std::vector<ToolDefinition>& before,
                                          const std::vector<ToolDefinition>& after);

// Printable: control characters, those without width and those that turn the direction of writing
// as "\u{200B}".
std::string escaped_text(std::string_view text);

// As a model is offered it: the description fenced and cut, the schema without prose that nobody
// needs. Errors: a name or a schema that no model should be shown.
Result<Tool> offered_tool(const std::string& server, const ToolDefinition& tool);

}  // namespace lathe::serve
