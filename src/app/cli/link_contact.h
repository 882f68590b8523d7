// What a link between two machines that share a model is to the record of contacts.
#pragma once

#include "app/cli/app.h"
#include "serve/net/contact_log.h"

namespace lathe::app {

// Written down unless it is loopback's, before anything is sent. What is beyond the own network is
// refused: a link is neither encrypted nor signed.
Status record_link(const App& app, serve::ContactKind kind, const std::string& address);

}  // namespace lathe::app
