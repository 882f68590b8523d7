// One HTTP exchange with libcurl: no proxy, no redirect, no cookie, no .netrc, no address beyond
// the allowed reach, whatever the name resolved to, and none beyond loopback that is not written
// down first. Bounded in time and size. Any thread.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "serve/net/contact_log.h"
#include "serve/net/endpoint.h"

namespace lathe::serve {

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string content_type;
  std::string body;  // what did not go to on_stream or on_body
  bool streamed = false;
  Milliseconds retry_after{-1};  // as the server asks; -1: it does not
  bool never_retry = false;      // x-should-retry: false
  Reach reach = Reach::kLocal;   // of the address that answered

  // The first header of this (lower-case) name; "": there is none.
  std::string header(std::string_view name) const;
};

// A body that is to go to a cloud, and what a person is told of it.
struct CloudBody {
  std::string_view bytes;
  std::string destination;  // scheme://host:port/path
  std::string model;
  std::int64_t prompt_tokens = 0, answer_tokens = 0;  // estimated; at most. -1: no bound
  std::map<std::string, std::string> labels = {};     // of the request that it is for
};
// Whether it may: in the words of who allowed it, "consent 0123…". May take its time, until `stop`.
using ConsentGate = std::function<Result<std::string>(const CloudBody& body, const StopFlag& stop)>;

struct HttpCall {
  std::string url;
  std::string body;         // with one it is a POST, else a GET …
  std::string method = {};  // … or this
  std::string body_type = "application/json";
  std::vector<std::string> headers;                // "Name: value"
  Reach allowed = Reach::kLocal;                   // no address beyond it
  Reach nearest = Reach::kLocal;                   // and none nearer
  ContactLog* contacts = nullptr;                  // null: no address beyond loopback
  std::string allowed_by = {};                     // in the words of who allowed it
  std::map<std::string, std::string> labels = {};  // of the request that it is for
  Milliseconds connect_limit{10'000};
  Milliseconds idle_limit{300'000};
  Milliseconds total_limit{600'000};
  std::size_t max_body = std::size_t{64} << 20;
  // Gets the body of a 200 answer piece by piece, if the answer is an event stream or does not say
  // what it is; false ends the exchange (with an answer).
  std::function<bool(std::string_view)> on_stream = {};
  // Gets the body of a 200 or 206 answer piece by piece, whatever its type, and what the head
  // said; false ends the exchange (with an answer). max_body does not count then.
  std::function<bool(const HttpAnswer& head, std::string_view bytes)> on_body = {};
  // Asked for a body that goes to a cloud, before a name is looked up or a socket opened; empty:
  // none goes there. A cloud is what has a public address or a name that may have one, where
  // `allowed` reaches that far, and what says that it is one.
  ConsentGate consent = {};
  bool cloud = false;
  std::string model = {};                             // what the gate is told
  std::int64_t prompt_tokens = 0, answer_tokens = 0;  // likewise
};

// An Error of kind kUnavailable and an empty answer.status mean that no answer began.
Result<HttpAnswer> http_call(const HttpCall& call, const StopFlag& stop);

}  // namespace lathe::serve
