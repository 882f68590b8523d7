// Pictures, sounds and documents in the requests of each API: read, bounded, and never fetched.
#include <set>

#include "serve/server/content_request.h"
#include "serve/server/server_test.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kChatPath = "/v1/chat/completions", kResponsesPath = "/v1/responses",
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
    EXPECT_EQ(arrived(kChatPath, user({text_part("look"), image_url(url)})), both);
  EXPECT_EQ(arrived(kChatPath, user(Json::array({input_audio(wav())}))), sound);
  EXPECT_EQ(arrived(kChatPath, user({image_url(data_url(png())), text_part("a"), text_part("b")})),
            Content(picture).add("a\nb"));
  EXPECT_EQ(
      arrived(kResponsesPath, responses({{"type", "input_image"}, {"image_url", data_url(png())}})),
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

TEST_F(ContentTest, DocumentsArriveByThreeApis) {
  const std::string pdf = "%PDF-1.7 …", odt = "PK\x03\x04" + std::string(26, '.') +
                                              "mimetypeapplication/vnd.oasis.opendocument.text";
  const auto document = [](const char* name, const char* kind, const std::string& bytes) {
    Document made = *Document::of_file(name, "", bytes);
    EXPECT_EQ(made.kind, kind);
    return Content(made);
  };
  const Content report = document("report.pdf", "pdf", pdf);
  const Json file{{"filename", "report.pdf"}, {"file_data", data_url(pdf, "application/pdf")}};
  EXPECT_EQ(arrived(kChatPath, user({text_part("read"), {{"type", "file"}, {"file", file}}})),
            Content("read").add(report));
  Json input = file;
  input["type"] = "input_file";
  EXPECT_EQ(arrived(kResponsesPath, responses(input)), report);
  const auto block = [](Json source) {
    return Json::array({Json{{"type", "document"}, {"title", "report.pdf"}, {"source", source}}});
  };
  EXPECT_EQ(arrived(kMessages, user(block({{"type", "base64"}, {"data", to_base64(pdf)}}))),
            report);
  EXPECT_EQ(arrived(kMessages, user(block({{"type", "text"}, {"data", "only words"}}))),
            document("report.pdf", "txt", "only words"));
  EXPECT_EQ(arrived(kMessages, user(block({{"type", "content"}, {"content", "only words"}}))),
            Content("only words"));
  Json told = block({{"type", "text"}, {"data", "only words"}});
  told[0]["context"] = "from the archive";
  EXPECT_EQ(arrived(kMessages, user(told)),
            Content("from the archive").add(document("report.pdf", "txt", "only words")));
  // What it is, its bytes say; of texts, its name or its type.
  const auto kind_of = [&](const char* name, const std::string& data) {
    return arrived(kChatPath,
                   user(Json::array({Json{{"type", "file"},
                                          {"file", {{"filename", name}, {"file_data", data}}}}})))
        .documents()
        .at(0)
        ->kind;
  };
  EXPECT_EQ(kind_of("a.txt", to_base64(odt)), "odt");
  EXPECT_EQ(kind_of("a.pdf", to_base64("PK\x03\x04 and more")), "docx");
  EXPECT_EQ(kind_of("a.HTML", to_base64("<p>x")), "html");
  EXPECT_EQ(kind_of("a", data_url("<p>x", "text/html; charset=utf-8")), "html");
  EXPECT_EQ(kind_of("", to_base64("x")), "txt");
}

TEST_F(ContentTest, Films) {
  const std::string mp4 = std::string("\0\0\0\x20", 4) + "ftypisom and more";
  const std::string url = data_url(mp4, "video/mp4");
  const Content film = *Document::of_file("film", "", mp4);
  const auto part = [](Json video) {
    return user(Json::array({Json{{"type", "video_url"}, {"video_url", std::move(video)}}}));
  };
  EXPECT_EQ(arrived(kChatPath, part({{"url", url}})), film);
  EXPECT_EQ(arrived(kChatPath, part(url)), film);
  EXPECT_EQ(arrived(kResponsesPath, responses({{"type", "input_video"}, {"video_url", url}})),
            film);
  const auto file = arrived(
      kChatPath, user(Json::array({Json{{"type", "file"},
                                        {"file", {{"filename", "a.mp4"}, {"file_data", url}}}}})));
  EXPECT_EQ(file.documents().at(0)->name, "a.mp4");
  EXPECT_EQ(file.documents().at(0)->kind, "film");
  for (const char* bytes : {"\x1a\x45\xdf\xa3 and more", "RIFF1234AVI and more"})
    EXPECT_EQ(arrived(kChatPath, part(data_url(bytes, ""))).documents().at(0)->kind, "film");

  for (const char* elsewhere : {"http://x/a.mp4", "file:///a.mp4", ""})
    EXPECT_THAT(refusal(kChatPath, part({{"url", elsewhere}})), HasSubstr("fetches nothing"));
  EXPECT_THAT(refusal(kChatPath, part({{"url", data_url("<p>", "video/mp4")}})),
              HasSubstr("is no MP4, Matroska, WebM or AVI film"));
  EXPECT_THAT(refusal(kChatPath, part({{"url", data_url(png(), "video/mp4")}})),
              HasSubstr("is no PDF, DOCX, ODT, HTML, text or film"));
}

TEST_F(ContentTest, DocumentsThatCannotBe) {
  const auto file = [](Json fields) {
    return user(Json::array({Json{{"type", "file"}, {"file", std::move(fields)}}}));
  };
  EXPECT_THAT(refusal(kChatPath, file({{"file_id", "f"}})), HasSubstr("keeps no files"));
  EXPECT_THAT(
      refusal(kResponsesPath, responses({{"type", "input_file"}, {"file_url", "http://x"}})),
      HasSubstr("fetches nothing"));
  EXPECT_THAT(refusal(kChatPath, file({{"filename", "x"}})), HasSubstr("must be a file as base64"));
  EXPECT_THAT(refusal(kChatPath, file({{"file_data", "data:application/pdf;base64,a*"}})),
              HasSubstr("file_data"));
  for (const std::string& bytes : {std::string("\xff\xfe\x00x", 4), png()})
    EXPECT_THAT(refusal(kChatPath, file({{"file_data", to_base64(bytes)}})),
                HasSubstr("is no PDF, DOCX, ODT, HTML, text or film"));
  EXPECT_THAT(
      refusal(kMessages,
              user(Json::array({Json{{"type", "document"},
                                     {"source", {{"type", "url"}, {"url", "http://x/"}}}}}))),
      HasSubstr("must be base64, text or content"));
}

TEST_F(ContentTest, TheBytesSayWhatItIs) {
  const std::string jpeg = "\xff\xd8\xff\xe0" + std::string(12, 'x');
  const Content seen =
      arrived(kChatPath, user(Json::array({image_url(data_url(jpeg, "image/png"))})));
  EXPECT_EQ(seen.media().at(0)->media_type, "image/jpeg");
  EXPECT_EQ(*seen.media().at(0)->bytes, jpeg);
  const auto says = HasSubstr("is no PNG, JPEG, WebP or GIF picture");
  EXPECT_THAT(refusal(kChatPath, user(Json::array({image_url(data_url(wav()))}))), says);
  EXPECT_THAT(refusal(kMessages, user(Json::array({image_block("<svg/>")}))), says);
  EXPECT_THAT(refusal(kGenerate, {{"model", "small"}, {"prompt", "x"}, {"images", {"aGk="}}}),
              says);
  EXPECT_THAT(refusal(kChatPath, user(Json::array({input_audio(png())}))),
              HasSubstr("is no WAV, MP3, FLAC or Ogg sound"));
}

TEST_F(ContentTest, NothingIsFetched) {
  const auto says = HasSubstr("this server fetches nothing");
  for (const char* url : {"http://127.0.0.1/x.png", "https://example.com/x.png",
                          "file:///etc/passwd", "data:image/png,abc", "data:", "", "base64,aGk="}) {
    const std::string refused = refusal(kChatPath, user(Json::array({image_url({{"url", url}})})));
    EXPECT_THAT(refused, says) << url;
    EXPECT_EQ(parsed(refused)["error"]["param"], "messages[0].content[0].image_url.url");
    EXPECT_EQ(parsed(refused)["error"]["code"], "unsupported_value");
  }
  EXPECT_THAT(
      refusal(kResponsesPath, responses({{"type", "input_image"}, {"image_url", "http://x/"}})),
      says);
  EXPECT_THAT(refusal(kResponsesPath, responses({{"type", "input_image"}, {"file_id", "f"}})),
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
  EXPECT_EQ(param(kChatPath, user(Json::array({image_url("data:image/png;base64,a*")}))),
            "messages[0].content[0].image_url");
  EXPECT_EQ(param(kChatPath, user(Json::array({Json{{"type", "input_audio"}}}))),
            "messages[0].content[0].input_audio.data");
  EXPECT_EQ(param(kChatPath, user({text_part("x"), {{"type", "video_url"}}})),
            "messages[0].content[1].video_url");
  EXPECT_EQ(param(kChatPath, user({text_part("x"), {{"type", "smell_url"}}})),
            "messages[0].content[1].type");
  EXPECT_THAT(refusal(kMessages, user(Json::array({Json{{"type", "image"}}}))),
              HasSubstr("'messages[0].content[0].source.type'"));
  Json ollama = user("look");
  ollama["messages"][0]["images"] = {to_base64(png()), 7};
  EXPECT_THAT(refusal(kOllama, ollama), HasSubstr("'messages[0].images[1]' must be"));
  // Where only words make sense.
  Json predicted = user("x");
  predicted["prediction"] = {{"type", "content"}, {"content", {image_url(data_url(png()))}}};
  EXPECT_EQ(param(kChatPath, predicted), "prediction.content");
  EXPECT_THAT(
      refusal(kGenerate,
              {{"model", "small"}, {"prompt", "x"}, {"raw", true}, {"images", {to_base64(png())}}}),
      HasSubstr("cannot come with 'raw'"));
}

TEST_F(ContentTest, BytesAndNumberAreBounded) {
  const auto most = [&](std::size_t bytes) {
    return user(Json::array({image_url(data_url(png(bytes)))}));
  };
  EXPECT_EQ(arrived(kChatPath, most(kMaxMediaBytes)).media().at(0)->bytes->size(), kMaxMediaBytes);
  EXPECT_THAT(refusal(kChatPath, most(kMaxMediaBytes + 1)), HasSubstr("more than 33554432 bytes"));
  const auto many = [&](std::size_t count) {
    Json content = Json::array();
    for (std::size_t i = 0; i < count; ++i) content.push_back(image_url(data_url(png())));
    return user(std::move(content));
  };
  EXPECT_EQ(arrived(kChatPath, many(kMaxMedia)).media().size(), kMaxMedia);
  const std::string refused = refusal(kChatPath, many(kMaxMedia + 1));
  EXPECT_THAT(refused, HasSubstr("has 101 pictures, sounds and documents; at most 100 are taken"));
  EXPECT_EQ(parsed(refused)["error"]["param"], "messages");
}

// The host's own word reaches the client in each dialect.
TEST_F(ContentTest, AModelThatCannotSeeSaysSoInEachDialect) {
  const auto told = [&](std::string_view path, const Json& body) {
    const RawReply reply = post(path, dump_json(body));
    EXPECT_EQ(reply.status, 400) << path;
    return parsed(reply.body)["error"];
  };
  Json openai = told(kChatPath, user({image_url(data_url(png())), text_part("!blind")}));
  EXPECT_EQ(openai["code"], "unsupported_value");
  EXPECT_EQ(openai["param"], "messages");
  EXPECT_EQ(openai["message"], "'small' takes text only");
  openai = told(kResponsesPath, responses({{"type", "input_text"}, {"text", "!blind"}}));
  EXPECT_EQ(openai["param"], "input");
  const Json anthropic = told(kMessages, user({image_block(png()), text_part("!blind")}));
  EXPECT_EQ(anthropic["type"], "invalid_request_error");
  EXPECT_EQ(anthropic["message"], "'small' takes text only");
  EXPECT_EQ(told(kOllama, user("!blind")), "'small' takes text only");
}

}  // namespace
}  // namespace lathe::serve
