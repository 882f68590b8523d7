// Tasks played with a model outside of a run: the maker and the judge of the loop itself, without a
// journal, many at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "app/starter/tasks.h"
#include "serve/pool/local_worker.h"
#include "serve/pool/pool.h"

namespace lathe::app {

struct PlayedLap {
  std::string source;                   // of the best candidate so far; "" when there is none
  bool visible = false;                 // … passes the visible tests
  bool hidden = false;                  // … and the hidden ones too
  std::int64_t tokens = 0;              // read and written, all laps up to this one
  std::int64_t completion = 0;          // written
  std::vector<std::string> tried = {};  // what this lap made and could be used
};

// A model of one file, with the machine to itself.
class Player {
 public:
  static Result<std::unique_ptr<Player>> open(const fs::path& model, int threads);
  // Of all laps but the first, instead of the maker's own.
  void set_temperature(double temperature) { temperature_ = temperature; }
  // Laps until the visible tests pass, at most `laps`. `feedback`: as the maker proposes, `best_of`
  // candidates a lap; else all laps begin anew, one candidate each: the control.
  Result<std::vector<PlayedLap>> play(const loop::MiniTask& task, int laps, bool feedback,
                                      std::uint64_t seed, int best_of = 1);

 private:
  std::unique_ptr<serve::Pool> pool_;
  std::unique_ptr<serve::LocalWorker> worker_;
  std::optional<double> temperature_;
};

// Calls `each` for 0 … count-1 from several threads. The first error ends it.
Status in_parallel(std::size_t count, std::size_t threads,
                   const std::function<Status(std::size_t)>& each);

}  // namespace lathe::app
