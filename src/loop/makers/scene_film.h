// What the makers of scenes share: a page and a spoken line become a film with captions; which
// notes are the picture's, and how long a scene is held.
#pragma once

#include "ground/base/units.h"
#include "loop/makers/voice.h"
#include "loop/senses/script_scene.h"

namespace lathe::loop {

inline constexpr OptionSpec kSceneSizeOption{"size", OptionType::kString, "\"1280x720\"",
                                             "pixels, both numbers even"};
Result<Box> scene_size(const Json& options);

// The kind of fault that a critique is of, "eyes:too_small:Coffee" → "eyes:too_small", where it is
// of what is seen; "": it is of what is heard.
std::string_view scene_fault(const Critique& critique);

// Text is shown for too short a time: the scene is held. Paces are shares of the usual reading
// speed; 0: the scene is as long as its line.
inline constexpr std::string_view kReadingFault = "clip:reading";
double slower_pace(double before);
bool bearable_pace(double pace);

struct SceneFilm {
  const ScriptScene& scene;
  std::string page = {};  // HTML
  Box size;
  std::string bar;            // colour, "#rrggbb"
  double pace = 0;            // what the scene is held for
  bool keeps_source = false;  // the page goes with the film
};
// Drawn by Chromium, encoded by ffmpeg. Facts: those of the line, and "seconds".
Result<Made> film_made(const SceneFilm& film, SpokenLine spoken, const MakeContext& context);

}  // namespace lathe::loop
