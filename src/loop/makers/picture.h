// Pictures that a worker makes: what the maker `picture` and the poster's rungs that paint share.
// Any thread.
#pragma once

#include "ground/media/picture.h"
#include "loop/makers/maker.h"

namespace lathe::loop {

struct PictureBrief {
  std::string prompt;
  Box size;
};

// "1280x720"
Result<Box> picture_size(std::string_view text);

// The moves of makers that ask a model, each with its seed. A repair whose faults all have a place
// changes the best picture there, and keeps its seed.
std::optional<Proposal> propose_picture(const ProposeTask& task);

// The take is as the worker gives it; only that it can be read is seen to. A refusal by its rules
// is kInvalid.
Result<Made> paint_picture(const PictureBrief& brief, const MakeTask& task,
                           const MakeContext& context);

}  // namespace lathe::loop
