// What the accepted takes and repairs of runs teach: prompts and answers.
#include "app/lessons/from_runs.h"

#include "ground/base/text.h"
#include "loop/conductor/conductor.h"
#include "loop/conductor/make_task.h"
#include "loop/conductor/run_files.h"
#include "loop/record/event.h"
#include "work/work.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostLeftOut = 5;

// Remembers what it was asked and answers with what it was given, once.
class Listener final : public Worker {
 public:
  explicit Listener(std::string answer) : answer_(std::move(answer)) {}
  WorkerInfo info() const override { return {"listener", "", "", Reach::kLocal}; }
  Result<Reply> complete(const Request& request, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    if (request_) return invalid("the take is not what the model answered");
    request_ = request;
    Reply reply;
    reply.text = answer_;
    return reply;
  }
  const std::optional<Request>& request() const { return request_; }

 private:
  std::string answer_;
  std::optional<Request> request_;
};

// One run, and where its files lie.
struct OpenRun {
  const books::Journal& journal;
  std::string id;
  loop::RunState state;
  loop::RunFiles files;
};

Result<OpenRun> open(const books::Journal& journal, const std::string& id,
                     const fs::path& program) {
  LATHE_TRY(const auto records, journal.records(id));
  LATHE_TRY(const auto entries, loop::from_records(records));
  LATHE_TRY(loop::RunState state, loop::fold(entries));
  loop::Place place;
  place.program = program;
  LATHE_TRY(loop::RunFiles files, lay_out(journal, state, std::move(place)));
  return OpenRun{journal, id, std::move(state), std::move(files)};
}

// A line of training data: what was asked, and what the answer should have been.
Result<std::string> line_of(const std::string& task, const std::optional<Request>& asked,
                            const std::string& answer) {
  Json line{{"task", task}};
  if (!asked) return invalid("its maker asks no model");
  if (const auto* prompt = std::get_if<TextPrompt>(&asked->ask)) {
    line["prompt"] = prompt->text;
    line["completion"] = answer;
    return dump_json(line);
  }
  const Talk* talk = asked->talk();
  if (talk == nullptr) return invalid("its maker asks with token ids");
  line["messages"] = Json::array();
  for (const Message& message : talk->messages) {
    if (!message.content.is_text()) {
      const auto media = message.content.media();
      return invalid("what the model was asked holds {}",
                     media.empty() ? "a document" : media.front()->name());
    }
    line["messages"].push_back({{"role", message.role}, {"content", message.content.text()}});
  }
  line["messages"].push_back({{"role", "assistant"}, {"content", answer}});
  return dump_json(line);
}

// The line that teaches to make `take` at the start of this lap of a track.
Result<std::string> lesson(const OpenRun& run, const loop::Track& track, const loop::LapState& lap,
                           const std::string& take) {
  const loop::Recipe& recipe = run.state.recipe;
  std::optional<std::string> best;
  if (const loop::CandidateState* base = built_on(track, lap)) {
    LATHE_TRY(best, run.journal.blob(base->blob));
  }
  LATHE_TRY(std::string remembered,
            remembered_text(run.journal, recipe, units_of(run.state, track)));
  const loop::MakeTask task =
      make_task(run.state, track, lap, 0, run.files.prefix, std::move(best), std::move(remembered));
  std::string answer = take;
  if (recipe.maker->answer) {
    LATHE_TRY(answer, recipe.maker->answer(task, run.files.place, take));
  }
  Listener listener(answer);
  const StopFlag never;
  const loop::MakeContext context{.place = run.files.place, .worker = &listener, .stop = never};
  LATHE_TRY(const loop::Made made, recipe.maker->make(task, context));
  if (made.bytes != take)
    return invalid("the maker '{}' makes something else of an answer", recipe.maker->name);
  return line_of(task.units.front().text, listener.request(), answer);
}

void add(const OpenRun& run, Result<std::string> line, std::size_t& count, RunLines& out) {
  if (line) {
    out.lines.push_back(*std::move(line));
    ++count;
  } else if (++out.left_out <= kMostLeftOut) {
    out.notes.push_back(fmt::format("run {}: {}", run.id, line.error().message));
  }
}

Status add_track(const OpenRun& run, const loop::Track& track, RunLines& out) {
  const std::string& accepted_blob = loop::best_candidate(track)->blob;
  LATHE_TRY(const std::string accepted, run.journal.blob(accepted_blob));
  loop::Track before = track;
  before.laps.clear();
  before.best_lap = -1;
  loop::LapState first;
  first.number = 1;
  add(run, lesson(run, before, first, accepted), out.accepted, out);
  // Each failed take, as if it were all that there is.
  for (const loop::LapState& failed : track.laps) {
    if (!failed.closed || failed.best < 0 || failed.rank.passed) continue;
    const loop::CandidateState& take = failed.candidates[static_cast<std::size_t>(failed.best)];
    if (take.blob.empty() || take.blob == accepted_blob) continue;
    before.laps = {failed};
    before.laps.front().number = 1;
    before.best_lap = 0;
    loop::LapState repair;
    repair.number = 2;
    repair.move = loop::Move::kRepair;
    add(run, lesson(run, before, repair, accepted), out.repairs, out);
  }
  return {};
}

Status add_run(const OpenRun& run, RunLines& out) {
  ++out.runs;
  for (const loop::Track& track : run.state.tracks)
    if (track.state == loop::TrackState::kPassed && loop::best_candidate(track) != nullptr)
      LATHE_TRY_STATUS(add_track(run, track, out));
  return {};
}

}  // namespace

Result<RunLines> lines_of_runs(const books::Journal& journal, std::span<const std::string> names,
                               const fs::path& program) {
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    if (name == "all") {
      LATHE_TRY(const auto rows, journal.runs());
      for (const books::RunRow& row : rows) ids.push_back(row.id);
    } else {
      LATHE_TRY(std::string id, journal.find_run(name));
      ids.push_back(std::move(id));
    }
  }
  RunLines out;
  for (const std::string& id : ids) {
    const auto run = open(journal, id, program);
    if (!run) return at("run " + id, run.error());
    if (!run->state.recipe.maker->needs_worker) continue;
    if (const Status added = add_run(*run, out); !added) return at("run " + id, added.error());
  }
  if (!out.lines.empty()) return out;
  return invalid("{} runs hold no accepted take that can be learnt from ({} left out{}{})",
                 ids.size(), out.left_out, out.notes.empty() ? "" : ": ",
                 out.notes.empty() ? "" : out.notes.front());
}

}  // namespace lathe::app
