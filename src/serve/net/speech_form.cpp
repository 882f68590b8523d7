// The fields of a text to be spoken; sounds told from what else servers answer with.
#include "serve/net/speech_form.h"

#include <charconv>

#include "ground/base/text.h"
#include "serve/net/api_dialect.h"

namespace lathe::serve {
namespace {

constexpr int kRawRate = 24000;  // of samples without a head, as OpenAI's are

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// A WAV that says how long it is, and is shorter. Those that are streamed cannot say it, and say
// nothing or as much as there can be.
bool breaks_off(std::string_view file) {
  constexpr std::size_t kHead = 12, kChunk = 8;
  constexpr std::uint32_t kUnknown = 0x7ff00000;
  if (file.size() < kHead || !file.starts_with("RIFF") || file.substr(8, 4) != "WAVE") return false;
  for (std::size_t at = kHead; at + kChunk <= file.size();) {
    const std::uint32_t size = number_at(file, at + 4);
    if (file.substr(at, 4) == "data") return size < kUnknown && size > file.size() - at - kChunk;
    if (size > file.size()) return false;
    at += kChunk + size + size % 2;
  }
  return false;
}

// "audio/pcm;rate=22050" → 22050; of what is no type of samples 0.
int raw_rate_of(std::string_view type) {
  const std::string name = to_lower_ascii(type);
  if (!name.starts_with("audio/pcm") && !name.starts_with("audio/l16")) return 0;
  const std::size_t at = name.find("rate=");
  int rate = kRawRate;
  if (at != name.npos) std::from_chars(name.data() + at + 5, name.data() + name.size(), rate);
  return rate >= 4000 && rate <= 192'000 ? rate : kRawRate;
}

// Texts and lists where a sound should be: what they say.
Result<SpokenFile> no_sound(const HttpAnswer& answer, std::string_view place) {
  const auto json = parse_json(answer.body);
  if (json &&
      (json_at(*json, "url").is_string() || json_at(json_at(*json, "data"), "url").is_string()))
    return fail(ErrorKind::kDenied,
                "{}: answers with the address of a sound, from which nothing is fetched; have it "
                "answer with the sound itself",
                place);
  const std::string said = error_message_of(answer.body);
  if (json && !said.empty()) return invalid("{}: answers with an error: {}", place, said);
  return invalid("{}: answers with '{}', not with a sound", place,
                 clip_utf8(make_valid_utf8(answer.content_type), 60));
}

}  // namespace

Json speech_fields(const std::string& model, const SpeechRequest& asked, bool cloud) {
  Json fields = {
      {"model", model}, {"input", make_valid_utf8(asked.text)}, {"response_format", "wav"}};
  if (!asked.voice.empty()) fields["voice"] = asked.voice;
  if (asked.speed != 1) fields["speed"] = asked.speed;
  if (cloud) return fields;  // no cloud of this API knows what follows
  if (!asked.language.empty()) fields["language"] = asked.language;
  if (asked.seed) fields["seed"] = *asked.seed;
  return fields;
}

Result<SpokenFile> spoken_file(HttpAnswer answer, std::string_view place) {
  if (answer.body.empty()) return invalid("{}: answers with an empty sound", place);
  const std::string type = to_lower_ascii(answer.content_type);
  const bool text = type.starts_with("text/") || type.contains("json") ||
                    std::string_view("{[<").contains(trim(answer.body.substr(0, 64)).substr(0, 1));
  SpokenFile spoken;
  spoken.raw_rate = answer.body.starts_with("RIFF") ? 0 : raw_rate_of(type);
  if (text && spoken.raw_rate == 0) return no_sound(answer, place);
  if (breaks_off(answer.body))
    return fail(ErrorKind::kUnavailable,
                "{}: its sound is shorter than its head says: it broke off", place);
  if (spoken.raw_rate != 0 && answer.body.size() % 2 != 0)
    return fail(ErrorKind::kUnavailable, "{}: its samples end within one: they broke off", place);
  spoken.file = std::move(answer.body);
  spoken.usage.calls = 1;
  return spoken;
}

}  // namespace lathe::serve
