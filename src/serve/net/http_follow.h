// An HTTP exchange that goes where its answers send it, as far as that is sensible: a few times, to
// http and https only, never from https to http, never from a far place to a nearer one (a server
// of the internet has no business in this network), and with credentials for the first origin
// alone. Any thread.
#pragma once

#include "serve/net/http_call.h"

namespace lathe::serve {

struct Hop {
  std::string url;
  bool same_origin = false;  // scheme, host and port as they were
};
// Where an answer of `from` with this Location leads. Pure.
Result<Hop> next_hop(const std::string& from, const std::string& location);

// `credentials`: headers for the first origin. on_body gets the last answer's body alone.
Result<HttpAnswer> http_follow(HttpCall call, const std::vector<std::string>& credentials,
                               const StopFlag& stop);

}  // namespace lathe::serve
