// Documents as text: what programs wrote of them, and the programs themselves on small files.
#include "ground/documents/document.h"

#include <gmock/gmock.h>

#include "ground/base/text.h"
#include "ground/sys/sandbox.h"

namespace lathe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A PDF whose pages have these lines, in Helvetica.
std::string pdf_of(const std::vector<std::vector<std::string>>& pages) {
  std::vector<std::string> objects{"<< /Type /Catalog /Pages 2 0 R >>", "",
                                   "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"};
  std::string kids;
  for (const auto& lines : pages) {
    std::string content = "BT /F1 12 Tf 72 720 Td 14 TL";
    for (const std::string& line : lines) content += fmt::format(" ({}) Tj T*", line);
    content += " ET";
    objects.push_back(
        fmt::format("<< /Length {} >>\nstream\n{}\nendstream", content.size(), content));
    objects.push_back(
        fmt::format("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R "
                    "/Resources << /Font << /F1 3 0 R >> >> >>",
                    objects.size()));
    kids += fmt::format("{} 0 R ", objects.size());
  }
  objects[1] = fmt::format("<< /Type /Pages /Count {} /Kids [{}] >>", pages.size(), kids);
  std::string file = "%PDF-1.4\n", table;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    table += fmt::format("{:010} 00000 n \n", file.size());
    file += fmt::format("{} 0 obj\n{}\nendobj\n", i + 1, objects[i]);
  }
  const std::size_t at = file.size();
  return file + fmt::format(
                    "xref\n0 {}\n0000000000 65535 f \n{}trailer << /Size {} /Root 1 0 R "
                    ">>\nstartxref\n{}\n%%EOF\n",
                    objects.size() + 1, table, objects.size() + 1, at);
}

class Documents : public ::testing::Test {
 protected:
  Result<DocumentText> read(std::string_view kind, const std::string& bytes) {
    return read_document(
        kind, bytes,
        [this](const std::string& png) -> Result<std::string> {
          pictures_.push_back(png);
          return "read as a picture";
        },
        stop_);
  }
  static std::string page(const DocumentText& document, std::size_t number) {
    const std::size_t end =
        number < document.pages.size() ? document.pages[number] : document.text.size();
    return document.text.substr(document.pages[number - 1], end - document.pages[number - 1]);
  }
  StopFlag stop_;
  std::vector<std::string> pictures_;
};

TEST_F(Documents, AreKnownByTheirNames) {
  EXPECT_EQ(document_kind("a/B.PDF"), "pdf");
  EXPECT_EQ(document_kind("x.htm"), "html");
  EXPECT_EQ(document_kind("x.docx"), "docx");
  EXPECT_EQ(document_kind("pdf"), "");
  EXPECT_EQ(document_kind("x.txt"), "");
}

TEST_F(Documents, PagesOfAPdfWithTheBoxesOfTheirLines) {
  const auto document = read(
      "pdf", pdf_of({{"First page, line one.", "and < two & three."}, {}, {"QX-4711 is blue."}}));
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->pages.size(), 3U);
  EXPECT_EQ(trim(page(*document, 1)), "First page, line one.\nand < two & three.");
  EXPECT_EQ(trim(page(*document, 2)), "read as a picture");
  EXPECT_EQ(trim(page(*document, 3)), "QX-4711 is blue.");
  EXPECT_EQ(document->scanned, 1U);
  ASSERT_EQ(pictures_.size(), 1U);
  EXPECT_TRUE(pictures_[0].starts_with("\x89PNG"));
  // 72 points from the left; the second line 14 below the first; ends where its text does.
  ASSERT_EQ(document->lines.size(), 3U);
  EXPECT_NEAR(document->lines[0].box[0], 72, 0.5);
  EXPECT_NEAR(document->lines[1].box[1] - document->lines[0].box[1], 14, 0.5);
  EXPECT_TRUE(document->text.substr(0, document->lines[2].end).ends_with("QX-4711 is blue."));
}

TEST_F(Documents, APageAsMarkdown) {
  const auto document =
      read("html",
           "<html><head><title>no</title><script>var hidden = 1</script></head><body><h1>Title</h1>"
           "<p>3 &lt; 4, and <b>bold_x</b> * y.</p><h2>Part</h2><pre>a \\* b</pre><table><tr><th>k"
           "</th><th>v</th></tr><tr><td>a</td><td>1</td></tr></table></body></html>");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_TRUE(document->markdown);
  EXPECT_THAT(document->text, HasSubstr("# Title\n\n3 < 4, and **bold_x** * y.\n\n## Part\n"));
  EXPECT_THAT(document->text, HasSubstr("a \\* b"));
  EXPECT_THAT(document->text, HasSubstr("| a   | 1   |"));
  EXPECT_THAT(document->text, Not(HasSubstr("hidden")));
}

TEST_F(Documents, WhatCannotBeReadIsAnError) {
  const auto broken = read("pdf", "%PDF-1.4\nthat is all");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("pdftotext"));
  const auto none = read("docx", "no archive");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("pandoc cannot read it"));
}

TEST(DocumentLayout, OfAnyBytes) {
  EXPECT_EQ(text_of_layout("").text, "");
  EXPECT_EQ(text_of_layout("<word x>a</word>").text, "");
  EXPECT_EQ(text_of_layout("<page >\n<word a\n</line>\n<word >x\n<line xMin=\"nan\n</block>").pages,
            std::vector<std::size_t>{0});
  EXPECT_EQ(text_of_layout("<page >\n<line >\n<word >\xff&amp;lt;</word>\n</line>").text,
            "\ufffd&lt;\n");
}

TEST(DocumentLayout, EscapesGoOutsideOfFences) {
  EXPECT_EQ(without_escapes("a \\< b \\\\ c\\x\n```\n\\*\n```\n\\*\n"),
            "a < b \\ c\\x\n```\n\\*\n```\n*\n");
}

}  // namespace
}  // namespace lathe
