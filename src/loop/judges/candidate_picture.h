// The candidate as the one picture that it shows.
#pragma once

#include "ground/media/picture.h"
#include "loop/judges/judge.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {

bool is_page(const JudgeTask& task);

// A picture's own pixels, an SVG as it is drawn, a page as it stands in a window of this size, a
// pixel of the screen each. An error of kind kInvalid is the candidate's own fault.
Result<Picture> candidate_picture(const JudgeTask& task, const JudgeContext& context,
                                  MediaPool& pool, const Box& window);

}  // namespace lathe::loop
