// What comes before and after an answer: texts that are bounded by the context, templates that are
// bounded whatever they are, the probabilities of a prompt, and what is said of an answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <future>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "infer/cpu/cpu_executor.h"
#include "infer/formats/gguf_writer.h"
#include "serve/pool/pool.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using Answers = Result<std::vector<HostReply>>;
using Ids = Result<std::vector<std::int32_t>>;

fs::path plain_model() {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf";
}

// The same weights with another chat template.
void write_with_template(const fs::path& path, const std::string& chat_template) {
  const infer::Gguf source = *infer::Gguf::open(plain_model());
  auto writer = *infer::GgufWriter::create(path);
  for (const auto& [key, value] : source.metadata())
    if (key != "tokenizer.chat_template") writer.add(key, value);
  writer.add("tokenizer.chat_template", chat_template);
  for (const infer::GgufTensor& tensor : source.tensors())
    writer.add_tensor(tensor.name, tensor.type,
                      std::span(tensor.shape).first(static_cast<std::size_t>(tensor.dimensions)));
  ASSERT_TRUE(writer.begin_data());
  for (const infer::GgufTensor& tensor : source.tensors()) {
    std::vector<std::byte> bytes(tensor.bytes);
    ASSERT_TRUE(source.read(tensor, 0, bytes));
    ASSERT_TRUE(writer.write(bytes));
  }
  ASSERT_TRUE(writer.finish());
}

// Models of one directory: "plain", and "odd" with this template; both with a context of 256.
class PrepareTest : public ::testing::Test {
 protected:
  void start(const std::string& odd_template = "{{ messages[0].content }}") {
    fs::copy(plain_model(), dir.path() / "plain.gguf");
    write_with_template(dir.path() / "odd.gguf", odd_template);
    ASSERT_TRUE(write_file_atomic(dir.path() / "models.toml",
                                  "[model.plain]\nfile = \"plain.gguf\"\ncontext = 256\n"
                                  "[model.odd]\nfile = \"odd.gguf\"\ncontext = 256\n"));
    PoolOptions options;
    options.memory = std::uint64_t{256} << 20;
    options.threads = 2;
    options.pressure = [] { return std::optional<double>(0); };
    pool = std::make_unique<Pool>(*Catalog::read(dir.path()), std::move(options));
    const auto front = ModelFront::open({.name = "plain", .file = plain_model(), .context = 256});
    ASSERT_TRUE(front) << front.error().message;
    limit = (*front)->text_limit();
    ASSERT_EQ(limit % 256, 0u);
    ASSERT_GT(limit, 256u);
  }

  std::future<Answers> ask(const std::string& model, HostRequest request,
                           ModelHost::Id* id = nullptr) {
    auto promise = std::make_shared<std::promise<Answers>>();
    auto future = promise->get_future();
    const auto given = pool->submit(model, std::move(request), {}, [promise](Answers replies) {
      promise->set_value(std::move(replies));
    });
    if (id != nullptr) *id = given;
    return future;
  }
  Ids tokens_of(const std::string& model, const std::string& text) {
    std::promise<Ids> promise;
    pool->tokenize(model, text, false, false,
                   [&](Ids tokens) { promise.set_value(std::move(tokens)); });
    return promise.get_future().get();
  }
  Ids prompt_of(const std::string& model, const std::string& text) {
    std::promise<Ids> promise;
    pool->prompt_of(model, talk(text), [&](Ids tokens) { promise.set_value(std::move(tokens)); });
    return promise.get_future().get();
  }
  Result<Embeddings> embed(const std::string& text, bool cut) {
    std::promise<Result<Embeddings>> promise;
    pool->embed("plain", {{text, {}}}, cut, {},
                [&](Result<Embeddings> got) { promise.set_value(std::move(got)); });
    return promise.get_future().get();
  }
  static Request talk(const std::string& text) {
    Request request;
    request.ask = Talk{{{"user", text}}};
    request.max_tokens = 4;
    return request;
  }

  const TempDir dir = *TempDir::make();
  std::unique_ptr<Pool> pool;
  std::size_t limit = 0;  // of a text, in bytes
};

std::string message_of(const auto& result) {
  return result ? "none" : result.error().code + ": " + result.error().message;
}

