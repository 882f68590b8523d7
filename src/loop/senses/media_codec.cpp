// Values between the media pool and its workers, checked.
#include "loop/senses/media_codec.h"

#include <cmath>

namespace lathe::loop {
namespace {

std::vector<std::string> strings_from(const Json& list) {
  std::vector<std::string> out;
  if (!list.is_array()) return out;
  for (const Json& item : list)
    if (item.is_string()) out.push_back(item.get<std::string>());
  return out;
}

std::map<std::string, std::string> table_from(const Json& object) {
  std::map<std::string, std::string> out;
  if (!object.is_object()) return out;
  for (const auto& [key, value] : object.items())
    if (value.is_string()) out[key] = value.get<std::string>();
  return out;
}

// A time in a sound: finite, from 0, and no longer than sounds are.
double time_from(const Json& object, std::string_view key) {
  const double value = json_number(object, key, 0);
  return std::isfinite(value) ? std::clamp(value, 0.0, kMaxSoundSeconds * 2) : 0;
}

}  // namespace

Json speak_request(const std::string& text, const VoiceSetting& setting) {
  return {{"text", text},
          {"voice", setting.voice},
          {"stretch", setting.stretch},
          {"pitch", setting.pitch},
          {"pronounce", setting.pronounce}};
}

VoiceSetting voice_setting_from(const Json& head) {
  return {json_string(head, "voice"), json_number(head, "stretch", 1),
          json_number(head, "pitch", 1), table_from(json_at(head, "pronounce"))};
}

Json to_json(const EarScript& script) {
  return {{"lines", script.lines}, {"pronounce", script.pronounce}};
}

EarScript ear_script_from(const Json& head) {
  EarScript script;
  if (const Json& lines = json_at(head, "lines"); lines.is_array())
    for (const Json& line : lines) script.lines.push_back(strings_from(line));
  script.pronounce = table_from(json_at(head, "pronounce"));
  return script;
}

Json to_json(const Hearing& hearing) {
  Json heard = Json::array(), expected = Json::array();
  for (const HeardWord& word : hearing.heard)
    heard.push_back({{"word", word.word},
                     {"phones", word.phones},
                     {"start", word.start},
                     {"end", word.end},
                     {"posterior", word.posterior}});
  for (const ExpectedWord& word : hearing.expected)
    expected.push_back({{"word", word.word},
                        {"pronunciations", word.pronunciations},
                        {"voice_says", word.voice_says},
                        {"in_dictionary", word.in_dictionary},
                        {"start", word.start},
                        {"end", word.end},
                        {"acoustic", word.acoustic}});
  return {{"heard", heard}, {"expected", expected}, {"aligned", hearing.aligned}};
}

Result<Hearing> hearing_from(const Json& head) {
  const Json& heard = json_at(head, "heard");
  const Json& expected = json_at(head, "expected");
  if (!heard.is_array() || !expected.is_array())
    return fail(ErrorKind::kUnavailable, "the ear's answer is not a hearing");
  Hearing hearing;
  for (const Json& word : heard)
    hearing.heard.push_back({json_string(word, "word"), json_string(word, "phones"),
                             time_from(word, "start"), time_from(word, "end"),
                             std::clamp(json_number(word, "posterior", 0), 0.0, 1.0)});
  for (const Json& word : expected)
    hearing.expected.push_back({json_string(word, "word"),
                                strings_from(json_at(word, "pronunciations")),
                                json_string(word, "voice_says"),
                                json_bool(word, "in_dictionary", false),
                                {},
                                time_from(word, "start"),
                                time_from(word, "end"),
                                json_number(word, "acoustic", -1e6)});
  hearing.aligned = json_bool(head, "aligned", false);
  return hearing;
}

}  // namespace lathe::loop
