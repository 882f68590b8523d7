// What a person names to be fetched: a model of a hub, or of a registry that speaks Ollama's
// protocol; and where that is. Pure.
#pragma once

#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::serve {

struct ModelSource {
  bool ollama = false;
  std::string repo = {};    // "OWNER/REPO"; of a registry "library/NAME" or "USER/NAME"
  std::string wanted = {};  // a quantization or a file, ""; of a registry the tag

  // As a person writes it: what a pulled model's note says.
  std::string text() const;
};

// OWNER/REPO[:QUANT|:FILE], also behind hf.co/ or https://huggingface.co/, or ollama:NAME[:TAG].
Result<ModelSource> parse_source(std::string_view text);
// As Ollama's clients write it: NAME[:TAG], or hf.co/OWNER/REPO[:QUANT].
Result<ModelSource> parse_ollama_name(std::string_view text);

// URLs. `base` has no slash at its end; what goes into a path is percent-encoded.
std::string listing_url(std::string_view base, const ModelSource& source);
std::string page_url(std::string_view base, const ModelSource& source);  // for people
std::string hub_file_url(std::string_view base, std::string_view repo, std::string_view revision,
                         std::string_view path);
std::string blob_url(std::string_view base, std::string_view repo, std::string_view sha256);

}  // namespace lathe::serve
