// What bytes are, by what stands in them and never by what somebody says of them: artifacts are
// made by models and read by browsers. Pure.
#pragma once

#include <string>
#include <string_view>

namespace lathe::serve {

// A picture, a sound or a clip of the common formats; "text/plain; charset=utf-8" for UTF-8 without
// control characters, whatever language it is in (HTML and SVG too: no browser runs it); else
// "application/octet-stream".
std::string_view sniffed_media_type(std::string_view bytes);
// Text that begins with a tag: a page, or an SVG.
bool looks_like_markup(std::string_view bytes);
// It may be shown in a page; else a browser is to save it.
bool shown_inline(std::string_view media_type);

}  // namespace lathe::serve
