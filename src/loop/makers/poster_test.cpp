// A poster's moves: each fault has one, and they come to an end.
#include <gmock/gmock.h>

#include "loop/makers/maker.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {

extern const MakerKind kPosterMaker;

namespace {

Json options(const Json& given = Json::object()) {
  return *check_options(given, kPosterMaker.options);
}

Critique fault(const char* kind) {
  return {"", "must", "wrong", "", std::string("eyes:") + kind + ":x"};
}

Attempt attempt(Json setting, std::vector<Critique> critiques) {
  Attempt a;
  a.setting = std::move(setting);
  a.made = true;
  a.critiques = std::move(critiques);
  return a;
}

TEST(Poster, EachFaultHasAMoveAndAnAnswerIsNotGivenTwice) {
  const Json given = options();
  const auto first = kPosterMaker.propose({.options = given});
  ASSERT_TRUE(first);
  const std::pair<const char*, const char*> moves[] = {
      {"clipped", "wrap"},          {"contrast", "stand out"}, {"too_small", "larger"},
      {"off_center", "middle"},     {"subject_cut", "middle"}, {"overlap", "apart"},
      {"no_subject", "stands out"}, {"missing", "wrap"},       {"wrong", "wrap"}};
  for (const auto& [kind, reason] : moves) {
    const std::vector<Attempt> attempts{attempt(first->setting, {fault(kind)})};
    const auto next = kPosterMaker.propose({.options = given, .attempts = attempts});
    ASSERT_TRUE(next) << kind;
    EXPECT_THAT(next->reason, ::testing::HasSubstr(reason)) << kind;
    EXPECT_NE(next->setting, first->setting) << kind;
  }
  // What the layout has no answer to is given up.
  for (const char* kind : {"size", "code", "blank", "extra"}) {
    const std::vector<Attempt> attempts{attempt(first->setting, {fault(kind)})};
    EXPECT_FALSE(kPosterMaker.propose({.options = given, .attempts = attempts})) << kind;
  }
}

TEST(Poster, ShrinkingComesToAnEnd) {
  const Json given = options();
  std::vector<Attempt> attempts;
  int laps = 0;
  for (auto next = kPosterMaker.propose({.options = given}); next && laps < 100; ++laps) {
    attempts.push_back(attempt(next->setting, {fault("clipped")}));
    next = kPosterMaker.propose({.options = given, .attempts = attempts});
  }
  EXPECT_LT(laps, 12);
}

TEST(Poster, ChecksItsOptions) {
  EXPECT_TRUE(kPosterMaker.check(options(), {}));
  for (const Json& wrong :
       {Json{{"size", "10x10"}}, Json{{"size", "99999x99999"}}, Json{{"palette", "neon"}},
        Json{{"ink", "red"}}, Json{{"title_size", 0}}, Json{{"x", 9}}})
    EXPECT_FALSE(kPosterMaker.check(options(wrong), {})) << dump_json(wrong);
}

}  // namespace
}  // namespace lathe::loop
