// The maker that works: a model reads, searches, edits and runs commands in a copy of the source
// tree, call after call, until it says that it is done. Its artifact is the sum of all changes
// against the run's snapshot, as the maker of code has it.
#include <algorithm>

#include "loop/makers/ask.h"
#include "loop/makers/tree_tools.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxTalkBytes = 400'000;
constexpr std::size_t kMostUnitsShown = 50, kMaxUnitBytes = 1500, kMostFilesShown = 200;
constexpr std::size_t kMostLeftOut = 20;

constexpr OptionSpec kOptions[] = {
    {"may_write", OptionType::kStrings, kMustBeGiven,
     "globs of files that may be changed or made; dot files and what decides how tests and tools "
     "run only where a glob spells the name out"},
    {"protect", OptionType::kStrings, "[]", "globs of files that may not, whatever may_write says"},
    {"calls", OptionType::kInteger, "40", "of tools, a candidate"},
    {"commands", OptionType::kBool, "true", "it may run commands, in the sandbox"},
    {"command_time", OptionType::kDuration, "\"2m\"", "limit of one command"},
    {"memory", OptionType::kBytes, "\"4GiB\"", "limit of a command's processes together", true},
    {"processes", OptionType::kInteger, "128", "limit of processes and threads", true},
    {"read_only", OptionType::kStrings, "[]",
     "directories that commands may read besides the system's", true},
    {"path", OptionType::kStrings, "[]", "directories with programs, before the system's", true},
    {"env", OptionType::kTable, "{}", "variables for commands", true},
    {"task", OptionType::kString, "\"\"", "what is wanted, besides that the units pass"},
    {"system", OptionType::kString, "\"\"", "instead of the built-in opening of the prompt"},
    {"max_tokens", OptionType::kInteger, "4096", "of one answer"},
    {"temperature", OptionType::kNumber, {}, "default: 0.2, and 0.8 for fresh samples"},
};

constexpr std::string_view kSystem =
    "You work on a project by calling tools. Find the cause of the failures below, correct it with "
    "the smallest change that is right in general, and run what shows that it is. Do not "
    "special-case the tests. When you are done, say so in one sentence without calling a tool.";

Status check(const Json& options, std::span<const std::string>) {
  if (option_strings(options, "may_write").empty())
    return invalid("may_write is empty: name at least one glob, like may_write = [\"src/**\"]");
  if (const auto calls = option_int(options, "calls"); calls < 1 || calls > 1000)
    return invalid("calls is {}, but must be from 1 to 1000", calls);
  if (const auto tokens = option_int(options, "max_tokens"); tokens < 16 || tokens > 1'000'000)
    return invalid("max_tokens is {}, but must be from 16 to 1000000", tokens);
  if (const auto processes = option_int(options, "processes"); processes < 1 || processes > 10000)
    return invalid("processes is {}, but must be from 1 to 10000", processes);
  return {};
}

Result<std::string> prefix(const Json& options, std::span<const Unit> units, const Place& place) {
  if (!place.checkout)
    return invalid("agent: there is no source tree to work on; set unit.tree in the recipe");
  LATHE_TRY(const TempDir tree, TempDir::make("lathe-agent"));
  LATHE_TRY_STATUS(place.checkout(tree.path()));
  const std::string own = option_string(options, "system");
  std::string text = own.empty() ? std::string(kSystem) : own;
  if (const std::string task = option_string(options, "task"); !trim(task).empty())
    text += fmt::format("\n\nTask:\n{}", trim(task));
  text += "\n\n" + units_heading(units);
  for (std::size_t i = 0; i < units.size() && i < kMostUnitsShown; ++i) {
    const std::string locus = json_string(units[i].data, "locus");
    text +=
        fmt::format("- {}{}\n", units[i].text, locus.empty() ? "" : fmt::format(" ({})", locus));
    if (const std::string said = json_string(units[i].data, "message"); !trim(said).empty())
      text +=
          fmt::format("  {}\n", replace_all(clip_utf8(trim(said), kMaxUnitBytes), "\n", "\n  "));
  }
  text += fmt::format("\nYou may write: {}\nFiles:\n",
                      join(option_strings(options, "may_write"), ", "));
  LATHE_TRY(const std::vector<std::string> files, list_files(tree.path()));
  for (std::size_t i = 0; i < files.size() && i < kMostFilesShown; ++i) text += files[i] + "\n";
  if (files.size() > kMostFilesShown)
    text += fmt::format("… and {} more\n", files.size() - kMostFilesShown);
  return text;
}

// A candidate on its way: the talk, what was called, and why it ended.
class Work {
 public:
  // `sets`: whose tools it has, none of them twice.
  Work(const MakeTask& task, const MakeContext& context, std::vector<ToolSet*> sets)
      : task_(task), context_(context) {
    Talk talk;
    talk.messages = {{"system", task.prefix}, {"user", opening()}};
    for (ToolSet* set : sets)
      for (Tool& tool : set->tools()) {
        names_.push_back(tool.name);
        owners_[tool.name] = set;
        talk.tools.push_back(std::move(tool));
      }
    talk.parallel_calls = false;
    request_ = request_of(task, context);
    request_.ask = std::move(talk);
    request_.keep_prefix = true;
  }

