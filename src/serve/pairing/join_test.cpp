// Pairing over sockets: who is let in, and what is said to all others. The clients that do what
// ours never does speak to OpenSSL themselves.
#include "serve/pairing/join.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "serve/pairing/messages.h"
#include "serve/pairing/openssl.h"

namespace lathe::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class HandClock : public Clock {
 public:
  Milliseconds monotonic() const override { return Milliseconds(now_ms.load()); }
  std::int64_t unix_ms() const override { return now_ms.load(); }
  std::atomic<std::int64_t> now_ms{1'000};
};

// An inviter at work in a thread, and what it said.
class Host {
 public:
  explicit Host(InviteTerms terms = slow_terms(), const Clock& clock = system_clock()) {
    std::signal(SIGPIPE, SIG_IGN);
    inviter_ = Inviter::open(identity, {"127.0.0.1", "", 0}, terms, clock).value();
    invitation = inviter_->invitation("127.0.0.1");
    thread_ = std::thread([this] {
      auto ended = inviter_->serve([this](const JoinRequest& request) { return grant(request); },
                                   [this](const std::string&, const Error& why) {
                                     const std::lock_guard lock(mutex_);
                                     refused_.push_back(why.message);
                                     said_.notify_all();
                                   },
                                   stop_);
      const std::lock_guard lock(mutex_);
      ended_.emplace(std::move(ended));
    });
  }
  ~Host() {
    stop_.raise();
    if (thread_.joinable()) thread_.join();
  }

