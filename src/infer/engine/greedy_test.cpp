// What llama.cpp wrote behind the same tokens, always the most likely one, is what the engine
// writes: as it is, and with drafts that are right, wrong or both.
#include <gtest/gtest.h>

#include <fstream>

#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

constexpr TokenId kEnd = 159;

// Up to its end. The second number of a line is the margin to the next best logit: never below
// 0.01.
std::vector<TokenId> continuation_of(const std::string& name) {
  std::ifstream file(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".greedy.txt"));
  std::vector<TokenId> ids;
  TokenId id = 0;
  double margin = 0;
  while (id != kEnd && file >> id >> margin) ids.push_back(id);
  return ids;
}

class Greedy : public ::testing::TestWithParam<std::pair<const char*, std::size_t>> {};

TEST_P(Greedy, IsWhatThePeerWrote) {
  const auto& [name, tokens] = GetParam();
  Loaded loaded(name);
  const std::vector<TokenId> expected = continuation_of(name);
  ASSERT_GE(expected.size(), 8u);
  std::vector<TokenId> prompt;
  for (std::size_t i = 0; i < tokens; ++i)
    prompt.push_back(static_cast<TokenId>((7 * i * i + 3 * i + 1) % 159));
  std::vector<TokenId> wrong = expected;
  for (std::size_t i = 2; i < wrong.size(); i += 5) wrong[i] = (wrong[i] + 1) % 159;
  for (const std::vector<TokenId>& draft : {std::vector<TokenId>(), expected, wrong}) {
    const auto engine = loaded.engine();
    engine->use_step_seconds(std::vector<double>(64, 1.0));
    GenerationRequest request = request_of(prompt, expected.size(), 0);
    request.draft = draft;
    request.ignore_end = false;
    Outcomes outcomes;
    ASSERT_TRUE(engine->add(std::move(request)).has_value());
    while (engine->step(collect(outcomes))) {
    }
    EXPECT_EQ(outcomes.begin()->second.tokens, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Greedy,
                         ::testing::Values(std::pair{"gpt-oss", 48}, std::pair{"qwen3next", 80},
                                           std::pair{"qwen35", 80}, std::pair{"gemma3", 48},
                                           std::pair{"nemotron_h_moe", 80},
                                           std::pair{"granitehybrid", 80}, std::pair{"lfm2", 48},
                                           std::pair{"deepseek2-v3", 48}, std::pair{"gemma4", 48},
                                           std::pair{"kimi-linear", 80}),
                         [](const auto& test) {
                           std::string name = test.param.first;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace lathe::infer
