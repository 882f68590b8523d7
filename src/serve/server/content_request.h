// What messages say, in the words of four APIs → Content. Pictures, sounds and documents stand in
// the request itself, as base64: nothing is fetched, and whether the model can use them is the
// host's business.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe::serve {

inline constexpr std::size_t kMaxMediaBytes = std::size_t{32}
                                              << 20;  // of one picture, sound or document
inline constexpr std::size_t kMaxMedia = 100;         // of one talk

// A string, null, or parts: texts (type `text` and its cousins), pictures (`image_url`,
// `input_image`, and Anthropic's `image`), sounds (`input_audio`), films (`video_url`,
// `input_video`) and documents (`file`, `input_file`, and Anthropic's `document`).
Content read_content(Fields& holder, std::string_view key);
// The same where only texts make sense.
std::string read_words(Fields& holder, std::string_view key);
// A block of Anthropic's: {type: "image", source: {type: "base64", data}}.
Content read_image_block(Fields& block);
// Another of Anthropic's: {type: "document", source: {type: "base64" | "text" | "content", …},
// title, context}.
Content read_document_block(Fields& block);
// Ollama's `images`: each a file as base64.
void read_images(Fields& holder, Content& content);

}  // namespace lathe::serve