// More bytes than the context's tokens can have are refused before they are tokenized; one less is
// tokenized, and counted.
TEST_F(PrepareTest, TextsAreBoundedByTheContext) {
  start();
  const std::string most(limit, 'x'), more(limit + 1, 'x');
  EXPECT_TRUE(tokens_of("plain", most).has_value());
  EXPECT_THAT(
      message_of(tokens_of("plain", more)),
      HasSubstr(fmt::format("context_length_exceeded: the text has {} bytes, and the context "
                            "of 'plain' holds 256 tokens of at most {} bytes each",
                            limit + 1, limit / 256)));
  EXPECT_TRUE(prompt_of("odd", most).has_value());
  EXPECT_THAT(message_of(prompt_of("odd", more)), HasSubstr("a message has"));
  HostRequest raw;
  raw.ask = TextPrompt{most};
  EXPECT_THAT(message_of(ask("plain", raw).get()),
              HasSubstr(fmt::format("the prompt has {} tokens", tokens_of("plain", most)->size())));
  raw.ask = TextPrompt{more};
  EXPECT_THAT(message_of(ask("plain", raw).get()),
              HasSubstr("context_length_exceeded: the text has"));
  EXPECT_THAT(message_of(embed(most, false)), HasSubstr("an input has"));
  EXPECT_THAT(message_of(embed(more, false)), HasSubstr("the text has"));
  // A prediction is only a guess: what is too much of it is left out.
  HostRequest guess = talk("x");
  guess.prediction = more;
  EXPECT_TRUE(ask("plain", guess).get().has_value());
}

TEST_F(PrepareTest, TextsToEmbedAreCutWhereThatIsWanted) {
  start();
  const std::string fits(100, 'x');
  EXPECT_EQ(embed(fits, true)->cut, 0u);
  for (const std::string& text : {std::string(limit, 'x'), std::string(limit + 1000, 'x')}) {
    const auto cut = embed(text, true);
    ASSERT_TRUE(cut) << cut.error().message;
    EXPECT_EQ(cut->cut, 1u);
    EXPECT_EQ(cut->usage.prompt_tokens, 256);
  }
}

// A template is a program of a file: what it makes is bounded by the context, and by nothing that
// it says itself.
TEST_F(PrepareTest, ATemplateMakesNoMoreThanTheContextHolds) {
  start(
      "{% set n = namespace(x=messages[0].content) %}{% for i in range(22) %}"
      "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}");
  EXPECT_THAT(message_of(ask("odd", talk("aaaaaaaaaaaaaaa")).get()),
              HasSubstr("context_length_exceeded: the chat template makes more than"));
  EXPECT_THAT(message_of(prompt_of("odd", "a")), HasSubstr("the chat template makes more than"));
}

TEST_F(PrepareTest, ATemplateThatNeverEndsDelaysNobodyAndIsStopped) {
  // Up to its limit of steps; each request anew.
  start("{% for i in range(10**9) %}{% for j in range(10**9) %}{% endfor %}{% endfor %}");
  std::vector<std::pair<ModelHost::Id, std::future<Answers>>> bombs(40);
  for (auto& [id, replies] : bombs) replies = ask("odd", talk("x"), &id);
  EXPECT_TRUE(ask("plain", talk("hello")).get().has_value());
  int waiting = 0;
  for (auto& [id, replies] : bombs)
    waiting += replies.wait_for(Milliseconds(0)) != std::future_status::ready ? 1 : 0;
  EXPECT_GT(waiting, 0) << "the other model's requests were done first";
  for (auto& [id, replies] : bombs) pool->cancel(id);
  int cancelled = 0;
  for (auto& [id, replies] : bombs) {
    const auto end = replies.get();
    ASSERT_FALSE(end);
    cancelled += end.error().kind == ErrorKind::kCancelled ? 1 : 0;
    if (end.error().kind == ErrorKind::kCancelled) continue;
    EXPECT_THAT(end.error().message, HasSubstr("steps"));
  }
  EXPECT_GE(cancelled, waiting);
  // The end waits for none of them.
  for (auto& [id, replies] : bombs) replies = ask("odd", talk("x"), &id);
  pool.reset();
  for (auto& [id, replies] : bombs) EXPECT_FALSE(replies.get().has_value());
}

