// What a program that is run beside this one does next, from what happens to it: a pure function.
//
//   off ── wanted ──▶ starting ── answers ──▶ ready
//    ▲                  │ ended, too late       │ ended, stop, unwell
//    └──── ended ── stopping ◀──────────────────┘
//
// One that keeps ending by itself rests for a while: it is not started, and says why.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "ground/base/units.h"

namespace lathe::serve {

enum class ProgramPhase { kOff, kStarting, kReady, kStopping };

struct ProgramRules {
  Milliseconds ready_timeout{300'000};
  Milliseconds grace{10'000};  // between SIGTERM and SIGKILL
  // That many ends by itself within `window`, and it rests for `rest` after the last one.
  std::size_t failures = 3;
  Milliseconds window{60'000}, rest{60'000};
  int unwell = 3;  // looks in a row, and it has to go
};

struct ProgramState {
  ProgramPhase phase = ProgramPhase::kOff;
  Milliseconds since{0};               // when the phase began
  bool killed = false;                 // stopping: SIGKILL was sent
  std::string problem = {};            // why it is off; "": it was told to
  std::vector<Milliseconds> failures;  // when it ended by itself, or did not get ready, lately
  int unwell = 0;                      // ready: looks in a row at which it said that it is not

  // Until when it is not started; 0: it may be.
  Milliseconds rests_until(const ProgramRules& rules, Milliseconds now) const;
};

// What happens:
struct ProgramWanted {};    // it is to be there
struct ProgramAnswered {};  // it answered as one that is ready
struct ProgramUnwell {      // it answered that it cannot be asked, with this status
  int status = 0;
};
struct ProgramUnwanted {  // it is to go; `why`: it has to, and that is a failure
  std::string why = {};
};
struct ProgramEnded {  // nothing of it runs any more
  std::string how;
};
struct ProgramTick {};  // time went by
using ProgramEvent = std::variant<ProgramWanted, ProgramAnswered, ProgramUnwell, ProgramUnwanted,
                                  ProgramEnded, ProgramTick>;

// What is to be done then.
enum class ProgramAct {
  kNothing,
  kStart,       // the process
  kOpen,        // tell that it can be asked
  kTerminate,   // SIGTERM
  kKill,        // SIGKILL
  kTellGone,    // it is off, as it was told
  kTellFailed,  // it is off, or stays it, for the reason in `problem`
};

struct ProgramStep {
  ProgramState state;
  ProgramAct act = ProgramAct::kNothing;
};

ProgramStep next_step(ProgramState state, const ProgramEvent& event, const ProgramRules& rules,
                      Milliseconds now);

}  // namespace lathe::serve
