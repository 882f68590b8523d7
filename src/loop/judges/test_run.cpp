// One run of a project's tests: the tree that is judged, its steps in the sandbox, the results.
#include "loop/judges/test_run.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/sys/beneath.h"
#include "loop/senses/surroundings.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kTailBytes = 3000;
constexpr std::size_t kMostTestText = std::size_t{1} << 20;  // of one file of tests that is read

bool matches_any(const std::vector<std::string>& globs, std::string_view path) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, path); });
}

std::string last_bytes(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return make_valid_utf8(text);
  text = text.substr(text.size() - bytes);
  const auto line = text.find('\n');  // begin with a whole line where there is one
  return "…" + make_valid_utf8(line == text.npos ? text : text.substr(line));
}

// The tree that is judged: a clean checkout, the candidate's changes, and the protected files as
// they were.
class JudgedTree {
 public:
  static Result<JudgedTree> make(const Json& options, const Changes& changes, const Place& place) {
    if (!place.checkout)
      return invalid("tests: there is no source tree to test; set unit.tree in the recipe");
    LATHE_TRY(TempDir tree, TempDir::make("lathe-tests"));
    LATHE_TRY(const TempDir clean, TempDir::make("lathe-clean"));
    LATHE_TRY_STATUS(place.checkout(tree.path()));
    LATHE_TRY_STATUS(place.checkout(clean.path()));
    LATHE_TRY_STATUS(apply_changes(changes, tree.path()));
    JudgedTree judged(std::move(tree));
    LATHE_TRY_STATUS(judged.remember(changes, clean.path()));
    LATHE_TRY_STATUS(judged.restore(option_strings(options, "protect"), clean.path()));
    LATHE_TRY(judged.files_, list_files(judged.path()));
    return judged;
  }

  const fs::path& path() const { return tree_.path(); }
  const std::vector<std::string>& files() const { return files_; }
  const TreeBefore& before() const { return before_; }
  std::vector<std::string> protected_files() const {
    std::vector<std::string> names;
    for (const auto& [file, sha256] : protected_) names.push_back(file);
    return names;
  }

  // The first protected file that is not what it was; "" when all are.
  std::string changed_file() const {
    for (const auto& [file, sha256] : protected_) {
      const auto bytes = read_beneath(path(), file);
      if (!bytes || sha256_hex(*bytes) != sha256) return file;
    }
    return {};
  }

 private:
  explicit JudgedTree(TempDir tree) : tree_(std::move(tree)) {}

  Status remember(const Changes& changes, const fs::path& clean) {
    LATHE_TRY(before_.files, list_files(clean));
    for (const std::string& file : before_.files) {
      if (!changes.files.contains(file)) continue;
      LATHE_TRY(before_.changed[file], read_file(clean / file));
    }
    return {};
  }

  Status restore(const std::vector<std::string>& protect, const fs::path& clean) {
    Changes changes;
    for (const std::string& file : before_.files) {
      if (!matches_any(protect, file)) continue;
      LATHE_TRY(changes.files[file], read_file(clean / file));
      protected_[file] = sha256_hex(*changes.files[file]);
      if (changes.files[file]->size() <= kMostTestText)
        before_.protected_files[file] = *changes.files[file];
    }
    LATHE_TRY(const std::vector<std::string> present, list_files(path()));
    for (const std::string& file : present)
      if (matches_any(protect, file)) changes.files.try_emplace(file, std::nullopt);
    return apply_changes(changes, path());
  }

  TempDir tree_;
  TreeBefore before_;
  std::vector<std::string> files_;
  std::map<std::string, std::string> protected_;  // to their sha256
};

class Steps {
 public:
  Steps(const Json& options, const JudgeContext& context, const JudgedTree& tree,
        Surroundings surroundings)
      : context_(context), env_(std::move(surroundings.env)) {
    sandbox_.tree = tree.path();
    sandbox_.fixed = tree.protected_files();
    sandbox_.read_only = std::move(surroundings.read_only);
    sandbox_.limits.memory_bytes = option_bytes(options, "memory");
    sandbox_.limits.processes = static_cast<int>(option_int(options, "processes"));
    sandbox_.unsafe_none = context.place.unsafe_no_sandbox;
    time_limit_ = std::min(Milliseconds(option_duration_ms(options, "time")), context.time_limit);
  }

