// A voice that answers while it thinks: what the thinker writes is cut into sentences, each of
// which passes the hook, is spoken and played, while the next one is still being thought. What is
// played is not taken back, so the order is strict: nothing is heard of a sentence that the hook
// has not passed, or that is not written down.
#pragma once

#include "loop/hook/hook.h"
#include "loop/senses/voice.h"

namespace lathe::app {

// Plays sounds, one at a time.
class Mouth {
 public:
  virtual ~Mouth() = default;
  // Until it has been played; ends at once where `stop` is raised.
  virtual Status play(const Sound& sound, const StopFlag& stop) = 0;
};

// Instead of a sentence that the hook holds back: a fixed line is spoken, the answer ends, or a
// person is asked.
enum class OnHold { kReplace, kStop, kAsk };
std::optional<OnHold> parse_on_hold(std::string_view name);  // "replace" "stop" "ask"

struct TalkSetup {
  Worker& thinker;
  loop::HookContext hooked;  // its stop flag: the talk's
  loop::Hook hook;
  OnHold on_hold = OnHold::kReplace;
  std::string instead;  // what is spoken in place of it
  loop::MediaPool& voices;
  loop::VoiceSetting voice;
  Mouth& mouth;
  // Writes an event down, durably; an error ends the answer.
  std::function<Status(const Json& event)> record;
  // Whether it may be spoken after all. Empty: nobody can be asked.
  std::function<bool(const std::string& sentence, const std::string& why)> ask = {};
  // Whether somebody speaks while the voice does, which ends the answer as a stop does; asked again
  // and again, by one thread. Empty: nobody listens.
  std::function<bool()> interrupted = {};
};

struct Answered {
  std::string text;          // what was spoken, in words as they were written
  bool whole = false;        // false: it was interrupted or ended by the hook
  bool interrupted = false;  // by somebody who spoke
};

// The answer to `request`, whose talk ends with what the person said, in turn number `turn`. Ends
// early when `stop` is raised or somebody interrupts: the voice first, then the thinker. Errors:
// the thinker's, the voice's, or that something could not be written down.
Result<Answered> answer_aloud(const TalkSetup& setup, Request request, int turn,
                              const StopFlag& stop);

}  // namespace lathe::app
