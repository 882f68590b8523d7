// Where a request comes from is told by its labels, whole.
#include "loop/terms/origin.h"

#include <gtest/gtest.h>

namespace lathe::loop {
namespace {

TEST(Origin, GoesThroughLabels) {
  Request request;
  EXPECT_EQ(origin_of(request), Origin()) << "nobody said";
  for (const Origin& origin : {Origin{"make", 3, 2, 1}, Origin{"rubric"}, Origin{"", 0, 7}}) {
    request.labels = labels_of(origin);
    EXPECT_EQ(origin_of(request), origin) << origin.purpose;
  }
  request.labels["lap"] = "soon";
  EXPECT_EQ(origin_of(request).lap, 0);
}

}  // namespace
}  // namespace lathe::loop
