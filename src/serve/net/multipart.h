// Forms with files, multipart/form-data (RFC 7578, in the framing of RFC 2046): a body's bytes to
// its parts, and parts to a body. Pure. What two readers could read in two ways is refused: line
// ends other than CRLF, a part without a name, a transfer encoding that changes bytes, forms within
// a form.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::serve {

struct FormPart {
  std::string name;
  std::string file_name;  // as the client calls it: a word, never a path
  bool is_file = false;   // it came with a file name, an empty one too
  std::string_view data;  // of the body
};

inline constexpr std::size_t kMaxFormParts = 64;
inline constexpr std::size_t kMaxPartHead = 8 << 10;  // bytes of a part's headers

// Whether a Content-Type says that the body is a form.
bool is_form(std::string_view content_type);
// Its boundary: 1 to 70 characters, as RFC 2046 has them.
Result<std::string> form_boundary(std::string_view content_type);
// In order; names may come twice.
Result<std::vector<FormPart>> parse_form(std::string_view boundary, std::string_view body);

// Names are plain words.
struct FormField {
  std::string name;
  std::string_view data;
  std::string file_name = {};  // "": no file
};
struct WrittenForm {
  std::string type;  // with the boundary
  std::string body;
};
// The same fields give the same bytes each time.
WrittenForm write_form(std::span<const FormField> fields);

}  // namespace lathe::serve
