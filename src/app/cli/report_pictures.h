// Pictures in the report: what a judge saw, with a numbered box around each of its findings.
#pragma once

#include "loop/conductor/state.h"

namespace lathe::app {

std::string html_text(std::string_view text);  // escaped; control characters become spaces

// The candidate itself where it is a picture, and the views that its judges took of it.
std::string pictures_html(const loop::CandidateState& candidate, std::string_view bytes);
bool shows_pictures(const loop::Track& track);

// Evidence as a person reads it: the views are shown, not spelled out.
Json without_pictures(Json evidence);

}  // namespace lathe::app
