// Pictures by a worker: what it is asked in each lap, what is changed where, and its faults.
#include "loop/makers/picture.h"

#include <gmock/gmock.h>

#include "ground/media/picture_decode.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

// Answers each request with the next of its pictures or errors, the last again and again.
class Painter final : public Worker {
 public:
  explicit Painter(std::vector<Result<std::string>> answers) : answers_(std::move(answers)) {}
  WorkerInfo info() const override { return {"painter", "m", "here", Reach::kLocal}; }
  Result<Reply> complete(const Request&, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    return invalid("it only paints");
  }
  Result<Painted> paint(const PictureRequest& asked, const StopFlag&) override {
    const auto& answer = answers_[std::min(seen.size(), answers_.size() - 1)];
    seen.push_back(asked);
    if (!answer) return std::unexpected(answer.error());
    Painted painted{*Media::of_file(*answer), "m-1", {}};
    painted.usage.calls = 1;
    return painted;
  }
  std::vector<PictureRequest> seen;

 private:
  std::vector<Result<std::string>> answers_;
};

std::string picture(int width, int height) {
  return png_bytes(blank_picture(width, height));
}

Critique fault(const char* locus, const char* claim) {
  return {locus, "must", claim, "", std::string("eyes:wrong:") + claim};
}

const std::vector<std::string> kRungs{"painter", "layout"};

struct Making {
  const MakerKind& kind;
  Json options;
  std::vector<Unit> units{{"L1", "Summer|By the lake", Json::object()}};
  Place place = {};
  StopFlag stop = {};
  Usage usage = {};

  explicit Making(const char* name, const Json& given = Json::object())
      : kind(*find_maker(name)), options(*check_options(given, kind.options)) {
    place.program = "/proc/self/exe";
  }
  Result<Made> make(Worker* worker, const Json& setting, const std::string& best = "",
                    std::vector<Critique> critiques = {}, const char* rung = "painter", int n = 0) {
    MakeTask task{options, units};
    task.lap = 2;
    task.n_index = n;
    task.rung = rung;
    task.setting = setting;
    if (!best.empty()) task.best = best;
    task.critiques = std::move(critiques);
    const MakeContext context{.place = place, .worker = worker, .stop = stop, .usage = &usage};
    return kind.make(task, context);
  }
  std::optional<Proposal> propose(const std::vector<Attempt>& attempts,
                                  std::span<const std::string> ladder = kRungs) const {
    return kind.propose(
        {.options = options, .ladder = ladder, .units = units, .attempts = attempts});
  }
};

Attempt after(const Proposal& proposal, int lap, bool gained, std::vector<Critique> critiques) {
  Attempt attempt;
  attempt.lap = lap;
  attempt.move = proposal.move;
  attempt.rung = proposal.rung;
  attempt.setting = proposal.setting;
  attempt.made = attempt.gained = gained;
  attempt.score = 0.5;
  attempt.critiques = std::move(critiques);
  return attempt;
}

TEST(PictureMaker, AsksForAPictureAndKeepsItAsItIs) {
  Making making("picture", {{"size", "1280x704"}});
  Painter painter({picture(640, 352)});
  const auto made = making.make(&painter, {{"seed", 2000}}, "", {}, "painter", 1);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->bytes, picture(640, 352));
  EXPECT_EQ(made->media_type, "image/png");
  EXPECT_EQ(made->extension, "png");
  EXPECT_EQ(made->facts["seed"], 2001);
  // Another size than was asked for is said, and left to the judges.
  EXPECT_EQ(made->facts["size"], "640x352");
  EXPECT_EQ(made->facts["asked_size"], "1280x704");
  ASSERT_EQ(painter.seen.size(), 1U);
  EXPECT_EQ(painter.seen[0].prompt, "Summer|By the lake");
  EXPECT_EQ(painter.seen[0].width, 1280);
  EXPECT_EQ(painter.seen[0].seed, 2001);
  EXPECT_EQ(painter.seen[0].picture, "");
  EXPECT_EQ(making.usage.calls, 1);
}

TEST(PictureMaker, ARepairChangesTheBestOneWhereItsFaultsAre) {
  Making making("picture");
  Painter painter({picture(200, 100)});
  const std::string best = picture(200, 100);
  const auto made = making.make(&painter, {{"seed", 1000}, {"change", true}}, best,
                                {fault("box 50,40 20x10", "'Sumer' stands for 'Summer'")});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->facts["changed"], true);
  const PictureRequest& asked = painter.seen[0];
  EXPECT_EQ(asked.picture, best);
  EXPECT_EQ(asked.seed, 1000);
  EXPECT_THAT(asked.prompt, HasSubstr("\n- 'Sumer' stands for 'Summer'"));
  const auto mask = decode_picture(asked.mask);
  ASSERT_TRUE(mask) << mask.error().message;
  ASSERT_EQ(mask->box(), (Box{0, 0, 200, 100}));
  EXPECT_EQ(*mask->at(60, 45), 255) << "open";
  EXPECT_EQ(*mask->at(150, 45), 0) << "closed";
  EXPECT_EQ(*mask->at(60, 80), 0);
}

TEST(PictureMaker, AWorkerThatChangesNoneMakesAnotherOne) {
  Making making("picture");
  Painter painter({std::unexpected(Error{ErrorKind::kNotFound, "no path", kChangesNoPictures}),
                   picture(64, 64)});
  const auto made = making.make(&painter, {{"seed", 1000}, {"change", true}}, picture(64, 64),
                                {fault("box 5,4 2x1", "wrong")});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(painter.seen.size(), 2U);
  EXPECT_EQ(painter.seen[1].picture + painter.seen[1].mask, "");
  EXPECT_NE(painter.seen[1].seed, 1000);
  EXPECT_THAT(painter.seen[1].prompt, HasSubstr("\n- wrong"));
  EXPECT_EQ(made->facts["changed"], false);
}

