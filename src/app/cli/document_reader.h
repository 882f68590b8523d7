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

}  // namespace lathe::app
