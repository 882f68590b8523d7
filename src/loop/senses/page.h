// What an HTML page really looks like: it is opened by Chromium inside the sandbox (no network, no
// files of the machine, bounded time and memory), at one width after the other. The page is all
// there is: whatever else it asks for is refused and noted. Any thread.
#pragma once

#include "ground/base/json.h"
#include "ground/base/stop.h"
#include "ground/base/units.h"
#include "ground/media/picture.h"
#include "loop/terms/terms.h"

namespace lathe::loop {

inline constexpr std::size_t kMaxPageFile = std::size_t{4} << 20;
inline constexpr int kMaxPageHeight = 6000;  // of a screenshot; what is below is not looked at

struct PageWanted {
  std::vector<int> widths;  // in CSS pixels
  int height = 800;
  // Name and JavaScript expression; true holds. Evaluated where the page's own scripts cannot
  // reach.
  std::vector<std::pair<std::string, std::string>> claims;
};

struct PageView {
  int width = 0;
  std::string png;  // foreign bytes; `width` or twice as many pixels wide
  Json facts;       // what page_driver.cpp's survey found, checked for its shape only
};

struct PageClaim {
  std::string name;
  bool holds = false;
  std::string got;
};

struct PageSight {
  bool finished = false;                // it loaded and answered
  bool burns = false;                   // its scripts never leave the processor alone; no views
  bool restless = false;                // it was still changing when it was looked at
  std::vector<std::string> errors;      // of its scripts, as the console has them
  std::vector<std::string> outside;     // "asks for URL", "goes to URL", "starts a download of X"
  std::vector<std::string> intrusions;  // dialogs it opened
  std::vector<PageView> views;
  std::vector<PageClaim> claims;
};

// Is there a Chromium? The error says how to get it.
Result<fs::path> find_chromium();

// kInvalid: the page broke the sandbox's limits. kUnavailable: no Chromium, or no sandbox.
Result<PageSight> view_page(std::string_view html, const PageWanted& wanted, const Place& place,
                            Milliseconds limit, const StopFlag& stop);

// The other side, run inside the sandbox: `lathe media-worker page CHROMIUM`. Reads request.json
// and page.html in the working directory, and writes what it saw beside them.
int page_driver_main(const std::string& chromium);

}  // namespace lathe::loop
