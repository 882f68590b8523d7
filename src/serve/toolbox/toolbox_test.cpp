// The client of the protocol against servers that keep to it, and against those that do not; and
// which calls reach a server.
#include "serve/toolbox/toolbox.h"

#include <gmock/gmock.h>

#include <deque>

#include "ground/base/hash.h"

namespace lathe::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const StopFlag kNever;
constexpr McpTimes kShort{.probe = Milliseconds(20), .begin = Milliseconds(200)};

// A server in the test: what it is told, it answers at once.
class Scripted final : public Wire {
 public:
  // Lines that answer one; nothing: silence.
  using Answers = std::function<std::vector<std::string>(const Json& message)>;
  explicit Scripted(Answers answers, std::vector<Json>* seen = nullptr)
      : answers_(std::move(answers)), seen_(seen) {}

  Status say(std::string_view line, Milliseconds, const StopFlag&) override {
    const Json message = parse_json(line).value();
    if (seen_) seen_->push_back(message);
    for (std::string& each : answers_(message)) lines_.push_back(std::move(each));
    return {};
  }
  Result<std::optional<std::string>> hear(Milliseconds, const StopFlag& stop) override {
    if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
    if (lines_.empty()) return std::optional<std::string>();
    std::optional<std::string> line = std::move(lines_.front());
    lines_.pop_front();
    if (*line == "END") return fail(ErrorKind::kUnavailable, "it ended: exit code 1");
    return line;
  }

 private:
  Answers answers_;
  std::vector<Json>* seen_;
  std::deque<std::string> lines_;
};

std::string result(const Json& message, Json value) {
  return dump_json(rpc_result(message["id"], std::move(value)));
}
std::string error(const Json& message, int code) {
  return dump_json(rpc_error(message["id"], {static_cast<RpcCode>(code), "no"}));
}

Json tool_json(const std::string& name, bool reads = true, const std::string& words = "does it") {
  return {{"name", name},
          {"description", words},
          {"inputSchema",
           {{"type", "object"},
            {"properties", {{"n", {{"type", "integer"}}}}},
            {"required", {"n"}},
            {"additionalProperties", false}}},
          {"annotations", {{"readOnlyHint", reads}}}};
}
Json said(const std::string& text) {
  return {{"content", {{{"type", "text"}, {"text", text}}}}};
}

// Of both eras, or of one.
struct Well {
  bool modern = true, legacy = true;
  Json tools = Json::array({tool_json("f"), tool_json("g", false)});
  std::function<std::vector<std::string>(const Json& call)> on_call = [](const Json& call) {
    return std::vector{result(call, said("the answer"))};
  };

  std::vector<std::string> operator()(const Json& message) const {
    const std::string method = json_string(message, "method");
    const bool known = modern && json_at(json_at(message, "params"), "_meta").is_object();
    if (!message.contains("id")) return {};
    if (method == "server/discover")
      return {modern ? result(message, {{"supportedVersions", {"2026-07-28"}}})
                     : error(message, -32601)};
    if (method == "initialize" && legacy)
      return {
          result(message, {{"protocolVersion", "2025-06-18"}, {"capabilities", Json::object()}})};
    if (!known && !legacy) return {error(message, -32602)};
    if (method == "tools/list") return {result(message, {{"tools", tools}})};
    if (method == "tools/call") return on_call(message);
    return {error(message, -32601)};
  }
};

Result<std::unique_ptr<McpClient>> open(Scripted::Answers answers,
                                        std::vector<Json>* seen = nullptr) {
  return McpClient::open(std::make_unique<Scripted>(std::move(answers), seen), "1", kNever, kShort);
}
Result<ToolAnswer> call_f(McpClient& client) {
  return client.call("f", {{"n", 1}}, Milliseconds(100), kNever);
}

TEST(McpClient, SpeaksTheNewestRevision) {
  std::vector<Json> seen;
  const auto client = open(Well{}, &seen);
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_FALSE((*client)->is_legacy());
  EXPECT_EQ((*client)->tools().size(), 2U);
  EXPECT_TRUE((*client)->tools()[0].reads_only);
  const auto answer = call_f(**client);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, "the answer");
  ASSERT_EQ(seen.size(), 3U);
  for (const Json& message : seen) {
    EXPECT_EQ(message["params"]["_meta"][kVersionKey], "2026-07-28");
    EXPECT_TRUE(message["params"]["_meta"][kCapabilitiesKey].is_object());
  }
  EXPECT_EQ(seen[2]["params"]["arguments"], (Json{{"n", 1}}));
}

