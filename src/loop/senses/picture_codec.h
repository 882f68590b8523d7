// Pictures and what the eye sees in them, as messages between MediaPool and its workers. What comes
// back from a worker is checked: it may have been taken over by what it read.
#pragma once

#include "ground/media/media_message.h"
#include "loop/senses/eye.h"
#include "loop/senses/svg_drawer.h"

namespace lathe::loop {

// A picture file, opened: for an SVG also what its source says.
struct OpenedPicture {
  Picture picture;
  bool drawn = false;  // from an SVG
  std::vector<SvgText> texts;
  std::vector<std::string> outside;
};

MediaMessage to_message(const OpenedPicture& opened);
Result<OpenedPicture> opened_from(const MediaMessage& message);

MediaMessage look_request(const Picture& picture, const LookFor& wanted);
LookFor look_for_from(const Json& head);

Json to_json(const Sight& sight);
Result<Sight> sight_from(const Json& head, const Box& picture);

Json to_json(const Box& box);  // [x, y, w, h]
Box box_from(const Json& json);

}  // namespace lathe::loop
