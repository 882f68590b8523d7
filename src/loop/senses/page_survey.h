// The scripts that ask a page what it shows. They run in the page, so all they say is the page's
// own testimony: its shape is checked, and a page that lies about itself deceives itself only.
#pragma once

#include <string_view>

namespace lathe::loop {

// What stands where, in pixels of the whole page, as JSON. For an isolated world.
std::string_view page_survey();

// Installed before the page's own scripts: keeps count of what the page has yet to do.
std::string_view rest_watch();
// Asks it, in the page's own world: {"changed", "due", "repeats", "loading", "calls"}.
std::string_view rest_question();

}  // namespace lathe::loop