TEST(McpClient, FallsBackToWhatWasBefore) {
  std::vector<Json> seen;
  const auto client = open(Well{.modern = false}, &seen);
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_TRUE((*client)->is_legacy());
  EXPECT_EQ(call_f(**client)->text, "the answer");
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen[1]["method"], "initialize");
  EXPECT_EQ(seen[1]["params"]["protocolVersion"], "2025-11-25");
  EXPECT_EQ(seen[2]["method"], "notifications/initialized");
  EXPECT_FALSE(seen[2].contains("id"));
  EXPECT_FALSE(seen[4]["params"].contains("_meta"));
  // Silence is an answer too, and what comes late is not taken for another.
  std::string late;
  const auto slow = open([&](const Json& message) -> std::vector<std::string> {
    if (message["method"] == "server/discover") {
      late = error(message, -32601);
      return {};
    }
    auto lines = Well{.modern = false}(message);
    if (!late.empty()) lines.insert(lines.begin(), std::exchange(late, ""));
    return lines;
  });
  ASSERT_TRUE(slow) << slow.error().message;
  EXPECT_EQ(call_f(**slow)->text, "the answer");
}

TEST(McpClient, WhoIsSlowIsNotTakenForOld) {
  std::string late;
  const auto slow = open([&](const Json& message) -> std::vector<std::string> {
    std::vector<std::string> lines = Well{.legacy = false}(message);
    if (message["method"] == "server/discover") {
      late = lines.at(0);
      return {};
    }
    if (!late.empty()) lines.insert(lines.begin(), std::exchange(late, ""));
    return lines;
  });
  ASSERT_TRUE(slow) << slow.error().message;
  EXPECT_FALSE((*slow)->is_legacy());
  EXPECT_EQ(call_f(**slow)->text, "the answer");
}

TEST(McpClient, WhoSpeaksNeitherIsRefused) {
  const auto neither = open(Well{.modern = false, .legacy = false});
  ASSERT_FALSE(neither);
  EXPECT_THAT(neither.error().message, HasSubstr("refused to begin"));
  const auto strange = open([](const Json& message) -> std::vector<std::string> {
    if (message["method"] == "initialize")
      return {result(message, {{"protocolVersion", "1999-01-01"}})};
    return {error(message, -32601)};
  });
  ASSERT_FALSE(strange);
  EXPECT_THAT(strange.error().message, HasSubstr("'1999-01-01'"));
}

// Whatever a server does in place of answering a call is an error, and stays one.
TEST(McpClient, WhatBreaksTheProtocolEndsIt) {
  const auto fails = [](std::function<std::vector<std::string>(const Json&)> on_call,
                        const char* words) {
    for (const bool modern : {true, false}) {
      Well well{.modern = modern};
      well.on_call = on_call;
      const auto client = open(well);
      ASSERT_TRUE(client) << client.error().message;
      const auto answer = call_f(**client);
      ASSERT_FALSE(answer) << words << ": " << answer->text;
      EXPECT_THAT(answer.error().message, HasSubstr(words));
      EXPECT_NE(answer.error().kind, ErrorKind::kInvalid);
      const auto again = call_f(**client);
      ASSERT_FALSE(again);
      EXPECT_EQ(again.error().message, answer.error().message);
    }
  };
  using Lines = std::vector<std::string>;
  fails([](const Json&) { return Lines{}; }, "did not answer 'tools/call' within");
  fails([](const Json&) { return Lines{"END"}; }, "it ended: exit code 1");
  fails(
      [](const Json& call) {
        return Lines{"INFO: started\x1b", result(call, said("pass"))};
      },
      "'INFO: started\\u{1B}'; logs belong on standard error");
  fails([](const Json&) { return Lines{R"({"jsonrpc":"2.0","id":77,"result":{}})"}; },
        "it answered '77', which nobody asked");
  fails(
      [](const Json& call) {
        return Lines{result({{"id", "x"}}, {}), result(call, said("pass"))};
      },
      "which nobody asked");
  fails(
      [](const Json& call) {
        return Lines{dump_json(rpc_request(1, "sampling/createMessage", Json::object())),
                     result(call, said("pass"))};
      },
      "it asked 'sampling/createMessage' of us");
  fails([](const Json& call) { return Lines{"[" + result(call, said("pass")) + "]"}; },
        "a message must be an object");
  fails(
      [](const Json& call) {
        return Lines{R"({"id":)" + dump_json(call["id"]) + R"(,"result":{}})"};
      },
      "'jsonrpc' must be");
  fails([](const Json& call) { return Lines{result(call, Json::object())}; }, "without 'content'");
  // An answer is taken; a second one to it ends the next call.
  Well well;
  well.on_call = [](const Json& call) { return Lines(2, result(call, said("a"))); };
  const auto client = open(well);
  EXPECT_EQ(call_f(**client)->text, "a");
  EXPECT_THAT(call_f(**client).error().message, HasSubstr("which nobody asked"));
}

