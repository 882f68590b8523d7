// Forms with sounds, over a scripted host: forms of transcripts, streams, refusals.
#include "serve/server/server_test.h"

namespace lathe::serve {
namespace {

// A field as "name=value", or a file as "name@bytes".
std::string form_of(const std::vector<std::string>& fields) {
  std::string form;
  for (const std::string& field : fields) {
    const std::size_t mark = field.find_first_of("=@");
    form += fmt::format("--b\r\nContent-Disposition: form-data; name=\"{}\"{}\r\n\r\n{}\r\n",
                        field.substr(0, mark), field[mark] == '@' ? "; filename=\"a.wav\"" : "",
                        field.substr(mark + 1));
  }
  return form + "--b--\r\n";
}

class TranscriptionsTest : public ServerTest {
 protected:
  RawReply ask(const std::vector<std::string>& fields,
               std::string_view path = "/v1/audio/transcriptions") {
    return send(path, "multipart/form-data; boundary=b", form_of(fields));
  }
  RawReply send(std::string_view path, std::string_view type, std::string_view body) {
    RawClient one = client();
    one.send(
        fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    path, type, body.size(), body));
    return one.reply();
  }
};

TEST_F(TranscriptionsTest, FiveForms) {
  const auto said = [&](const std::string& form) {
    return ask({"model=small", "file@one two", "response_format=" + form});
  };
  EXPECT_EQ(parsed(ask({"model=small", "file@one two"}).body),
            (Json{{"text", "one two"}, {"usage", {{"type", "duration"}, {"seconds", 2}}}}));
  EXPECT_EQ(said("text").body, "one two\n");
  EXPECT_THAT(said("text").head, HasSubstr("Content-Type: text/plain"));
  EXPECT_EQ(said("srt").body,
            "1\n00:00:00,000 --> 00:00:01,000\none\n\n2\n00:00:01,000 --> 00:00:02,000\ntwo\n\n");
  EXPECT_TRUE(said("vtt").body.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\none\n"));
  const Json verbose = parsed(said("verbose_json").body);
  EXPECT_EQ(verbose["task"], "transcribe");
  EXPECT_EQ(verbose["duration"], 2.0);
  EXPECT_EQ(verbose["segments"][1]["text"], " two");
  EXPECT_FALSE(verbose.contains("words"));
  const Json words = parsed(ask({"model=small", "file@one two", "response_format=verbose_json",
                                 "timestamp_granularities[]=word"})
                                .body);
  EXPECT_EQ(words["words"][1], (Json{{"word", " two"}, {"start", 1.0}, {"end", 2.0}}));
  EXPECT_FALSE(words.contains("segments"));
  const Json both =
      parsed(ask({"model=small", "file@one two", "response_format=verbose_json",
                  "timestamp_granularities[]=word", "timestamp_granularities[]=segment"})
                 .body);
  EXPECT_TRUE(both.contains("words") && both.contains("segments"));
  const Json english = parsed(
      ask({"model=small", "file@eins", "response_format=verbose_json"}, "/v1/audio/translations")
          .body);
  EXPECT_EQ(english["task"], "translate");
}

TEST_F(TranscriptionsTest, AStreamIsPiecesThatAreTheText) {
  const std::vector<std::string> stream =
      events(ask({"model=small", "file@ one two three", "stream=true"}).body);
  ASSERT_EQ(stream.size(), 4U);
  std::string text;
  for (std::size_t i = 0; i < 3; ++i) {
    const Json event = parsed(stream[i]);
    EXPECT_EQ(event["type"], "transcript.text.delta");
    text += event["delta"];
  }
  const Json done = parsed(stream.back());
  EXPECT_EQ(done["type"], "transcript.text.done");
  EXPECT_EQ(done["text"], "one two three");
  EXPECT_EQ(text, "one two three");
  // What fails before the first piece has a status of its own.
  EXPECT_EQ(ask({"model=small", "file@bad", "stream=true"}).status, 400);
}

TEST_F(TranscriptionsTest, WhatCannotBeIsNamed) {
  const auto refused = [&](const std::vector<std::string>& fields, const std::string& param,
                           const std::string& say, int status = 400) {
    const RawReply reply = ask(fields);
    EXPECT_EQ(reply.status, status) << reply.body;
    const Json error = json_at(parsed(reply.body), "error");
    EXPECT_EQ(json_string(error, "param"), param) << reply.body;
    EXPECT_THAT(json_string(error, "message"), HasSubstr(say));
  };
  refused({"model=small"}, "file", "is missing");
  refused({"model=small", "file=not a file"}, "file", "is missing");
  refused({"model=small", "file@"}, "file", "is empty");
  refused({"model=small", "sound@x"}, "file", "one file");
  refused({"model=small", "file@x", "file@y"}, "file", "twice");
  refused({"model=small", "file@x", "other@y"}, "file", "one file");
  refused({"model=small", "model=large", "file@x"}, "model", "twice");
  refused({"model=none", "file@x"}, "model", "none", 404);
  refused({"file@x"}, "model", "Whisper", 404);
  refused({"model=whisper-1", "file@x"}, "model", "Whisper", 404);
  refused({"model=small", "file@bad"}, "file", "not a sound");
  refused({"model=small", "file@x", "response_format=pdf"}, "response_format", "verbose_json");
  for (const char* bad : {"warm", "", "1.5", "-0.1", "nan", "0x1", "0.5 "})
    refused({"model=small", "file@x", std::string("temperature=") + bad}, "temperature", "number");
  refused({"model=small", "file@x", "stream=yes"}, "stream", "true or false");
  refused({"model=small", "file@x", "stream=true", "response_format=srt"}, "stream",
          "json or text");
  refused(
      {"model=small", "file@x", "response_format=verbose_json", "timestamp_granularities[]=letter"},
      "timestamp_granularities[]", "word or segment");
  refused({"model=small", "file@x", "timestamp_granularities[]=word"}, "timestamp_granularities[]",
          "verbose_json");
  refused({"model=small", "file@x", "include[]=logprobs"}, "include[]", "log probabilities");
  EXPECT_EQ(ask({"model=small", "file@x", "unknown=1", "chunking_strategy=auto"}).status, 200);
}

TEST_F(TranscriptionsTest, OnlyFormsAndOnlyThere) {
  const std::string form = form_of({"model=small", "file@one"});
  const std::string_view path = "/v1/audio/transcriptions";
  EXPECT_EQ(send(path, "application/json", R"({"model": "small"})").status, 415);
  EXPECT_EQ(send(path, "multipart/form-data", form).status, 400);
  EXPECT_EQ(send(path, "multipart/form-data; boundary=c", form).status, 400);
  EXPECT_EQ(send(path, "multipart/form-data; boundary=" + std::string(71, 'b'), form).status, 400);
  EXPECT_EQ(send(path, "multipart/form-data; boundary=b", form.substr(0, form.size() - 8)).status,
            400);
  EXPECT_EQ(send(path, "multipart/form-data; boundary=b", "").status, 400);
  EXPECT_EQ(send("/v1/chat/completions", "multipart/form-data; boundary=b", form).status, 415);
  EXPECT_EQ(get(path).status, 405);
  expect_alive();
}

TEST_F(TranscriptionsTest, AFormMayBeLargerThanOtherBodies) {
  ServerConfig config;
  config.limits.body_bytes = 1000;
  config.limits.form_bytes = 5000;
  start(std::move(config));
  EXPECT_EQ(ask({"model=small", "file@" + std::string(2000, 'x')}).status, 200);
  const auto head = [&](std::string_view path, std::string_view type, std::string_view length) {
    RawClient one = client();
    one.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\n{}\r\n\r\n",
                         path, type, length));
    return one.reply();
  };
  const std::string_view form = "multipart/form-data; boundary=b";
  const RawReply large = head("/v1/audio/transcriptions", form, "Content-Length: 5001");
  EXPECT_EQ(large.status, 413);
  EXPECT_THAT(large.body, HasSubstr("5000 bytes"));
  EXPECT_EQ(head("/v1/chat/completions", "application/json", "Content-Length: 1001").status, 413);
  const auto chunked = [&](std::string_view path, std::string_view type, std::size_t size) {
    RawClient one = client();
    one.send(
        fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n",
                    path, type, size, std::string(size, ' ')));
    return one.reply().status;
  };
  EXPECT_EQ(chunked("/v1/chat/completions", "application/json", 1001), 413);
  EXPECT_EQ(chunked("/v1/audio/transcriptions", form, 5001), 413);
}

}  // namespace
}  // namespace lathe::serve
