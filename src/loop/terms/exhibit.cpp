// Exhibits as JSON, for programs.
#include "loop/terms/exhibit.h"

namespace lathe::loop {
namespace {

Json json_of(const PictureExhibit& picture) {
  Json boxes = Json::array();
  for (const MarkedBox& box : picture.boxes) boxes.push_back({box.x, box.y, box.w, box.h});
  Json json = {{"kind", "picture"},
               {"title", picture.title},
               {"width", picture.width},
               {"height", picture.height},
               {"boxes", std::move(boxes)}};
  if (!picture.heat.values.empty())
    json["heat"] = {{"columns", picture.heat.columns},
                    {"rows", picture.heat.rows},
                    {"values", picture.heat.values}};
  if (!picture.of_candidate()) json["png"] = picture.base64;
  return json;
}

Json json_of(const SoundExhibit& sound) {
  Json words = Json::array();
  for (const SoundExhibit::Word& word : sound.words)
    words.push_back({{"expected", word.expected},
                     {"heard", word.heard},
                     {"match", word.match},
                     {"start", word.start},
                     {"end", word.end}});
  return {{"kind", "sound"}, {"words", std::move(words)}};
}

}  // namespace

Json to_json(const Exhibit& exhibit) {
  return std::visit([](const auto& each) { return json_of(each); }, exhibit);
}

}  // namespace lathe::loop
