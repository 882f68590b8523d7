// What a program of a pool is asked: how it is passed on to the host in front of it, and how it is
// refused instead.
#pragma once

#include <functional>
#include <memory>

#include "work/model_host.h"

namespace lathe::serve {

struct ProgramCall {
  // Told once, by a thread of the host: the error of what came, null where there is none, and what
  // it took. `deliver` hands it over, with the error as it is then; it is to be called before this
  // returns.
  using Over =
      std::function<void(Error* error, const Usage& usage, const std::function<void()>& deliver)>;
  // `model`: as the program's server calls it.
  std::function<ModelHost::Id(ModelHost& host, const std::string& model, Over over)> ask;
  std::function<void(Error)> refuse;
};

// `ask` asks a host and has it call what it is given; `done` is told.
template <class Value, class Ask>
ProgramCall program_call(Ask ask, std::function<void(Result<Value>)> done) {
  return {.ask = [ask = std::move(ask), done](ModelHost& host, const std::string& model,
                                              ProgramCall::Over over) -> ModelHost::Id {
            return ask(host, model, [done, over = std::move(over)](Result<Value> value) {
              const auto shared = std::make_shared<Result<Value>>(std::move(value));
              over(*shared ? nullptr : &shared->error(),
                   *shared ? usage_of_answer(**shared) : Usage{},
                   [done, shared] { done(std::move(*shared)); });
            });
          },
          .refuse = [done](Error error) { done(std::unexpected(std::move(error))); }};
}

}  // namespace lathe::serve
