// Files that people have, read as text: texts as they are, PDF, DOCX, ODT and HTML by programs in
// the sandbox, pages that are pictures by the eye.
#pragma once

#include "app/cli/app.h"
#include "books/index/documents.h"
#include "loop/senses/media_pool.h"

namespace lathe::app {

class PeoplesReader : public books::TextReader {
 public:
  explicit PeoplesReader(const App& app)
      : media_(std::make_shared<loop::MediaPool>(app.program, 1)) {}

  std::string way(std::string_view path) const override;
  Result<DocumentText> read(std::string_view path, const std::string& bytes,
                            const StopFlag& stop) const override;

 private:
  std::shared_ptr<loop::MediaPool> media_;
};

// As a model reads it: its name, and its text in a fence that is longer than any in it, with a line
// before each page that says which it is.
std::string quoted_document(std::string_view name, const DocumentText& document);

}  // namespace lathe::app
