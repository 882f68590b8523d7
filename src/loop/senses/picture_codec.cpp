// Pictures and what is seen in them as values between processes.
#include "loop/senses/picture_codec.h"

#include <cmath>

#include "ground/media/decode_codec.h"

namespace lathe::loop {
namespace {

constexpr int kFarAway = 1'000'000;  // where an ink box of a drawing may end at most
constexpr std::size_t kMaxStrings = 1000;

std::vector<std::string> strings_from(const Json& list) {
  std::vector<std::string> out;
  if (!list.is_array()) return out;
  for (const Json& item : list)
    if (item.is_string() && out.size() < kMaxStrings) out.push_back(item.get<std::string>());
  return out;
}

}  // namespace

Json to_json(const Box& box) {
  return Json::array({box.x, box.y, box.w, box.h});
}

Box box_from(const Json& json) {
  if (!json.is_array() || json.size() != 4) return {};
  int numbers[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    if (!json[i].is_number_integer()) return {};
    const auto value = json[i].get<std::int64_t>();
    numbers[i] = static_cast<int>(std::clamp<std::int64_t>(value, -kFarAway, 2 * kFarAway));
  }
  return {numbers[0], numbers[1], std::max(0, numbers[2]), std::max(0, numbers[3])};
}

MediaMessage to_message(const OpenedPicture& opened) {
  MediaMessage message = to_message(opened.picture);
  message.head["drawn"] = opened.drawn;
  message.head["outside"] = opened.outside;
  Json texts = Json::array();
  for (const SvgText& text : opened.texts)
    texts.push_back({{"text", text.text}, {"ink", to_json(text.ink)}});
  message.head["texts"] = std::move(texts);
  return message;
}

Result<OpenedPicture> opened_from(const MediaMessage& message) {
  OpenedPicture opened;
  LATHE_TRY(opened.picture, picture_from(message));
  opened.drawn = json_bool(message.head, "drawn", false);
  opened.outside = strings_from(json_at(message.head, "outside"));
  if (const Json& texts = json_at(message.head, "texts"); texts.is_array())
    for (const Json& text : texts)
      if (opened.texts.size() < kMaxSvgTexts)
        opened.texts.push_back({json_string(text, "text"), box_from(json_at(text, "ink"))});
  return opened;
}

MediaMessage look_request(const Picture& picture, const LookFor& wanted) {
  MediaMessage message = to_message(picture);
  message.head["words"] = wanted.words;
  message.head["codes"] = wanted.codes;
  message.head["languages"] = wanted.languages;
  return message;
}

LookFor look_for_from(const Json& head) {
  return {strings_from(json_at(head, "words")), json_bool(head, "codes", false),
          json_string(head, "languages")};
}

Json to_json(const Sight& sight) {
  Json words = Json::array(), codes = Json::array();
  for (const SeenWord& word : sight.words)
    words.push_back({{"text", word.text},
                     {"confidence", word.confidence},
                     {"box", to_json(word.box)},
                     {"line", word.line},
                     {"pass", word.pass}});
  for (const SeenCode& code : sight.codes)
    codes.push_back({{"text", code.text}, {"box", to_json(code.box)}});
  return {{"words", words}, {"codes", codes}, {"passes", sight.passes}};
}

Result<Sight> sight_from(const Json& head, const Box& picture) {
  const Json& words = json_at(head, "words");
  const Json& codes = json_at(head, "codes");
  if (!words.is_array() || !codes.is_array())
    return fail(ErrorKind::kUnavailable, "the eye's answer is not a sight");
  Sight sight;
  for (const Json& word : words) {
    const double confidence = json_number(word, "confidence", 0);
    const Box box = common(box_from(json_at(word, "box")), picture);
    if (sight.words.size() < kMaxSeenWords && !box.empty())
      sight.words.push_back({json_string(word, "text"),
                             std::isfinite(confidence) ? std::clamp(confidence, 0.0, 100.0) : 0,
                             box, static_cast<int>(json_int(word, "line", 0)),
                             static_cast<int>(json_int(word, "pass", 0))});
  }
  for (const Json& code : codes)
    if (sight.codes.size() < kMaxStrings)
      sight.codes.push_back(
          {json_string(code, "text"), common(box_from(json_at(code, "box")), picture)});
  sight.passes = static_cast<int>(json_int(head, "passes", 0));
  return sight;
}

}  // namespace lathe::loop
