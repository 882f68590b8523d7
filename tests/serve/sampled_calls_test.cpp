// The starter model, drawn from at temperature 2, calls three foreign tools: whatever it draws, the
// name is one of theirs and the arguments keep to its schema. With --gtest_repeat=25
// --gtest_shuffle: a thousand calls, each drawn otherwise.
#include <gtest/gtest.h>

#include <set>

#include "ground/schema/json_schema.h"
#include "serve/pool/local_worker.h"
#include "serve/pool/pool.h"
#include "serve/toolbox/definitions.h"

namespace lathe::serve {
namespace {

constexpr int kCalls = 40;

Json object_of(Json properties, Json required) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

std::vector<Tool> three_tools() {
  const Json text = {{"type", "string"}, {"maxLength", 12}};
  const ToolDefinition definitions[] = {
      {"query", "Reads rows.",
       object_of({{"table", {{"enum", {"users", "orders"}}}},
                  {"limit", {{"type", "integer"}, {"minimum", 1}, {"maximum", 50}}},
                  {"where", text}},
                 {"table", "limit"}),
       true},
      {"send", "Sends a mail.",
       object_of({{"to", {{"type", "array"}, {"items", text}, {"minItems", 1}, {"maxItems", 2}}},
                  {"urgent", {{"type", "boolean"}}}},
                 {"to", "urgent"})},
      {"plot", "Draws.",
       object_of({{"x", {{"type", "number"}}}, {"at", object_of({{"y", text}}, {"y"})}}, {"at"})}};
  std::vector<Tool> tools;
  for (const ToolDefinition& each : definitions) tools.push_back(offered_tool("db", each).value());
  return tools;
}

TEST(SampledCalls, AreAllOfTheToolsThereAre) {
  PoolOptions options;
  options.memory = std::uint64_t{256} << 20;
  options.threads = 2;
  options.pressure = [] { return std::optional<double>(0); };
  Pool pool(Catalog::read(fs::path(LATHE_SOURCE_DIR) / "models/starter-q8_0.gguf").value(),
            std::move(options));
  LocalWorker worker(pool, "starter-q8_0");
  const StopFlag never;
  Request request;
  request.ask = Talk{.messages = {{"user", "def f(a):"}},
                     .tools = three_tools(),
                     .tool_choice = MustCall(),
                     .parallel_calls = false};
  request.max_tokens = 400;
  request.sampling.temperature = 2;
  std::map<std::string, JsonSchema> schemas;
  for (const Tool& tool : request.talk()->tools)
    schemas.emplace(tool.name, JsonSchema::compile(tool.parameters).value());
  std::set<std::string> names, calls;
  for (int i = 0; i < kCalls; ++i) {
    request.sampling.seed = testing::UnitTest::GetInstance()->random_seed() * kCalls + i;
    // The model has a favourite among them: each is asked for by name, too.
    const auto turn = static_cast<std::size_t>(i) % 4;
    std::get<Talk>(request.ask).tool_choice =
        turn == 3 ? MustCall() : MustCall{request.talk()->tools[turn].name};
    const auto reply = worker.complete(request, never, {});
    ASSERT_TRUE(reply) << reply.error().message;
    ASSERT_EQ(reply->calls.size(), 1U) << reply->text;
    const FunctionCall& call = reply->calls.front();
    const auto schema = schemas.find(call.name);
    ASSERT_NE(schema, schemas.end()) << call.name;
    const auto arguments = parse_json(call.arguments);
    ASSERT_TRUE(arguments) << call.arguments;
    const auto faults = schema->second.validate(*arguments);
    ASSERT_TRUE(faults);
    EXPECT_TRUE(faults->empty()) << call.name << call.arguments;
    names.insert(call.name);
    calls.insert(call.name + call.arguments);
  }
  EXPECT_EQ(names.size(), 3U);
  EXPECT_GT(calls.size(), kCalls / 4U);  // else nothing was drawn
}

}  // namespace
}  // namespace lathe::serve
