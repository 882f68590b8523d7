// Any bytes as a picture file, an answer of a media worker, a box and words to be compared.
#include <cstdlib>

#include "ground/media/picture_decode.h"
#include "loop/senses/box_text.h"
#include "loop/senses/picture_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)lathe::loop::looks_like_svg(bytes);
  if (const auto picture = lathe::decode_picture(bytes))
    if (picture->rgb.size() != static_cast<std::size_t>(picture->box().area()) * 3) std::abort();
  if (const auto message = lathe::parse_frame(bytes)) {
    if (const auto opened = lathe::loop::opened_from(*message))
      if (opened->picture.box().area() > lathe::kMaxPicturePixels) std::abort();
    const lathe::Box picture{0, 0, 100, 100};
    if (const auto sight = lathe::loop::sight_from(message->head, picture))
      for (const auto& word : sight->words)
        if (lathe::common(word.box, picture) != word.box) std::abort();
  }
  if (const auto box = lathe::loop::parse_box(bytes))
    if (lathe::loop::parse_box(lathe::loop::to_text(*box)) != *box) std::abort();
  const auto words = lathe::loop::words_in(bytes.substr(0, 2000));
  (void)lathe::loop::tick_off(words, {{std::string(bytes.substr(0, 50)), 50, {0, 0, 1, 1}, 0, 0}});
  return 0;
}
