// Pictures on a page: what a judge saw, with a numbered box around each of its findings.
#pragma once

#include "show/run/run_view.h"

namespace lathe::show {

// The candidate itself where it is a picture, and the pictures that its judges show of it.
std::string pictures_html(const CandidateView& candidate, std::string_view bytes);
bool shows_pictures(const TrackView& track);

}  // namespace lathe::show