// What a prompt's tokens are worth, by another way: the logits of every position, and a softmax in
// double.
TEST_F(PrepareTest, ThePromptsProbabilitiesAreThoseOfItsLogits) {
  start();
  const infer::Gguf file = *infer::Gguf::open(plain_model());
  const auto front = ModelFront::open({.name = "plain", .file = plain_model(), .context = 256});
  infer::ThreadTeam team(1);
  const auto model = infer::Model::load(
      file, team, {.kernels = &infer::best_kernel_table(), .progress = {}, .stop = nullptr});
  ASSERT_TRUE(model);
  auto engine = *infer::Engine::create(*infer::CpuExecutor::create(**model, team, {}),
                                       (*front)->tokenizer(), {.context = 256});
  std::vector<infer::TokenId> ids;
  for (int i = 0; i < 150; ++i) ids.push_back(i * 37 % 250 + 3);
  std::vector<double> expected{std::nan("")};
  std::vector<infer::TokenId> likeliest{infer::kNoToken};
  ASSERT_TRUE(engine->logits(ids, [&](std::span<const float> logits) {
    if (expected.size() == ids.size()) return;
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    expected.push_back(static_cast<double>(logits[static_cast<std::size_t>(ids[expected.size()])]) -
                       std::log(sum));
    likeliest.push_back(
        static_cast<infer::TokenId>(std::ranges::max_element(logits) - logits.begin()));
  }));
  HostRequest request;
  request.ask = TokenPrompt{ids};
  request.top_logprobs = 2;
  request.prompt_logprobs = true;
  request.no_answer = true;
  const auto check = [&](const HostReply& reply) {
    ASSERT_EQ(reply.prompt_logprobs.size(), ids.size());
    EXPECT_TRUE(std::isnan(reply.prompt_logprobs[0].logprob));
    for (std::size_t i = 1; i < ids.size(); ++i) {
      const LogprobEntry& entry = reply.prompt_logprobs[i];
      EXPECT_NEAR(entry.logprob, expected[i], 1e-4) << i;
      EXPECT_EQ(entry.token, (*front)->tokenizer().piece(ids[i], true));
      ASSERT_EQ(entry.top.size(), 2u);
      EXPECT_EQ(entry.top[0].first, (*front)->tokenizer().piece(likeliest[i], true)) << i;
    }
  };
  const auto alone = ask("plain", request).get();
  ASSERT_TRUE(alone) << alone.error().message;
  check((*alone)[0]);
  EXPECT_EQ((*alone)[0].text, "");
  EXPECT_EQ((*alone)[0].usage.prompt_tokens, 150);
  EXPECT_EQ((*alone)[0].usage.completion_tokens, 0);
  EXPECT_EQ((*alone)[0].finish, FinishReason::kLength);
  // With an answer behind it, which is the one that comes without; two of them share the prompt's.
  request.no_answer = false;
  request.max_tokens = 5;
  request.sampling.temperature = 0;
  request.candidates = 2;
  const auto both = ask("plain", request).get();
  ASSERT_TRUE(both) << both.error().message;
  check((*both)[0]);
  request.prompt_logprobs = false;
  const auto without = ask("plain", request).get();
  EXPECT_EQ((*both)[0].text, (*without)[0].text);
  EXPECT_TRUE((*without)[0].prompt_logprobs.empty());
  // A full context has no room for an answer, and needs none.
  request = {};
  request.ask = TokenPrompt{std::vector<std::int32_t>(256, 5)};
  request.prompt_logprobs = request.no_answer = true;
  request.top_logprobs = 0;
  EXPECT_EQ(ask("plain", request).get()->front().prompt_logprobs.size(), 256u);
  request.no_answer = false;
  EXPECT_THAT(message_of(ask("plain", request).get()), HasSubstr("context_length_exceeded"));
}

// These models read: what shows or plays something to one is refused, by the model's name.
TEST_F(PrepareTest, WhatAModelCannotTakeIsRefused) {
  start();
  Request request = talk("look");
  Message& message = std::get<Talk>(request.ask).messages[0];
  message.content.add(*Media::of_file("\x89PNG\r\n\x1a\n0123"));
  EXPECT_THAT(message_of(ask("plain", request).get()),
              HasSubstr("unsupported_messages: 'plain' takes text only, and a message of the user "
                        "holds a picture (image/png)"));
  message.content = *Media::of_file("RIFF....WAVE");
  EXPECT_THAT(message_of(ask("plain", request).get()), HasSubstr("holds a sound (audio/wav)"));
  message.content = "look";
  EXPECT_TRUE(ask("plain", request).get());
}

