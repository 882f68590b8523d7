// Records: what they hold, that any changed figure is found and named, and what is refused.
#include "app/bench/record.h"

#include <gmock/gmock.h>

#include "app/bench/fake_target_test.h"
#include "app/bench/page.h"
#include "app/bench/quality.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;

Json good_record() {
  FakeTarget target({});
  StopFlag stop;
  ServePlan plan;
  plan.seconds = 20;
  plan.people = {1, 2, 4};
  plan.shares = {0.5};
  plan.shape.prompt_tokens = 40;
  const ServeResult serve = *measure_serve(target, plan, stop, [](const Point&) {});
  const TempDir root = *TempDir::make();
  Sensors sensors(root.path());
  const SustainedResult sustained =
      *measure_sustained(target, {ClosedLoop{1}, 30, 1}, plan.shape, serve.calibration, plan.slo,
                         sensors, stop, [](const Reading&) {});
  Json rows = Json::array();
  rows.push_back(row_json(make_row("decode", 64, "tok/s", {100, 102, 98})));
  rows.push_back(row_json(make_row("plain reads", 64, "GB/s", {20, 21, 19})));
  Json quality =
      quality_json({{{5, 6, 7}, {10'000'000, 30'000'000}, 4'000'000'000, 4'100'000'000, 1}});
  quality["bigger"] = {{"model", "b.gguf"}};
  return {{"schema", kBenchSchema},
          {"kind", kBenchKind},
          {"started", "2026-12-01T00:00:00Z"},
          {"wall_us", 200'000'000},
          {"models",
           {{{"model", "a.gguf"},
             {"bytes_per_token", 100'000'000},
             {"rows", rows},
             {"quality", quality},
             {"turns",
              {{{"target", "lathe"},
                {"serve", serve_json(plan, serve)},
                {"sustained", sustained_json(plan.slo, sustained)}}}}}}}};
}

struct Records : ::testing::Test {
  const Json record = *parse_record(record_text(good_record()));

  // What is said of the record with the text `from`, which is there, replaced once from `at` on.
  std::string said_of(const std::function<void(Json&)>& change) {
    Json changed = record;
    change(changed);
    const auto read = parse_record(record_text(changed));
    if (!read) return read.error().message;
    const Status status = check_record(*read);
    return status ? "" : status.error().message;
  }
  static Json& turn(Json& json) { return json["models"][0]["turns"][0]; }
};

TEST_F(Records, AGoodOneAddsUp) {
  const Status status = check_record(record);
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(record_text(record), record_text(good_record()));  // the same bytes each time
}

TEST_F(Records, AnyChangedFigureIsNamed) {
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["rows"][0]["median"] = "101"; }),
              HasSubstr("models[0].rows[0].median: it says \"101\", its samples come to \"100\""));
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["rows"][0]["samples"][1] = "112"; }),
              HasSubstr("models[0].rows[0].high: it says \"102\", its samples come to \"112\""));
  EXPECT_THAT(said_of([](Json& json) {
                turn(json)["serve"]["closed"][1]["summary"]["first_ms"]["median"] = "1";
              }),
              HasSubstr("models[0].turns[0].serve.closed[1].summary.first_ms.median"));
  EXPECT_THAT(said_of([](Json& json) {
                Json& piece = turn(json)["serve"]["closed"][0]["samples"][5]["pieces_us"][0];
                piece = piece.get<std::int64_t>() - 50'000;
              }),
              HasSubstr("models[0].turns[0].serve.closed[0].summary"));
  EXPECT_THAT(said_of([](Json& json) { turn(json)["serve"]["best"] = "4 at once"; }),
              HasSubstr("serve.best"));
  EXPECT_THAT(said_of([](Json& json) { turn(json)["serve"]["overload"]["closed"] = Json(); }),
              HasSubstr("serve.overload"));
  EXPECT_THAT(said_of([](Json& json) { turn(json)["sustained"]["ratio"] = "1.01"; }),
              HasSubstr("models[0].turns[0].sustained.ratio"));
  EXPECT_THAT(said_of([](Json& json) { turn(json)["serve"]["same_bits"]["hash"] = "0"; }),
              HasSubstr("same_bits.hash"));
  EXPECT_THAT(said_of([](Json& json) { turn(json)["sustained"]["joules_per_token"] = "0.1"; }),
              HasSubstr("sustained.joules_per_token"));
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["rows"][1]["noisy"] = true; }),
              HasSubstr("rows[1].noisy"));
  const auto quality = [](Json& json) -> Json& { return json["models"][0]["quality"]; };
  EXPECT_THAT(
      said_of([&](Json& json) { quality(json)["kl"]["mean"] = "0.01"; }),
      HasSubstr("models[0].quality.kl.mean: it says \"0.01\", its samples come to \"0.02\""));
  EXPECT_THAT(said_of([&](Json& json) { quality(json)["chunks"][0]["model_nll_nanonats"] = 1; }),
              HasSubstr("models[0].quality.perplexity.model"));
  EXPECT_THAT(said_of([&](Json& json) { quality(json)["same_top"]["high"] = "0.9"; }),
              HasSubstr("models[0].quality.same_top.high"));
  EXPECT_THAT(
      said_of([&](Json& json) { quality(json)["chunks"][0]["kl_nanonats"][1] = 20'000'000; }),
      HasSubstr("models[0].quality.kl"));
  EXPECT_THAT(said_of([&](Json& json) { quality(json)["positions"] = 3; }),
              HasSubstr("models[0].quality.positions"));
  EXPECT_THAT(said_of([&](Json& json) {
                json["models"][0]["quality"] = {{"kl", {}}};
              }),
              HasSubstr("models[0].quality.chunks: there are none"));
  // An answer that is made a failure.
  EXPECT_THAT(said_of([](Json& json) {
                turn(json)["serve"]["closed"][0]["samples"][3]["error"] = "status 500";
              }),
              HasSubstr("summary.answered"));
}

