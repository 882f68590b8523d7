// Scenes as people write them.
#include "loop/senses/script_scene.h"

#include "ground/base/text.h"

namespace lathe::loop {

std::vector<std::string> ScriptScene::phrases() const {
  std::vector<std::string> all;
  if (!heading.empty()) all.push_back(heading);
  all.insert(all.end(), points.begin(), points.end());
  return all;
}

ScriptScene script_scene(std::string_view text) {
  ScriptScene scene;
  for (const std::string_view raw : split_lines(text)) {
    const std::string_view line = trim(raw);
    if (line.empty()) continue;
    const std::string_view rest = trim(line.substr(1));
    if (line.starts_with('#')) {
      if (!scene.heading.empty()) scene.heading += ' ';
      scene.heading += trim(rest.substr(std::min(rest.find_first_not_of('#'), rest.size())));
    } else if (line.starts_with("- ") || line.starts_with("* ")) {
      scene.points.emplace_back(rest);
    } else {
      if (!scene.line.empty()) scene.line += ' ';
      scene.line += line;
    }
  }
  return scene;
}

std::vector<ScriptScene> script_scenes(std::string_view text) {
  std::vector<ScriptScene> scenes;
  std::string paragraph;
  const auto close = [&] {
    if (ScriptScene scene = script_scene(paragraph); !scene.empty())
      scenes.push_back(std::move(scene));
    paragraph.clear();
  };
  for (const std::string_view line : split_lines(text)) {
    if (trim(line).empty()) close();
    paragraph.append(line).push_back('\n');
  }
  close();
  return scenes;
}

std::size_t reading_length(const std::vector<std::string>& phrases) {
  std::size_t length = 0;
  for (const std::string& phrase : phrases)
    for (const std::string& word : split(phrase, ' ')) {
      if (!word.empty() && length > 0) ++length;
      for (const char c : word) length += (c & 0xC0) != 0x80;  // a letter, however many bytes
    }
  return length;
}

}  // namespace lathe::loop
