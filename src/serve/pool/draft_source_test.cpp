// What cannot guess for a model is named.
#include "serve/pool/draft_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ground/base/file.h"
#include "serve/pool/model_front.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

TEST(DraftSource, NamesWhatCannotGuess) {
  const fs::path file = fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf";
  const auto problem = [&](const std::string& draft) {
    const auto front = ModelFront::open({.name = "a", .file = file, .draft = draft});
    return front ? std::string("none") : front.error().message;
  };
  EXPECT_EQ(problem(file.string()), "none");
  EXPECT_THAT(problem("mtp"), HasSubstr("no layer that predicts"));
  EXPECT_THAT(problem("/nowhere.gguf"), HasSubstr("/nowhere.gguf: cannot open it"));
}

}  // namespace
}  // namespace lathe::serve
