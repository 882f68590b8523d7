// Lines to and from a program in the sandbox, over one socket.
#include "ground/sys/dialogue.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr Milliseconds kLookEvery{50}, kGoodbye{500};
constexpr std::size_t kMaxSaid = 400;  // bytes of its standard error in a message

Milliseconds clock_now() {
  return system_clock().monotonic();
}

// Whether the socket is ready for it within that time.
bool ready(int fd, short wanted, Milliseconds wait) {
  pollfd one{fd, wanted, 0};
  return ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(wait.count(), 0))) > 0;
}

}  // namespace

Result<std::unique_ptr<Dialogue>> Dialogue::start(Sandbox sandbox, Command command,
                                                  std::size_t max_line) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(ErrorKind::kUnavailable, "{}: cannot make a socket to speak with it: {}",
                command.argv.empty() ? "" : command.argv[0], errno_text(errno));
  UniqueFd ours(ends[0]), raw(ends[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  // Above the standard streams, in whose place it comes.
  UniqueFd theirs(::fcntl(raw.get(), F_DUPFD_CLOEXEC, 3));
  raw.reset();
  std::unique_ptr<Dialogue> dialogue(new Dialogue(std::move(ours), max_line));
  command.stream = theirs.get();
  dialogue->thread_ =
      std::thread([self = dialogue.get(), sandbox = std::move(sandbox),
                   command = std::move(command), theirs = std::move(theirs)]() mutable {
        auto end = run_sandboxed(sandbox, command, self->stop_);
        {
          const std::scoped_lock lock(self->mutex_);
          self->end_.emplace(std::move(end));
        }
        theirs.reset();  // the end is seen only now, when its reason is there
      });
  return dialogue;
}

Dialogue::~Dialogue() {
  if (ours_) ::shutdown(ours_.get(), SHUT_WR);
  const Milliseconds until = clock_now() + kGoodbye;
  while (!has_ended() && clock_now() < until) std::this_thread::sleep_for(Milliseconds(5));
  stop_.raise();
  if (thread_.joinable()) thread_.join();
}

bool Dialogue::has_ended() {
  const std::scoped_lock lock(mutex_);
  return end_.has_value();
}

// How it ended, with what it said last.
Error Dialogue::ended() {
  if (thread_.joinable()) thread_.join();
  const Result<SandboxedExit>& end = *end_;
  if (!end) return end.error();
  std::string how = end->contained.empty() ? end->exit.describe() : end->contained;
  const std::string said(trim(make_valid_utf8(end->exit.err)));
  if (!said.empty())
    how += ": " +
           (said.size() > kMaxSaid ? make_valid_utf8(said.substr(said.size() - kMaxSaid)) : said);
  return {ErrorKind::kUnavailable, "it ended: " + how};
}

Status Dialogue::say(std::string_view line, Milliseconds limit, const StopFlag& stop) {
  const std::string bytes = std::string(line) + "\n";
  const Milliseconds until = clock_now() + limit;
  for (std::size_t done = 0; done < bytes.size();) {
    if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
    const ssize_t n = ::send(ours_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      if (clock_now() >= until)
        return fail(ErrorKind::kTimeout, "it does not read what it is told");
      (void)ready(ours_.get(), POLLOUT, std::min(kLookEvery, until - clock_now()));
    } else if (n < 0 && errno != EINTR) {
      return {};  // it reads no more: who waits for its answer is told how it ended
    }
  }
  return {};
}

std::optional<std::string> Dialogue::next_line() {
  const auto end = bytes_.find('\n', looked_);
  looked_ = bytes_.size();
  if (end == bytes_.npos) return std::nullopt;
  std::string line = bytes_.substr(0, end);
  bytes_.erase(0, end + 1);
  looked_ = 0;
  return line;
}

Result<std::optional<std::string>> Dialogue::hear(Milliseconds wait, const StopFlag& stop) {
  const Milliseconds until = clock_now() + wait;
  std::array<char, 65536> buffer;
  for (;;) {
    if (auto line = next_line()) return line;
    if (bytes_.size() > max_line_)
      return fail(ErrorKind::kUnavailable, "it wrote a line of more than {}",
                  format_bytes(max_line_));
    if (stop.raised()) return fail(ErrorKind::kCancelled, "stopped");
    const Milliseconds left = until - clock_now();
    const bool over = has_ended();  // asked first: what it said last is there by then
    const bool there = ready(ours_.get(), POLLIN, std::min(kLookEvery, left));
    if (!there && over) return std::unexpected(ended());
    if (!there && left <= Milliseconds(0)) return std::optional<std::string>();
    if (!there) continue;
    const ssize_t n = ::recv(ours_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) bytes_.append(buffer.data(), static_cast<std::size_t>(n));
    if (n == 0) return std::unexpected(ended());
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return fail(ErrorKind::kUnavailable, "it cannot be heard: {}", errno_text(errno));
  }
}

}  // namespace lathe
