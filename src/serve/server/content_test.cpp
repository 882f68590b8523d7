// Pictures and sounds in the requests of each API: read, bounded, and never fetched.
#include <set>

#include "serve/server/content_request.h"
#include "serve/server/server_test.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions", kResponses = "/v1/responses",
                           kMessages = "/v1/messages", kOllama = "/api/chat",
                           kGenerate = "/api/generate";

std::string png(std::size_t size = 16) {
  std::string bytes = "\x89PNG\r\n\x1a\n";
  bytes.resize(size, 'x');
  return bytes;
}

std::string wav() {
  return "RIFF....WAVEfmt ";
}

std::string data_url(const std::string& bytes, std::string_view type = "image/png") {
  return fmt::format("data:{};base64,{}", type, to_base64(bytes));
}

Json user(Json content) {
  return {{"model", "small"},
          {"max_tokens", 4},
          {"messages", {{{"role", "user"}, {"content", std::move(content)}}}}};
}

Json text_part(const char* text) {
  return {{"type", "text"}, {"text", text}};
}

Json image_url(Json url) {
  return {{"type", "image_url"}, {"image_url", std::move(url)}};
}

Json input_audio(const std::string& bytes) {
  return {{"type", "input_audio"},
          {"input_audio", {{"data", to_base64(bytes)}, {"format", "wav"}}}};
}

