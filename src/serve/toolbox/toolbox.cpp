// Opens servers and passes calls on to them.
#include "serve/toolbox/toolbox.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostFaults = 5;

std::string place_of(const ToolServer& server) {
  return fmt::format("the tool server '{}'", server.name);
}

// What is wrong with the arguments; "": nothing.
std::string faults_of(const JsonSchema& schema, const Result<Json>& arguments) {
  if (!arguments) return "the arguments are not JSON: " + arguments.error().message;
  if (!arguments->is_object()) return "the arguments are no JSON object";
  const auto faults = schema.validate(*arguments);
  if (!faults) return faults.error().message;
  std::vector<std::string> words;
  for (const SchemaError& fault : *faults)
    if (words.size() < kMostFaults)
      words.push_back(fmt::format("arguments{}: {}", fault.instance, fault.message));
  return join(words, "; ");
}

}  // namespace

Result<std::unique_ptr<Toolbox>> Toolbox::open(std::span<const ToolServer> servers,
                                               ToolboxOptions options, const StopFlag& stop) {
  std::unique_ptr<Toolbox> toolbox(new Toolbox(std::move(options)));
  for (const ToolServer& server : servers)
    if (auto added = toolbox->add(server, stop); !added)
      return at(place_of(server), std::move(added).error());
  return toolbox;
}

Status Toolbox::add(const ToolServer& spec, const StopFlag& stop) {
  LATHE_TRY(auto wire, options_.connect(spec));
  Server server{.spec = spec, .client = nullptr, .definitions = {}, .hash = {}};
  LATHE_TRY(server.client,
            McpClient::open(std::move(wire), options_.version, stop, options_.times));
  const std::vector<ToolDefinition>& listed = server.client->tools();
  server.definitions = definitions_text(listed);
  server.hash = sha256_hex(server.definitions);
  std::vector<std::string> names;
  for (const ToolDefinition& tool : listed) names.push_back(escaped_text(tool.name));
  for (const std::string& wanted : spec.allow)
    if (std::ranges::find(listed, wanted, &ToolDefinition::name) == listed.end())
      return fail(ErrorKind::kNotFound, "it has no tool '{}'{}; there are {}", wanted,
                  did_you_mean(wanted, names), clip_utf8(join(names, ", "), 600));
  for (const ToolDefinition& tool : listed) {
    const bool named = std::ranges::find(spec.allow, tool.name) != spec.allow.end();
    if (!named && !spec.allow.empty()) continue;
    auto offered = offered_tool(spec.name, tool);
    if (!offered && named) return std::unexpected(offered.error());
    if (!offered) {
      left_out_.push_back(fmt::format("{}: {}", spec.name, offered.error().message));
      continue;
    }
    LATHE_TRY(JsonSchema schema, JsonSchema::compile(offered->parameters));
    entries_.push_back({.server = servers_.size(),
                        .name = tool.name,
                        .reads_only = tool.reads_only,
                        .offered = *std::move(offered),
                        .schema = std::move(schema)});
  }
  servers_.push_back(std::move(server));
  return {};
}

std::vector<Tool> Toolbox::tools() const {
  std::vector<Tool> tools;
  for (const Entry& entry : entries_) tools.push_back(entry.offered);
  return tools;
}

const Toolbox::Entry* Toolbox::find(const std::string& tool) const {
  const auto found = std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.offered.name == tool; });
  return found == entries_.end() ? nullptr : &*found;
}

bool Toolbox::reads_only(const std::string& tool) const {
  const Entry* entry = find(tool);
  return entry != nullptr && entry->reads_only;
}

ToolQuestion Toolbox::question_of(const Entry& entry, std::string arguments) const {
  const Server& server = servers_[entry.server];
  return {server.spec, server.hash, entry.name, std::move(arguments)};
}

std::vector<ToolQuestion> Toolbox::questions() const {
  std::vector<ToolQuestion> questions;
  for (const Entry& entry : entries_) questions.push_back(question_of(entry, ""));
  return questions;
}

Result<ToolAnswer> Toolbox::make_call(const FunctionCall& call,
                                      const std::function<Status()>& about_to,
                                      const StopFlag& stop) {
  const Entry* entry = find(call.name);
  if (entry == nullptr)
    return ToolAnswer{fmt::format("there is no tool '{}'", clip_utf8(call.name, 80)), false};
  const auto arguments = parse_json(call.arguments);
  if (std::string faults = faults_of(entry->schema, arguments); !faults.empty())
    return ToolAnswer{std::move(faults), false};
  LATHE_TRY(const bool allowed,
            options_.may_call(question_of(*entry, canonical_json(*arguments)), stop));
  if (!allowed) return ToolAnswer{"the person who was asked has refused this call", false};
  LATHE_TRY_STATUS(about_to());
  Server& server = servers_[entry->server];
  auto answer = server.client->call(entry->name, *arguments, server.spec.call_time, stop);
  if (!answer) return at(place_of(server.spec), std::move(answer).error());
  return answer;
}

Status Toolbox::unchanged(const std::map<std::string, std::string>& before) const {
  for (const Server& server : servers_) {
    const auto old = before.find(server.spec.name);
    if (old != before.end() && old->second == server.definitions) continue;
    const auto differences = definitions_diff(
        definitions_from(old == before.end() ? "[]" : old->second), server.client->tools());
    return std::unexpected(Error{ErrorKind::kUnavailable,
                                 fmt::format("{}: its tools are others than they were:\n  {}",
                                             place_of(server.spec), join(differences, "\n  ")),
                                 std::string(kToolsChanged)});
  }
  return {};
}

std::map<std::string, std::string> Toolbox::definitions() const {
  std::map<std::string, std::string> all;
  for (const Server& server : servers_) all[server.spec.name] = server.definitions;
  return all;
}

}  // namespace lathe::serve
