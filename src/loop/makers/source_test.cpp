// A reference picture: who is shown it as it is, and who gets its description alone.
#include <gmock/gmock.h>

#include "ground/base/file.h"
#include "ground/media/picture_decode.h"
#include "loop/makers/maker.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

// Writes one page, and keeps what it was asked.
class Writer final : public Worker {
 public:
  explicit Writer(Result<bool> sees) : sees_(std::move(sees)) {}
  WorkerInfo info() const override { return {"writer", "m", "here", Reach::kLocal}; }
  Result<bool> sees() const override { return sees_; }
  Result<Reply> complete(const Request& request, const StopFlag&,
                         const std::function<void(const Delta&)>&) override {
    seen.push_back(request);
    Reply reply;
    reply.text = "<!doctype html><html><body>Hello</body></html>";
    return reply;
  }
  std::vector<Request> seen;

 private:
  Result<bool> sees_;
};

class SourceTest : public ::testing::Test {
 protected:
  SourceTest() {
    place_.program = "/proc/self/exe";
    place_.recipe_dir = scratch_.path();
    picture_ = png_bytes(blank_picture(64, 48));
    EXPECT_TRUE(write_file_atomic(scratch_.path() / "mockup.png", picture_));
    EXPECT_TRUE(write_file_atomic(scratch_.path() / "mockup.svg", "<svg></svg>"));
  }

  Result<Made> make(Writer& writer, const Json& more, std::string name = "mockup.png") {
    Json given{{"task", "a page"}, {"reference", std::move(name)}};
    given.update(more);
    const MakerKind& kind = *find_maker("html");
    const Json options = check_options(given, kind.options).value();
    LATHE_TRY_STATUS(kind.check(options, {}));
    MakeTask task{options};
    task.units = units_;
    task.prefix = "the description";
    return kind.make(task, MakeContext{place_, &writer, stop_});
  }
  static std::vector<const Media*> shown(const Writer& writer) {
    return writer.seen.at(0).talk()->messages.back().content.media();
  }

  const TempDir scratch_ = TempDir::make().value();
  std::string picture_;
  Place place_;
  StopFlag stop_;
  const std::vector<Unit> units_{{"L1", "A page that says hello", Json::object()}};
};

TEST_F(SourceTest, AModelThatReadsPicturesIsShownTheMockUpAsItIs) {
  Writer writer(true);
  const auto made = make(writer, Json::object());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->facts["reference_as"], "picture");
  ASSERT_EQ(shown(writer).size(), 1u);
  EXPECT_EQ(*shown(writer)[0]->bytes, picture_);
  // The picture comes first: what follows changes with every lap.
  const auto& parts = writer.seen[0].talk()->messages.back().content.parts();
  EXPECT_TRUE(std::holds_alternative<Media>(parts.front()));
  EXPECT_THAT(std::get<std::string>(parts.back()), HasSubstr("A page that says hello"));
}

TEST_F(SourceTest, WhoIsNotKnownToReadPicturesGetsItsDescription) {
  for (const Result<bool>& sees : {Result<bool>(false), Result<bool>(invalid("reads none"))}) {
    Writer writer(sees);
    const auto made = make(writer, Json::object());
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->facts["reference_as"], "words");
    EXPECT_TRUE(shown(writer).empty());
    EXPECT_EQ(writer.seen[0].talk()->messages.front().content.text(), "the description");
  }
}

TEST_F(SourceTest, TheRecipeMaySayHowItIsShown) {
  Writer unknown(false), seeing(true);
  ASSERT_TRUE(make(unknown, {{"reference_as", "picture"}}));
  EXPECT_EQ(shown(unknown).size(), 1u);
  ASSERT_TRUE(make(seeing, {{"reference_as", "words"}}));
  EXPECT_TRUE(shown(seeing).empty());

  const auto other = make(seeing, {{"reference_as", "painting"}});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("must be auto, picture or words"));
  const auto none = make(seeing, {{"reference_as", "picture"}}, "");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("give one"));
}

TEST_F(SourceTest, WhatModelsAreNotShownIsRefusedByName) {
  Writer writer(true);
  const auto made = make(writer, Json::object(), "mockup.svg");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("mockup.svg: models are shown PNG"));
  EXPECT_TRUE(writer.seen.empty());
}

}  // namespace
}  // namespace lathe::loop
