// lathe_test: the tests of a source tree, run in the sandbox on a copy of it.
#include "app/tools/below_root.h"
#include "app/tools/judged.h"
#include "app/tools/tool_list.h"
#include "ground/base/text.h"
#include "loop/conductor/tree.h"
#include "loop/judges/tests.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostTestsNamed = 50;

// A snapshot's files, by their paths.
Result<std::map<std::string, std::string>> blobs_of(const books::Journal& journal,
                                                    const std::string& manifest) {
  LATHE_TRY(const std::string bytes, journal.blob(manifest));
  LATHE_TRY(const Json json, parse_json(bytes));
  std::map<std::string, std::string> blobs;
  for (const Json& file : json_at(json, "files"))
    blobs[json_string(file, "path")] = json_string(file, "blob");
  return blobs;
}

// What makes the tree `now` of the tree `before`.
Result<loop::Changes> changes_between(const books::Journal& journal, const std::string& before,
                                      const std::string& now) {
  LATHE_TRY(const auto old_files, blobs_of(journal, before));
  LATHE_TRY(const auto new_files, blobs_of(journal, now));
  loop::Changes changes;
  for (const auto& [path, blob] : old_files)
    if (!new_files.contains(path)) changes.files[path] = std::nullopt;
  for (const auto& [path, blob] : new_files) {
    const auto old = old_files.find(path);
    if (old != old_files.end() && old->second == blob) continue;
    LATHE_TRY(std::string bytes, journal.blob(blob));
    if (find_invalid_utf8(bytes) != bytes.npos)
      return invalid(
          "'{}' was changed and is no text: such a change cannot be judged by itself; leave out "
          "'since' to test the tree as it is",
          path);
    changes.files[path] = std::move(bytes);
  }
  return changes;
}

// The tree that an earlier call began with, and what its tests said there.
struct Before {
  loop::SourceTree tree;
  Json discovered;
};

Result<Before> before_of(const Workshop& workshop, const books::Journal& journal,
                         const std::string& since, const Json& options, serve::McpCall& call) {
  LATHE_TRY(const std::string id, journal.find_run(since));
  LATHE_TRY(const FinishedRun run, read_run(journal, id));
  if (!run.state.header.tree || json_string(run.state.header.extra, "tool") != "test")
    return invalid("since: run {} is none of lathe_test", id);
  Before before{*run.state.header.tree, run.state.header.discovered};
  if (!before.discovered.is_null()) return before;
  const Status tested =
      workshop.with_bench(call.stop(), nullptr, [&](const loop::Bench& bench) -> Status {
        loop::Place place;
        place.program = bench.program;
        place.checkout = [&](const fs::path& directory) {
          return loop::lay_out_tree(journal, before.tree.blob, directory);
        };
        place.tree_root = before.tree.root;
        place.unsafe_no_sandbox = bench.unsafe_no_sandbox;
        call.progress("testing the tree as it was before");
        const loop::JudgeContext context{.place = place, .stop = bench.stop};
        LATHE_TRY(loop::Discovery discovery, loop::discover_failing_tests(options, context));
        before.discovered = std::move(discovery.discovered);
        return {};
      });
  // Where nothing could be tested before, nothing is compared with it.
  if (!tested && tested.error().kind != ErrorKind::kInvalid) return std::unexpected(tested.error());
  return before;
}

// Tests that fail now, or did before.
Json test_lines(const loop::RunState& run, const Json& evidence) {
  const Json& before = json_at(run.header.discovered, "tests");
  std::set<std::string> failed;
  for (const Json& name : json_at(evidence, "failed")) failed.insert(name.get<std::string>());
  Json lines = Json::array();
  const auto add = [&](const std::string& name, const Json& was) {
    if (lines.size() < kMostTestsNamed)
      lines.push_back(
          {{"test", name}, {"before", was}, {"after", failed.contains(name) ? "fail" : "pass"}});
  };
  for (const auto& [name, was] : before.items())
    if (was == "fail" || failed.contains(name)) add(name, was);
  for (const std::string& name : failed)
    if (!before.contains(name)) add(name, nullptr);
  return lines;
}

