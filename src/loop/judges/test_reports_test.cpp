// Reports of real test runners, cut, mixed up and huge ones.
#include "loop/judges/test_reports.h"

#include <gtest/gtest.h>

#include "ground/base/file.h"
#include "ground/base/json.h"

namespace lathe::loop {
namespace {

std::string_view word(TestOutcome outcome) {
  return outcome == TestOutcome::kPass ? "pass" : outcome == TestOutcome::kSkip ? "skip" : "fail";
}

// Each file in tests/cases/test_reports is a runner's real output; what it says stands in the .json
// beside it.
std::vector<std::string> samples() {
  std::vector<std::string> names;
  const auto files = list_files(LATHE_SOURCE_DIR "/tests/cases/test_reports").value();
  for (const std::string& file : files)
    if (!file.ends_with(".json")) names.push_back(file);
  return names;
}

std::string sample(const std::string& name) {
  return read_file(fs::path(LATHE_SOURCE_DIR "/tests/cases/test_reports") / name).value();
}

class TestReports : public ::testing::TestWithParam<std::string> {};

TEST_P(TestReports, SaysWhatTheRunnerSaid) {
  const std::string bytes = sample(GetParam());
  const Json expected = parse_json(sample(GetParam() + ".json")).value();
  EXPECT_EQ(guess_test_format(bytes), json_string(expected, "format"));
  const auto report = read_test_report("auto", bytes);
  ASSERT_TRUE(report) << report.error().message;
  Json seen = Json::object();
  for (const TestResult& test : report->tests) seen[test.name] = word(test.outcome);
  EXPECT_EQ(canonical_json(seen), canonical_json(json_at(expected, "tests")));
  for (const auto& [name, text] : json_at(expected, "texts").items())
    for (const TestResult& test : report->tests)
      if (test.name == name) {
        EXPECT_NE(test.text.find(text.get<std::string>()), std::string::npos) << test.text;
      }
}

// A report that was cut off may lack tests, but never has one more or a better outcome.
TEST_P(TestReports, TruncationInventsNothing) {
  const std::string bytes = sample(GetParam());
  const std::string format(guess_test_format(bytes));
  const TestReport whole = read_test_report(format, bytes).value();
  for (std::size_t cut = 0; cut < bytes.size(); cut += 7) {
    const auto part = read_test_report(format, std::string_view(bytes).substr(0, cut));
    if (part) {
      EXPECT_LE(part->tests.size(), whole.tests.size() + 1) << cut;  // +1: half a name
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Samples, TestReports, ::testing::ValuesIn(samples()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST(TestReport, ErrorsSayWhatIsWrong) {
  EXPECT_NE(read_test_report("auto", "hello").error().message.find("set 'format'"),
            std::string::npos);
  EXPECT_NE(read_test_report("junit", "<testsuite").error().message.find("not XML"),
            std::string::npos);
  EXPECT_FALSE(read_test_report("junit", "<html/>"));
  EXPECT_FALSE(read_test_report("junit", "<testsuites/>"));
  EXPECT_FALSE(read_test_report("tap", ""));
  EXPECT_FALSE(read_test_report("nonsense", "ok 1"));
  EXPECT_NE(read_test_report("tap", "1..3\nok 1\nok 2\n").error().message.find("plans 3"),
            std::string::npos);
  EXPECT_FALSE(read_test_report("tap", "ok 1\n1..1\nBail out! no disk\n"));
  EXPECT_NE(read_test_report("tap", "ok 1\nok 2\n").error().message.find("has no plan"),
            std::string::npos);
  EXPECT_NE(read_test_report("tap", "1..1\nok 1 - a\nok 2 - b\n").error().message.find("plans 1"),
            std::string::npos);
  EXPECT_FALSE(read_test_report("tap", "1..0 # SKIP nothing here\n"));
  EXPECT_FALSE(read_test_report("go", "?   \tex/c\t[no test files]\n"));
}

TEST(TestReport, HugeInputIsBounded) {
  EXPECT_FALSE(read_test_report("tap", std::string(kMaxReportBytes + 1, 'x')));
  std::string many;
  for (std::size_t i = 0; i <= kMaxTests; ++i) many += fmt::format("ok {}\n", i);
  many += fmt::format("1..{}\n", kMaxTests + 1);
  EXPECT_FALSE(read_test_report("tap", many));
  std::string deep = "<testsuites>";
  for (int i = 0; i < 100'000; ++i) deep += "<testsuite>";
  EXPECT_FALSE(read_test_report("junit", deep));
  const std::string name(1 << 20, 'n');
  const auto report = read_test_report("tap", "not ok 1 - " + name + "\n# " + name + "\n1..1\n");
  ASSERT_TRUE(report);
  EXPECT_LT(report->tests[0].name.size(), 600U);
  EXPECT_LT(report->tests[0].text.size(), 9000U);
}

// One that keeps writing about a test while others are added (found by the fuzzer).
TEST(TestReport, FormsMixedUp) {
  std::string text = "--- FAIL: TestA (0.00s)\n";
  for (int i = 0; i < 100; ++i)
    text += fmt::format("{{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"T{}\"}}\n", i);
  const auto report = read_test_report("go", text + "    a_test.go:3: late word\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->tests.size(), 101U);
  for (const TestResult& test : report->tests) {
    if (test.name != "TestA") continue;
    EXPECT_EQ(test.text, "a_test.go:3: late word");
  }
}

TEST(TestReport, BytesThatAreNotText) {
  const auto report = read_test_report("tap", "ok 1 - a\xff\x01z\n1..1\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->tests[0].name, "a\xEF\xBF\xBD z");
}

}  // namespace
}  // namespace lathe::loop
