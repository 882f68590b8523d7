// A run as a page: what stands in it, and that nothing of a candidate becomes markup.
#include "show/run/html.h"

#include <gmock/gmock.h>
#include <testing/memory_journal.h>

#include "show/run/html_parts.h"
#include "show/run/html_pictures.h"
#include "show/run/test_run.h"

namespace lathe::show {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HtmlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    entries_ = finished_entries(put("a draft\n<b>bold</b>\n"), put("a text\n<b>bold</b>\n"));
  }
  std::string put(std::string_view bytes) { return journal_.put_blob(bytes).value(); }
  std::string page(const RunView* baseline = nullptr) {
    const auto html =
        html_page(journal_, "r1", view_of(finished_run(entries_), entries_), baseline);
    return html ? *html : html.error().message;
  }
  books::Journal journal_ = lathe::testing::memory_journal();
  std::vector<loop::Entry> entries_;
};

TEST_F(HtmlTest, ThePageSaysWhatCameOfTheRun) {
  const std::string html = page();
  EXPECT_THAT(html, HasSubstr(kReportMark));
  EXPECT_THAT(html, HasSubstr("<h1>rewrite &amp; more: <span class=bad>partial</span>"));
  EXPECT_THAT(html, HasSubstr("notice.md"));
  EXPECT_THAT(html, HasSubstr("<tr><td>repair · small<td>1<td>1<td>1</tr>"));
  EXPECT_THAT(html, HasSubstr("<tr><td>answers that could be used<td>2 of 3</tr>"));
  EXPECT_THAT(html, HasSubstr("<tr><td>tokens<td>20 in, of them 5 cached (25 %), 10 out</tr>"));
  EXPECT_THAT(html, HasSubstr("<h3>A <span class=ok>passed</span>"));
  EXPECT_THAT(html, HasSubstr("no further move: every move was tried"));
  EXPECT_THAT(html, HasSubstr("<pre class=bad>no text in it</pre>"));
  EXPECT_THAT(html, HasSubstr("<li><code>line 1</code> it is too long"));
  EXPECT_THAT(html, HasSubstr("how it was made"));
}

TEST_F(HtmlTest, NothingThatWasMadeIsMarkup) {
  const std::string html = page();
  EXPECT_THAT(html, Not(HasSubstr("<b>bold")));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;bold"));
  EXPECT_THAT(html, HasSubstr("the &lt;second&gt;"));
  EXPECT_THAT(html, HasSubstr("41 &lt;words&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST_F(HtmlTest, ALaterTextIsShownAsTheChangeFromTheOneBefore) {
  const std::string html = page();
  EXPECT_THAT(html, HasSubstr("<pre>a draft\n"));  // the first one whole
  EXPECT_THAT(html, HasSubstr("<span class=del>- a draft</span>"));
  EXPECT_THAT(html, HasSubstr("<span class=add>+ a text</span>"));
}

TEST_F(HtmlTest, AMissingArtifactIsAnError) {
  entries_ = finished_entries(std::string(64, '0'), std::string(64, '1'));
  EXPECT_THAT(page(), Not(HasSubstr("<html")));
}

TEST_F(HtmlTest, AgainstNoLoopIsSaidWhereTheLoopBoughtNothing) {
  RunView baseline = view_of(finished_run(entries_), {});
  baseline.best_of = 3;
  baseline.summary.units_passed = 1;
  const std::string even = page(&baseline);
  EXPECT_THAT(even, HasSubstr("<tr><td>best of 3, no feedback<td>1 of 2<td>3<td>5.0 s</tr>"));
  EXPECT_THAT(even, HasSubstr("its feedback bought nothing"));
  EXPECT_THAT(even, HasSubstr("stroke-dasharray"));
  baseline.summary.units_passed = 0;
  EXPECT_THAT(page(&baseline), Not(HasSubstr("bought nothing")));
}

TEST_F(HtmlTest, FindingsAreBoxesWithTheirNumbers) {
  const std::string html = page();
  EXPECT_THAT(html, HasSubstr("<figcaption>judge: seen</figcaption>"));
  EXPECT_THAT(html, HasSubstr("href='data:image/png;base64,cGlj'"));
  EXPECT_THAT(html, HasSubstr("class='unit wide'"));
  const auto number = [](int n) { return fmt::format("sans-serif'>{}</text>", n); };
  EXPECT_THAT(html, HasSubstr(number(1)));
  EXPECT_THAT(html, Not(HasSubstr(number(2))));  // the second finding has no place
  EXPECT_THAT(html, HasSubstr(number(3)));
}

TEST(HtmlPicturesTest, ACandidateCarriesTheFindingsOfAllItsJudges) {
  CandidateView candidate;
  candidate.media_type = "image/png";
  candidate.kind = ArtifactKind::kPicture;
  VerdictView eyes, other;
  eyes.exhibits = {loop::PictureExhibit{.width = 200, .height = 100, .boxes = {{1, 1, 5, 5}}}};
  other.exhibits = {loop::PictureExhibit{.boxes = {{9, 9, 5, 5}}},
                    loop::PictureExhibit{.title = "heat",
                                         .base64 = "cGlj",
                                         .width = 20,
                                         .height = 10,
                                         .heat = {2, 1, {0.01, 0.5}}}};
  candidate.verdicts = {eyes, other};
  const std::string html = pictures_html(candidate, "png");
  EXPECT_THAT(html, HasSubstr("viewBox='0 0 200 100'"));
  EXPECT_THAT(html, HasSubstr("href='data:image/png;base64,cG5n'"));
  EXPECT_THAT(html, HasSubstr(">2</text>"));
  EXPECT_THAT(html, HasSubstr("<rect x='10.0' y='0.0' width='10.0' height='10.0' fill='#e5252a' "
                              "opacity='0.38'/>"));
  EXPECT_THAT(html, Not(HasSubstr("<rect x='0.0' y='0.0' width='10.0'")));  // hardly off
}

TEST(HtmlPartsTest, ControlCharactersBecomeSpaces) {
  EXPECT_EQ(html_text("a\x1b[0m\n<\"&>"), "a [0m\n&lt;&quot;&amp;&gt;");
  EXPECT_EQ(html_text("\xFF"), "\xEF\xBF\xBD");
}

TEST(HtmlPartsTest, ADiffLeavesOutWhatDoesNotChange) {
  std::string before, after;
  for (int i = 0; i < 20; ++i) before += fmt::format("line {}\n", i);
  after = before;
  after.replace(after.find("line 10"), 7, "other");
  const std::string html = diff_html(before, after);
  EXPECT_THAT(html, HasSubstr("<span class=del>- line 10</span>"));
  EXPECT_THAT(html, HasSubstr("<span class=add>+ other</span>"));
  EXPECT_THAT(html, HasSubstr("line 7<"));
  EXPECT_THAT(html, Not(HasSubstr("line 6<")));
}

}  // namespace
}  // namespace lathe::show
