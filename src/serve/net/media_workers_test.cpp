// Servers of pictures and voices as workers: what they are asked, and what else they answer with.
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "serve/net/http_worker_test.h"

namespace lathe::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PictureWorkerTest : public HttpWorkerTest {
 protected:
  static PictureRequest wanted() {
    PictureRequest wanted;
    wanted.prompt = "a lighthöuse";
    wanted.width = 1280;
    wanted.height = 720;
    wanted.seed = 2001;
    wanted.labels = {{"purpose", "make"}};
    wanted.time_limit = Milliseconds(60'000);
    return wanted;
  }
  static Result<Painted> paint(HttpWorkerConfig config, const PictureRequest& asked = wanted()) {
    LATHE_TRY(auto worker, HttpWorker::make(std::move(config)));
    const StopFlag stop;
    auto painted = worker->paint(asked, stop);
    if (!painted) {
      EXPECT_THAT(painted.error().message, AllOf(HasSubstr("worker coder"), Not(HasSubstr(kKey))));
    }
    return painted;
  }
};

TEST_F(PictureWorkerTest, IsAskedForBytes) {
  HttpWorkerConfig settings = config("picture");
  std::string outgoing;
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  const auto painted = paint(settings);
  ASSERT_TRUE(painted) << painted.error().message;
  EXPECT_EQ(painted->picture.media_type, "image/png");
  EXPECT_TRUE(painted->picture.bytes->starts_with("\x89PNG"));
  EXPECT_EQ(painted->model, "fake-1");
  EXPECT_EQ(painted->usage.calls, 1);
  EXPECT_FALSE(painted->usage.counted);
  const Json seen = server_->seen("picture").back();
  EXPECT_EQ(seen["path"], "/v1/images/generations");
  EXPECT_EQ(seen["headers"]["Authorization"], std::string("Bearer ") + kKey);
  const Json expected = {{"model", "fake-1"},
                         {"prompt", "a lighthöuse"},
                         {"n", 1},
                         {"response_format", "b64_json"},
                         {"size", "1280x720"},
                         {"seed", 2001}};
  EXPECT_EQ(body_of_last("picture"), expected);
  EXPECT_EQ(seen["body"], outgoing) << "exactly what leaves is shown";

  const auto counted = paint(config("picture_usage"));
  ASSERT_TRUE(counted);
  EXPECT_TRUE(counted->usage.counted);
  EXPECT_EQ(counted->usage.completion_tokens, 1056);
}

TEST_F(PictureWorkerTest, AChangeIsAFormWithPictureAndMask) {
  PictureRequest asked = wanted();
  asked.picture = "\xff\xd8\xff jpeg\r\n--lathe";
  asked.mask = std::string("\x89PNG\0 mask", 11);
  HttpWorkerConfig settings = config("picture");
  std::string outgoing;
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  ASSERT_TRUE(paint(settings, asked));
  EXPECT_EQ(server_->seen("picture").back()["path"], "/v1/images/edits");
  const Json body = body_of_last("picture");
  EXPECT_EQ(body["prompt"], "a lighthöuse");
  EXPECT_EQ(body["seed"], "2001");
  EXPECT_EQ(body["size"], "1280x720");
  const Json image = {
      {"file", "image.jpg"}, {"type", "image/jpeg"}, {"sha256", sha256_hex(asked.picture)}};
  const Json mask = {
      {"file", "mask.png"}, {"type", "image/png"}, {"sha256", sha256_hex(asked.mask)}};
  EXPECT_EQ(body["image"], image);
  EXPECT_EQ(body["mask"], mask);
  EXPECT_THAT(outgoing, AllOf(HasSubstr(sha256_hex(asked.picture)), Not(HasSubstr("jpeg\r\n"))));

  const auto none = paint(config("picture_no_edits"), asked);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, kChangesNoPictures);
  EXPECT_TRUE(paint(config("picture_no_edits")));
}

TEST_F(PictureWorkerTest, SeedsAndFieldsGoWhereTheyAreKnown) {
  HttpWorkerConfig settings = config("picture_unknown_fields");
  ASSERT_TRUE(paint(settings));
  const Json body = body_of_last("picture_unknown_fields");
  EXPECT_FALSE(body.contains("seed") || body.contains("response_format"));
  EXPECT_TRUE(body.contains("size"));
  // stable-diffusion.cpp reads it from the prompt.
  settings = config("picture");
  settings.model = "sd-cpp-local";
  ASSERT_TRUE(paint(settings));
  EXPECT_EQ(body_of_last("picture")["prompt"],
            "<sd_cpp_extra_args>{\"seed\":2001}</sd_cpp_extra_args>a lighthöuse");
}

