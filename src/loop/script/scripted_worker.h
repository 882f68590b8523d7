// A worker that answers from a script: the stand-in for a model in tests and in the offline demo.
// It keeps no state: the same request always gets the same answer, so a resumed run sees what the
// first one saw.
//
//   [[reply]]             # the first entry whose conditions all hold answers
//   when = "text"         # optional: some message of the request contains this
//   purpose = "rubric"    # optional, like the next three: Origin's field of this name
//   lap = 2
//   n = 0
//   attempt = 0
//   turn = 0              # optional: so many calls of tools were answered in the talk before
//   text = '''…'''        # the reply
//   echo = "nonce="       # optional: "{echo}" in text becomes the word that follows this in the
//                         # request, as a model repeats what it is told to repeat
//   call = "name {…}"     # instead of text: the answer calls a tool, with these arguments
//   error = "…"           # instead of text: the call fails
//   kind = "timeout"      # with error: invalid | unavailable (default) | denied | timeout
#pragma once

#include <mutex>

#include "ground/base/file.h"
#include "loop/terms/origin.h"

namespace lathe::loop {

class ScriptedWorker : public Worker {
 public:
  struct Line {
    std::string when;
    std::string purpose;
    std::optional<int> lap;
    std::optional<int> n;
    std::optional<int> attempt;
    std::string echo;
    std::string text;
    std::optional<Error> error;
    std::optional<int> turn = {};
    std::optional<FunctionCall> call = {};
  };

  ScriptedWorker(std::string name, std::vector<Line> lines);
  static Result<std::unique_ptr<ScriptedWorker>> load(std::string name, const fs::path& file);

  WorkerInfo info() const override;
  Result<Reply> complete(const Request& request, const StopFlag& stop,
                         const std::function<void(const Delta&)>& on_delta) override;
  // The reply that fits is what was heard, without times.
  Result<Transcription> transcribe(const SoundRequest& asked, const StopFlag& stop) override;
  std::vector<Request> seen() const;  // every request so far: for tests

 private:
  std::string name_;
  std::vector<Line> lines_;
  mutable std::mutex mutex_;
  std::vector<Request> seen_;
};

}  // namespace lathe::loop
