// Who reads what an index holds.
#pragma once

#include <string>
#include <string_view>

#include "ground/documents/document.h"

namespace lathe::books {

class DocumentReader {
 public:
  virtual ~DocumentReader() = default;
  // How a file of this name is read, in a word: "text", "pdf". Bytes that were read that way once
  // are not read again.
  virtual std::string way(std::string_view path) const = 0;
  virtual Result<DocumentText> read(std::string_view path, const std::string& bytes,
                                    const StopFlag& stop) const = 0;
};

// Texts of any kind, in UTF-8; what is none is refused.
class TextReader : public DocumentReader {
 public:
  std::string way(std::string_view path) const override;
  Result<DocumentText> read(std::string_view path, const std::string& bytes,
                            const StopFlag& stop) const override;
};

}  // namespace lathe::books
