// The rule that tells English lines from others.
#include "loop/senses/language.h"

#include <gtest/gtest.h>

#include "ground/base/file.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

TEST(Language, KnowsOtherLanguages) {
  EXPECT_EQ(foreign_language("Guten Morgen, meine Damen und Herren."), "German");
  EXPECT_EQ(foreign_language("Straße nach Köln"), "German");
  EXPECT_EQ(foreign_language("Wir fahren heute nicht nach Hause."), "German");
  EXPECT_EQ(foreign_language("Bonjour!"), "French");
  EXPECT_EQ(foreign_language("Nous ne savons pas où est la gare."), "French");
  EXPECT_EQ(foreign_language("¿Cómo está usted, señor?"), "Spanish");
  EXPECT_EQ(foreign_language("Questo non è il treno per Roma."), "Italian");
  EXPECT_EQ(foreign_language("Het is een mooie dag voor een wandeling."), "Dutch");
  EXPECT_EQ(foreign_language("Nie ma za co, to jest dla ciebie."), "Polish");
  EXPECT_EQ(foreign_language("Доброе утро"), "another script");
  EXPECT_EQ(foreign_language("日本語 text"), "");  // more Latin letters than others
  EXPECT_EQ(foreign_language("日本語のテキスト"), "another script");
}

TEST(Language, LeavesEnglishAlone) {
  for (const char* line :
       {"", "Yes.", "Stop now.", "Thank you.", "He said guten Morgen and left.",
        "Café Müller's naïve façade", "The word Schadenfreude is German.", "Herr Schmidt called.",
        "Ask Nguyen about the Worcestershire sauce.", "Die another day.", "Van Gogh, El Greco",
        "Was it Ken or Jan?", "Kubernetes", "Los Angeles", "El Paso", "Le Mans", "Press and hold.",
        "Seven, eight, nine."})
    EXPECT_EQ(foreign_language(line), "") << line;
}

// Every line of the ear's own sets is English.
TEST(Language, LeavesTheEarsSetsAlone) {
  for (const char* set : {"bench/ears/held_out.tsv", "bench/ears/tuning.tsv"}) {
    const auto text = read_file(fs::path(LATHE_SOURCE_DIR) / set);
    ASSERT_TRUE(text) << text.error().message;
    for (const std::string_view line : split_lines(*text))
      EXPECT_EQ(foreign_language(line.substr(line.find('\t') + 1)), "") << line;
  }
}

}  // namespace
}  // namespace lathe::loop
