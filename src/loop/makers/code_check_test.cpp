// Placeholders and marks that a model leaves are found, ordinary comments are not.
#include "loop/makers/code_check.h"

#include <gtest/gtest.h>

namespace lathe::loop {
namespace {

TEST(NoLeftovers, PlaceholdersStandForWork) {
  for (const char* line : {"# ... rest of the code unchanged ...",
                           "# ... rest of the file unchanged ...",
                           "// ... existing code ...",
                           "    // rest of the methods remain the same",
                           "/* ... other functions ... */",
                           "# (rest of file unchanged)",
                           "<!-- rest of file -->",
                           "-- ... remaining code ...",
                           "// unchanged",
                           "# … unchanged",
                           "...",
                           "\u2026",
                           "[... rest of the file ...]",
                           "# Keep the rest of the code as is",
                           "{/* ... existing code */}",
                           "    pass  # existing implementation",
                           "# existing code here",
                           "# other functions unchanged",
                           "# ... (all other methods remain the same)",
                           "// ... omitted for brevity",
                           "# no changes to the rest",
                           "// ... keep existing imports ...",
                           "... rest of the document ...",
                           "# Remaining functions",
                           "% ... rest of code ...",
                           "# ... same as before"})
    EXPECT_FALSE(no_leftovers("a.py", "x = 1\n", std::string("x = 1\n") + line + "\n")) << line;
}

TEST(NoLeftovers, OrdinaryCommentsDoNot) {
  for (const char* line :
       {"# wait ... and try again", "    ...", "x = [...]", "# returns the text unchanged",
        "f(...)", "print('...')", "// the value is the same", "# existing users keep their rights",
        "int f(int n, ...);", "// rest", "args = (...)", "# see the original paper",
        "* an item of a list", "# a comment", "log(\"... done\")", "for (...args) {}",
        "// falls back to the remaining budget", "<b>bold</b>"})
    EXPECT_TRUE(no_leftovers("a.py", "x = 1\n", std::string("x = 1\n") + line + "\n")) << line;
}

TEST(NoLeftovers, WhatWasThereMayStay) {
  const std::string text = "# ... rest of the file unchanged ...\n<<<<<<< SEARCH\n";
  EXPECT_TRUE(no_leftovers("a.py", text, text + "x = 1\n"));
}

TEST(NoLeftovers, MarksOfTheForm) {
  for (const char* line :
       {"<<<<<<< SEARCH", ">>>>>>> REPLACE", "@@ -1,2 +1,2 @@", "*** Begin Patch"})
    EXPECT_FALSE(no_leftovers("a.py", "", std::string(line) + "\n")) << line;
  EXPECT_TRUE(no_leftovers("a.patch", "", "@@ -1,2 +1,2 @@\n"));
  EXPECT_TRUE(no_leftovers("a.rst", "", "Title\n=======\n"));
}

}  // namespace
}  // namespace lathe::loop
