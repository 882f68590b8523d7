// The parent's side of a media worker.
#include "ground/media/worker_call.h"

#include <signal.h>

#include <algorithm>
#include <array>

namespace lathe {

WorkerCommand media_worker(const fs::path& program, std::string role) {
  // Threads of Tesseract's own would be refused by the lock.
  return {program, {"media-worker", std::move(role)}, {"OMP_THREAD_LIMIT=1"}};
}

// A worker's refusal is an answer: {"error": "…"}.
Result<MediaMessage> ask_worker(WorkerProcess& process, const MediaMessage& request,
                                Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY(const std::string frame, process.call(to_frame(request), limit, stop));
  LATHE_TRY(MediaMessage reply, parse_frame(frame));
  if (reply.head.contains("error")) {
    const bool here = json_bool(reply.head, "unavailable", false);
    return fail(here ? ErrorKind::kUnavailable : ErrorKind::kInvalid, "{}",
                json_string(reply.head, "error"));
  }
  return reply;
}

Result<MediaMessage> ask_reader(WorkerProcess& process, std::string_view file, Milliseconds limit,
                                const StopFlag& stop, Json head) {
  MediaMessage request;
  request.head = std::move(head);
  request.body = file;
  auto reply = ask_worker(process, request, limit, stop);
  if (!reply && own_fault(process.last_signal())) reply.error().kind = ErrorKind::kInvalid;
  return reply;
}

// A decoder that reaches for a forbidden call, uses up its processor time or stumbles over its own
// feet.
bool own_fault(int signal) {
  constexpr std::array kOwnFault{SIGSYS, SIGXCPU, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
  return std::ranges::find(kOwnFault, signal) != kOwnFault.end();
}

}  // namespace lathe
