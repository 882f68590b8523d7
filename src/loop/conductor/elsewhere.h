// Calls of a run that another machine carries out: what it is told, what it answers, and which
// calls may leave this one.
#pragma once

#include "loop/conductor/recipe.h"
#include "loop/record/event.h"

namespace lathe::loop {

// A call as whoever has it carried out is given it, besides its task.
struct AwayCall {
  const std::string& run;
  CallId call;
  const Recipe& recipe;
  const RunBegun& header;    // what the run began with: files, the tree
  const std::string& build;  // of this program
  std::function<Result<std::string>(const std::string& sha256)> blob;  // of the run's journal
  const StopFlag& stop;
  std::function<void(std::string_view)> progress;  // what is waited for
};

// Who answered, and what that took there. The energy is that machine's own: it is not in `usage`.
struct AwayAnswer {
  std::string node;
  std::string build;                       // of its program
  std::optional<WorkerInfo> asked = {};    // nullopt: nobody was
  std::optional<std::string> prompt = {};  // what that worker was asked last
  Usage usage = {};
};
struct MadeAway : AwayAnswer {
  Result<Made> made = Made{};
  std::vector<std::string> proposals = {};
};
struct JudgedAway : AwayAnswer {
  Result<Judgement> judgement = Judgement{};  // as the node says: not closed yet
};

// make() and judge() return when the call has an answer, which may be an error that a call here
// would have had as well, or when `stop` is raised: kCancelled. Each is called on a thread of its
// own. What they answer is foreign, and has been checked for its form alone.
class Elsewhere {
 public:
  virtual ~Elsewhere() = default;
  virtual Reach reach() const = 0;  // how far it may send what it is given
  virtual bool takes(const Recipe& recipe, const CallId& call) const = 0;
  virtual Result<MadeAway> make(const AwayCall& away, const MakeTask& task) = 0;
  virtual Result<JudgedAway> judge(const AwayCall& away, const JudgeTask& task) = 0;
  // Nodes that were found broken, as of some seconds ago at most. Any thread.
  virtual std::set<std::string> broken() = 0;
  // What nodes handed in of the run when another had it already, as far as was seen. Any thread.
  struct Late {
    CallId call;
    std::string node;
  };
  virtual std::vector<Late> late(const std::string& run) = 0;
  virtual void end(const std::string& run) = 0;  // nothing of it is waited for
};

// The recipe's `on` for the call; "": anywhere.
const std::string& wanted_on(const Recipe& recipe, const CallId& call);
// May a call of the maker without a known result be made again? MakerKind::repeat, or its option.
std::string repeat_of(const Recipe& recipe);
// Why the call can be made here alone; "": it may be made elsewhere.
std::string bound_here(const Recipe& recipe, const CallId& call);
// How far what the calls are given may go: what prompts show goes on to judges.
Reach reach_of(const Recipe& recipe);
// Refused: an `on` that cannot be kept to. `elsewhere`: null where there is no fleet.
Status check_elsewhere(const Recipe& recipe, const Elsewhere* elsewhere);

}  // namespace lathe::loop