TEST_F(PrepareTest, WhatNoGrammarKeepsIsSaid) {
  start();
  Request request = talk("x");
  request.max_tokens = 200;
  Json schema = {{"type", "object"},
                 {"properties", {{"a", {{"const", 1}}}, {"b", {{"const", 2}}}}},
                 {"required", {"a", "b"}},
                 {"additionalProperties", false},
                 {"not", {{"required", {"b"}}}}};
  request.form = SchemaForm{schema};
  const auto broken = ask("plain", request).get();
  ASSERT_TRUE(broken) << broken.error().message;
  ASSERT_EQ((*broken)[0].finish, FinishReason::kStop) << (*broken)[0].text;
  ASSERT_EQ((*broken)[0].warnings.size(), 1u);
  EXPECT_THAT((*broken)[0].warnings[0], HasSubstr("the answer breaks its schema"));
  schema["not"] = {{"required", {"c"}}};
  request.form = SchemaForm{schema};
  EXPECT_TRUE(ask("plain", request).get()->front().warnings.empty());
  schema.erase("not");
  request.form = SchemaForm{schema};
  EXPECT_TRUE(ask("plain", request).get()->front().warnings.empty());
}

TEST(AnswerCheck, CallsOfStrictToolsAreChecked) {
  AnswerCheck check;
  check.arguments["f"] = {{"type", "object"}, {"required", {"a"}}};
  HostReply reply;
  reply.calls = {{"1", "f", R"({"a":1})"}, {"2", "g", "{}"}};
  check_answer(check, reply);
  EXPECT_TRUE(reply.warnings.empty());
  reply.calls = {{"1", "f", R"({"b":1})"}};
  check_answer(check, reply);
  ASSERT_EQ(reply.warnings.size(), 1u);
  EXPECT_THAT(reply.warnings[0], HasSubstr("the call of 'f' breaks its schema"));
  reply.warnings.clear();
  reply.calls[0].arguments = "{";
  check_answer(check, reply);
  EXPECT_THAT(reply.warnings.at(0), HasSubstr("was not checked"));
  // One that was cut off says so by its finish reason.
  reply.warnings.clear();
  reply.finish = FinishReason::kLength;
  check_answer(check, reply);
  EXPECT_TRUE(reply.warnings.empty());
}

Request forced(const std::string& text, int max_tokens) {
  Request request;
  request.ask = Talk{.messages = {{"user", text}},
                     .tools = {{.name = "f",
                                .parameters = {{"type", "object"},
                                               {"properties", {{"n", {{"type", "integer"}}}}},
                                               {"required", {"n"}},
                                               {"additionalProperties", false}}}},
                     .tool_choice = MustCall{"f"}};
  request.max_tokens = max_tokens;
  return request;
}

// The template's markers say how the family writes calls.
TEST_F(PrepareTest, AToolThatMustBeCalledIsCalledInTheFamilysForm) {
  start("{{ messages[0].content }}{# <tool_call> <arg_key> #}");
  const Answers replies = ask("odd", forced("go", 200)).get();
  ASSERT_TRUE(replies) << message_of(replies);
  const HostReply& reply = replies->front();
  EXPECT_EQ(reply.finish, FinishReason::kToolCalls);
  EXPECT_EQ(reply.text, "");
  ASSERT_EQ(reply.calls.size(), 1u);
  EXPECT_EQ(reply.calls[0].name, "f");
  EXPECT_TRUE(parse_json(reply.calls[0].arguments).value()["n"].is_number_integer());
}

// Where the prompt has opened the thinking, the grammar lets it go on.
TEST_F(PrepareTest, ThinkingComesBeforeTheCallThatMustBe) {
  start("{{ messages[0].content }}{# <tool_call> <arg_key> #}<think>\n");
  const Answers replies = ask("odd", forced("go", 3)).get();
  ASSERT_TRUE(replies) << message_of(replies);
  const HostReply& reply = replies->front();
  EXPECT_EQ(reply.finish, FinishReason::kLength);
  EXPECT_EQ(reply.text, "");
  EXPECT_GT(reply.usage.reasoning_tokens, 0);
  EXPECT_TRUE(reply.calls.empty());
}

