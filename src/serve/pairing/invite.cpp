// The loop of an invitation: one thread, one poll(), many connections that each have their time.
#include "serve/pairing/invite.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <list>

#include "serve/pairing/messages.h"
#include "serve/pairing/tls.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kInviteTick{100};  // how often the stop flag and the times are looked at

enum class GuestState { kHandshake, kRequest, kAnswer, kLeaving, kGone };

struct Guest {
  TlsStream stream;
  std::string from;
  Milliseconds until;
  GuestState state = GuestState::kHandshake;
};

class OpenInviter : public Inviter {
 public:
  OpenInviter(const Identity& identity, TlsSide side, UniqueFd socket, const InviteTerms& terms,
              Token token, const Clock& clock)
      : fingerprint_(identity.fingerprint),
        side_(std::move(side)),
        socket_(std::move(socket)),
        terms_(terms),
        token_(std::move(token)),
        clock_(clock) {}

  Invitation invitation(const std::string& host) const override {
    Invitation made;
    made.address.host = host;
    made.address.port = port_of(socket_.get());
    made.fingerprint = fingerprint_;
    made.token = token_.text();
    return made;
  }

  Result<JoinRequest> serve(const Grant& grant, const Refused& refused,
                            const StopFlag& stop) override {
    grant_ = &grant;
    refused_ = &refused;
    while (token_.open() && !stop.raised()) turn(true);
    // Those that are here already are told how it ended.
    const Milliseconds until = clock_.monotonic() + terms_.last_words;
    while (!guests_.empty() && clock_.monotonic() < until && !stop.raised()) turn(false);
    guests_.clear();
    if (joined_) return *joined_;
    if (stop.raised()) return fail(ErrorKind::kCancelled, "the invitation was taken back");
    if (token_.spoilt())
      return fail(ErrorKind::kDenied,
                  "{} wrong tokens came: somebody guesses, or reads an old invitation; this one "
                  "has ended. Run `lathe fleet invite` again, best at another address",
                  kMostWrongTokens);
    return fail(ErrorKind::kTimeout, "nobody has joined in {} s; run `lathe fleet invite` again",
                terms_.lifetime.count() / 1000);
  }

 private:
  void turn(bool accepting) {
    std::vector<pollfd> waits;
    if (accepting) waits.push_back({.fd = socket_.get(), .events = POLLIN, .revents = 0});
    for (const Guest& guest : guests_)
      waits.push_back({.fd = guest.stream.socket(), .events = guest.stream.wants(), .revents = 0});
    (void)::poll(waits.data(), waits.size(), static_cast<int>(kInviteTick.count()));
    auto wait = waits.begin() + (accepting ? 1 : 0);
    for (Guest& guest : guests_) {
      if ((wait++)->revents != 0) attend(guest);
      if (guest.state != GuestState::kGone && clock_.monotonic() >= guest.until)
        time_is_over(guest);
    }
    std::erase_if(guests_, [](const Guest& each) { return each.state == GuestState::kGone; });
    if (accepting && waits.front().revents != 0) let_in();
  }

  void let_in() {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    UniqueFd socket(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      // Without descriptors poll() would come back at once, over and over.
      if (errno == EMFILE || errno == ENFILE) (void)::poll(nullptr, 0, 20);
      return;
    }
    const std::string from = address_text(reinterpret_cast<sockaddr*>(&address), size);
    auto stream = TlsStream::accept(side_, std::move(socket));
    if (!stream) return (*refused_)(from, stream.error());
    if (guests_.size() >= kMostConnections) guests_.pop_front();
    guests_.push_back({*std::move(stream), from, clock_.monotonic() + terms_.connection});
  }

  // As far as it goes now.
  void attend(Guest& guest) {
    const Status done = step(guest);
    if (done) return;
    (*refused_)(guest.from, done.error());
    leave(guest);
  }

  Status step(Guest& guest) {
    if (guest.state == GuestState::kHandshake) {
      LATHE_TRY(const bool done, guest.stream.handshake());
      if (!done) return {};
      guest.state = GuestState::kRequest;
    }
    if (guest.state == GuestState::kRequest) {
      LATHE_TRY(const auto line, guest.stream.read_line(kMostRequestBytes));
      if (!line) return {};
      answer(guest, *line);
      guest.state = GuestState::kAnswer;
    }
    if (guest.state == GuestState::kAnswer) {
      LATHE_TRY(const bool done, guest.stream.write());
      if (done) leave(guest);
      return {};
    }
    if (guest.state == GuestState::kLeaving && guest.stream.drained())
      guest.state = GuestState::kGone;
    return {};
  }

  void answer(Guest& guest, const std::string& line) {
    const auto welcome = decide(guest, line);
    if (!welcome) (*refused_)(guest.from, welcome.error());
    guest.stream.send(welcome ? to_line(*welcome) : to_line(welcome.error()));
  }

  Result<Welcome> decide(const Guest& guest, const std::string& line) {
    LATHE_TRY(const JoinLine asked, parse_join_line(line));
    LATHE_TRY_STATUS(token_.check(asked.token));
    JoinRequest request;
    request.fingerprint = guest.stream.peer();
    request.id = node_id_of(request.fingerprint);
    request.name = asked.name;
    request.from = guest.from;
    LATHE_TRY(const Welcome welcome, (*grant_)(request));
    token_.use();
    joined_ = request;
    return welcome;
  }

  void leave(Guest& guest) {
    guest.stream.close_sending();
    guest.state = guest.stream.drained() ? GuestState::kGone : GuestState::kLeaving;
  }

  void time_is_over(Guest& guest) {
    if (guest.state != GuestState::kLeaving)
      (*refused_)(guest.from,
                  Error{ErrorKind::kTimeout,
                        fmt::format("it did not finish within {} ms", terms_.connection.count())});
    guest.state = GuestState::kGone;
  }

  std::string fingerprint_;
  TlsSide side_;
  UniqueFd socket_;
  InviteTerms terms_;
  Token token_;
  const Clock& clock_;
  std::list<Guest> guests_;
  std::optional<JoinRequest> joined_;
  const Grant* grant_ = nullptr;
  const Refused* refused_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Inviter>> Inviter::open(const Identity& identity, const HostPort& listen,
                                               const InviteTerms& terms, const Clock& clock) {
  LATHE_TRY(TlsSide side, TlsSide::inviter(identity));
  LATHE_TRY(UniqueFd socket, listen_at(listen));
  LATHE_TRY(std::string token, random_hex(16));
  return std::make_unique<OpenInviter>(identity, std::move(side), std::move(socket), terms,
                                       Token(std::move(token), terms.lifetime, clock), clock);
}

}  // namespace lathe::serve
