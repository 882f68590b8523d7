// GET /usage: what calls took, added up, for who asks: a key sees what came by it.
#pragma once

#include "serve/account/bookkeeper.h"
#include "serve/server/routes.h"

namespace lathe::serve {

// `open`: the journal that the server's books are kept in, to read it; called on any thread.
// `sees_all`: whether a caller is shown the sums of all keys, and of runs; else its own alone.
// `books` outlives the server.
RouteTable usage_routes(Bookkeeper& books, std::function<Result<books::Journal>()> open,
                        std::function<bool(const Call& call)> sees_all);

}  // namespace lathe::serve
