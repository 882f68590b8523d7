// Validates the JSON of an answer.
#include "serve/pool/answer_check.h"

#include "ground/base/text.h"
#include "ground/schema/json_schema.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostFaults = 10, kMostBytes = 300;

Result<JsonSchema> compile(const Json& schema) {
  auto compiled = JsonSchema::compile(schema, true);
  // A format that nobody knows is an annotation.
  return compiled ? std::move(compiled) : JsonSchema::compile(schema);
}

void check_json(const std::string& what, const Json& schema, const std::string& text,
                HostReply& reply) {
  const auto unknown = [&](const Error& error) {
    reply.warnings.push_back(fmt::format("{} was not checked against all of its schema: {}", what,
                                         clip_utf8(error.message, kMostBytes)));
  };
  const auto value = parse_json(text);
  if (!value) return unknown(value.error());
  const auto compiled = compile(schema);
  if (!compiled) return unknown(compiled.error());
  const auto faults = compiled->validate(*value);
  if (!faults) return unknown(faults.error());
  for (const SchemaError& fault : *faults) {
    if (reply.warnings.size() == kMostFaults) return;
    reply.warnings.push_back(fmt::format("{} breaks its schema: {}{}", what,
                                         fault.instance.empty() ? "" : fault.instance + " ",
                                         clip_utf8(fault.message, kMostBytes)));
  }
}

}  // namespace

void check_answer(const AnswerCheck& check, HostReply& reply) {
  if (reply.finish == FinishReason::kLength) return;
  if (check.schema) check_json("the answer", *check.schema, reply.text, reply);
  for (const FunctionCall& call : reply.calls) {
    const auto found = check.arguments.find(call.name);
    if (found != check.arguments.end())
      check_json(fmt::format("the call of '{}'", call.name), found->second, call.arguments, reply);
  }
}

}  // namespace lathe::serve