// Every family's template, thinking off: whatever a model of random weights draws is JSON that
// fits, or calls that do, and the stream is the whole.
TEST(Prepare, WhatIsDrawnUnderAGrammarIsOfTheFamilysForm) {
  const TempDir dir = *TempDir::make();
  std::string catalog;
  for (const infer::FormatInfo& info : infer::answer_formats()) {
    std::string signs;
    for (const std::string_view word : info.signs[0]) signs += fmt::format("{} ", word);
    const std::string name(info.name);
    write_with_template(dir.path() / (name + ".gguf"),
                        "{{ messages[0].content }}{# " + signs + " #}");
    catalog += fmt::format("[model.{0}]\nfile = \"{0}.gguf\"\ncontext = 512\n", name);
  }
  ASSERT_TRUE(write_file_atomic(dir.path() / "models.toml", catalog));
  PoolOptions options;
  options.memory = std::uint64_t{256} << 20;
  options.threads = 2;
  options.pressure = [] { return std::optional<double>(0); };
  Pool pool(*Catalog::read(dir.path()), std::move(options));
  const auto ask = [&](std::string_view model, HostRequest request) {
    request.sampling.temperature = 1;
    request.sampling.seed = 11;
    std::promise<Answers> promise;
    Reply streamed;
    pool.submit(
        std::string(model), std::move(request),
        [&](const Delta& delta) {
          streamed.text += delta.text;
          streamed.reasoning += delta.reasoning;
          std::ranges::copy(delta.calls, std::back_inserter(streamed.calls));
        },
        [&](Answers replies) { promise.set_value(std::move(replies)); });
    Answers replies = promise.get_future().get();
    EXPECT_TRUE(replies) << model << ": " << message_of(replies);
    if (!replies) return HostReply();
    EXPECT_EQ(streamed.text, replies->front().text) << model;
    EXPECT_EQ(streamed.reasoning, replies->front().reasoning) << model;
    EXPECT_EQ(streamed.calls, replies->front().calls) << model;
    return std::move(replies->front());
  };
  const Json off = {{"enable_thinking", false}};
  for (const infer::FormatInfo& info : infer::answer_formats()) {
    Request request;
    request.ask = Talk{.messages = {{"user", "go"}}, .template_variables = off};
    request.form = SchemaForm{{{"type", "object"},
                               {"properties", {{"n", {{"type", "integer"}}}}},
                               {"required", {"n"}},
                               {"additionalProperties", false}}};
    request.max_tokens = 300;
    HostReply reply = ask(info.name, {request});
    EXPECT_EQ(reply.finish, FinishReason::kStop) << info.name << ": " << reply.text;
    const auto json = parse_json(reply.text);
    ASSERT_TRUE(json) << info.name << ": " << reply.text;
    EXPECT_TRUE((*json)["n"].is_number_integer()) << info.name;
    EXPECT_EQ(reply.reasoning, "");
    request.form = GrammarForm{"root ::= \"<answer>\"? [ab]{3} \"</think>\""};
    reply = ask(info.name, {request});
    EXPECT_TRUE(reply.text.ends_with("</think>")) << info.name << ": " << reply.text;
    request = forced("go", 300);
    std::get<Talk>(request.ask).template_variables = off;
    reply = ask(info.name, {request});
    ASSERT_EQ(reply.calls.size(), 1u) << info.name << ": " << reply.text;
    EXPECT_EQ(reply.calls[0].name, "f");
    EXPECT_TRUE(parse_json(reply.calls[0].arguments).value()["n"].is_number_integer());
  }
}

// What a request's grammar takes: 0 it breaks off, 1 it may go on, 2 it is complete, -1 there is
// none.
int takes(const ModelFront& front, const Request& request, std::string_view text) {
  const auto prepared = front.prepare({request}, {}, 100, {});
  if (!prepared || prepared->generation.grammar == nullptr) return -1;
  const auto constraint = infer::Constraint::start(prepared->generation.grammar);
  for (const infer::TokenId token : front.tokenizer().encode(text, false, true))
    if (!constraint->accept(token)) return 0;
  return constraint->complete() ? 2 : 1;
}

