// A run as JSON: what a page or a script finds in it.
#include "show/run/json.h"

#include <gmock/gmock.h>

#include "show/run/test_run.h"

namespace lathe::show {
namespace {

TEST(ShowJsonTest, ASummaryHasTheTableAndTheTotals) {
  const Json json = to_json(summary_of(finished_run()));
  EXPECT_EQ(json["outcome"], "partial");
  EXPECT_EQ(json["units"], 2);
  EXPECT_EQ(json["units_passed"], 1);
  EXPECT_EQ(json["tracks"][0]["units"][0], (Json{{"key", "A"}, {"passed", true}}));
  EXPECT_EQ(json["tracks"][0]["scores"], (Json{4.0, 10.0}));
  EXPECT_EQ(json["tracks"][1]["scores"], Json::array({nullptr}));
  EXPECT_EQ(json["tracks"][1]["state"], "gave_up");
  EXPECT_EQ(json["spent"][1], (Json{{"name", "tokens"}, {"spent", 30.0}, {"limit", 1000.0}}));
  EXPECT_TRUE(json["spent"][2]["limit"].is_null());
}

TEST(ShowJsonTest, AViewHasEveryLapCandidateVerdictAndExhibit) {
  const auto entries = finished_entries();
  const Json json = to_json(view_of(finished_run(), entries));
  EXPECT_EQ(json["title"], "notice.md");
  const Json& track = json["tracks"][0];
  EXPECT_EQ(track["rule"], "passed");
  ASSERT_EQ(track["laps"].size(), 2U);
  EXPECT_EQ(track["laps"][1]["move"], "repair");
  const Json& candidate = track["laps"][0]["candidates"][0];
  EXPECT_EQ(candidate["blob"], "a1");
  const Json& verdict = candidate["verdicts"][0];
  EXPECT_EQ(verdict["outcome"], "fail");
  EXPECT_EQ(verdict["critiques"][0]["claim"], "it is too long");
  EXPECT_EQ(verdict["evidence"], (Json{{"words", 3}}));
  EXPECT_EQ(verdict["exhibits"][0]["kind"], "picture");
  EXPECT_EQ(verdict["exhibits"][0]["png"], "cGlj");
  EXPECT_EQ(verdict["exhibits"][0]["boxes"][0], (Json{10, 20, 30, 5}));
  EXPECT_EQ(json["tracks"][1]["laps"][0]["candidates"][0]["error"], "no text in it");
  EXPECT_EQ(json["yield"]["usable"], 2);
}

// What is printed can be read again.
TEST(ShowJsonTest, ItIsJson) {
  const Json json = to_json(view_of(finished_run(), finished_entries()));
  EXPECT_EQ(parse_json(dump_json(json)).value(), json);
}

}  // namespace
}  // namespace lathe::show
