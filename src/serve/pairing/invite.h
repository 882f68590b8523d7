// The side of a pairing that invites: it listens itself, until one machine has joined or the
// invitation is over, and then it ends. TLS grants nothing: who joins is who sends the token.
#pragma once

#include <functional>

#include "ground/base/stop.h"
#include "serve/pairing/identity.h"
#include "serve/pairing/invitation.h"

namespace lathe::serve {

struct InviteTerms {
  Milliseconds lifetime{10 * 60'000};
  Milliseconds connection{10'000};  // that one connection may take
  Milliseconds last_words{2'000};   // for those that are connected when it is over
};

// A machine that wants to join: its key is proven, its token is the right one.
struct JoinRequest {
  std::string id, fingerprint;
  std::string name;
  std::string from;  // its address
};

// What it gets: all that FleetSettings has of the fleet.
struct Welcome {
  std::string tier;
  std::string database;  // without a password
  std::string password;
  std::string root_certificate = {};  // PEM, where the address names a file of it
};

class Inviter {
 public:
  // At most this many connections at once: the oldest makes way for the next.
  static constexpr std::size_t kMostConnections = 32;

  static Result<std::unique_ptr<Inviter>> open(const Identity& identity, const HostPort& listen,
                                               const InviteTerms& terms,
                                               const Clock& clock = system_clock());
  virtual ~Inviter() = default;

  // As who joins is told it: the machine is `host` to others.
  virtual Invitation invitation(const std::string& host) const = 0;

  using Grant = std::function<Result<Welcome>(const JoinRequest&)>;
  using Refused = std::function<void(const std::string& from, const Error& why)>;
  // Until one has joined. An error of `grant` is told to who asks, and the invitation stands.
  // Errors: the time is over (kTimeout), too many wrong tokens (kDenied), stopped (kCancelled).
  virtual Result<JoinRequest> serve(const Grant& grant, const Refused& refused,
                                    const StopFlag& stop) = 0;
};

}  // namespace lathe::serve
