// Texts as documents.
#include "books/index/documents.h"

#include "ground/base/text.h"

namespace lathe::books {

std::string TextReader::way(std::string_view path) const {
  const std::string name = to_lower_ascii(path);
  return name.ends_with(".md") || name.ends_with(".markdown") ? "markdown" : "text";
}

Result<DocumentText> TextReader::read(std::string_view path, const std::string& bytes,
                                      const StopFlag&) const {
  if (bytes.find('\0') != bytes.npos) return invalid("it is no text: it has bytes that are 0");
  if (const auto bad = find_invalid_utf8(bytes); bad != bytes.npos)
    return invalid("it is no UTF-8 at byte {}; convert it, like iconv -t UTF-8", bad);
  return DocumentText{bytes, way(path) == "markdown"};
}

}  // namespace lathe::books
