// The tests judge on small projects: discovery, regressions, tricks, reports, status alone.
#include "loop/judges/tests.h"

#include <gtest/gtest.h>

#include <fstream>

#include "ground/base/hash.h"

namespace lathe::loop {
namespace {

// A project in shell whose tests print TAP: src/value holds a number, a test wants each property.
const std::map<std::string, std::string> kProject{{"src/value", "3\n"},
                                                  {"tests/run.sh", R"sh(value=$(cat src/value)
say() { if [ "$2" ]; then echo "ok - $1"; else echo "not ok - $1"; echo "# src/value:1: value is $value"; fi; }
say small "$([ "$value" -lt 100 ] && echo y)"
say even "$([ $((value % 2)) = 0 ] && echo y)"
say hidden_positive "$([ "$value" -gt 0 ] && echo y)"
say hidden_big "$([ "$value" -gt 5 ] && echo y)"
echo "ok - later # SKIP not today"
echo 1..5
)sh"}};

struct World {
  std::map<std::string, std::string> files = kProject;
  StopFlag stop;
  Place place = [this] {
    Place made;
    made.checkout = [this](const fs::path& directory) {
      Changes all;
      for (const auto& [path, text] : files) all.files[path] = text;
      return apply_changes(all, directory);
    };
    return made;
  }();
  JudgeContext context{place, nullptr, stop};

  Json options(Json given = Json::object()) const {
    if (!given.contains("command")) given["command"] = "sh tests/run.sh";
    if (!given.contains("protect")) given["protect"] = {"tests/**"};
    if (!given.contains("time")) given["time"] = "20s";
    const auto checked = check_options(given, kTestsJudge.options);
    EXPECT_TRUE(checked) << checked.error().key << checked.error().message;
    return checked.value_or(Json::object());
  }

  Discovery discover(const Json& options) const {
    auto found = discover_failing_tests(options, context);
    EXPECT_TRUE(found) << found.error().message;
    return found.value_or(Discovery{});
  }

  Result<Judgement> judge_raw(const Json& options, const Discovery& discovery,
                              const Changes& changes) const {
    const std::string bytes = serialise(changes);
    JudgeTask task{options, discovery.units, discovery.units};
    task.candidate = sha256_hex(bytes);
    task.bytes = bytes;
    task.media_type = kChangesMediaType;
    task.discovered = discovery.discovered;
    return kTestsJudge.judge(task, context);
  }
  Judgement judge(const Json& options, const Discovery& discovery, const Changes& changes) const {
    auto judgement = judge_raw(options, discovery, changes);
    EXPECT_TRUE(judgement) << judgement.error().message;
    return judgement.value_or(Judgement{});
  }
};

Changes value(std::string text) {
  return {{{"src/value", std::move(text)}}};
}

std::string all_text(const Judgement& judgement) {
  return dump_json(to_json(judgement));
}

TEST(TestsJudge, DiscoversTheFailingOnes) {
  const World world;
  const Discovery found = world.discover(world.options());
  ASSERT_EQ(found.units.size(), 2U);
  EXPECT_EQ(found.units[0].key, "even");
  EXPECT_EQ(json_string(found.units[0].data, "locus"), "src/value:1");
  EXPECT_EQ(json_string(found.units[0].data, "message"), "src/value:1: value is 3");
  EXPECT_EQ(
      dump_json(found.discovered["tests"]),
      R"({"small":"pass","even":"fail","hidden_positive":"pass","hidden_big":"fail","later":"skip"})");
}

TEST(TestsJudge, NothingFailsMeansNoUnits) {
  World world;
  world.files["src/value"] = "8\n";
  EXPECT_TRUE(world.discover(world.options()).units.empty());
}

TEST(TestsJudge, RightFixPasses) {
  const World world;
  const Discovery found = world.discover(world.options());
  const Judgement judgement = world.judge(world.options(), found, value("8\n"));
  EXPECT_EQ(judgement.outcome, Outcome::kPass) << all_text(judgement);
  EXPECT_EQ(judgement.score, 1);
  ASSERT_EQ(judgement.units.size(), 2U);
  EXPECT_EQ(judgement.units[0].outcome, Outcome::kPass);
  EXPECT_TRUE(judgement.critiques.empty());
}

TEST(TestsJudge, RegressionFailsAndComesFirst) {
  const World world;
  const Discovery found = world.discover(world.options());
  const Judgement judgement = world.judge(world.options(), found, value("101\n"));
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  ASSERT_EQ(judgement.critiques.size(), 2U);
  EXPECT_NE(judgement.critiques[0].claim.find("small passed before"), std::string::npos);
  EXPECT_EQ(judgement.critiques[0].locus, "src/value:1");
  EXPECT_NE(judgement.critiques[1].claim.find("even fails"), std::string::npos);
  ASSERT_EQ(judgement.units.size(), 2U);
  EXPECT_EQ(judgement.units[0].outcome, Outcome::kFail);  // even
  EXPECT_EQ(judgement.units[1].outcome, Outcome::kPass);  // hidden_big, a unit like others here
  EXPECT_LT(judgement.score, 1);
}

TEST(TestsJudge, SameFaultHasTheSameFingerprint) {
  const World world;
  const Discovery found = world.discover(world.options());
  const Judgement one = world.judge(world.options(), found, value("7\n"));
  const Judgement two = world.judge(world.options(), found, value("9\n"));
  ASSERT_EQ(one.critiques.size(), 1U);
  EXPECT_EQ(fingerprint_of(one.critiques[0]), fingerprint_of(two.critiques[0]));
  EXPECT_NE(one.critiques[0].evidence, two.critiques[0].evidence);
}

TEST(TestsJudge, HeldOutTestsCountButAreNeverNamed) {
  const World world;
  const Json options = world.options({{"held_out", {"hidden_*"}}});
  const Discovery found = world.discover(options);
  ASSERT_EQ(found.units.size(), 1U);
  const Judgement judgement = world.judge(options, found, value("2\n"));
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  EXPECT_EQ(judgement.evidence["visible"]["passed"], judgement.evidence["visible"]["total"]);
  EXPECT_EQ(judgement.evidence["held_out"]["passed"], 1);
  EXPECT_EQ(judgement.evidence["held_out"]["total"], 2);
  EXPECT_EQ(all_text(judgement).find("hidden"), std::string::npos) << all_text(judgement);
  EXPECT_EQ(world.judge(options, found, value("8\n")).outcome, Outcome::kPass);
}

TEST(TestsJudge, HeldOutNamesDoNotLeakThroughACrash) {
  World world;
  world.files["src/setup.sh"] = "";
  world.files["tests/run.sh"] =
      "echo about hidden_big >&2\n. src/setup.sh\n" + kProject.at("tests/run.sh");
  const Json options = world.options({{"held_out", {"hidden_*"}}});
  const Discovery found = world.discover(options);
  const Judgement judgement = world.judge(options, found, {{{"src/setup.sh", "exit 3\n"}}});
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  EXPECT_EQ(all_text(judgement).find("hidden"), std::string::npos) << all_text(judgement);
}

TEST(TestsJudge, ChangedTestsAreRestored) {
  const World world;
  const Discovery found = world.discover(world.options());
  const Changes cheat{{{"tests/run.sh", "echo ok - even\necho 1..1\n"}}};
  EXPECT_EQ(world.judge(world.options(), found, cheat).outcome, Outcome::kFail);
  const Changes removed{{{"tests/run.sh", std::nullopt}, {"src/value", "8\n"}}};
  EXPECT_EQ(world.judge(world.options(), found, removed).outcome, Outcome::kPass);
}

TEST(TestsJudge, FilesAddedAmongTheProtectedAreTakenOut) {
  World world;
  world.files["tests/run.sh"] =
      "[ -e tests/plugin.sh ] && . tests/plugin.sh\n" + kProject.at("tests/run.sh");
  const Discovery found = world.discover(world.options());
  const Changes plugin{{{"tests/plugin.sh", "say() { echo \"ok - $1\"; }\n"}}};
  EXPECT_EQ(world.judge(world.options(), found, plugin).outcome, Outcome::kFail);
}

TEST(TestsJudge, TestsThatTheBuildChangesAreNoticed) {
  World world;
  world.files["build.sh"] = "true\n";
  const Json options = world.options({{"build", "sh build.sh"}});
  const Discovery found = world.discover(options);
  for (const char* attack :
       {"echo 'echo ok - even' >tests/run.sh\n", "rm tests/run.sh\n",
        "mv tests other; ln -s other tests\n", "mv tests/run.sh x; ln -s ../x tests/run.sh\n"}) {
    const Judgement judgement = world.judge(options, found, {{{"build.sh", attack}}});
    EXPECT_EQ(judgement.outcome, Outcome::kFail);
    ASSERT_FALSE(judgement.critiques.empty());
    const std::string claim = judgement.critiques[0].claim;
    EXPECT_TRUE(claim.contains("tests/run.sh was changed") || claim.contains("the build fails"))
        << claim;
  }
}

TEST(TestsJudge, TestsThatChangeThemselvesAreNoticed) {
  World world;
  world.files["src/setup.sh"] = "";
  world.files["tests/run.sh"] = ". src/setup.sh\n" + kProject.at("tests/run.sh");
  const Discovery found = world.discover(world.options());
  const Judgement judgement =
      world.judge(world.options(), found,
                  {{{"src/setup.sh", "echo '#' >>tests/run.sh\n"}, {"src/value", "8\n"}}});
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
}

TEST(TestsJudge, MissingAndSkippedTestsFail) {
  World world;
  world.files["src/setup.sh"] = "";
  world.files["tests/run.sh"] = ". src/setup.sh\n" + kProject.at("tests/run.sh");
  const Discovery found = world.discover(world.options());
  const auto with_setup = [&](std::string setup) {
    return world.judge(world.options(), found,
                       {{{"src/setup.sh", std::move(setup)}, {"src/value", "8\n"}}});
  };
  EXPECT_EQ(with_setup("\n").outcome, Outcome::kPass);
  const Judgement fewer = with_setup("echo 'ok - even'; echo 1..1; exit 0\n");
  EXPECT_EQ(fewer.outcome, Outcome::kFail);
  EXPECT_NE(all_text(fewer).find("small did not run"), std::string::npos);
  EXPECT_NE(all_text(fewer).find("later did not run"), std::string::npos);
  const Judgement skipped = with_setup(
      "for t in small 'even # SKIP' hidden_positive hidden_big later; do echo \"ok - $t\"; done; "
      "echo 1..5; exit 0\n");
  EXPECT_EQ(skipped.outcome, Outcome::kFail);
  EXPECT_NE(all_text(skipped).find("even was skipped"), std::string::npos);
  EXPECT_EQ(with_setup("exit 0\n").outcome, Outcome::kFail);  // no report at all
  EXPECT_EQ(with_setup("trap 'exit 7' EXIT\n").outcome,
            Outcome::kFail);  // good report, bad end
}

TEST(TestsJudge, HangAndFloodFailWithAReason) {
  World world;
  world.files["src/setup.sh"] = "";
  world.files["tests/run.sh"] = ". src/setup.sh\n" + kProject.at("tests/run.sh");
  const Json options = world.options({{"time", "1s"}, {"memory", "100MiB"}});
  const Discovery found = world.discover(options);
  const Judgement hang = world.judge(options, found, {{{"src/setup.sh", "sleep 600\n"}}});
  EXPECT_EQ(hang.outcome, Outcome::kFail);
  EXPECT_NE(all_text(hang).find("ran longer than 1.0 s"), std::string::npos) << all_text(hang);
  const Judgement bomb = world.judge(world.options({{"time", "60s"}, {"memory", "100MiB"}}), found,
                                     {{{"src/setup.sh", "while :; do sleep 60 & done\n"}}});
  EXPECT_EQ(bomb.outcome, Outcome::kFail);
  EXPECT_NE(all_text(bomb).find("processes"), std::string::npos) << all_text(bomb);
}

TEST(TestsJudge, BuildFailureIsShownWithItsPlace) {
  World world;
  world.files["src/a.c"] = "int main(void) { return 0; }\n";
  const Json options = world.options({{"build", "gcc -c src/a.c -o a.o"}});
  const Discovery found = world.discover(options);
  const Judgement judgement =
      world.judge(options, found, {{{"src/a.c", "int main(void) {\n  return x;\n}\n"}}});
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  ASSERT_EQ(judgement.critiques.size(), 1U);
  EXPECT_EQ(judgement.critiques[0].locus, "src/a.c:2");
  EXPECT_NE(judgement.critiques[0].evidence.find("undeclared"), std::string::npos);
  for (const UnitOutcome& unit : judgement.units) EXPECT_EQ(unit.outcome, Outcome::kFail);
}

TEST(TestsJudge, StaleReportsDoNotCount) {
  World world;
  world.files["out/results.tap"] = "ok - even\n1..1\n";
  world.files["tests/run.sh"] = "mkdir -p out; cp wanted out/results.tap; true\n";
  world.files["wanted"] = "not ok - even\n1..1\n";
  const Json options = world.options({{"report", "out/results.tap"}});
  const Discovery found = world.discover(options);
  ASSERT_EQ(found.units.size(), 1U);
  EXPECT_EQ(world.judge(options, found, {{{"wanted", std::nullopt}}}).outcome, Outcome::kFail);
  EXPECT_EQ(world.judge(options, found, {{{"wanted", "ok - even\n1..1\n"}}}).outcome,
            Outcome::kPass);
}

TEST(TestsJudge, ReportThatIsNoPlainFile) {
  World world;
  world.files["src/setup.sh"] = "";
  world.files["tests/run.sh"] =
      ". src/setup.sh; [ -e report ] || printf '1..1\\nnot ok - a\\n' >report\n";
  const Json options = world.options({{"report", "report"}});
  const Discovery found = world.discover(options);
  for (const char* trick : {"mkfifo report\n", "ln -s /etc/passwd report\n", "mkdir report\n"})
    EXPECT_EQ(world.judge(options, found, {{{"src/setup.sh", trick}}}).outcome, Outcome::kFail);
}

// A tool in the project's own .venv, which no snapshot holds.
TEST(TestsJudge, ToolchainsAreSeenAndStayAsTheyAre) {
  const TempDir project = TempDir::make("lathe-project").value();
  ASSERT_TRUE(apply_changes({{{".venv/bin/tool", "#!/bin/sh\necho works\n"}}}, project.path()));
  fs::permissions(project.path() / ".venv/bin/tool", fs::perms::others_exec | fs::perms::owner_exec,
                  fs::perm_options::add);
  World world;
  world.place.tree_root = project.path();
  world.files["tests/run.sh"] =
      "echo 1..1\nif [ \"$(tool)\" = works ] && [ \"$COLOUR\" = red ] && [ -x .venv/bin/tool ] && "
      "! touch .venv/x 2>/dev/null && grep -q 8 src/value; then echo ok 1 - t; else echo not ok 1 "
      "- "
      "t; fi\n";
  const Json options = world.options(
      {{"read_only", {".venv"}}, {"path", {".venv/bin"}}, {"env", {{"COLOUR", "red"}}}});
  const Discovery found = world.discover(options);
  ASSERT_EQ(found.units.size(), 1U);
  EXPECT_EQ(world.judge(options, found, value("8\n")).outcome, Outcome::kPass);
  const auto missing =
      discover_failing_tests(world.options({{"read_only", {"none"}}}), world.context);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("'none', which is not there"), std::string::npos);
}

// Packages stay as they are, and tools keep their caches beside them.
TEST(TestsJudge, NodeModulesTakeCaches) {
  const TempDir project = TempDir::make("lathe-project").value();
  ASSERT_TRUE(apply_changes({{{"node_modules/p/index.js", "1\n"}, {"node_modules/.cache/old", ""}}},
                            project.path()));
  World world;
  world.place.tree_root = project.path();
  world.files["tests/run.sh"] =
      "echo 1..1\nif mkdir node_modules/.cache && ! touch node_modules/p/x 2>/dev/null && [ -f "
      "node_modules/p/index.js ] && grep -q 8 src/value; then echo ok 1 - t; else echo not ok 1 - "
      "t; fi\n";
  const Json options = world.options({{"read_only", {"node_modules"}}});
  const Discovery found = world.discover(options);
  ASSERT_EQ(found.units.size(), 1U);
  EXPECT_EQ(world.judge(options, found, value("8\n")).outcome, Outcome::kPass);
  EXPECT_FALSE(fs::exists(project.path() / "node_modules/p/x"));
}

// The file's import fails, so it is reported as a test; then its tests are.
TEST(TestsJudge, AFileThatCouldNotBeLoadedPassesWithItsTests) {
  World world;
  world.files["tests/run.sh"] =
      "echo 1..1\nif grep -q 8 src/value; then echo ok 1 - a.py::t; else echo not ok 1 - a.py; "
      "fi\n";
  const Discovery found = world.discover(world.options());
  ASSERT_EQ(found.units.size(), 1U);
  const Judgement judgement = world.judge(world.options(), found, value("8\n"));
  EXPECT_EQ(judgement.outcome, Outcome::kPass) << all_text(judgement);
}

TEST(TestsJudge, WithoutABaselineNoResultsAreNotJudged) {
  World world;
  const Discovery none;
  EXPECT_EQ(world.judge(world.options(), none, value("8\n")).outcome, Outcome::kPass);
  EXPECT_EQ(world.judge(world.options(), none, value("7\n")).outcome, Outcome::kFail);
  EXPECT_FALSE(world.judge_raw(world.options({{"command", "true"}}), none, {}));
  EXPECT_FALSE(world.judge_raw(world.options({{"command", "no-such-program-here"}}), none, {}));
  const Json options = world.options();
  const auto garbage = kTestsJudge.judge(
      [&] {
        JudgeTask task{options, {}, {}};
        task.bytes = "not changes";
        return task;
      }(),
      world.context);
  EXPECT_FALSE(garbage);
}

TEST(TestsJudge, ExitFormatNeedsNoReport) {
  World world;
  const Json options = world.options({{"command", "grep -q 8 src/value"}, {"format", "exit"}});
  const Discovery found = world.discover(options);
  ASSERT_EQ(found.units.size(), 1U);
  EXPECT_EQ(found.units[0].key, "command");
  EXPECT_EQ(world.judge(options, found, value("8\n")).outcome, Outcome::kPass);
  EXPECT_EQ(world.judge(options, found, value("7\n")).outcome, Outcome::kFail);
}

// Where the output names failures alone, a test that is named no longer passes with the command,
// and a twin must fail; where it names more, that counts, too.
TEST(TestsJudge, AnyFormatTakesTheStatusAndWhatCanBeRead) {
  World world;
  const auto options = [&](const std::string& command) {
    return world.options({{"command", command}, {"format", "any"}, {"twin", false}});
  };
  const Json terse = options(
      "grep -q 8 src/value || { printf 'F [100%%]\\n====== short test summary info ======\\nFAILED "
      "a.py::t - assert 1\\n1 failed in 0.01s\\n'; exit 1; }");
  const Discovery found = world.discover(terse);
  ASSERT_EQ(found.units.size(), 1U);
  EXPECT_EQ(found.units[0].key, "a.py::t");
  EXPECT_EQ(world.judge(terse, found, value("8\n")).outcome, Outcome::kPass);
  EXPECT_EQ(world.judge(terse, found, value("7\n")).outcome, Outcome::kFail);

  // Its own status is always good: then what is not named did not run.
  const Json piped = options(
      "grep -q 8 src/value || { grep -q 3 src/value && printf '====== short test summary info "
      "======\\nFAILED a.py::t - assert 1\\n1 failed in 0.01s\\n'; } | tail -3");
  const Discovery hidden = world.discover(piped);
  ASSERT_EQ(hidden.units.size(), 1U);
  EXPECT_EQ(hidden.units[0].key, "a.py::t");
  EXPECT_EQ(world.judge(piped, hidden, value("crash\n")).outcome, Outcome::kFail);
  EXPECT_EQ(world.judge(piped, hidden, value("8\n")).outcome, Outcome::kFail);

  const Json silent = options("grep -q 8 src/value");
  const Discovery whole = world.discover(silent);
  ASSERT_EQ(whole.units.size(), 1U);
  EXPECT_EQ(whole.units[0].key, "command");
  EXPECT_EQ(world.judge(silent, whole, value("8\n")).outcome, Outcome::kPass);
  const Json named = options("printf '1..2\\nok 1 - a\\nnot ok 2 - b\\n'; grep -q 8 src/value");
  const Judgement half = world.judge(named, whole, value("8\n"));
  EXPECT_EQ(half.outcome, Outcome::kFail);  // whatever the status says
  ASSERT_EQ(half.units.size(), 1U);
  EXPECT_EQ(half.units[0].outcome, Outcome::kFail);
  const Json skipped = options("printf '1..1\\nok 1 - a # SKIP\\n'; grep -q 8 src/value");
  EXPECT_EQ(world.judge(skipped, whole, value("8\n")).outcome, Outcome::kFail);
}

TEST(TestsJudge, DiscoveryErrorsShowTheOutput) {
  World world;
  const auto message = [&](Json given) {
    const auto found = discover_failing_tests(world.options(std::move(given)), world.context);
    return found ? std::string() : found.error().message;
  };
  EXPECT_NE(message({{"command", "echo nothing here"}}).find("nothing here"), std::string::npos);
  EXPECT_NE(message({{"command", "no-such-program"}}).find("no-such-program"), std::string::npos);
  EXPECT_NE(message({{"build", "echo broken; false"}}).find("broken"), std::string::npos);
  EXPECT_NE(message({{"report", "none.xml"}}).find("none.xml"), std::string::npos);
  EXPECT_NE(message({{"report", "../x"}}).find("../x"), std::string::npos);
  EXPECT_NE(message({{"format", "xunit"}}).find("xunit"), std::string::npos);
  world.place.checkout = nullptr;
  EXPECT_NE(message({}).find("no source tree"), std::string::npos);
}

// A library of functions: its fix may trap, where the recipe says that this is its business.
TEST(TestsJudge, AllowedMachineryPassesOthersAreNamed) {
  World world;
  world.files["src/lib.sh"] = "twice() { echo $1; }\n";
  world.files["tests/run.sh"] =
      ". src/lib.sh\n[ \"$(twice 2)\" = 4 ] && echo 'ok - twice' || echo 'not ok - twice'\necho "
      "1..1\n";
  const Changes fix{{{"src/lib.sh", "trap 'echo bye >&2' EXIT\ntwice() { echo $(($1 * 2)); }\n"}}};
  const Json strict = world.options();
  const Discovery found = world.discover(strict);
  const Judgement judgement = world.judge(strict, found, fix);
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  ASSERT_FALSE(judgement.critiques.empty());
  EXPECT_EQ(judgement.critiques[0].locus, "src/lib.sh:1");
  EXPECT_NE(judgement.critiques[0].claim.find("(trap)"), std::string::npos);
  EXPECT_EQ(judgement.evidence["machinery"][0]["name"], "trap");
  EXPECT_EQ(world.judge(world.options({{"allow", {"trap"}}}), found, fix).outcome, Outcome::kPass);
  EXPECT_EQ(world.judge(world.options({{"allow", {"alias"}}}), found, fix).outcome, Outcome::kFail);
}

TEST(TestsJudge, ATwinThatPassesFailsTheCandidateAndTellsNoHeldOutName) {
  World world;
  world.files["src/lib.sh"] = "twice() { echo $1; }\n";
  world.files["tests/run.sh"] =
      ". src/lib.sh\nfor name in shown hidden_one; do\n"
      "  [ \"${answer:-$(twice 2)}\" = 4 ] && echo \"ok - $name\" || echo \"not ok - "
      "$name\"\ndone\necho 1..2\n";
  const Json options = world.options({{"held_out", {"hidden_*"}}});
  const Discovery found = world.discover(options);
  const Changes cheat{{{"src/lib.sh", "twice() { echo $1; }\nanswer=$(echo 4)\n"}}};
  const Judgement judgement = world.judge(options, found, cheat);
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  EXPECT_NE(all_text(judgement).find("shown passes also when"), std::string::npos)
      << all_text(judgement);
  EXPECT_EQ(all_text(judgement).find("hidden_one"), std::string::npos) << all_text(judgement);
  EXPECT_EQ(judgement.evidence["twin"]["pass all the same"], 2);
  const Json without = world.options({{"held_out", {"hidden_*"}}, {"twin", false}});
  EXPECT_EQ(world.judge(without, found, cheat).outcome, Outcome::kPass);
  const Changes fix{{{"src/lib.sh", "twice() { echo $(($1 * 2)); }\n"}}};
  EXPECT_EQ(world.judge(options, found, fix).outcome, Outcome::kPass);
}

TEST(TestsJudge, WhatStillRunsAtTheEndFails) {
  World world;
  world.files["src/setup.sh"] = "";
  world.files["tests/run.sh"] = ". src/setup.sh\n" + kProject.at("tests/run.sh");
  const Json options = world.options({{"allow", {"processes"}}});
  const Discovery found = world.discover(options);
  const Changes leaves{{{"src/setup.sh", "sleep 60 >/dev/null 2>&1 &\n"}, {"src/value", "8\n"}}};
  const Judgement judgement = world.judge(options, found, leaves);
  EXPECT_EQ(judgement.outcome, Outcome::kFail);
  EXPECT_NE(all_text(judgement).find("still runs when the tests have ended: sleep"),
            std::string::npos);
  // What was left before the change, too, is the project's own way.
  world.files["src/setup.sh"] = "sleep 60 >/dev/null 2>&1 &\n";
  EXPECT_EQ(world.judge(options, world.discover(options), value("8\n")).outcome, Outcome::kPass);
}

TEST(TestsJudge, ExamplesHaveOneFaultEach) {
  for (const auto& [name, command, format, faults] :
       {std::tuple{"python", "/usr/bin/python3 tests/run.py", "tap", 2},
        std::tuple{"shell", "sh tests/run.sh", "tap", 2}}) {
    World world;
    world.place.checkout = [name = name](const fs::path& directory) -> Status {
      fs::copy(fs::path(LATHE_SOURCE_DIR "/examples/fix-tests") / name, directory,
               fs::copy_options::recursive | fs::copy_options::overwrite_existing);
      return {};
    };
    const Discovery found =
        world.discover(world.options({{"command", command}, {"format", format}}));
    EXPECT_EQ(std::ssize(found.units), faults) << name;
  }
}

}  // namespace
}  // namespace lathe::loop
