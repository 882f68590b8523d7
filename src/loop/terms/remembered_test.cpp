// Proposals in answers, and facts in units.
#include "loop/terms/remembered.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Remembered, ProposalsAreTakenOutOfAnAnswer) {
  std::vector<std::string> proposals;
  EXPECT_EQ(without_proposals("The text.\n\nREMEMBER: the port: 8080\n  REMEMBER:  it is blue \n",
                              proposals),
            "The text.\n\n");
  EXPECT_THAT(proposals, ElementsAre("the port: 8080", "it is blue"));
}

TEST(Remembered, WhatIsNoneStays) {
  for (const std::string answer :
       {"", "text", "text\r\nmore\n", "```\nREMEMBER: in code\n```\n", "To REMEMBER: this"}) {
    std::vector<std::string> proposals;
    EXPECT_EQ(without_proposals(answer, proposals), answer);
    EXPECT_THAT(proposals, IsEmpty());
  }
  std::vector<std::string> proposals;
  without_proposals("REMEMBER: " + std::string(501, 'x'), proposals);
  EXPECT_THAT(proposals, IsEmpty());
  std::string many;
  for (int i = 0; i < 20; ++i) many += "REMEMBER: x\n";
  without_proposals(many, proposals);
  EXPECT_EQ(proposals.size(), kMostProposals);
}

TEST(Remembered, UnitsNameFactsByTheirBlobs) {
  std::vector<Unit> units(2);
  const std::vector<RecalledBlob> facts{{3, "b3"}, {4, "b4"}};
  put_recalled(facts, units[0]);
  put_recalled(std::span(facts).last(1), units[1]);
  const auto all = recalled_of(units);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].id, 4);
  EXPECT_EQ(all[1].blob, "b4");
  EXPECT_EQ(remembered_text({}, false), "");
  const std::vector<std::string> texts{"the port: 8080"};
  EXPECT_THAT(remembered_text(texts, false), HasSubstr("- the port: 8080\n"));
  EXPECT_THAT(remembered_text({}, true), HasSubstr("REMEMBER: the port: 8080"));
}

}  // namespace
}  // namespace lathe::loop
