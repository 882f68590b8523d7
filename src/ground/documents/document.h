// Documents that people have, as text: PDF by Poppler, DOCX, ODT and HTML by pandoc. These are
// programs of the system; each reads one file in the sandbox, within limits. Any thread.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe {

// On a page: x and y of the upper left corner and of the lower right one, in points (1/72 inch).
using PageBox = std::array<double, 4>;

struct DocumentText {
  std::string text;                     // UTF-8
  bool markdown = false;                // its headings are "# …"
  std::vector<std::size_t> pages = {};  // where each begins in the text; empty: it has none
  struct Line {
    std::size_t begin = 0, end = 0;  // in the text
    PageBox box = {};
  };
  std::vector<Line> lines = {};  // where the document says where they are, in order
  std::size_t scanned = 0;       // pages without words that were read as pictures
};

// What a file of this name is read as: "pdf" "docx" "odt" "html"; "": none of these.
std::string_view document_kind(std::string_view path);

// Reads the words of a picture of a page (PNG).
using ReadPage = std::function<Result<std::string>(const std::string& png)>;

// Pages without words are read as pictures. Errors name the program and its package where it is
// missing, and what it said of the file.
Result<DocumentText> read_document(std::string_view kind, const std::string& bytes,
                                   const ReadPage& read_page, const StopFlag& stop);

// What pdftotext -bbox-layout writes. Pure; of any bytes.
DocumentText text_of_layout(std::string_view html);
// Without the backslashes that pandoc puts before what Markdown would mean otherwise; code stays as
// it is. Pure.
std::string without_escapes(std::string_view markdown);

}  // namespace lathe
