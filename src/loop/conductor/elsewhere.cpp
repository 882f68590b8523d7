// Which calls of a run may leave this machine.
#include "loop/conductor/elsewhere.h"

#include <algorithm>

namespace lathe::loop {
namespace {

bool is_make(const CallId& call) {
  return call.kind == CallId::Kind::kMake;
}

Status check_wish(const Recipe& recipe, const CallId& call, const Elsewhere* elsewhere) {
  const std::string& on = wanted_on(recipe, call);
  if (on.empty()) return {};
  const std::string table =
      is_make(call) ? "[make]" : fmt::format("the judge '{}'", recipe.judges[call.judge].name);
  if (reach_of(recipe) == Reach::kLocal)
    return fail(ErrorKind::kDenied,
                "{}: on = \"{}\" sends it to another machine, and a privacy of \"local\" lets "
                "nothing go there; set privacy = \"lan\" (of [context] and [memory] as well), or "
                "take `on` out",
                table, on);
  if (const std::string why = bound_here(recipe, call); !why.empty())
    return invalid("{}: on = \"{}\", but {}; take `on` out", table, on, why);
  if (elsewhere == nullptr)
    return fail(ErrorKind::kUnavailable,
                "{}: on = \"{}\" asks for a node of the fleet; start the run with "
                "`lathe loop … --fleet` (`lathe fleet join` makes a machine a node)",
                table, on);
  if (elsewhere->reach() == Reach::kLocal)
    return fail(ErrorKind::kDenied,
                "{}: on = \"{}\" sends it to another machine, and --allow local lets nothing go "
                "there; give --allow lan, or take `on` out",
                table, on);
  return {};
}

}  // namespace

const std::string& wanted_on(const Recipe& recipe, const CallId& call) {
  return is_make(call) ? recipe.make_on : recipe.judges[call.judge].on;
}

std::string repeat_of(const Recipe& recipe) {
  const std::string option = option_string(recipe.make_options, "repeat");
  return option.empty() ? std::string(recipe.maker->repeat) : option;
}

std::string bound_here(const Recipe& recipe, const CallId& call) {
  if (!is_make(call)) {
    const JudgeSpec& judge = recipe.judges[call.judge];
    const bool nobody = judge.kind->needs_worker && option_string(judge.options, "worker").empty();
    return nobody ? "it names no worker that a node could have" : "";
  }
  if (repeat_of(recipe) == "once")
    return "its maker must not be called twice (repeat = \"once\"), and a lease that runs out is "
           "given to another node";
  if (!recipe.tools.empty()) return "the programs of [[tool]] run on this machine";
  return "";
}

Reach reach_of(const Recipe& recipe) {
  Reach reach = recipe.privacy;
  if (recipe.context) reach = std::min(reach, recipe.context->privacy);
  if (recipe.memory) reach = std::min(reach, recipe.memory->privacy);
  return reach;
}

Status check_elsewhere(const Recipe& recipe, const Elsewhere* elsewhere) {
  LATHE_TRY_STATUS(check_wish(recipe, CallId::make(0, 1, 0), elsewhere));
  for (std::size_t i = 0; i < recipe.judges.size(); ++i)
    LATHE_TRY_STATUS(check_wish(recipe, CallId::judging(0, 1, 0, i, 0), elsewhere));
  return {};
}

}  // namespace lathe::loop