TEST(PictureMaker, WhatIsNoPictureIsNoTake) {
  Making making("picture");
  const std::string whole = picture(300, 200);
  for (const std::string& file : {whole.substr(0, whole.size() / 2), whole.substr(0, 20),
                                  std::string("GIF89a") + std::string(40, 'x')}) {
    Painter painter({file});
    const auto made = making.make(&painter, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind, ErrorKind::kInvalid) << made.error().message;
    EXPECT_THAT(made.error().message, HasSubstr("painter"));
  }
  Painter prude({std::unexpected(Error{ErrorKind::kInvalid, "its rules forbid", kContentRefused})});
  const auto refused = making.make(&prude, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid) << "a lap without a take";
  EXPECT_THAT(refused.error().message, HasSubstr("its rules forbid"));
}

TEST(PictureMaker, MovesHaveSeedsAndChangesKeepThem) {
  const Making making("picture");
  const std::vector<std::string> ladder{"painter"};
  const auto first = making.propose({}, ladder);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->setting, (Json{{"seed", 1000}}));
  const Critique here = fault("box 1,2 3x4", "wrong"), nowhere = fault("", "missing");
  const auto change = making.propose({after(*first, 1, true, {here})}, ladder);
  EXPECT_EQ(change->move, Move::kRepair);
  EXPECT_EQ(change->setting, (Json{{"seed", 1000}, {"change", true}}));
  // What is nowhere cannot be mended in its place.
  const auto anew = making.propose({after(*first, 1, true, {here, nowhere})}, ladder);
  EXPECT_EQ(anew->setting, (Json{{"seed", 2000}}));
  // The second of several; and a change that made nothing better is not made again.
  Attempt second = after(*first, 1, true, {here});
  second.n = 1;
  EXPECT_EQ(making.propose({second}, ladder)->setting["seed"], 1001);
  Attempt changed = after(*change, 2, false, {here});
  changed.made = true;
  const auto fresh = making.propose({after(*first, 1, true, {here}), changed}, ladder);
  EXPECT_EQ(fresh->move, Move::kResample);
  EXPECT_EQ(fresh->setting, (Json{{"seed", 3000}}));
  const auto after_nothing = making.propose({after(*first, 1, false, {})}, ladder);
  EXPECT_EQ(after_nothing->setting, (Json{{"seed", 2000}}));
}

TEST(PictureMaker, ChecksItsSize) {
  for (const char* size : {"1024", "10x10", "99999x99999", ""}) {
    const Making making("picture", {{"size", size}});
    EXPECT_FALSE(making.kind.check(making.options, {})) << size;
  }
}

TEST(PosterPainted, TheWorkerPaintsAndTheLayoutFollows) {
  Making making("poster", {{"paint_size", "1024x576"}});
  Painter painter({picture(1024, 576)});
  const auto first = making.propose({});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->setting, (Json{{"seed", 1000}}));
  const auto made = making.make(&painter, first->setting);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(painter.seen[0].width, 1024);
  EXPECT_THAT(painter.seen[0].prompt, HasSubstr("the words \"Summer\", \"By the lake\", exactly"));

  // A worker that gets nowhere is left for the layout, which begins as it is asked for.
  std::vector<Attempt> attempts;
  std::optional<Proposal> next = first;
  while (next && next->rung == 0 && attempts.size() < 20) {
    attempts.push_back(after(*next, static_cast<int>(attempts.size()) + 1, attempts.empty(),
                             {fault("box 1,2 3x4", "wrong")}));
    next = making.propose(attempts);
  }
  ASSERT_TRUE(next && next->rung == 1);
  EXPECT_EQ(next->move, Move::kEscalate);
  EXPECT_TRUE(next->setting.contains("wrap"));
  const auto laid = making.make(nullptr, next->setting, "", {}, "layout");
  ASSERT_TRUE(laid) << laid.error().message;
  EXPECT_EQ(decode_picture(laid->bytes)->box(), (Box{0, 0, 1280, 720}));
  // Its repairs stay on its rung.
  Attempt clipped = after(*next, 9, true, {fault("box 1,2 3x4", "")});
  clipped.critiques[0].fingerprint = "eyes:clipped:x";
  attempts.push_back(clipped);
  const auto repair = making.propose(attempts);
  ASSERT_TRUE(repair);
  EXPECT_EQ(repair->rung, 1);
  EXPECT_EQ(repair->move, Move::kRepair);
}

TEST(PosterPainted, WhereTheLayoutComesFirstTheWorkerIsAskedWhenItIsAtItsEnd) {
  const Making making("poster");
  const std::vector<std::string> ladder{"layout", "painter"};
  const auto first = making.propose({}, ladder);
  Attempt stuck = after(*first, 1, true, {fault("box 1,2 3x4", "")});
  stuck.critiques[0].fingerprint = "eyes:code:x";
  const auto next = making.propose({stuck}, ladder);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->rung, 1);
  EXPECT_THAT(next->reason, HasSubstr("ask painter"));
  EXPECT_FALSE(making.propose({stuck}, std::span(ladder).first(1)));
}

TEST(AsksWorker, TheMakersOwnRungAsksNobody) {
  const MakerKind& poster = *find_maker("poster");
  EXPECT_FALSE(asks_worker(poster, ""));
  EXPECT_FALSE(asks_worker(poster, "layout"));
  EXPECT_TRUE(asks_worker(poster, "painter"));
  EXPECT_FALSE(asks_worker(*find_maker("voice"), "flite:rms"));
  EXPECT_TRUE(asks_worker(*find_maker("picture"), "painter"));
}

}  // namespace
}  // namespace lathe::loop
