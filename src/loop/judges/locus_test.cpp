// The forms in which tools name a place.
#include "loop/judges/locus.h"

#include <gtest/gtest.h>

namespace lathe::loop {
namespace {

TEST(Locus, FormsOfPlaces) {
  const std::vector<std::string> files{"src/a.cpp", "src/b.py", "run.sh",
                                       "x/same.c",  "y/same.c", "tests/a_test.cpp"};
  const std::vector<std::string> later{"tests/**"};
  const LocusFinder finder(files, later);
  EXPECT_EQ(finder.find("src/a.cpp:12: error"), "src/a.cpp:12");
  EXPECT_EQ(finder.find("/work/src/a.cpp:12:5: error"), "src/a.cpp:12");
  EXPECT_EQ(finder.find("In file ../src/a.cpp:7,"), "src/a.cpp:7");
  EXPECT_EQ(finder.find("  File \"/work/src/b.py\", line 31, in f"), "src/b.py:31");
  EXPECT_EQ(finder.find("run.sh: line 4: syntax error"), "run.sh:4");
  EXPECT_EQ(finder.find("run.sh: 4: syntax error"), "run.sh:4");
  EXPECT_EQ(finder.find("b.py:9: only one has this name"), "src/b.py:9");
  EXPECT_EQ(finder.find("(src/a.cpp:12)"), "src/a.cpp:12");
  for (const char* nothing :
       {"", "same.c:3", "src/none.cpp:3", "src/a.cpp", "src/a.cpp:x",
        "/usr/include/c++/12/vector:5", "12:30:01", ":::", "../../../etc/passwd:1"})
    EXPECT_EQ(finder.find(nothing), "") << nothing;
}

TEST(Locus, SourcesComeBeforeTests) {
  const std::vector<std::string> files{"src/a.cpp", "tests/a_test.cpp"};
  const std::vector<std::string> later{"tests/**"};
  const LocusFinder finder(files, later);
  EXPECT_EQ(finder.find("tests/a_test.cpp:9: Failure\nfrom src/a.cpp:3\n"), "src/a.cpp:3");
  EXPECT_EQ(finder.find("tests/a_test.cpp:9: Failure\ntests/a_test.cpp:10\n"),
            "tests/a_test.cpp:9");
}

TEST(Locus, HugeNumbersAndLines) {
  const std::vector<std::string> files{"a.c"};
  const LocusFinder finder(files, {});
  EXPECT_EQ(finder.find("a.c:99999999999999999999"), "a.c:9999999");
  EXPECT_EQ(finder.find(std::string(1 << 20, 'a') + ":1"), "");
}

}  // namespace
}  // namespace lathe::loop
