// How makers ask a model: an answer that cannot be used is asked for once more, with its fault in
// the prompt. Then it is over. Any thread.
#pragma once

#include "ground/base/text.h"
#include "loop/makers/answer.h"
#include "loop/makers/maker.h"
#include "loop/terms/origin.h"
#include "loop/terms/remembered.h"

namespace lathe::loop {

// The first candidate of a unit with a seed of its own has that one; the others count on from it.
inline std::int64_t seed_of(const MakeTask& task) {
  const auto own = task.units.empty() ? std::nullopt : own_seed(task.units.front());
  return own ? *own + (task.lap - 1) * 1000 + task.n_index : task.lap * 1000 + task.n_index;
}

// What stands over the units in the prompt of a maker that changes a source tree: tests that fail,
// or what is wanted (a unit's data has "wanted").
inline std::string units_heading(std::span<const Unit> units) {
  const bool wanted = !units.empty() && json_bool(units.front().data, "wanted", false);
  return wanted ? "Wanted:\n" : "Failing now:\n";
}

// A request for this lap without its prompt, by the maker's options max_tokens and temperature.
inline Request request_of(const MakeTask& task, const MakeContext& context) {
  Request request;
  request.max_tokens = static_cast<int>(option_int(task.options, "max_tokens"));
  request.sampling.temperature = task.options.contains("temperature")
                                     ? option_number(task.options, "temperature")
                                     : json_number(task.setting, "temperature", 0.2);
  request.sampling.seed = seed_of(task);
  request.labels = labels_of({"make", task.lap, task.n_index});
  request.time_limit = context.time_limit;
  return request;
}

template <class T>
struct Asked {
  T value;
  std::string model;    // as the worker named it
  std::string refused;  // what was wrong with the first answer; "" when it was used
};

// `use` turns a reply, without its thoughts, into what is wanted; kInvalid says what is wrong.
// `format` is repeated to a model that did not keep to it. What the calls cost goes to
// context.usage, used or not. The request is a talk.
template <class T>
Result<Asked<T>> ask(std::string_view maker, Request request, const MakeContext& context,
                     std::string_view format, const std::function<Result<T>(const Reply&)>& use) {
  std::string refused;
  request.keep_prefix = true;  // the next lap begins as this one does
  for (Origin from = origin_of(request);; ++from.attempt) {
    for (auto& [name, value] : labels_of(from)) request.labels[name] = value;
    LATHE_TRY(const Reply reply, context.worker->complete(request, context.stop, {}));
    if (context.usage) *context.usage += reply.usage;
    const auto answered = [&]() -> Result<T> {
      Reply answer = reply;
      LATHE_TRY(answer.text, without_thoughts(reply.text));
      if (context.proposals) {
        context.proposals->clear();  // of an answer that was refused
        answer.text = without_proposals(answer.text, *context.proposals);
      }
      return use(answer);
    };
    Result<T> used = answered();
    if (used) return Asked<T>{*std::move(used), reply.model, std::move(refused)};
    if (used.error().kind != ErrorKind::kInvalid || from.attempt == 1)
      return at(fmt::format("{}: the answer cannot be used", maker), used.error());
    refused = used.error().message;
    // The first answer is shown with its fault, not the whole talk.
    std::vector<Message>& messages = std::get<Talk>(request.ask).messages;
    messages.push_back({"assistant", clip_utf8(make_valid_utf8(reply.text), 20'000)});
    messages.push_back({"user", fmt::format("That answer cannot be used: {}\n{}{}", refused,
                                            format.empty() ? "" : "\n", format)});
  }
}

}  // namespace lathe::loop