TEST(McpClient, WhatIsNoAnswerIsNotTakenForOne) {
  Well well;
  well.on_call = [](const Json& call) {
    return std::vector{
        result(call, {{"resultType", "input_required"}, {"inputRequests", Json::object()}})};
  };
  auto client = open(well);
  EXPECT_FALSE(call_f(**client)->ok);
  EXPECT_THAT(call_f(**client)->text, HasSubstr("'input_required'"));
  well.on_call = [](const Json& call) { return std::vector{error(call, -32602)}; };
  client = open(well);
  EXPECT_FALSE(call_f(**client)->ok);
  EXPECT_THAT(call_f(**client)->text, HasSubstr("(-32602)"));
  well.on_call = [](const Json& call) {
    Json failed = said("it is locked");
    failed["isError"] = true;
    failed["content"].push_back({{"type", "image"}, {"data", "AAAA"}, {"mimeType", "image/png"}});
    return std::vector{dump_json(rpc_notification("notifications/message", {{"data", "x"}})),
                       result(call, failed)};
  };
  client = open(well);
  const auto answer = call_f(**client);
  EXPECT_FALSE(answer->ok);
  EXPECT_EQ(answer->text, "it is locked\n(not text, and not shown: image, image/png)");
}

TEST(McpClient, OlderServersMayAskWhetherAnybodyIsThere) {
  std::vector<Json> seen;
  Well well{.modern = false};
  well.on_call = [](const Json& call) {
    return std::vector{dump_json(rpc_request("p", "ping", Json::object())),
                       result(call, said("here"))};
  };
  const auto client = open(well, &seen);
  EXPECT_EQ(call_f(**client)->text, "here");
  EXPECT_EQ(seen.back(), (Json{{"jsonrpc", "2.0"}, {"id", "p"}, {"result", Json::object()}}));
}

TEST(McpClient, ToolsThatChangeEndIt) {
  const auto changing = [](std::string words, bool before_the_answer) {
    auto tools = std::make_shared<Json>(Json::array({tool_json("f")}));
    Well well;
    well.on_call = [tools, words, before_the_answer](const Json& call) {
      (*tools)[0]["description"] = words;
      std::vector lines{result(call, said("the answer"))};
      lines.insert(before_the_answer ? lines.begin() : lines.end(),
                   dump_json(rpc_notification("notifications/tools/list_changed", Json::object())));
      return lines;
    };
    return [well, tools](const Json& message) {
      Well now = well;
      now.tools = *tools;
      return now(message);
    };
  };
  const auto client = open(changing("does more", true));
  const auto answer = call_f(**client);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, kToolsChanged);
  EXPECT_THAT(answer.error().message,
              HasSubstr(R"(~ 'f', its description: was "does it", is "does more")"));
  const auto later = open(changing("does more", false));
  EXPECT_TRUE(call_f(**later));
  EXPECT_EQ(call_f(**later).error().code, kToolsChanged);
  // It may say so when nothing has.
  const auto same = open(changing("does it", true));
  EXPECT_TRUE(call_f(**same));
  EXPECT_TRUE(call_f(**same));
}

TEST(McpClient, ListsHavePagesAndAnEnd) {
  const auto paged = [](int pages) {
    return [pages](const Json& message) -> std::vector<std::string> {
      if (message["method"] != "tools/list") return Well{}(message);
      const int page = std::stoi(json_string(message["params"], "cursor", "0"));
      Json list = {{"tools", {tool_json(fmt::format("f{}", page))}}};
      if (page + 1 < pages) list["nextCursor"] = std::to_string(page + 1);
      return {result(message, list)};
    };
  };
  const auto three = open(paged(3));
  ASSERT_TRUE(three) << three.error().message;
  EXPECT_EQ((*three)->tools().size(), 3U);
  EXPECT_THAT(open(paged(1'000'000)).error().message, HasSubstr("is longer than"));
  Well twice;
  twice.tools = {tool_json("f"), tool_json("f")};
  EXPECT_THAT(open(twice).error().message, HasSubstr("lists the tool 'f' twice"));
}

class ToolboxTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Toolbox>> open_box(std::vector<ToolServer> servers) {
    ToolboxOptions options;
    options.times = kShort;
    options.version = "1";
    options.connect = [this](const ToolServer&) -> Result<std::unique_ptr<Wire>> {
      return std::make_unique<Scripted>(well_, &seen_);
    };
    options.may_call = [this](const ToolQuestion& question, const StopFlag&) -> Result<bool> {
      asked_.push_back(question.server.name + " " + question.tool + " " + question.arguments);
      hash_ = question.definitions;
      return may_;
    };
    return Toolbox::open(servers, std::move(options), kNever);
  }
  static ToolServer server(const std::string& name, std::vector<std::string> allow = {}) {
    ToolServer server;
    server.name = name;
    server.command = {"x"};
    server.allow = std::move(allow);
    return server;
  }
  std::size_t calls() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        seen_, [](const Json& message) { return message["method"] == "tools/call"; }));
  }

  Well well_;
  std::vector<Json> seen_;
  std::vector<std::string> asked_;
  std::string hash_;
  Result<bool> may_ = true;
};

TEST_F(ToolboxTest, ServersHaveTheirOwnNamesForTools) {
  well_.tools.push_back(tool_json("lathe_look"));
  const auto box = open_box({server("a"), server("b", {"f", "lathe_look"})});
  ASSERT_TRUE(box) << box.error().message;
  std::vector<std::string> names;
  for (const Tool& tool : (*box)->tools()) names.push_back(tool.name);
  EXPECT_THAT(names, ElementsAre("a__f", "a__g", "a__lathe_look", "b__f", "b__lathe_look"));
  EXPECT_TRUE((*box)->reads_only("a__f"));
  EXPECT_FALSE((*box)->reads_only("a__g"));
  const auto answer = (*box)->call({"1", "b__f", R"({"n":3})"}, kNever);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, "the answer");
  EXPECT_EQ(seen_.back()["params"]["name"], "f");
  EXPECT_THAT(asked_, ElementsAre(R"(b f {"n":3})"));
  EXPECT_EQ(hash_, sha256_hex((*box)->definitions().at("b")));
  EXPECT_FALSE((*box)->call({"1", "b__g", R"({"n":3})"}, kNever)->ok);  // not allowed: not there
}

TEST_F(ToolboxTest, WhatIsAllowedMustBeThere) {
  const auto box = open_box({server("a", {"ff"})});
  ASSERT_FALSE(box);
  EXPECT_THAT(box.error().message, HasSubstr("the tool server 'a': it has no tool 'ff'"));
  EXPECT_THAT(box.error().message, HasSubstr("did you mean 'f'"));
  well_.tools.push_back(tool_json("not plain"));
  const auto all = open_box({server("a")});
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ((*all)->tools().size(), 2U);
  EXPECT_THAT((*all)->left_out(), ElementsAre(HasSubstr("'not plain'")));
}

TEST_F(ToolboxTest, ArgumentsThatBreakTheSchemaReachNobody) {
  const auto box = open_box({server("a")});
  for (const char* arguments : {"", "{", "[]", "3", "{}", R"({"n":"1"})", R"({"n":1,"m":2})"}) {
    const auto answer = (*box)->call({"1", "a__f", arguments}, kNever);
    ASSERT_TRUE(answer) << arguments;
    EXPECT_FALSE(answer->ok) << arguments;
  }
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_EQ(calls(), 0U);
}

TEST_F(ToolboxTest, APersonsNoIsToldAndNobodysIsAnEnd) {
  const auto box = open_box({server("a")});
  may_ = false;
  const FunctionCall call{"1", "a__g", R"({"n":1})"};
  bool about = false;
  const auto note = [&]() -> Status {
    about = true;
    return {};
  };
  EXPECT_THAT((*box)->make_call(call, note, kNever)->text, HasSubstr("has refused"));
  may_ = std::unexpected(Error{ErrorKind::kUnavailable, "nobody is here"});
  EXPECT_FALSE((*box)->make_call(call, note, kNever));
  EXPECT_FALSE(about);
  may_ = true;
  EXPECT_TRUE((*box)->make_call(call, note, kNever));
  EXPECT_TRUE(about);
  const auto stops = [] { return fail(ErrorKind::kUnavailable, "the disk is full"); };
  EXPECT_FALSE((*box)->make_call(
      call, [&]() -> Status { return stops(); }, kNever));
  EXPECT_EQ(calls(), 1U);
}

TEST_F(ToolboxTest, DefinitionsAreHeldTo) {
  const auto box = open_box({server("a")});
  const auto agreed = (*box)->definitions();
  EXPECT_TRUE((*box)->unchanged(agreed));
  well_.tools = {tool_json("f", true, "does it, and tells others"), tool_json("g", false)};
  const auto later = open_box({server("a")});
  const auto changed = (*later)->unchanged(agreed);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, kToolsChanged);
  EXPECT_THAT(changed.error().message, HasSubstr("is \"does it, and tells others\""));
  EXPECT_FALSE((*later)->unchanged({}));
}

}  // namespace
}  // namespace lathe::serve
