// A clip's script: scenes, each a heading, points and the line that is said over them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::loop {

// Written as
//   # Heading
//   - point
//   The line that is said.
struct ScriptScene {
  std::string heading;
  std::vector<std::string> points;
  std::string line;

  // What the picture must show: the heading and each point, a phrase each.
  std::vector<std::string> phrases() const;
  bool empty() const { return heading.empty() && points.empty() && line.empty(); }
};
ScriptScene script_scene(std::string_view text);
// Of a whole script: blank lines part the scenes.
std::vector<ScriptScene> script_scenes(std::string_view text);

// Letters and digits, and a blank between words: what reading speeds count.
std::size_t reading_length(const std::vector<std::string>& phrases);

// Characters a second that people can read beside what they hear; of subtitles 12 to 17 are usual.
inline constexpr double kReadingSpeed = 17;

}  // namespace lathe::loop
