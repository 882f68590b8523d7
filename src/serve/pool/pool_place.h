// One model of a pool's catalog, as its loop knows it. For the loop's own files.
#pragma once

#include "ground/base/clock.h"
#include "serve/pool/pool_loop.h"
#include "serve/pool/step_share.h"
#include "serve/programs/program.h"

namespace lathe::serve {

// Cold, on its way in, or in memory: a file with its engine, or a program that runs.
struct PoolLoop::Place {
  CatalogModel model;
  ModelState state = ModelState::kCold;
  std::string problem;
  std::shared_ptr<const ModelFront> front;       // null: no request came yet
  std::shared_ptr<const ListenerFile> listener;  // the same, of a Whisper model, …
  std::shared_ptr<const SpeakerFile> speaker;    // … and of a talker
  BookedBytes bytes;                             // what it takes in memory
  LoadedWeights weights;
  std::unique_ptr<infer::Engine> engine;
  std::thread loader;
  StopFlag stop_loading;
  std::atomic<double> loaded{0};  // the share that is in memory
  double load_seconds = 0;

  std::deque<std::unique_ptr<PoolJob>> waiting;  // in order of arrival; `turns` says who is next
  FairQueue turns;
  std::map<infer::SequenceId, std::unique_ptr<PoolJob>> running;
  std::map<ModelHost::Id, bool>
      looking;  // whose pictures and sounds are looked at or worked on aside: cancelled meanwhile?
  std::deque<std::unique_ptr<PoolJob>> reading;  // to embed or to score: the first one is read
  bool held = false;                             // takes no new requests: its place is wanted
  std::uint64_t last_used = 0;
  double used_seconds = 0;  // of the processor, by priority: who had least comes next
  double prompt_token_seconds = 0, answer_token_seconds = 0;  // as measured lately; 0: not yet
  StepCosts row_costs;             // of steps of answers and nothing else
  std::uint64_t shared_steps = 0;  // of several clients
  std::size_t prompt_tokens = 64;  // of prompts, in one step
  double rate_since = 0, rate_tokens = 0, rate = 0;
  std::uint64_t saved_at = 0;  // last_used when the snapshot was written
  Milliseconds used_at{0};     // when it came, or a request of it ended

  struct Asked {
    std::unique_ptr<PoolJob> job;
    ModelHost::Id id;  // of the host in front of the program
  };
  std::unique_ptr<Program> program;      // null: it is a file
  std::map<ModelHost::Id, Asked> asked;  // what the program is asked now
  Milliseconds started_at{0};
  bool leaving = false;               // it is being stopped: its bytes come back when it has ended
  std::optional<std::uint64_t> used;  // bytes that the program was last seen to use
  std::uint64_t told = 0;             // … when it was last said that these are too many
  ModelInfo said;                     // by its server

  // Somebody has asked for it, so that its sizes are known.
  bool known() const { return front || listener || speaker || program; }
  // Has work for the engines' thread.
  bool busy() const { return engine && (!engine->idle() || !reading.empty()); }
  // … and not only such as rests now.
  bool has_turn(bool background_rests) const {
    if (!reading.empty() && !(background_rests && reading.front()->background())) return true;
    return running.empty()
               ? !engine->idle()
               : !std::ranges::all_of(running, [](auto& row) { return row.second->resting; });
  }
  bool in_use() const { return busy() || !asked.empty() || !looking.empty(); }
  // The program was seen to use more than it promised.
  bool outgrown() const { return program && bytes.program.on_host() > model.program->memory; }
  // Requests of people, under way and waiting.
  std::size_t interactive() const {
    std::size_t count = 0;
    const auto look = [&](const PoolJob& job) {
      count += static_cast<std::size_t>(!job.background() && !job.on_loaded);
    };
    for (const auto& job : waiting) look(*job);
    for (const auto& job : reading) look(*job);
    for (const auto& [id, job] : running) look(*job);
    for (const auto& [id, each] : asked) look(*each.job);
    return count;
  }
  // Nobody asked for more than that it be there.
  bool only_wished() const {
    return std::ranges::all_of(waiting, [](auto& job) { return bool(job->on_loaded); });
  }
  // Its oldest request that is not computed on.
  const PoolJob* oldest_waiting() const {
    const PoolJob* oldest = waiting.empty() ? nullptr : waiting.front().get();
    if (engine && engine->waiting() > 0) {
      for (const auto& [id, job] : running) {
        if (!engine->is_running(id) && !job->resting &&
            (oldest == nullptr || job->arrived < oldest->arrived))
          oldest = job.get();
      }
    }
    return oldest;
  }
};

}  // namespace lathe::serve