TEST_F(PictureWorkerTest, AUrlIsFollowedToTheServerItselfAlone) {
  for (const char* own : {"picture_own_url", "picture_own_path"}) {
    const auto painted = paint(config(own));
    ASSERT_TRUE(painted) << painted.error().message;
    EXPECT_TRUE(painted->picture.bytes->starts_with("\x89PNG")) << own;
    EXPECT_EQ(server_->seen(own).back()["headers"]["Authorization"], std::string("Bearer ") + kKey);
  }
  for (const char* other : {"picture_url_elsewhere", "picture_url_other_port", "picture_url_file",
                            "picture_url_sends_on", "picture_redirect"}) {
    HttpWorkerConfig settings = config(other);
    const auto painted = paint(settings);
    ASSERT_FALSE(painted) << other;
    EXPECT_EQ(painted.error().kind, ErrorKind::kDenied) << painted.error().message;
    EXPECT_THAT(painted.error().message, Not(HasSubstr("secret")));
  }
  EXPECT_THAT(paint(config("picture_url_elsewhere")).error().message, HasSubstr("b64_json"));
}

TEST_F(PictureWorkerTest, ARefusalIsNoFailure) {
  for (const char* scenario : {"picture_refused", "picture_refused_in_words"}) {
    const auto painted = paint(config(scenario));
    ASSERT_FALSE(painted);
    EXPECT_EQ(painted.error().kind, ErrorKind::kInvalid) << painted.error().message;
    EXPECT_EQ(painted.error().code, kContentRefused);
    EXPECT_EQ(post_count(scenario), 1);
  }
  EXPECT_THAT(paint(config("picture_refused")).error().message,
              AllOf(HasSubstr("its rules forbid"), HasSubstr("Your request was rejected")));
}

TEST_F(PictureWorkerTest, FaultsSayWhatIsWrong) {
  const auto expect = [](const char* scenario, ErrorKind kind, const char* words) {
    const auto painted = paint(config(scenario));
    ASSERT_FALSE(painted) << scenario;
    EXPECT_EQ(painted.error().kind, kind) << scenario << ": " << painted.error().message;
    EXPECT_EQ(painted.error().code, "");
    EXPECT_THAT(painted.error().message, HasSubstr(words)) << scenario;
  };
  expect("picture_wrong_size", ErrorKind::kDenied, "Supported values are");
  expect("picture_garbled", ErrorKind::kInvalid, "its picture");
  expect("picture_is_text", ErrorKind::kInvalid, "no picture");
  expect("picture_none", ErrorKind::kInvalid, "holds no picture");
  expect("picture_empty", ErrorKind::kInvalid, "neither 'b64_json' nor 'url'");
  expect("picture_page", ErrorKind::kInvalid, "its answer");
  expect("picture_cut", ErrorKind::kUnavailable, "broke");
  expect("picture_huge", ErrorKind::kInvalid, "larger than");
  expect("picture_500", ErrorKind::kUnavailable, "loading the model");
  PictureRequest brief = wanted();
  brief.time_limit = Milliseconds(300);
  EXPECT_EQ(paint(config("picture_hang"), brief).error().kind, ErrorKind::kTimeout);
}