Json evidence_of(const loop::RunState& run) {
  for (const loop::Track& track : run.tracks)
    for (const loop::LapState& lap : track.laps)
      for (const loop::CandidateState& candidate : lap.candidates)
        for (const loop::JudgedBy& verdict : candidate.verdicts) return verdict.judgement.evidence;
  return Json::object();
}

serve::McpResult test(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  // Its status counts, and whatever tests its output names.
  Json judge = {{"kind", "tests"}, {"format", "any"}};
  for (const char* option :
       {"command", "build", "report", "format", "protect", "allow", "read_only", "time"})
    if (arguments.contains(option)) judge[option] = arguments[option];
  const auto take = [&]() -> Result<loop::GivenTake> {
    LATHE_TRY(const fs::path directory,
              directory_below(workshop.root, json_string(arguments, "dir")));
    LATHE_TRY(const loop::Recipe recipe,
              tool_recipe("test", {{"kind", "given"}}, Json::array({judge}),
                          {{"from", "the call"}, {"tree", directory.string()}}));
    LATHE_TRY(const books::Journal journal, workshop.journal());
    LATHE_TRY(const loop::TreeSnapshot now,
              loop::snapshot_tree(journal, directory, recipe.exclude));
    loop::GivenTake given;
    given.unit = {std::string("command"), "the tests pass", Json::object()};
    given.media_type = loop::kChangesMediaType;
    given.extension = "json";
    given.title = directory.string();
    given.tree = loop::SourceTree{now.manifest, directory.string(), now.left_out};
    loop::Changes changes;
    if (const std::string since = json_string(arguments, "since"); !since.empty()) {
      LATHE_TRY(Before before,
                before_of(workshop, journal, since, recipe.judges.front().options, call));
      LATHE_TRY(changes, changes_between(journal, before.tree.blob, now.manifest));
      given.tree = std::move(before.tree);
      given.discovered = std::move(before.discovered);
    }
    given.bytes = loop::serialise(changes);
    return given;
  }();
  if (!take) return serve::mcp_failure(take.error());
  return judge_given(workshop, "test", Json::array({judge}), *take, call,
                     [](const loop::RunState& run) {
                       return Json{{"tests", test_lines(run, evidence_of(run))}};
                     });
}

}  // namespace

serve::McpTool test_tool(const Workshop& workshop) {
  const Json text = {{"type", "string"}};
  const Json texts = {{"type", "array"}, {"items", {{"type", "string"}}}};
  return {.name = "lathe_test",
          .description =
              "Run a project's tests in a sandbox on a copy of the tree (no network, no home). The "
              "command's status counts, and every test that its output names must pass. With "
              "`since`, the run of an earlier call: what changed since is judged, each test before "
              "and after, protected files and tampering with tests included.",
          .input_schema =
              {{"type", "object"},
               {"properties",
                {{"dir", {{"type", "string"}, {"description", "default: the root"}}},
                 {"command",
                  {{"type", "string"}, {"description", "a line for sh that runs the tests"}}},
                 {"build", {{"type", "string"}, {"description", "a line for sh before it"}}},
                 {"since", {{"type", "string"}, {"description", "run of an earlier call"}}},
                 {"protect",
                  {{"type", "array"},
                   {"items", {{"type", "string"}}},
                   {"description", "globs of files that must stay as they were"}}},
                 {"allow", texts},
                 {"read_only", texts},
                 {"report", text},
                 {"format", text},
                 {"time", {{"type", "string"}, {"description", "limit, like \"10m\""}}}}},
               {"required", {"command"}},
               {"additionalProperties", false}},
          .run = [&workshop](const Json& arguments, serve::McpCall& call) {
            return test(workshop, arguments, call);
          }};
}

}  // namespace lathe::app
