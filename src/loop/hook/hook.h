// What stands between a text and its being spoken: judges, each of which has to pass the text, in
// their order and in time. Whatever else happens (a fail, an error, an abstention, a verdict that
// comes too late) holds the text back. Any thread.
#pragma once

#include <functional>
#include <span>

#include "loop/judges/judge.h"

namespace lathe::loop {

struct HookStep {
  std::string name;  // as it was asked for: "rules:no_secrets"
  const JudgeKind* kind = nullptr;
  Json options = {};  // checked
};

struct Hook {
  std::vector<HookStep> steps;  // none: every text passes
  Milliseconds budget{400};     // for all of them together
};

// Steps as people write them:
//   rules:no_secrets      what looks like a secret is held back (the judge `secrets`)
//   command:PROGRAM ARG…  a program in the sandbox, a file beside `place` among them; its exit code
//                         0 passes the text, which is in the file that it is given last
//   judge:FILE.toml       any judge that needs one text: kind = "…" and its options
// File names are relative to `directory`. Errors name the step.
Result<Hook> parse_hook(std::span<const std::string> steps, const fs::path& directory);

struct HookContext {
  const Place& place;
  const StopFlag& stop;
  std::function<Worker*(const std::string& name)> worker = {};  // for judges that ask a model
};

struct HookAnswer {
  bool passed = false;
  std::string by = {}, why = {};  // where it did not: the step, and what that said
  Milliseconds took{0};
  Usage usage = {};
};

HookAnswer ask_hook(const Hook& hook, const std::string& text, const HookContext& context);

}  // namespace lathe::loop
