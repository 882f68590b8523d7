// Opens what the candidate is, by confined processes, and has its pixels.
#include "loop/judges/candidate_picture.h"

#include <algorithm>

#include "loop/senses/page.h"

namespace lathe::loop {

bool is_page(const JudgeTask& task) {
  return task.media_type == "text/html";
}

Result<Picture> candidate_picture(const JudgeTask& task, const JudgeContext& context,
                                  MediaPool& pool, const Box& window) {
  if (!is_page(task)) {
    LATHE_TRY(OpenedPicture opened,
              pool.open_picture(task.bytes, context.time_limit, context.stop));
    return std::move(opened.picture);
  }
  PageWanted wanted;
  wanted.widths = {std::clamp(window.w, 200, 4000)};
  wanted.height = std::clamp(window.h, 200, 4000);
  LATHE_TRY(const PageSight sight,
            view_page(task.bytes, wanted, context.place, context.time_limit, context.stop));
  if (sight.views.empty()) return invalid("the page never finishes, so it shows nothing");
  LATHE_TRY(const OpenedPicture opened,
            pool.open_picture(sight.views.front().png, context.time_limit, context.stop));
  const Picture& shot = opened.picture;
  return scaled(shot, wanted.widths[0], shot.height * wanted.widths[0] / shot.width);
}

}  // namespace lathe::loop
