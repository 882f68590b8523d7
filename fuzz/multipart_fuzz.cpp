// A form: no bytes crash its reader, its parts lie in the body behind one another, and what is
// written of them again is read as the same.
#include <cstdlib>

#include "serve/net/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lathe::serve;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t line = bytes.find('\n');
  if (line == bytes.npos) return 0;
  const auto boundary = form_boundary(bytes.substr(0, line));
  const std::string_view body = bytes.substr(line + 1);
  const auto parts = parse_form(boundary ? *boundary : "b", body);
  if (!parts) return 0;
  const char* behind = body.data();
  std::string again;
  for (const FormPart& part : *parts) {
    if (part.data.data() != nullptr) {
      if (part.data.data() < behind ||
          part.data.data() + part.data.size() > body.data() + body.size())
        std::abort();
      behind = part.data.data() + part.data.size();
    }
    again += "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n";
    again += part.data;
    again += "\r\n";
  }
  // Data may hold this other boundary.
  if (body.find("--b") != body.npos && (!boundary || *boundary != "b")) return 0;
  again += "--b--";
  const auto same = parse_form("b", again);
  if (!same || same->size() != parts->size()) std::abort();
  for (std::size_t i = 0; i < parts->size(); ++i)
    if ((*same)[i].data != (*parts)[i].data) std::abort();
  return 0;
}
