// A server that streams, breaks off, refuses and lies, and workers that ask it.
#pragma once

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "serve/net/http_worker.h"

namespace lathe::serve {

inline constexpr const char* kKey = "sk-very-secret";

// tests/fakes/openai_server.py, once for all tests. It ends with the pipe to its standard input.
class FakeServer {
 public:
  FakeServer() {
    std::array<int, 2> in{}, out{};
    if (::pipe(in.data()) != 0 || ::pipe(out.data()) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      for (const int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
      ::execlp("python3", "python3", LATHE_SOURCE_DIR "/tests/fakes/openai_server.py", nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    keep_alive_ = in[1];
    FILE* reader = ::fdopen(out[0], "r");
    if (std::fscanf(reader, "%d", &port_) != 1) port_ = 0;
    std::fclose(reader);
  }
  ~FakeServer() {
    ::close(keep_alive_);
    ::waitpid(pid_, nullptr, 0);
  }
  std::string url(std::string_view scenario) const {
    return fmt::format("http://127.0.0.1:{}/{}/v1", port_, scenario);
  }
  Json seen(std::string_view scenario) const {
    const auto answer =
        http_call({.url = fmt::format("http://127.0.0.1:{}/{}/seen", port_, scenario),
                   .body = {},
                   .headers = {}},
                  StopFlag());
    return answer ? *parse_json(answer->body) : Json();
  }

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  int keep_alive_ = -1;
};

class HttpWorkerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new FakeServer; }
  static void TearDownTestSuite() { delete server_; }

  static HttpWorkerConfig config(std::string_view scenario) {
    HttpWorkerConfig config;
    config.name = "coder";
    config.base_url = server_->url(scenario);
    config.model = "fake-1";
    config.api_key = kKey;
    config.retry_delay = Milliseconds(10);
    return config;
  }
  static Request request() {
    Request request;
    request.ask = Talk{{{"system", "be brief"}, {"user", "hellö"}}};
    request.time_limit = Milliseconds(20'000);
    return request;
  }
  static Result<Reply> ask(HttpWorkerConfig config, const Request& asked = request(),
                           const std::function<void(const Delta&)>& on_delta = nullptr) {
    LATHE_TRY(auto worker, HttpWorker::make(std::move(config)));
    const StopFlag stop;
    auto reply = worker->complete(asked, stop, on_delta);
    if (!reply) {
      EXPECT_THAT(reply.error().message, ::testing::Not(::testing::HasSubstr(kKey)));
      EXPECT_THAT(reply.error().message, ::testing::HasSubstr("worker coder"));
    }
    return reply;
  }
  static void expect_error(std::string_view scenario, ErrorKind kind, std::string_view words,
                           int posts = 1) {
    const auto reply = ask(config(scenario));
    ASSERT_FALSE(reply) << scenario;
    EXPECT_EQ(reply.error().kind, kind) << scenario << ": " << reply.error().message;
    EXPECT_THAT(reply.error().message, ::testing::HasSubstr(std::string(words)));
    EXPECT_EQ(post_count(scenario), posts) << scenario;
  }
  static int post_count(std::string_view scenario) {
    int posts = 0;
    for (const Json& each : server_->seen(scenario)) posts += each["method"] == "POST";
    return posts;
  }

  static Json body_of_last(std::string_view scenario) {
    return *parse_json(server_->seen(scenario).back()["body"].get<std::string>());
  }

  inline static FakeServer* server_ = nullptr;
};

}  // namespace lathe::serve
