// How far an address reaches, in every odd spelling.
#include "serve/net/endpoint.h"

#include <gmock/gmock.h>

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Reach, OfHosts) {
  const std::pair<Reach, std::vector<std::string_view>> cases[] = {
      {Reach::kLocal,
       {"127.0.0.1", "127.255.255.255", "localhost", "LOCALHOST", "::1", "0.0.0.0",
        "::", "::ffff:127.0.0.1"}},
      {Reach::kLan,
       {"10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1",
        "fe80::1", "fe80::1%eth0", "fd12::1", "fc00::1", "spark.local", "SPARK.LOCAL",
        "::ffff:10.1.2.3"}},
      {Reach::kAny,
       {"126.255.255.255",
        "128.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "169.253.0.1",
        "169.255.0.1",
        "8.8.8.8",
        "2001:db8::1",
        "fbff::1",
        "fe00::1",
        "fec0::1",
        "ff02::1",
        "api.example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "notlocal",
        "x.locale",
        "",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "100.64.0.1",
        "localhost."}}};
  for (const auto& [reach, hosts] : cases)
    for (const std::string_view host : hosts) EXPECT_EQ(reach_of_host(host), reach) << host;
}

TEST(Endpoint, IsNormalised) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"},
      {"http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1"},
      {"http://localhost:8080", "http://localhost:8080/v1"},
      {"http://localhost:8080/", "http://localhost:8080/v1"},
      {"https://api.example.com/openai/v2", "https://api.example.com/openai/v2"},
      {"http://[::1]:9", "http://[::1]:9/v1"}};
  for (const auto& [given, url] : cases) {
    const auto endpoint = parse_endpoint(given);
    ASSERT_TRUE(endpoint) << given << endpoint.error().message;
    EXPECT_EQ(endpoint->url, url);
  }
  EXPECT_EQ(parse_endpoint("http://[::1]:9")->host, "::1");
}

// Other spellings of an address must not look nearer than they are.
TEST(Endpoint, ReachOfOddSpellings) {
  const std::pair<std::string_view, Reach> cases[] = {
      {"http://2130706433/", Reach::kLocal}, {"http://0x7f.1/", Reach::kLocal},
      {"http://127.1/", Reach::kLocal},      {"http://134744072/", Reach::kAny},
      {"http://0x08080808/", Reach::kAny},   {"http://[::ffff:8.8.8.8]/", Reach::kAny},
      {"http://010.8.8.8/", Reach::kAny},    {"http://10.1/", Reach::kLan},
      {"http://LocalHost/", Reach::kLocal},  {"http://%6cocalhost/", Reach::kLocal}};
  for (const auto& [url, reach] : cases) {
    const auto endpoint = parse_endpoint(url);
    if (endpoint) {
      EXPECT_EQ(endpoint->reach, reach) << url;
    }
  }
}

TEST(Endpoint, WhatIsNoneIsRefused) {
  using namespace std::string_view_literals;
  for (const std::string_view url :
       {""sv, "x"sv, "ftp://h/"sv, "file:///etc/passwd"sv, "http://"sv, "http://h/v1?x=1"sv,
        "http://h/v1#x"sv, "http://h:99999/"sv, "http://a b/"sv, "gopher://127.0.0.1/"sv,
        "http://h\0.example.com/"sv})
    EXPECT_FALSE(parse_endpoint(url)) << url;
  const auto secret = parse_endpoint("http://me:hunter2@h/v1");
  ASSERT_FALSE(secret);
  EXPECT_THAT(secret.error().message, Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace lathe::serve
