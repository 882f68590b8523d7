// Gives the tools of other agents what they stand on, and opens the desk for them.
#include "app/cli/workshop.h"

#include <future>

#include "app/cli/journals.h"
#include "app/cli/running_server.h"
#include "ground/base/text.h"
#include "ground/base/version.h"

namespace lathe::app {
namespace {

// Its results lie below the root, and nothing of a project is changed.
Result<std::string> begin_loop(const DriveFlags& flags, const LoopOrder& order,
                               ServedLoops& loops) {
  serve::WantedRun wanted;
  wanted.recipe = order.recipe;
  wanted.input_path = order.input;
  wanted.set = order.set;
  for (const std::string& spec : flags.workers.specs)
    if (const auto equals = spec.find('='); equals != spec.npos)
      wanted.workers.emplace_back(spec.substr(0, equals), spec.substr(equals + 1));
  wanted.apply = false;
  wanted.by = kAgentLoops;
  std::promise<Result<std::string>> begun;
  loops.starter().begin(std::move(wanted),
                        [&](Result<std::string> run) { begun.set_value(std::move(run)); });
  return begun.get_future().get();
}

// It waits in the queue, or is worked on.
bool goes_on(const App& app, const std::string& run) {
  const auto journal = open_journal(app);
  const auto queue = journal ? journal->queue() : std::unexpected(journal.error());
  return queue && std::ranges::any_of(*queue, [&](const books::QueuedRun& row) {
           return row.run == run && !row.paused;
         });
}

// The only one there is, or the server's default.
Result<std::string> usual_model(const App& app, const DriveFlags& flags) {
  if (!flags.workers.specs.empty())
    return flags.workers.specs.front().substr(0, flags.workers.specs.front().find('='));
  LATHE_TRY(const ServerAddress server, find_server(app, {}));
  LATHE_TRY(const auto names, server_models(app, server));
  if (names.empty())
    return fail(ErrorKind::kNotFound, "the server at {} has no models", server.base);
  if (names.size() > 1)
    return invalid("name a 'model': there are {}", clip_utf8(join(names, ", "), 300));
  return names.front();
}

Workshop workshop_of(const App& app, const DriveFlags& flags, fs::path root, ServedLoops& loops) {
  Workshop workshop;
  workshop.root = std::move(root);
  workshop.journal = [&app] { return open_journal(app); };
  workshop.with_bench = [&app, &flags](StopFlag& stop, loop::Observer* observer,
                                       const auto& work) -> Status {
    App here = app;
    here.stop = &stop;
    LATHE_TRY(const auto setup, DriveSetup::make(here, flags, Reach::kLocal, observer));
    return work(setup->bench());
  };
  workshop.usual_model = [&app, &flags] { return usual_model(app, flags); };
  workshop.start_loop = [&flags, &loops](const LoopOrder& order) {
    return begin_loop(flags, order, loops);
  };
  workshop.loop_goes_on = [&app](const std::string& run) { return goes_on(app, run); };
  // Whoever works on it sees that it is to rest.
  workshop.stop_loop = [&app](const std::string& run) -> Status {
    LATHE_TRY(books::Journal journal, open_journal(app));
    return journal.enqueue(run, system_clock().unix_ms(), true);
  };
  return workshop;
}

// As it is, without links.
Result<fs::path> tool_root(const std::string& root) {
  std::error_code error;
  fs::path path = fs::canonical(root, error);
  if (error || !fs::is_directory(path, error))
    return invalid("{}: is no directory; tools read files below one", root);
  return path;
}

// Those of `names`, or all where there are none.
Result<std::vector<serve::McpTool>> chosen_tools(const Workshop& workshop,
                                                 const std::vector<std::string>& names) {
  std::vector<serve::McpTool> all = agent_tools(workshop);
  if (names.empty()) return all;
  std::vector<std::string> known;
  for (const serve::McpTool& tool : all) known.push_back(tool.name.substr(6));  // lathe_
  std::vector<serve::McpTool> chosen;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(known, name);
    if (found == known.end())
      return invalid("--tools: '{}' is none of {}{}", clip_utf8(name, 60), join(known, ", "),
                     did_you_mean(name, known));
    chosen.push_back(all[static_cast<std::size_t>(found - known.begin())]);
  }
  return chosen;
}

}  // namespace

Result<std::unique_ptr<AgentDesk>> AgentDesk::open(const App& app, const DriveFlags& flags,
                                                   const ToolFlags& wanted, std::string owner_key) {
  LATHE_TRY(fs::path root, tool_root(wanted.root));
  std::unique_ptr<AgentDesk> desk(new AgentDesk(app, root, std::move(owner_key)));
  desk->workshop_ = workshop_of(app, flags, std::move(root), desk->loops_);
  LATHE_TRY(auto tools, chosen_tools(desk->workshop_, wanted.tools));
  desk->server_ = std::make_shared<serve::McpServer>(
      serve::McpIdentity{"lathe", std::string(program_version()), std::string(tool_instructions())},
      std::move(tools), agent_tasks(desk->workshop_));
  desk->loops_.take_up_again(kAgentLoops);
  return desk;
}

}  // namespace lathe::app