  // Nothing here waits for these times: they are longer than anything takes.
  static InviteTerms slow_terms() {
    return {.lifetime = Milliseconds(3'600'000),
            .connection = Milliseconds(600'000),
            .last_words = Milliseconds(600'000)};
  }

  // Until something with these words was refused.
  void wait_for_refusal(const std::string& words) {
    std::unique_lock lock(mutex_);
    const bool came = said_.wait_for(lock, std::chrono::seconds(120), [&] {
      return std::ranges::any_of(refused_,
                                 [&](const std::string& each) { return each.contains(words); });
    });
    EXPECT_TRUE(came) << words << " was not among " << ::testing::PrintToString(refused_);
  }
  Result<JoinRequest> end() {
    thread_.join();
    return *ended_;
  }
  void stop() { stop_.raise(); }
  int grants() const { return grants_; }
  void fail_grants(bool on) { fail_ = on; }
  Result<Welcome> join(const Identity& who, const char* name = "laptop") {
    StopFlag never;
    return join_fleet(invitation, who, name, never, Milliseconds(120'000));
  }

  const Identity identity = new_identity().value();
  Invitation invitation;

 private:
  Result<Welcome> grant(const JoinRequest& request) {
    if (fail_) return fail(ErrorKind::kUnavailable, "no database for {}", request.name);
    ++grants_;
    Welcome welcome;
    welcome.tier = "desk";
    welcome.database = "postgresql://" + request.id + "@desk/lathe";
    welcome.password = "secret";
    welcome.root_certificate = std::string(50'000, 'c');
    return welcome;
  }

  std::unique_ptr<Inviter> inviter_;
  StopFlag stop_;
  std::mutex mutex_;
  std::condition_variable said_;
  std::vector<std::string> refused_;
  std::optional<Result<JoinRequest>> ended_;
  std::atomic<int> grants_ = 0;
  std::atomic<bool> fail_ = false;
  std::thread thread_;
};

struct Card {
  Openssl<EVP_PKEY> key;
  Openssl<X509> certificate;
};

Card card_of(const Identity& identity) {
  return {key_from_pem(identity.key_pem), certificate_from_pem(identity.certificate_pem)};
}

// Self-signed; `padding` bytes of a comment in it.
Card new_card(const char* type, std::size_t padding = 0) {
  Card card;
  card.key.reset(std::string_view(type) == "RSA"
                     ? EVP_PKEY_Q_keygen(nullptr, nullptr, type, std::size_t{2048})
                     : EVP_PKEY_Q_keygen(nullptr, nullptr, type));
  card.certificate.reset(X509_new());
  X509* const made = card.certificate.get();
  X509_set_version(made, X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(made), 0);
  X509_gmtime_adj(X509_getm_notAfter(made), 3600);
  X509_set_pubkey(made, card.key.get());
  if (padding > 0) {
    const std::string text(padding, 'x');
    X509_EXTENSION* const comment =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_netscape_comment, text.c_str());
    X509_add_ext(made, comment, -1);
    X509_EXTENSION_free(comment);
  }
  const bool rsa = std::string_view(type) == "RSA";
  EXPECT_GT(X509_sign(made, card.key.get(), rsa ? EVP_sha256() : nullptr), 0);
  return card;
}

// Node A's certificate in the hands of who has another key.
Card stolen_card(const Identity& a, const Identity& thief) {
  const Card theirs = card_of(a), own = card_of(thief);
  unsigned char open[32], secret[32];
  std::size_t size = sizeof open;
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(theirs.key.get(), open, &size), 1);
  size = sizeof secret;
  EXPECT_EQ(EVP_PKEY_get_raw_private_key(own.key.get(), secret, &size), 1);
  OSSL_PARAM parts[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, open, sizeof open),
                        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, secret, sizeof secret),
                        OSSL_PARAM_END};
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_from_name(nullptr, "ED25519", nullptr);
  EVP_PKEY* key = nullptr;
  EXPECT_EQ(EVP_PKEY_fromdata_init(context), 1);
  EXPECT_EQ(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parts), 1);
  EVP_PKEY_CTX_free(context);
  Card card = card_of(a);
  card.key.reset(key);
  return card;
}

UniqueFd connected(std::uint16_t port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const timeval patience{.tv_sec = 120, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return socket;
}

// Blocks, believes anybody.
class RawTls {
 public:
  RawTls(std::uint16_t port, const Card* card, int version = TLS1_3_VERSION)
      : socket_(connected(port)), context_(SSL_CTX_new(TLS_method())) {
    SSL_CTX_set_max_proto_version(context_.get(), version);
    if (card) {
      EXPECT_EQ(SSL_CTX_use_certificate(context_.get(), card->certificate.get()), 1);
      EXPECT_EQ(SSL_CTX_use_PrivateKey(context_.get(), card->key.get()), 1);
    }
    stream_.reset(SSL_new(context_.get()));
    SSL_set_fd(stream_.get(), socket_.get());
    hands_shaken_ = SSL_connect(stream_.get()) == 1;
  }

  bool hands_shaken() const { return hands_shaken_; }
  void send(std::string_view text) {
    if (hands_shaken_) (void)SSL_write(stream_.get(), text.data(), static_cast<int>(text.size()));
  }
  // What came until the other side ended, or OpenSSL's reason; then this side ends, too.
  std::string rest() {
    std::string text;
    char buffer[4096];
    while (hands_shaken_) {
      const int got = SSL_read(stream_.get(), buffer, sizeof buffer);
      if (got <= 0) break;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    ::shutdown(socket_.get(), SHUT_RDWR);
    return text.empty() && reason ? reason : text;
  }

 private:
  UniqueFd socket_;
  Openssl<SSL_CTX> context_;
  Openssl<SSL> stream_;
  bool hands_shaken_ = false;
};

TEST(Join, WhoHasTheInvitationIsLetIn) {
  Host host;
  const Identity laptop = new_identity().value();
  const auto welcome = host.join(laptop);
  ASSERT_TRUE(welcome) << welcome.error().message;
  EXPECT_EQ(welcome->database, "postgresql://" + laptop.id + "@desk/lathe");
  EXPECT_EQ(welcome->root_certificate.size(), 50'000u);
  const auto joined = host.end();
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->id, laptop.id);
  EXPECT_EQ(joined->fingerprint, laptop.fingerprint);
  EXPECT_EQ(joined->name, "laptop");
  EXPECT_EQ(host.grants(), 1);
}

TEST(Join, AnotherFingerprintIsNotBelieved) {
  Host host;
  const Identity laptop = new_identity().value();
  Invitation forged = host.invitation;
  forged.fingerprint = new_identity().value().fingerprint;
  StopFlag never;
  const auto refused = join_fleet(forged, laptop, "laptop", never, Milliseconds(120'000));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("fingerprint"));
  host.wait_for_refusal("expects another fingerprint");
  EXPECT_EQ(host.grants(), 0);
  EXPECT_TRUE(host.join(laptop)) << "the token was not spent";
}

TEST(Join, ATokenIsGoodOnce) {
  Host host;
  const Card first = new_card("ED25519"), second = new_card("ED25519");
  const std::uint16_t port = host.invitation.address.port;
  RawTls one(port, &first), two(port, &second);
  const std::string line = to_line(JoinLine{host.invitation.token, "laptop"});
  one.send(line);
  EXPECT_TRUE(parse_answer_line(one.rest()));
  two.send(line);
  const auto refused = parse_answer_line(two.rest());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "used_token");
  EXPECT_THAT(refused.error().message, HasSubstr("used already"));
  host.wait_for_refusal("used already");
  EXPECT_TRUE(host.end());
  EXPECT_EQ(host.grants(), 1);
}

TEST(Join, ATokenExpires) {
  HandClock clock;
  InviteTerms terms = Host::slow_terms();
  terms.connection = terms.last_words = 10 * terms.lifetime;
  Host host(terms, clock);
  const Card card = new_card("ED25519"), other = new_card("ED25519");
  RawTls late(host.invitation.address.port, &card);
  // Who came later is answered: so the first one is let in.
  RawTls before(host.invitation.address.port, &other);
  before.send("no message\n");
  EXPECT_FALSE(parse_answer_line(before.rest()));
  clock.now_ms += terms.lifetime.count();
  late.send(to_line(JoinLine{host.invitation.token, "laptop"}));
  const auto refused = parse_answer_line(late.rest());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "expired_token");
  EXPECT_THAT(refused.error().message, HasSubstr("expired"));
  EXPECT_EQ(host.end().error().kind, ErrorKind::kTimeout);
  EXPECT_EQ(host.grants(), 0);
}

TEST(Join, WrongTokensAreCountedAndEndIt) {
  Host host;
  const Card card = new_card("ED25519");
  for (int i = 0; i < kMostWrongTokens; ++i) {
    RawTls guess(host.invitation.address.port, &card);
    guess.send(to_line(JoinLine{std::string(32, 'a'), "laptop"}));
    const auto refused = parse_answer_line(guess.rest());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "wrong_token");
  }
  const auto ended = host.end();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(ended.error().message, HasSubstr("wrong tokens"));
  EXPECT_EQ(host.grants(), 0);
}

TEST(Join, WithoutACertificateNobodyIsHeard) {
  Host host;
  RawTls none(host.invitation.address.port, nullptr);
  none.send(to_line(JoinLine{host.invitation.token, "laptop"}));
  EXPECT_THAT(none.rest(), HasSubstr("certificate required"));
  host.wait_for_refusal("shows no certificate");
  EXPECT_EQ(host.grants(), 0);
}

TEST(Join, OlderTlsIsRefused) {
  Host host;
  const Card card = new_card("ED25519");
  RawTls old(host.invitation.address.port, &card, TLS1_2_VERSION);
  EXPECT_FALSE(old.hands_shaken());
  EXPECT_THAT(old.rest(), HasSubstr("protocol version"));
  host.wait_for_refusal("does not speak TLS 1.3");
}

TEST(Join, OnlySmallCertificatesWithTheRightKindOfKey) {
  Host host;
  const struct {
    Card card;
    const char *there, *here;
  } cases[] = {{new_card("RSA"), "unsupported certificate", "Ed25519"},
               {new_card("ED25519", 4'000), "unsupported certificate", "one small one"},
               {new_card("ED25519", 30'000), "alert", "too large"}};
  for (const auto& [card, there, here] : cases) {
    RawTls client(host.invitation.address.port, &card);
    client.send(to_line(JoinLine{host.invitation.token, "laptop"}));
    EXPECT_THAT(client.rest(), HasSubstr(there));
    host.wait_for_refusal(here);
  }
  EXPECT_EQ(host.grants(), 0);
}

TEST(Join, AnotherNodesCertificateIsOfNoUse) {
  Host host;
  const Card stolen = stolen_card(new_identity().value(), new_identity().value());
  RawTls thief(host.invitation.address.port, &stolen);
  thief.send(to_line(JoinLine{host.invitation.token, "laptop"}));
  EXPECT_THAT(thief.rest(), HasSubstr("decrypt error"));
  host.wait_for_refusal("signature");
  EXPECT_EQ(host.grants(), 0);
}

TEST(Join, HalfOpenConnectionsKeepNobodyOut) {
  Host host;
  std::vector<UniqueFd> silent;
  for (std::size_t i = 0; i < 2 * Inviter::kMostConnections; ++i)
    silent.push_back(connected(host.invitation.address.port));
  EXPECT_TRUE(host.join(new_identity().value()));
  silent.clear();
  EXPECT_TRUE(host.end());
}

TEST(Join, AConnectionHasItsTime) {
  InviteTerms terms = Host::slow_terms();
  terms.connection = Milliseconds(300);
  Host host(terms);
  const UniqueFd silent = connected(host.invitation.address.port);
  host.wait_for_refusal("did not finish");
  // A byte now and then is not enough either.
  const UniqueFd slow = connected(host.invitation.address.port);
  for (int i = 0; i < 10; ++i) {
    (void)::send(slow.get(), "\x16", 1, MSG_NOSIGNAL);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  char byte = 0;
  EXPECT_LE(::recv(slow.get(), &byte, 1, 0), 0);
  host.stop();
  EXPECT_EQ(host.end().error().kind, ErrorKind::kCancelled);
}

TEST(Join, ManyThatHaveNoTokenDoNoHarm) {
  Host host;
  const Card card = new_card("ED25519");
  for (int i = 0; i < 100; ++i) {
    RawTls client(host.invitation.address.port, &card);
    ASSERT_TRUE(client.hands_shaken());
    client.send(i % 2 ? std::string(100'000, 'x') : "{\"lathe_join\":1}\n");
    if (i % 2 == 0) {
      EXPECT_FALSE(parse_answer_line(client.rest()));
    }
  }
  {
    const UniqueFd web = connected(host.invitation.address.port);
    EXPECT_GT(::send(web.get(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
    host.wait_for_refusal("HTTP");
  }
  EXPECT_EQ(host.grants(), 0);
  EXPECT_TRUE(host.join(new_identity().value()));
  EXPECT_EQ(host.grants(), 1);
}

TEST(Join, WhatTheInviterCannotDoIsToldAndTheTokenStands) {
  Host host;
  host.fail_grants(true);
  const Identity laptop = new_identity().value();
  const auto refused = host.join(laptop);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("127.0.0.1"), HasSubstr("no database for laptop")));
  host.fail_grants(false);
  EXPECT_TRUE(host.join(laptop));
}

TEST(Join, NobodyIsThere) {
  Invitation invitation;
  {
    Host host;
    invitation = host.invitation;
  }
  StopFlag stop;
  const auto refused =
      join_fleet(invitation, new_identity().value(), "laptop", stop, Milliseconds(120'000));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("lathe fleet invite"));
}

TEST(Tokens, AreComparedWholeAndOnlyWhileTheyAreGood) {
  HandClock clock;
  Token token("secret", Milliseconds(1'000), clock);
  EXPECT_EQ(token.check("secre").error().code, "wrong_token");
  EXPECT_TRUE(token.check("secret"));
  clock.now_ms += 1'000;
  EXPECT_FALSE(token.open());
  EXPECT_EQ(token.check("secret").error().code, "expired_token");
  EXPECT_EQ(token.check("").error().code, "wrong_token");
  Token once("secret", Milliseconds(1'000), clock);
  once.use();
  EXPECT_EQ(once.check("secret").error().code, "used_token");
  Token guessed("secret", Milliseconds(1'000), clock);
  for (int i = 0; i < kMostWrongTokens; ++i) EXPECT_FALSE(guessed.check("guess"));
  EXPECT_EQ(guessed.check("secret").error().code, "spoilt");
}

}  // namespace
}  // namespace lathe::serve