// Thinking is as the request says, and comes before what the answer is held to.
TEST(Prepare, WhetherAHeldAnswerMayThink) {
  const TempDir dir = *TempDir::make();
  const auto open = [&](const std::string& chat_template) {
    const fs::path file = dir.path() / "model.gguf";
    fs::remove(file);
    write_with_template(file, chat_template);
    return *ModelFront::open({.name = "model", .file = file, .context = 256});
  };
  const auto held = [](const Json& variables) {
    Request request;
    request.ask = Talk{.messages = {{"user", "go"}}, .template_variables = variables};
    request.form = AnyJsonForm();
    return request;
  };
  const Json on = {{"enable_thinking", true}}, off = {{"reasoning_effort", "none"}};
  const std::string thought = "<|channel|>analysis<|message|>x<|end|><|start|>assistant";
  const std::string final_text = "<|channel|>final<|message|>{}";
  const auto harmony = open("{{ messages[0].content }}<|start|>assistant{# <|channel|> #}");
  for (const Json& asked : {Json(), Json{{"reasoning_effort", "low"}}}) {
    EXPECT_EQ(takes(*harmony, held(asked), thought + final_text), 2);
    EXPECT_EQ(takes(*harmony, held(asked), final_text), 2);
    EXPECT_EQ(takes(*harmony, held(asked), "{}"), 0);
  }
  EXPECT_EQ(takes(*harmony, held(off), final_text), 2);
  EXPECT_EQ(takes(*harmony, held(off), thought), 0);
  // With a switch, as Qwen3's.
  const auto hermes = open(
      "{{ messages[0].content }}{# <tool_call> #}{% if enable_thinking is defined and "
      "enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}");
  for (const Json& asked : {on, Json{{"reasoning_effort", "high"}}}) {
    EXPECT_EQ(takes(*hermes, held(asked), "<think>\n{x\n</think>\n\n{}"), 2);
    EXPECT_EQ(takes(*hermes, held(asked), "{}"), 2);
  }
  for (const Json& asked : {Json(), off}) {
    EXPECT_EQ(takes(*hermes, held(asked), "{}"), 2);
    EXPECT_EQ(takes(*hermes, held(asked), "<think>"), 0);
  }
  const auto opens = open("{{ messages[0].content }}<think>\n");
  EXPECT_EQ(takes(*opens, held({}), "{}"), 1);
  EXPECT_EQ(takes(*opens, held({}), "Hm.</think>{}"), 2);
  // Words of the assistant that are gone on with are within the text.
  Request goes_on = held({});
  std::get<Talk>(goes_on.ask).messages.push_back({"assistant", "{"});
  EXPECT_EQ(takes(*harmony, goes_on, "{}"), -1);  // this template shows no such message
}

TEST(Prepare, StrictToolsHoldCallsOfTheModelsOwnAccord) {
  const TempDir dir = *TempDir::make();
  write_with_template(dir.path() / "m.gguf", "{{ messages[0].content }}{# <tool_call> #}");
  const auto front =
      *ModelFront::open({.name = "m", .file = dir.path() / "m.gguf", .context = 256});
  Request request = forced("go", 9);
  Talk& talk = std::get<Talk>(request.ask);
  talk.tool_choice = MayCall();
  const std::string call = "Well: <tool_call>\n{\"name\": \"f\", \"arguments\": {\"n\": ";
  EXPECT_EQ(takes(*front, request, call), -1);
  talk.tools[0].strict = true;
  EXPECT_EQ(takes(*front, request, "Well, no."), 2);
  EXPECT_EQ(takes(*front, request, call + "1}}\n</tool_call> Done."), 2);
  EXPECT_EQ(takes(*front, request, call + "\"1"), 0);
  talk.tool_choice = NoCall();
  EXPECT_EQ(takes(*front, request, call), -1);
}

TEST_F(PrepareTest, ATemplateThatWantsPartsGetsParts) {
  start("{% for part in messages[0].content %}{{ part.text }}{% endfor %}");
  const Ids as_parts = prompt_of("odd", "some words");
  ASSERT_TRUE(as_parts) << message_of(as_parts);
  Ids plain = tokens_of("odd", "some words");
  ASSERT_TRUE(plain);
  // The prompt has BOS in front.
  EXPECT_EQ(
      std::vector(as_parts->end() - static_cast<std::ptrdiff_t>(plain->size()), as_parts->end()),
      *plain);
}

}  // namespace
}  // namespace lathe::serve
