// What a confined child of this program does, `lathe media-worker ROLE …`: each room that runs
// foreign code has a table of its roles, and the program puts the tables together. The child's
// side; worker_call.h has the other one.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "ground/media/media_message.h"
#include "ground/sys/confine.h"

namespace lathe {

struct WorkerRole {
  std::string_view name;
  std::size_t arguments = 0;  // behind the name
  // Loads what it needs, locks itself in and answers frames until its parent is gone; the exit
  // code.
  int (*run)(std::span<const std::string> arguments);
};

// `args`: what stands behind "media-worker". 2: no table has such a role.
int run_worker(std::span<const std::string> args,
               std::initializer_list<std::span<const WorkerRole>> tables);

// What roles are made of.
Status lock_in(const ConfineLimits& limits);
std::string refusal(const Error& error);
// A worker that cannot lock itself in works for nobody.
[[noreturn]] void refuse_all(const Error& error);

// A frame with the message that `to_message_of` makes of the value, or with the refusal.
template <class T, class ToMessage>
std::string answer(const Result<T>& result, const ToMessage& to_message_of) {
  return result ? to_frame(to_message_of(*result)) : refusal(result.error());
}

}  // namespace lathe
