// POST /runs, /runs/{id}/stop, /runs/{id}/resume
#include <algorithm>

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "serve/runs/answers.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostSet = 100;

// Of names that become part of a command line.
bool plain_name(std::string_view name) {
  return !name.empty() && !name.starts_with('-') && name.find('\0') == name.npos &&
         name.find('=') == name.npos;
}

// The members of an object: who begins a run on this machine may set anything of its recipe.
ApiResult<void> read_set(const Json& set, WantedRun& wanted) {
  if (set.is_null()) return {};
  if (set.size() > kMostSet)
    return refuse(fmt::format("'set' has more than {} values", kMostSet), "set");
  for (const auto& [name, value] : set.items()) {
    if (!plain_name(name)) return refuse("'set' names what is no value of a recipe", "set");
    wanted.set.emplace_back(name, value);
  }
  return {};
}

ApiResult<void> read_workers(const Json& workers, WantedRun& wanted) {
  if (workers.is_null()) return {};
  if (workers.size() > kMostSet)
    return refuse(fmt::format("'workers' has more than {} members", kMostSet), "workers");
  for (const auto& [name, where] : workers.items()) {
    if (!plain_name(name) || !where.is_string())
      return refuse("'workers' must be an object of names, each with a text that says where it is",
                    "workers");
    wanted.workers.emplace_back(name, where);
  }
  return {};
}

// The key that a request brings, for what the run will ask of this server.
std::string secret_of(const HttpRequest& request) {
  if (const std::string* key = request.header("x-api-key")) return *key;
  const std::string* bearer = request.header("authorization");
  return bearer && bearer->size() > 7 ? std::string(trim(bearer->substr(7))) : "";
}

// People begin what comes with this program, on texts that they bring: recipes can have programs
// run, read files and ask workers that cost money.
ApiResult<void> check_for_people(const RunCall& call, const WantedRun& wanted) {
  if (call.owner) return {};
  const auto refused = [](std::string message) {
    return std::unexpected(ApiError{403, std::move(message)});
  };
  const bool shipped = wanted.recipe.find('/') == std::string::npos &&
                       !wanted.recipe.ends_with(".toml") && !wanted.recipe.starts_with('.');
  if (!shipped || !wanted.set.empty() || !wanted.workers.empty() || !wanted.input_path.empty() ||
      wanted.input_text.empty())
    return refused(
        "a key begins recipes that come with lathe, by their names, on an 'input_text'; paths, "
        "'set' and 'workers' are for whoever runs the server");
  if (wanted.secret.empty())
    return refused(
        "a run asks this server with the key of who began it: send it as x-api-key or as "
        "Authorization: Bearer KEY, a session is not enough");
  return {};
}

ApiResult<const RunStarter*> starter_of(const RunDesk& desk) {
  if (desk.starter()) return desk.starter();
  return std::unexpected(ApiError{403, "runs are only looked at here"});
}

ApiResult<bool> in_queue(RunDesk& desk, const std::string& id) {
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto queue, or_api_error(journal->queue()));
  return std::ranges::find(queue, id, &books::QueuedRun::run) != queue.end();
}

}  // namespace

ApiResult<WantedRun> read_wanted_run(const Json& body) {
  Fields fields(body);
  WantedRun wanted;
  wanted.recipe = fields.text("recipe").value_or("");
  wanted.input_text = fields.text("input_text").value_or("");
  wanted.input_path = fields.text("input_path").value_or("");
  const Json& set = fields.object("set");
  const Json& workers = fields.object("workers");
  LATHE_TRY_STATUS(fields.status());
  if (wanted.recipe.empty()) return refuse("'recipe' is missing", "recipe");
  if (!plain_name(wanted.recipe)) return refuse("'recipe' names no recipe", "recipe");
  if (wanted.input_path.find('\0') != std::string::npos)
    return refuse("'input_path' is no path", "input_path");
  if (!wanted.input_text.empty() && !wanted.input_path.empty())
    return refuse("give either 'input_text' or 'input_path'", "input_text");
  LATHE_TRY_STATUS(read_set(set, wanted));
  LATHE_TRY_STATUS(read_workers(workers, wanted));
  return wanted;
}

Handled start_run(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const RunStarter* starter, starter_of(desk));
  LATHE_TRY(WantedRun wanted, read_wanted_run(call.body));
  wanted.by = call.owner ? std::string(kOwnerName) : call.key;
  if (!call.owner) wanted.secret = secret_of(call.request());
  LATHE_TRY_STATUS(check_for_people(call, wanted));
  starter->begin(std::move(wanted), [exchange = call.exchange](Result<std::string> run) {
    HttpReply reply =
        run ? json_reply({{"id", *run}}) : error_reply(Dialect::kOpenAi, api_error(run.error()));
    if (run) reply.status = 202;
    exchange->finish(std::move(reply), "");
  });
  return std::nullopt;
}

// It ends in order, as by Ctrl-C: what is done stays, and it can be gone on with.
Handled stop_run(RunDesk& desk, RunCall& call) {
  if (const auto any = starter_of(desk); !any) return std::unexpected(any.error());
  LATHE_TRY(const FoldedRun* run, run_listed(desk, call));
  const std::string id = run->id;
  LATHE_TRY(const ListedRun row, listed_run(desk, id));
  LATHE_TRY(const bool queued, in_queue(desk, id));
  if (row.shown_state != "running" && row.shown_state != "queued")
    return std::unexpected(
        ApiError{409, fmt::format("run {} is not under way: {}", id, row.shown_state)});
  if (!queued)
    return std::unexpected(ApiError{
        409, fmt::format(
                 "run {} is worked on by a command of its own; stop it where it was started", id)});
  LATHE_TRY(books::Journal * journal, or_api_error(desk.reader().journal()));
  if (const Status rests = journal->enqueue(id, system_clock().unix_ms(), true); !rests)
    return std::unexpected(api_error(rests.error()));
  HttpReply reply = json_reply({{"id", id}});
  reply.status = 202;
  return reply;
}

Handled resume_run(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const RunStarter* starter, starter_of(desk));
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  const std::string id = run->id;
  const bool over = run->state.ended && run->state.end_state != loop::RunResult::kNotJudged;
  if (over) return std::unexpected(ApiError{409, fmt::format("run {} has ended", id)});
  const std::string secret = call.owner ? "" : secret_of(call.request());
  if (!call.owner && secret.empty())
    return std::unexpected(
        ApiError{403, "a run asks this server with the key of who began it: send it as x-api-key"});
  LATHE_TRY(const ListedRun row, listed_run(desk, id));
  LATHE_TRY(const bool queued, in_queue(desk, id));
  if (row.shown_state == "running" && !queued)
    return std::unexpected(
        ApiError{409, fmt::format("run {} is worked on by a command of its own", id)});
  LATHE_TRY(books::Journal * journal, or_api_error(desk.reader().journal()));
  if (const Status waits = journal->enqueue(id, system_clock().unix_ms()); !waits)
    return std::unexpected(api_error(waits.error()));
  starter->work(id, secret);
  HttpReply reply = json_reply({{"id", id}});
  reply.status = 202;
  return reply;
}

}  // namespace lathe::serve