TEST_F(PictureWorkerTest, NothingLeavesBeyondWhatIsAllowed) {
  HttpWorkerConfig settings = config("picture");
  settings.base_url = "http://192.0.2.1/v1";
  EXPECT_EQ(paint(settings).error().kind, ErrorKind::kDenied);
  // A cloud by its word: without a consent nothing is sent there.
  settings = config("picture_cloud");
  settings.cloud = true;
  settings.allowed = Reach::kAny;
  EXPECT_EQ(paint(settings).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(post_count("picture_cloud"), 0);
}

class SpeechWorkerTest : public HttpWorkerTest {
 protected:
  static SpeechRequest said() {
    SpeechRequest said;
    said.text = "the stöne";
    said.voice = "alloy";
    said.language = "english";
    said.seed = 2001;
    said.labels = {{"purpose", "make"}};
    said.time_limit = Milliseconds(60'000);
    return said;
  }
  static Result<SpokenFile> speak(HttpWorkerConfig config, const SpeechRequest& asked = said()) {
    config.retry_delay = Milliseconds(1);
    LATHE_TRY(auto worker, HttpWorker::make(std::move(config)));
    const StopFlag stop;
    auto file = worker->speak(asked, stop);
    if (!file) {
      EXPECT_THAT(file.error().message, AllOf(HasSubstr("worker coder"), Not(HasSubstr(kKey))));
    }
    return file;
  }
};

TEST_F(SpeechWorkerTest, IsAskedForAWav) {
  HttpWorkerConfig settings = config("speech");
  std::string outgoing;
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  const auto file = speak(settings);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->file.size(), 44U + 44100U);
  EXPECT_EQ(file->raw_rate, 0);
  EXPECT_EQ(file->model, "fake-1");
  EXPECT_EQ(file->usage.calls, 1);
  EXPECT_FALSE(file->usage.counted);
  const Json seen = server_->seen("speech").back();
  EXPECT_EQ(seen["path"], "/v1/audio/speech");
  EXPECT_EQ(seen["headers"]["Authorization"], std::string("Bearer ") + kKey);
  const Json expected = {{"model", "fake-1"}, {"input", "the stöne"},  {"response_format", "wav"},
                         {"voice", "alloy"},  {"language", "english"}, {"seed", 2001}};
  EXPECT_EQ(body_of_last("speech"), expected);
  EXPECT_EQ(seen["body"], outgoing) << "exactly what leaves is shown";
  SpeechRequest plain;
  plain.text = "one";
  plain.speed = 1.25;
  ASSERT_TRUE(speak(settings, plain));
  const Json asked = body_of_last("speech");
  EXPECT_FALSE(asked.contains("voice") || asked.contains("seed") || asked.contains("language"));
  EXPECT_EQ(asked["speed"], 1.25);
}

TEST_F(SpeechWorkerTest, TakesTheFormsThatServersGive) {
  const auto streamed = speak(config("speech_streamed"));
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(speak(config("speech_mp3"))->file, std::string("ID3\4\0 and so on", 15));
  const auto raw = speak(config("speech_pcm"));  // whose samples look like JSON
  ASSERT_TRUE(raw) << raw.error().message;
  EXPECT_EQ(raw->raw_rate, 22050);
  EXPECT_EQ(raw->file.size(), 2000U);
  ASSERT_TRUE(speak(config("speech_unknown_fields")));
  const Json body = body_of_last("speech_unknown_fields");
  EXPECT_FALSE(body.contains("seed") || body.contains("language"));
  EXPECT_TRUE(body.contains("voice"));
}

TEST_F(SpeechWorkerTest, TriesAgainWhatMayPass) {
  const auto busy = speak(config("speech_busy"));
  ASSERT_TRUE(busy) << busy.error().message;
  EXPECT_EQ(busy->usage.calls, 3);
  const auto cut = speak(config("speech_cut_once"));
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_EQ(cut->usage.calls, 2);
  EXPECT_THAT(speak(config("speech_500")).error().message, HasSubstr("tried 3 times"));
  EXPECT_EQ(post_count("speech_500"), 3);
}

TEST_F(SpeechWorkerTest, FaultsSayWhatIsWrong) {
  const auto expect = [](const char* scenario, ErrorKind kind, const char* words) {
    const auto file = speak(config(scenario));
    ASSERT_FALSE(file) << scenario;
    EXPECT_EQ(file.error().kind, kind) << scenario << ": " << file.error().message;
    EXPECT_THAT(file.error().message, AllOf(HasSubstr(words), Not(HasSubstr("secret"))))
        << scenario;
  };
  expect("speech_empty", ErrorKind::kInvalid, "empty sound");
  expect("speech_error", ErrorKind::kInvalid, "the voice is not loaded");
  expect("speech_error_as_wav", ErrorKind::kInvalid, "out of memory");
  expect("speech_page", ErrorKind::kInvalid, "not with a sound");
  expect("speech_url", ErrorKind::kDenied, "nothing is fetched");
  expect("speech_own_url", ErrorKind::kDenied, "nothing is fetched");
  expect("speech_cut", ErrorKind::kUnavailable, "broke");
  expect("speech_short", ErrorKind::kUnavailable, "shorter than its head says");
  expect("speech_half_sample", ErrorKind::kUnavailable, "broke off");
  expect("speech_huge", ErrorKind::kInvalid, "larger than");
  expect("speech_400", ErrorKind::kDenied, "too large");
  expect("speech_redirect", ErrorKind::kDenied, "redirects");
  expect("speech_500", ErrorKind::kUnavailable, "loading the model");
  for (const char* url : {"speech_url", "speech_own_url"})
    EXPECT_EQ(server_->seen(url).back()["method"], "POST") << "it was fetched";
  SpeechRequest brief = said();
  brief.time_limit = Milliseconds(300);
  EXPECT_EQ(speak(config("speech_hang"), brief).error().kind, ErrorKind::kTimeout);
}

TEST_F(SpeechWorkerTest, NothingLeavesBeyondWhatIsAllowed) {
  HttpWorkerConfig settings = config("speech");
  settings.base_url = "http://192.0.2.1/v1";
  EXPECT_EQ(speak(settings).error().kind, ErrorKind::kDenied);
  settings = config("speech_cloud");
  settings.cloud = true;
  settings.allowed = Reach::kAny;
  EXPECT_EQ(speak(settings).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(post_count("speech_cloud"), 0);
  // With one, without what no cloud knows.
  settings.consent = [](const CloudBody&, const StopFlag&) {
    return Result<std::string>("a test");
  };
  ASSERT_TRUE(speak(settings));
  EXPECT_FALSE(body_of_last("speech_cloud").contains("seed"));
}

}  // namespace
}  // namespace lathe::serve
