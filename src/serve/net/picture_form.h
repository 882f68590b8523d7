// What a server is asked for a picture, and what its answer says, as OpenAI's API has them. Pure.
#pragma once

#include "serve/net/http_call.h"
#include "serve/net/multipart.h"
#include "work/work.h"

namespace lathe::serve {

inline constexpr std::size_t kMaxPaintedBytes = std::size_t{32} << 20;  // of a picture's file

// The fields besides the files.
Json picture_fields(const std::string& model, const PictureRequest& asked, bool cloud);
// A change's form: those fields and the files.
WrittenForm picture_form(const Json& fields, const PictureRequest& asked);
// For people, who read a picture by its size and hash.
std::string shown_picture(const Json& fields, const PictureRequest& asked);

// What an answer says of its first picture: its bytes, or where they are. One of them is empty.
struct PictureAnswer {
  std::string bytes, url;
  Usage usage = {};
};
Result<PictureAnswer> picture_answer(std::string_view body, std::string_view place);

// Whether an error says that the server's rules forbid the picture.
bool is_content_refusal(const HttpAnswer& answer);

}  // namespace lathe::serve
