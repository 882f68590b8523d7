// The HTTP server over real sockets: framing, limits, clients that go or close one side.
#include "serve/net/http_server.h"

#include <gmock/gmock.h>
#include <testing/raw_client.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace lathe::serve {
namespace {

using testing::eventually;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::RawReply;

// A server whose handler answers with what it was asked, or as the path says: /stream begins one
// that tests go on with through `held`, /hold keeps the exchange, /drop lets it go.
class HttpServerTest : public ::testing::Test {
 protected:
  void start(HttpLimits limits = {}) {
    HttpServerConfig config;
    config.limits = limits;
    config.refusal = [](int status, std::string_view message, std::string_view) {
      return HttpReply{status, std::string(message), "text/plain"};
    };
    config.gate = [](const HttpRequest& head) -> std::optional<HttpReply> {
      if (head.path != "/forbidden") return std::nullopt;
      return HttpReply{403, "no", "text/plain"};
    };
    config.handler = [this](std::shared_ptr<HttpExchange> exchange) { handle(exchange); };
    auto started = HttpServer::start(std::move(config));
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }

  void handle(const std::shared_ptr<HttpExchange>& exchange) {
    const HttpRequest& request = exchange->request();
    if (request.path == "/drop") return;
    if (request.path != "/stream" && request.path != "/hold")
      return exchange->reply({200, request.method + " " + request.path + " " + request.body});
    if (request.path == "/stream") exchange->begin({"text/plain", {}, "ping\n"});
    exchange->on_gone([this](HttpGone why) {
      ++gone;
      last_gone = why;
    });
    const std::lock_guard lock(mutex);
    held.push_back(exchange);
    changed.notify_all();
  }

  std::shared_ptr<HttpExchange> wait_held(std::size_t count = 1) {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, std::chrono::seconds(10), [&] { return held.size() >= count; }))
      return nullptr;
    return held[count - 1];
  }

  RawClient client() { return RawClient(server->port()); }
  // What must hold after anything.
  void expect_alive() {
    RawClient another = client();
    another.get("/alive");
    EXPECT_EQ(another.reply().body, "GET /alive ");
  }
  // The answer to these bytes.
  RawReply answer_to(std::string_view bytes) {
    RawClient one = client();
    one.send(bytes);
    return one.reply();
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::shared_ptr<HttpExchange>> held;
  std::atomic<int> gone = 0;
  std::atomic<HttpGone> last_gone = HttpGone::kPeer;
  std::unique_ptr<HttpServer> server;  // the last member: it stops before what its handler uses
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  start();
  RawClient one = client();
  for (const char* body : {"", "one", "two"}) {
    one.post("/x", body);
    const RawReply reply = one.reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, std::string("POST /x ") + body);
  }
  EXPECT_EQ(server->connections(), 1U);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInTurn) {
  start();
  RawClient one = client();
  std::string requests;
  for (int i = 0; i < 200; ++i)
    requests += "GET /" + std::to_string(i) +
                " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok";  // a GET with a body
  one.send(requests);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(one.reply().body, "GET /" + std::to_string(i) + " ok");
}