TEST_F(Records, WhatCannotBeIsNamed) {
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["rows"][0]["samples"][0] = "nan"; }),
              HasSubstr("models[0].rows[0].samples[0]: must be a finite decimal"));
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["rows"][0]["samples"] = Json::array(); }),
              HasSubstr("there are none"));
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["bytes_per_token"] = 1.5; }),
              HasSubstr("record.models[0].bytes_per_token: a float"));
  // 100 tokens a second of 300 MB each, where memory gives 21 GB/s.
  EXPECT_THAT(said_of([](Json& json) { json["models"][0]["bytes_per_token"] = 300'000'000; }),
              HasSubstr("are 30.0 GB/s, but memory gave 21.0"));
  EXPECT_THAT(said_of([](Json& json) { json["wall_us"] = 60'000'000; }),
              HasSubstr("wall_us: it says 60000000, what was measured"));
  EXPECT_THAT(said_of([](Json& json) {
                turn(json)["serve"]["closed"][0]["samples"][0]["end_us"] = 99'000'000;
              }),
              HasSubstr("lies behind the point's wall_us"));
  EXPECT_THAT(said_of([](Json& json) {
                turn(json)["serve"]["closed"][0]["samples"][0]["pieces_us"][3] = 1;
              }),
              HasSubstr("do not fall"));
}

TEST_F(Records, OthersAreRefused) {
  EXPECT_THAT(said_of([](Json& json) { json["schema"] = kBenchSchema + 1; }),
              HasSubstr("a newer lathe is needed"));
  EXPECT_THAT(said_of([](Json& json) { json["kind"] = "other"; }), HasSubstr("no record"));
  EXPECT_THAT(said_of([](Json& json) { json["models"] = 3; }), HasSubstr("no models"));
  EXPECT_FALSE(parse_record("["));
  EXPECT_FALSE(parse_record("[]"));
}

TEST_F(Records, APageShowsThem) {
  const std::string page = bench_page(record);
  for (const char* words : {"<svg", "4 at once", "Overloaded at 4 at once", "the same answer",
                            "0.02 ± 0.01", "b.gguf", "Sustained", "not readable here"})
    EXPECT_THAT(page, HasSubstr(words));
  EXPECT_EQ(page.find("<script"), page.npos);
  EXPECT_EQ(page.find("http"), page.find("http-equiv"));
  // Whatever a record says, it is text.
  Json hostile = record;
  hostile["models"][0]["model"] = "<script>alert(1)</script>";
  hostile["faults"] = Json::array({"<img src=x>"});
  const std::string shown = bench_page(hostile);
  EXPECT_EQ(shown.find("<script>"), shown.npos);
  EXPECT_EQ(shown.find("<img"), shown.npos);
  // And what is no record at all does no harm.
  EXPECT_THAT(bench_page({{"models", {{{"turns", {{{"serve", 3}}}}}}}}), HasSubstr("</html>"));
}

TEST_F(Records, APageShowsAGrid) {
  const Json row = {{"model", "<img src=x>"},
                    {"of", "group"},
                    {"name", ""},
                    {"passed", 0},
                    {"judged", 4},
                    {"rate", "0"},
                    {"low", "0"},
                    {"high", "0.489891"},
                    {"money_a_pass", nullptr},
                    {"currency", "USD"}};
  Json unpriced = row;
  unpriced["unpriced"] = 1;
  const std::string page = bench_page(
      {{"grid", {{"rows", {row, unpriced}}, {"pairs", {{{"a", "<b>"}, {"p", "0.5"}}}}}}});
  EXPECT_THAT(page, HasSubstr("<td>no group<td>0/4<td>"));
  EXPECT_THAT(page, HasSubstr("0.0 % <span class=dim>(0.0 … 49.0)</span>"));
  EXPECT_THAT(page, HasSubstr("<td>–<td>–</tr>")) << "no pass, so nothing that one costs";
  EXPECT_THAT(page, HasSubstr("<td>unpriced</tr>"));
  EXPECT_EQ(page.find("<img"), page.npos);
  EXPECT_EQ(page.find("<b>"), page.npos);
  EXPECT_THAT(bench_page({{"grid", {{"rows", 3}, {"pairs", "x"}}}}), HasSubstr("</html>"));
}

TEST(Decimals, SayWhatTheyHold) {
  EXPECT_EQ(decimal(12.5), "12.5");
  EXPECT_EQ(decimal(100), "100");
  EXPECT_EQ(decimal(-0.0), "0");
  EXPECT_EQ(decimal(1.0 / 3), "0.333333");
  EXPECT_EQ(decimal(1.26e-8, 9), "0.000000013");
  EXPECT_EQ(parse_decimal("0.333333"), 0.333333);
  for (const char* text : {"", "nan", "inf", "1e999", "1 ", "x", "0x1"})
    EXPECT_FALSE(parse_decimal(text)) << text;
}

}  // namespace
}  // namespace lathe::app
