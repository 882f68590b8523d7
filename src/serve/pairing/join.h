// The side of a pairing that joins: it believes one fingerprint, and tells its token to nobody
// else.
#pragma once

#include "serve/pairing/invite.h"

namespace lathe::serve {

inline constexpr Milliseconds kJoinPatience{30'000};

// Errors say who refused what: Error::code is the token's, where it was that.
Result<Welcome> join_fleet(const Invitation& invitation, const Identity& identity,
                           const std::string& name, const StopFlag& stop,
                           Milliseconds patience = kJoinPatience);

}  // namespace lathe::serve
