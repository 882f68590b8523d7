// The phases of a program.
#include "serve/programs/program_phase.h"

#include <algorithm>

#include <fmt/format.h>

namespace lathe::serve {
namespace {

class Stepper {
 public:
  Stepper(ProgramState state, const ProgramRules& rules, Milliseconds now)
      : state_(std::move(state)), rules_(rules), now_(now) {}

  ProgramStep operator()(const ProgramWanted&) {
    if (state_.phase != ProgramPhase::kOff) return stay();
    if (state_.rests_until(rules_, now_) > now_)
      return {std::move(state_), ProgramAct::kTellFailed};
    state_.problem.clear();
    return go(ProgramPhase::kStarting, ProgramAct::kStart);
  }

  ProgramStep operator()(const ProgramAnswered&) {
    state_.unwell = 0;
    if (state_.phase != ProgramPhase::kStarting) return stay();
    return go(ProgramPhase::kReady, ProgramAct::kOpen);
  }

  ProgramStep operator()(const ProgramUnwell& unwell) {
    if (state_.phase != ProgramPhase::kReady || ++state_.unwell < rules_.unwell) return stay();
    failed(fmt::format("it says that it cannot be asked any more (status {})", unwell.status));
    return go(ProgramPhase::kStopping, ProgramAct::kTerminate);
  }

  ProgramStep operator()(const ProgramUnwanted& unwanted) {
    if (state_.phase != ProgramPhase::kStarting && state_.phase != ProgramPhase::kReady)
      return stay();
    if (!unwanted.why.empty()) failed(unwanted.why);
    return go(ProgramPhase::kStopping, ProgramAct::kTerminate);
  }

  ProgramStep operator()(const ProgramEnded& ended) {
    if (state_.phase == ProgramPhase::kOff) return stay();
    if (state_.phase == ProgramPhase::kStarting)
      failed("it ended before it was ready: " + ended.how);
    else if (state_.phase == ProgramPhase::kReady)
      failed("it ended: " + ended.how);
    const bool told = state_.problem.empty();
    if (told) state_.failures.clear();
    return go(ProgramPhase::kOff, told ? ProgramAct::kTellGone : ProgramAct::kTellFailed);
  }

  ProgramStep operator()(const ProgramTick&) {
    const Milliseconds took = now_ - state_.since;
    if (state_.phase == ProgramPhase::kStarting && took >= rules_.ready_timeout) {
      failed(fmt::format("it was not ready within {}", format_duration(rules_.ready_timeout)));
      return go(ProgramPhase::kStopping, ProgramAct::kTerminate);
    }
    if (state_.phase == ProgramPhase::kStopping && !state_.killed && took >= rules_.grace) {
      state_.killed = true;
      return {std::move(state_), ProgramAct::kKill};
    }
    return stay();
  }

 private:
  ProgramStep stay() { return {std::move(state_), ProgramAct::kNothing}; }
  ProgramStep go(ProgramPhase phase, ProgramAct act) {
    state_.phase = phase;
    state_.since = now_;
    state_.killed = false;
    state_.unwell = 0;
    return {std::move(state_), act};
  }
  void failed(std::string why) {
    state_.problem = std::move(why);
    std::erase_if(state_.failures, [&](Milliseconds at) { return now_ - at > rules_.window; });
    state_.failures.push_back(now_);
  }

  ProgramState state_;
  const ProgramRules& rules_;
  Milliseconds now_;
};

}  // namespace

Milliseconds ProgramState::rests_until(const ProgramRules& rules, Milliseconds now) const {
  if (failures.size() < rules.failures) return Milliseconds(0);
  const Milliseconds until = failures.back() + rules.rest;
  return until > now ? until : Milliseconds(0);
}

ProgramStep next_step(ProgramState state, const ProgramEvent& event, const ProgramRules& rules,
                      Milliseconds now) {
  return std::visit(Stepper(std::move(state), rules, now), event);
}

}  // namespace lathe::serve
