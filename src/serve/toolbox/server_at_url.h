// A tool server at a URL, spoken with by the protocol's Streamable HTTP: every message is a POST,
// whose answer is JSON or a stream of events. Nothing goes to an address that is farther away than
// the server's privacy, wherever its name leads; nothing to a cloud without consent.
#pragma once

#include "serve/net/http_call.h"
#include "serve/toolbox/mcp_client.h"

namespace lathe::serve {

struct UrlTerms {
  std::string token = {};          // sent as a bearer token; never shown
  ContactLog* contacts = nullptr;  // null: nobody beyond loopback is asked
  std::string allowed_by = {};     // in the words of who allowed it
  ConsentGate consent = {};        // of what goes to a cloud; empty: nothing goes there
};

// Errors: a URL that can be none, or is farther away by its name than the server's privacy. No
// connection is made.
Result<std::unique_ptr<Wire>> connect_server(const ToolServer& server, UrlTerms terms);

}  // namespace lathe::serve