  Status go_on_to_the_end() {
    const auto most = static_cast<std::size_t>(option_int(task_.options, "calls"));
    while (ended_.empty()) {
      LATHE_TRY(const Reply reply, context_.worker->complete(request_, context_.stop, {}));
      if (context_.usage) *context_.usage += reply.usage;
      model_ = reply.model;
      if (reply.calls.empty()) {
        ended_ = reply.finish == FinishReason::kLength ? "an answer was cut off" : "done";
        std::string said = without_thoughts(reply.text).value_or("");
        if (context_.proposals) said = without_proposals(said, *context_.proposals);
        said_ = clip_utf8(make_valid_utf8(said), 500);
        break;
      }
      messages().push_back({"assistant", reply.text, "", reply.calls});
      for (const FunctionCall& call : reply.calls) LATHE_TRY_STATUS(answer(call));
      if (ended_.empty() && log_.size() >= most)
        ended_ = fmt::format("all {} calls are used up", most);
      if (ended_.empty() && bytes_ > kMaxTalkBytes) ended_ = "the talk has grown too long";
    }
    return {};
  }

  Json facts() const {
    return {{"calls", log_}, {"ended", ended_}, {"said", said_}, {"model", model_}};
  }

 private:
  std::vector<Message>& messages() { return std::get<Talk>(request_.ask).messages; }

  std::string opening() const {
    if (!task_.best) return task_.tail.empty() ? "Begin." : task_.tail;
    return "The project has your best version so far in it.\n" + task_.tail;
  }

  Status answer(const FunctionCall& call) {
    if (!repeats_.take(call)) {
      ended_ = "it repeats itself";
      return {};
    }
    if (call.name == "edit_file" || call.name == "write_file") repeats_.clear_others(call);
    if (context_.progress)
      context_.progress(fmt::format("{} {}", call.name, clip_utf8(call.arguments, 80)));
    LATHE_TRY(const ToolAnswer answer, answer_of(call));
    log_.push_back({{"tool", call.name},
                    {"arguments", clip_utf8(make_valid_utf8(call.arguments), 300)},
                    {"ok", answer.ok}});
    std::string result = answer_for_prompt(answer);
    bytes_ += result.size() + call.arguments.size();
    messages().push_back({"tool", std::move(result), "", {}, call.id, call.name});
    return {};
  }

  Result<ToolAnswer> answer_of(const FunctionCall& call) {
    if (const auto owner = owners_.find(call.name); owner != owners_.end())
      return owner->second->call(call, context_.stop);
    return ToolAnswer{fmt::format("there is no tool '{}'{}; there are {}", clip_utf8(call.name, 60),
                                  did_you_mean(call.name, names_), join(names_, ", ")),
                      false};
  }

  const MakeTask& task_;
  const MakeContext& context_;
  std::vector<std::string> names_;
  std::map<std::string, ToolSet*> owners_;
  Request request_;
  Json log_ = Json::array();
  Repeats repeats_;
  std::size_t bytes_ = 0;
  std::string ended_, said_, model_;
};

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("agent: needs a worker; name one in make.ladder");
  Changes best;
  if (task.best) {
    LATHE_TRY(best, parse_changes(*task.best));
  }
  LATHE_TRY(TreeTools tools, TreeTools::make(task.options, best, context));
  std::vector<ToolSet*> sets{&tools};
  if (context.tools) sets.push_back(context.tools);
  Work work(task, context, std::move(sets));
  LATHE_TRY_STATUS(work.go_on_to_the_end());
  LATHE_TRY(const Changes changes, tools.changes());
  Json facts = work.facts();
  std::vector<std::string> left_out = tools.left_out();
  if (left_out.size() > kMostLeftOut) left_out.resize(kMostLeftOut);
  if (!left_out.empty()) facts["left_out"] = left_out;
  if (changes.files.empty())
    return invalid("agent: nothing was changed; it ended so: {}{}{}", json_string(facts, "ended"),
                   json_string(facts, "said").empty() ? "" : ": ", json_string(facts, "said"));
  return Made{serialise(changes), std::string(kChangesMediaType), "json", std::move(facts)};
}

}  // namespace

extern const MakerKind kAgentMaker;
const MakerKind kAgentMaker{
    .name = "agent",
    .summary =
        "a model works on a source tree by tools: it reads, searches, edits and runs commands",
    .options = kOptions,
    .needs_worker = true,
    .whole_group = true,
    .check = check,
    .propose = propose_by_model,
    .prefix = prefix,
    .make = make,
    .takes_tools = true,
};

}  // namespace lathe::loop
