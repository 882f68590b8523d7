// Joins a fleet: connect, see the right key, send the token, read the answer.
#include "serve/pairing/join.h"

#include <poll.h>

#include "serve/pairing/messages.h"
#include "serve/pairing/settings.h"
#include "serve/pairing/tls.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kJoinTick{100};
constexpr Milliseconds kConnectLimit{10'000};

// One join's time.
struct JoinTime {
  const StopFlag& stop;
  Milliseconds until;

  // Until the stream can go on.
  Status wait(const TlsStream& stream) const {
    for (;;) {
      if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
      if (system_clock().monotonic() >= until)
        return fail(ErrorKind::kTimeout, "the other side has taken too long");
      pollfd ready{.fd = stream.socket(), .events = stream.wants(), .revents = 0};
      if (::poll(&ready, 1, static_cast<int>(kJoinTick.count())) > 0) return {};
    }
  }
};

Result<Welcome> ask(TlsStream& stream, const JoinLine& line, const JoinTime& time) {
  for (;;) {
    LATHE_TRY(const bool done, stream.handshake());
    if (done) break;
    LATHE_TRY_STATUS(time.wait(stream));
  }
  stream.send(to_line(line));
  for (;;) {
    LATHE_TRY(const bool done, stream.write());
    if (done) break;
    LATHE_TRY_STATUS(time.wait(stream));
  }
  for (;;) {
    LATHE_TRY(const auto answer, stream.read_line(kMostAnswerBytes));
    if (answer) return parse_answer_line(*answer);
    LATHE_TRY_STATUS(time.wait(stream));
  }
}

}  // namespace

Result<Welcome> join_fleet(const Invitation& invitation, const Identity& identity,
                           const std::string& name, const StopFlag& stop, Milliseconds patience) {
  LATHE_TRY_STATUS(check_fleet_name("the name of this machine", name));
  LATHE_TRY(const TlsSide side, TlsSide::joiner(identity, invitation.fingerprint));
  const JoinTime time{stop, system_clock().monotonic() + patience};
  auto socket = connect_to(invitation.address, std::min(patience, kConnectLimit));
  if (!socket)
    return fail(socket.error().kind,
                "{}; an invitation is good once and for some minutes: run `lathe fleet invite` "
                "there again, with --listen at an address that this machine reaches",
                socket.error().message);
  LATHE_TRY(TlsStream stream, TlsStream::connect(side, *std::move(socket)));
  auto welcome = ask(stream, {invitation.token, name}, time);
  if (!welcome) return at(to_text(invitation.address), welcome.error());
  return welcome;
}

}  // namespace lathe::serve
