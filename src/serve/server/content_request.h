// What messages say, in the words of four APIs → Content. Pictures and sounds stand in the request
// itself, as base64: nothing is fetched, and whether the model can use them is the host's business.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe::serve {

inline constexpr std::size_t kMaxMediaBytes = std::size_t{32} << 20;  // of one picture or sound
inline constexpr std::size_t kMaxMedia = 100;                         // of one talk

// A string, null, or parts: texts (type `text` and its cousins), pictures (`image_url`,
// `input_image`, and Anthropic's `image`) and sounds (`input_audio`).
Content read_content(Fields& holder, std::string_view key);
// The same where only texts make sense.
std::string read_words(Fields& holder, std::string_view key);
// A block of Anthropic's: {type: "image", source: {type: "base64", data}}.
Content read_image_block(Fields& block);
// Ollama's `images`: each a file as base64.
void read_images(Fields& holder, Content& content);

}  // namespace lathe::serve
