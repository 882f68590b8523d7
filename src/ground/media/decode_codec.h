// Decoded sounds and pictures as messages between Lathe and its media workers. What comes back from
// a worker is checked: it may have been taken over by what it read. Pure.
#pragma once

#include "ground/media/media_message.h"
#include "ground/media/picture.h"
#include "ground/media/sound_decode.h"

namespace lathe {

MediaMessage to_message(const Decoded& decoded);
Result<Decoded> decoded_from(const MediaMessage& message);

MediaMessage to_message(const Picture& picture);
Result<Picture> picture_from(const MediaMessage& message);

}  // namespace lathe
