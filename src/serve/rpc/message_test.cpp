// Answers of JSON-RPC: read with exactly one outcome. Requests are tested with the server,
// serve/mcp.
#include "serve/rpc/message.h"

#include <gtest/gtest.h>

namespace lathe::serve {
namespace {

TEST(Rpc, AnswersAreReadWithOneOutcome) {
  const auto read = [](const char* text) { return read_rpc_answer(parse_json(text).value()); };
  const auto result = read(R"({"jsonrpc":"2.0","id":3,"result":{"a":1}})");
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->id, 3);
  EXPECT_EQ(*(*result)->result, (Json{{"a", 1}}));
  const auto error = read(R"({"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"no"}})");
  ASSERT_TRUE(error && *error);
  EXPECT_EQ((*error)->result.error().code, RpcCode::kMethodNotFound);
  for (const char* other : {R"({"jsonrpc":"2.0","id":1,"method":"ping"})",
                            R"({"jsonrpc":"2.0","method":"notifications/x"})"}) {
    const auto none = read(other);
    ASSERT_TRUE(none) << other;
    EXPECT_FALSE(*none) << other;
  }
  for (const char* bad :
       {"[]", "3", "{}", R"({"id":1,"result":{}})", R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}})",
        R"({"jsonrpc":"2.0","id":1,"error":"no"})", R"({"jsonrpc":"2.0","id":1,"error":{}})"})
    EXPECT_FALSE(read(bad)) << bad;
}

}  // namespace
}  // namespace lathe::serve