  Result<SandboxedExit> run(std::vector<std::string> argv) const {
    Command command;
    command.argv = std::move(argv);
    command.env = env_;
    command.max_output = kMaxReportBytes;
    command.time_limit = time_limit_;
    command.on_output = context_.output;
    LATHE_TRY(SandboxedExit result, run_sandboxed(sandbox_, command, context_.stop));
    if (result.exit.stopped) return fail(ErrorKind::kCancelled, "tests: stopped");
    return result;
  }

  Result<SandboxedExit> run_shell(const std::string& script) const {
    LATHE_TRY(SandboxedExit result, run({"sh", "-c", script}));
    if (result.exit.code == 126 || result.exit.code == 127)
      return fail(ErrorKind::kUnavailable, "tests: `{}` could not be run ({}): {}{}",
                  clip_utf8(script, 200), result.exit.describe(),
                  last_bytes(result.exit.err.empty() ? result.exit.out : result.exit.err, 600),
                  sandbox_.unsafe_none
                      ? ""
                      : "\nIn the sandbox are the programs of the system and what unit.read_only "
                        "and unit.path name, and no network");
    return result;
  }

 private:
  const JudgeContext& context_;
  std::map<std::string, std::string> env_;
  Sandbox sandbox_;
  Milliseconds time_limit_{0};
};

void read_results(const Json& options, const JudgedTree& tree, TestRun& run) {
  const std::string format = option_string(options, "format");
  const std::string report = option_string(options, "report");
  if (format == "exit" || format == "any")
    run.results = TestReport{
        {{std::string(kWholeCommand), run.last.exit.ok() ? TestOutcome::kPass : TestOutcome::kFail,
          run.output_tail()}}};
  if (format == "exit") return;
  Result<std::string> bytes = report.empty() ? Result<std::string>(run.last.exit.out)
                                             : read_beneath(tree.path(), report, kMaxReportBytes);
  if (!bytes) {
    run.no_results = "the report " + bytes.error().message;
    return;
  }
  auto results = read_test_report(format, *bytes);
  if (results && run.results)  // "any": the command is a test beside those that it names
    std::ranges::move(results->tests, std::back_inserter(run.results->tests));
  else if (results)
    run.results = std::move(*results);
  else if (!run.results)
    run.no_results = results.error().message;
}

}  // namespace

std::string TestRun::output_tail() const {
  // Compilers and shells complain on the second stream, runners report on the first.
  std::string tail = last_bytes(last.exit.out, kTailBytes);
  if (!trim(last.exit.err).empty()) {
    if (!tail.empty() && !tail.ends_with('\n')) tail += '\n';
    tail += last_bytes(last.exit.err, kTailBytes);
  }
  return tail;
}

Result<TestRun> run_tests(const Json& options, const Changes& changes,
                          const JudgeContext& context) {
  const std::string report = option_string(options, "report");
  if (!report.empty() && !is_safe_relative(report))
    return invalid("tests: the report '{}' is not a path inside the tree", clip_utf8(report, 200));
  LATHE_TRY(const JudgedTree tree, JudgedTree::make(options, changes, context.place));
  auto surroundings = surroundings_of(options, context.place, tree.path());
  if (!surroundings) return at("tests", std::move(surroundings).error());
  const Steps steps(options, context, tree, *std::move(surroundings));
  TestRun run;
  run.files = tree.files();
  run.before = tree.before();
  run.before.report = report;
  if (const std::string build = option_string(options, "build"); !build.empty()) {
    LATHE_TRY(run.last, steps.run_shell(build));
    run.tampered = tree.changed_file();
    run.built = run.last.exit.ok() && run.last.contained.empty();
    if (!run.built || !run.tampered.empty()) return run;
  }
  // A report that is there before the tests have run speaks of other tests.
  if (!report.empty()) LATHE_TRY_STATUS(steps.run({"rm", "-rf", "--", report}));
  LATHE_TRY(run.last, steps.run_shell(option_string(options, "command")));
  run.tampered = tree.changed_file();
  read_results(options, tree, run);
  return run;
}

}  // namespace lathe::loop