Json image_block(const std::string& bytes) {
  return {
      {"type", "image"},
      {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", to_base64(bytes)}}}};
}

Json responses(Json part) {
  return {{"model", "small"},
          {"input", {{{"role", "user"}, {"content", Json::array({std::move(part)})}}}}};
}

class ContentTest : public ServerTest {
 protected:
  // What arrives of a body's first message.
  Content arrived(std::string_view path, const Json& body) {
    const std::size_t before = host.seen().size();
    const RawReply reply = post(path, dump_json(body));
    EXPECT_EQ(reply.status, 200) << reply.body;
    const auto seen = host.seen();
    return seen.size() == before ? Content() : talk_of(seen.back()).messages.at(0).content;
  }
  std::string refusal(std::string_view path, const Json& body) {
    const std::size_t before = host.seen().size();
    const RawReply reply = post(path, dump_json(body));
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(host.seen().size(), before) << "refused before the host";
    return reply.body;
  }
};

TEST_F(ContentTest, EachApiHasItsWord) {
  const Content picture = *Media::of_file(png()), sound = *Media::of_file(wav());
  const Content both = Content("look").add(picture);
  for (const Json& url : {Json(data_url(png())), Json{{"url", data_url(png())}, {"detail", "low"}}})
    EXPECT_EQ(arrived(kChat, user({text_part("look"), image_url(url)})), both);
  EXPECT_EQ(arrived(kChat, user(Json::array({input_audio(wav())}))), sound);
  EXPECT_EQ(arrived(kChat, user({image_url(data_url(png())), text_part("a"), text_part("b")})),
            Content(picture).add("a\nb"));
  EXPECT_EQ(
      arrived(kResponses, responses({{"type", "input_image"}, {"image_url", data_url(png())}})),
      picture);
  EXPECT_EQ(arrived(kMessages, user({text_part("look"), image_block(png())})), both);
  EXPECT_EQ(arrived(kMessages, user({{{"type", "tool_result"},
                                      {"tool_use_id", "c"},
                                      {"content", {text_part("look"), image_block(png())}}}})),
            both);
  Json ollama = user("look");
  ollama["messages"][0]["images"] = {to_base64(png())};
  EXPECT_EQ(arrived(kOllama, ollama), both);
  EXPECT_EQ(
      arrived(kGenerate, {{"model", "small"}, {"prompt", "look"}, {"images", {to_base64(png())}}}),
      both);
}

TEST_F(ContentTest, TheBytesSayWhatItIs) {
  const std::string jpeg = "\xff\xd8\xff\xe0" + std::string(12, 'x');
  const Content seen = arrived(kChat, user(Json::array({image_url(data_url(jpeg, "image/png"))})));
  EXPECT_EQ(seen.media().at(0)->media_type, "image/jpeg");
  EXPECT_EQ(*seen.media().at(0)->bytes, jpeg);
  const auto says = HasSubstr("is no PNG, JPEG, WebP or GIF picture");
  EXPECT_THAT(refusal(kChat, user(Json::array({image_url(data_url(wav()))}))), says);
  EXPECT_THAT(refusal(kMessages, user(Json::array({image_block("<svg/>")}))), says);
  EXPECT_THAT(refusal(kGenerate, {{"model", "small"}, {"prompt", "x"}, {"images", {"aGk="}}}),
              says);
  EXPECT_THAT(refusal(kChat, user(Json::array({input_audio(png())}))),
              HasSubstr("is no WAV, MP3, FLAC or Ogg sound"));
}

TEST_F(ContentTest, NothingIsFetched) {
  const auto says = HasSubstr("this server fetches nothing");
  for (const char* url : {"http://127.0.0.1/x.png", "https://example.com/x.png",
                          "file:///etc/passwd", "data:image/png,abc", "data:", "", "base64,aGk="}) {
    const std::string refused = refusal(kChat, user(Json::array({image_url({{"url", url}})})));
    EXPECT_THAT(refused, says) << url;
    EXPECT_EQ(parsed(refused)["error"]["param"], "messages[0].content[0].image_url.url");
    EXPECT_EQ(parsed(refused)["error"]["code"], "unsupported_value");
  }
  EXPECT_THAT(refusal(kResponses, responses({{"type", "input_image"}, {"image_url", "http://x/"}})),
              says);
  EXPECT_THAT(refusal(kResponses, responses({{"type", "input_image"}, {"file_id", "f"}})),
              HasSubstr("keeps no files"));
  EXPECT_THAT(
      refusal(kMessages,
              user({{{"type", "image"}, {"source", {{"type", "url"}, {"url", "http://x/"}}}}})),
      says);
}

TEST_F(ContentTest, WhatIsNoneIsRefusedByName) {
  const auto param = [&](std::string_view path, const Json& body) {
    return parsed(refusal(path, body))["error"]["param"];
  };
  EXPECT_EQ(param(kChat, user(Json::array({image_url("data:image/png;base64,a*")}))),
            "messages[0].content[0].image_url");
  EXPECT_EQ(param(kChat, user(Json::array({Json{{"type", "input_audio"}}}))),
            "messages[0].content[0].input_audio.data");
  EXPECT_EQ(param(kChat, user({text_part("x"), {{"type", "video_url"}}})),
            "messages[0].content[1].type");
  EXPECT_THAT(refusal(kMessages, user(Json::array({Json{{"type", "image"}}}))),
              HasSubstr("'messages[0].content[0].source.type'"));
  Json ollama = user("look");
  ollama["messages"][0]["images"] = {to_base64(png()), 7};
  EXPECT_THAT(refusal(kOllama, ollama), HasSubstr("'messages[0].images[1]' must be"));
  // Where only words make sense.
  Json predicted = user("x");
  predicted["prediction"] = {{"type", "content"}, {"content", {image_url(data_url(png()))}}};
  EXPECT_EQ(param(kChat, predicted), "prediction.content");
  EXPECT_THAT(
      refusal(kGenerate,
              {{"model", "small"}, {"prompt", "x"}, {"raw", true}, {"images", {to_base64(png())}}}),
      HasSubstr("cannot come with 'raw'"));
}

TEST_F(ContentTest, BytesAndNumberAreBounded) {
  const auto most = [&](std::size_t bytes) {
    return user(Json::array({image_url(data_url(png(bytes)))}));
  };
  EXPECT_EQ(arrived(kChat, most(kMaxMediaBytes)).media().at(0)->bytes->size(), kMaxMediaBytes);
  EXPECT_THAT(refusal(kChat, most(kMaxMediaBytes + 1)), HasSubstr("more than 33554432 bytes"));
  const auto many = [&](std::size_t count) {
    Json content = Json::array();
    for (std::size_t i = 0; i < count; ++i) content.push_back(image_url(data_url(png())));
    return user(std::move(content));
  };
  EXPECT_EQ(arrived(kChat, many(kMaxMedia)).media().size(), kMaxMedia);
  const std::string refused = refusal(kChat, many(kMaxMedia + 1));
  EXPECT_THAT(refused, HasSubstr("has 101 pictures and sounds; at most 100 are taken"));
  EXPECT_EQ(parsed(refused)["error"]["param"], "messages");
}

// The host's own word reaches the client in each dialect.
TEST_F(ContentTest, AModelThatCannotSeeSaysSoInEachDialect) {
  const auto told = [&](std::string_view path, const Json& body) {
    const RawReply reply = post(path, dump_json(body));
    EXPECT_EQ(reply.status, 400) << path;
    return parsed(reply.body)["error"];
  };
  Json openai = told(kChat, user({image_url(data_url(png())), text_part("!blind")}));
  EXPECT_EQ(openai["code"], "unsupported_value");
  EXPECT_EQ(openai["param"], "messages");
  EXPECT_EQ(openai["message"], "'small' takes text only");
  openai = told(kResponses, responses({{"type", "input_text"}, {"text", "!blind"}}));
  EXPECT_EQ(openai["param"], "input");
  const Json anthropic = told(kMessages, user({image_block(png()), text_part("!blind")}));
  EXPECT_EQ(anthropic["type"], "invalid_request_error");
  EXPECT_EQ(anthropic["message"], "'small' takes text only");
  EXPECT_EQ(told(kOllama, user("!blind")), "'small' takes text only");
}

}  // namespace
}  // namespace lathe::serve