TEST_F(HttpServerTest, TooMuchPipeliningEndsTheConnection) {
  start();
  RawClient one = client();
  one.get("/hold");
  ASSERT_TRUE(wait_held());
  one.send(std::string(200'000, 'x'));
  EXPECT_TRUE(one.ends());
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
  expect_alive();
}

TEST_F(HttpServerTest, ChunkedBodies) {
  start();
  EXPECT_EQ(answer_to("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n")
                .body,
            "POST /x abcde");
}

TEST_F(HttpServerTest, WhatTwoReadersCouldReadInTwoWaysIsRefused) {
  start();
  const std::string post = "POST /x HTTP/1.1\r\nHost: x\r\n";
  const std::string both =
      "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
  for (const std::string& bytes :
       {post + both, post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        post + "Content-Length: -3\r\n\r\nabc", post + "Content-Length: +3\r\n\r\nabc",
        post + "Content-Length: 99999999999999999999999\r\n\r\nabc",
        post + "Host: y\r\nContent-Length: 3\r\n\r\nabc",
        post + "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nabc\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
        post + "Bad Header: 1\r\n\r\n", std::string("GET /x HTTP/1.1\r\n\r\n"),
        std::string("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string("GET x HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("nonsense\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n"}) {
    RawClient one = client();
    one.send(bytes);
    EXPECT_EQ(one.reply().status, 400) << bytes;
    EXPECT_TRUE(one.ends()) << bytes;
  }
  EXPECT_EQ(answer_to(post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n").status, 501);
  expect_alive();
}

TEST_F(HttpServerTest, HeadsAndBodiesAreBounded) {
  start({.body_bytes = 1 << 20});
  EXPECT_EQ(answer_to("GET /x HTTP/1.1\r\nHost: x\r\nLong: " + std::string(9000, 'a')).status, 431);
  EXPECT_EQ(answer_to("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n").status, 431);
  std::string many = "GET /x HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 2000; ++i) many += "A: b\r\n";
  EXPECT_EQ(answer_to(many + "\r\n").status, 431);
  // It is told so before it has sent it all, and can still read it.
  RawClient huge = client();
  huge.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
  huge.send(std::string(8 << 20, 'x'));
  EXPECT_EQ(huge.reply().status, 413);
  RawClient chunked = client();
  chunked.send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) chunked.send("10000\r\n" + std::string(65536, 'x') + "\r\n");
  EXPECT_EQ(chunked.reply().status, 413);
  // A chunk's line that never ends.
  EXPECT_EQ(answer_to("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;" +
                      std::string(50'000, 'e'))
                .status,
            400);
  expect_alive();
}

TEST_F(HttpServerTest, AllBodiesTogetherAreBounded) {
  start({.all_bodies_bytes = 3 << 20});
  std::vector<RawClient> clients;
  for (std::size_t i = 1; i <= 2; ++i) {
    clients.push_back(client());
    clients.back().post("/hold", std::string(1'500'000, 'x'));
    ASSERT_TRUE(wait_held(i));
  }
  RawClient last = client();
  last.post("/x", std::string(1'500'000, 'y'));
  EXPECT_EQ(last.reply().status, 503);
  for (const auto& exchange : held) exchange->reply({200, "done"});
  for (RawClient& one : clients) EXPECT_EQ(one.reply().status, 200);
  RawClient again = client();
  again.post("/x", std::string(1'500'000, 'y'));
  EXPECT_EQ(again.reply().status, 200);
}

TEST_F(HttpServerTest, ThePathIsDecodedOnce) {
  start();
  EXPECT_EQ(answer_to("GET /a%2Fb%3A%2e%2E%252f%00?q=%41 HTTP/1.1\r\nHost: x\r\n\r\n").body,
            std::string("GET /a/b:..%2f\0 ", 16));
}

TEST_F(HttpServerTest, OldAndUnusualRequests) {
  start();
  const RawReply old = answer_to("GET /x HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.body, "GET /x ");
  EXPECT_THAT(old.head, HasSubstr("Connection: close"));
  RawClient head = client();
  head.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(head.wait_for("GET /y"));
  EXPECT_THAT(head.input(),
              HasSubstr("Content-Length: 8\r\nConnection: keep-alive\r\n\r\nHTTP/1.1"));
  EXPECT_EQ(answer_to("GET /x HTTP/2.0\r\nHost: x\r\n\r\n").status, 400);
}

TEST_F(HttpServerTest, Expectations) {
  start();
  RawClient one = client();
  one.send("POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(one.wait_for("100 Continue\r\n\r\n"));
  one.send("ok");
  EXPECT_EQ(one.reply().body, "POST /x ok");
  // What is refused is refused at once.
  EXPECT_EQ(answer_to("POST /forbidden HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                      "Content-Length: 2\r\n\r\n")
                .status,
            403);
  EXPECT_EQ(answer_to("POST /x HTTP/1.1\r\nHost: x\r\nExpect: much\r\nContent-Length: 2\r\n\r\nok")
                .status,
            417);
}

TEST_F(HttpServerTest, SlowSendersAreNotWaitedForForever) {
  start({.head_time = Milliseconds(300), .body_time = Milliseconds(300)});
  RawClient head = client();
  head.send("GET /x HTTP/1.1\r\n");
  std::thread drip([&] {  // a byte now and then does not help
    for (int i = 0; i < 100 && head.send("A"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  RawClient body = client();
  body.send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  RawClient silent = client();
  EXPECT_EQ(head.reply().status, 408);
  EXPECT_EQ(body.reply().status, 408);
  EXPECT_TRUE(silent.ends());
  drip.join();
  expect_alive();
}

TEST_F(HttpServerTest, AnExchangeThatIsLetGoIsAnswered) {
  start();
  RawClient one = client();
  one.get("/drop");
  EXPECT_EQ(one.reply().status, 500);
  one.get("/x");
  EXPECT_EQ(one.reply().status, 200);
}

TEST_F(HttpServerTest, StreamsLeavePieceByPiece) {
  start();
  RawClient one = client();
  one.get("/stream");
  const auto exchange = wait_held();
  ASSERT_TRUE(exchange);
  exchange->send("first");
  EXPECT_TRUE(one.wait_for("first"));
  exchange->send("second");
  EXPECT_TRUE(one.wait_for("second"));
  exchange->end();
  exchange->send("too late");
  const RawReply reply = one.reply();
  EXPECT_EQ(reply.body, "firstsecond");
  EXPECT_TRUE(reply.whole);
  one.get("/x");  // what came too late is not the next answer's
  EXPECT_EQ(one.reply().body, "GET /x ");
  RawClient old = client();
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  const auto plain = wait_held(2);
  ASSERT_TRUE(plain);
  plain->send("a");
  plain->send("b");
  plain->end();
  EXPECT_EQ(old.reply().body, "ab");
}

TEST_F(HttpServerTest, WhatFailsBeforeItsFirstByteIsAPlainAnswer) {
  start();
  RawClient one = client();
  one.get("/stream");
  wait_held()->finish({429, "later", "text/plain"}, "error event");
  EXPECT_EQ(one.reply().status, 429);
  one.get("/stream");
  const auto second = wait_held(2);
  second->send("begun ");
  second->finish({429, "later", "text/plain"}, "error event");
  const RawReply reply = one.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "begun error event");
}

TEST_F(HttpServerTest, SilentStreamsArePinged) {
  start({.ping_time = Milliseconds(100)});
  RawClient one = client();
  one.get("/stream");
  const auto exchange = wait_held();
  EXPECT_TRUE(one.wait_for("ping\n\r\n5\r\nping\n"));
  exchange->end();
}

TEST_F(HttpServerTest, AClientThatGoesIsNoticedWhileANeighbourStreams) {
  start();
  RawClient neighbour = client();
  neighbour.get("/stream");
  const auto stream = wait_held();
  std::atomic<bool> over = false;
  std::thread output([&] {
    while (!over) {
      stream->send("busy ");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (const char* path : {"/hold", "/stream"}) {  // nothing was written yet to either
    RawClient one = client();
    one.get(path);
    ASSERT_TRUE(wait_held(path[1] == 'h' ? 2 : 3));
    const int before = gone;
    one.close();
    EXPECT_TRUE(eventually([&] { return gone == before + 1; }));
  }
  EXPECT_EQ(last_gone, HttpGone::kPeer);
  over = true;
  output.join();
  stream->send("done");
  EXPECT_TRUE(neighbour.wait_for("done"));
}

TEST_F(HttpServerTest, HalfClosed) {
  start();
  RawClient quick = client();
  quick.get("/x");
  quick.close_sending();
  EXPECT_EQ(quick.reply().body, "GET /x ");
  // Whoever has only said all that it has to say is answered, however long that takes.
  RawClient slow = client(), stream = client();
  slow.get("/hold");
  const auto exchange = wait_held();
  stream.get("/stream");
  const auto streaming = wait_held(2);
  streaming->send("one ");
  ASSERT_TRUE(stream.wait_for("one "));
  slow.close_sending();
  stream.close_sending();
  EXPECT_TRUE(slow.wait_for("HTTP/1.1 102 "));
  EXPECT_TRUE(stream.wait_for("ping"));
  exchange->reply({200, "late", "text/plain"});
  EXPECT_EQ(slow.reply().body, "late");
  streaming->send("two");
  streaming->end();
  EXPECT_THAT(stream.reply().body, HasSubstr("two"));
  EXPECT_EQ(gone, 0);
  // Told at once when it has gone already.
  bool told = false;
  RawClient third = client();
  third.get("/stream");
  const auto other = wait_held(3);
  third.close();
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
  other->on_gone([&](HttpGone) { told = true; });
  EXPECT_TRUE(told);
}

TEST_F(HttpServerTest, AReaderThatDoesNotReadIsLetGo) {
  start({.backlog_bytes = 1 << 20});
  RawClient one(server->port(), 4096);
  one.get("/stream");
  const auto exchange = wait_held();
  const std::string piece(64 << 10, 'x');
  EXPECT_TRUE(eventually([&] {
    exchange->send(piece);
    return gone == 1;
  }));
  expect_alive();
}

TEST_F(HttpServerTest, AReaderThatStopsReadingIsLetGoInTime) {
  start({.write_time = Milliseconds(300)});
  RawClient one(server->port(), 4096);
  one.get("/stream");
  const auto exchange = wait_held();
  exchange->send(std::string(3 << 20, 'x'));
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
}

TEST_F(HttpServerTest, ManyConnections) {
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 500; ++i) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back().connected());
  }
  expect_alive();
  for (RawClient& one : clients) one.get("/x");
  for (RawClient& one : clients) EXPECT_EQ(one.reply().status, 200);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server->connections() <= 1; }));
}

TEST_F(HttpServerTest, MoreConnectionsThanAllowed) {
  start({.connections = 3});
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(client());
    clients.back().get("/x");
    EXPECT_EQ(clients.back().reply().status, 200);
  }
  RawClient one = client();
  EXPECT_EQ(one.reply().status, 503);
  clients.clear();
  EXPECT_TRUE(eventually([&] {
    RawClient another = client();
    another.get("/x");
    return another.reply().status == 200;
  }));
}

TEST_F(HttpServerTest, APortThatIsInUse) {
  start();
  HttpServerConfig config;
  config.port = server->port();
  const auto second = HttpServer::start(std::move(config));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(server->port())));
  EXPECT_THAT(second.error().message, HasSubstr("(process " + std::to_string(getpid()) + ")"));
  HttpServerConfig nowhere;
  nowhere.hosts = {"example.org"};
  EXPECT_FALSE(HttpServer::start(std::move(nowhere)));
}

TEST_F(HttpServerTest, StopLetsAnswersFinish) {
  start();
  RawClient idle = client(), busy = client(), stuck = client();
  busy.get("/stream");
  const auto exchange = wait_held();
  exchange->send("one ");
  stuck.get("/stream");
  const auto other = wait_held(2);
  std::thread stop([&] { server->stop(Milliseconds(3'000)); });
  EXPECT_TRUE(idle.ends());
  EXPECT_TRUE(eventually([&] { return !client().connected(); }));
  exchange->send("two");
  exchange->end();
  EXPECT_EQ(busy.reply().body, "one two");
  EXPECT_TRUE(eventually([&] { return gone == 1; }));  // the other one's time is over …
  EXPECT_EQ(last_gone, HttpGone::kShutdown);
  other->finish({503, "shutting down", "text/plain"}, "");  // … and it can still say so
  EXPECT_EQ(stuck.reply().status, 503);
  stop.join();
  EXPECT_EQ(server->connections(), 0U);
}

// The server's thread finishes the exchange, and at once another thread drops it.
TEST_F(HttpServerTest, LastWordsAreNotOvertakenByTheEnd) {
  start();
  RawClient one = client();
  one.get("/hold");
  ASSERT_TRUE(wait_held());
  std::shared_ptr<HttpExchange> last = std::move(held[0]);
  held.clear();
  last->on_gone([&](HttpGone) {
    last->finish({503, "shutting down", "text/plain"}, "");
    std::thread([&] { last.reset(); }).join();
  });
  server->stop(Milliseconds(0));
  EXPECT_EQ(one.reply().status, 503);
}

TEST_F(HttpServerTest, StopEndsWhatNobodyFinishes) {
  start();
  RawClient one = client();
  one.get("/hold");
  ASSERT_TRUE(wait_held());
  server->stop(Milliseconds(0));
  EXPECT_TRUE(one.ends());
  held[0]->reply({200, "too late"});
  server.reset();
  held.clear();  // exchanges may outlive the server
}

}  // namespace
}  // namespace lathe::serve
