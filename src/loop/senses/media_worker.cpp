// The confined child that speaks, hears, decodes, draws and reads.
#include "loop/senses/media_worker.h"

#include "ground/sys/confine.h"
#include "ground/sys/worker_process.h"
#include "loop/senses/media_codec.h"
#include "loop/senses/page.h"
#include "loop/senses/picture_codec.h"
#include "loop/senses/picture_decode.h"

namespace lathe::loop {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr ConfineLimits kDecodeLimits{.memory_bytes = 1024 * kMiB};
constexpr ConfineLimits kSpeakLimits{.memory_bytes = 1024 * kMiB};
constexpr ConfineLimits kHearLimits{.memory_bytes = 4096 * kMiB};
constexpr ConfineLimits kPictureLimits{.memory_bytes = 1024 * kMiB, .cpu_seconds = 10};
constexpr ConfineLimits kDrawLimits{
    .memory_bytes = 2048 * kMiB, .cpu_seconds = 10, .draws_text = true};
constexpr ConfineLimits kLookLimits{.memory_bytes = 2048 * kMiB};

std::string refusal(const Error& error) {
  return to_frame(
      {{{"error", error.message}, {"unavailable", error.kind == ErrorKind::kUnavailable}}, ""});
}

template <class T, class ToMessage>
std::string answer(const Result<T>& result, const ToMessage& to_message_of) {
  return result ? to_frame(to_message_of(*result)) : refusal(result.error());
}

Status lock_in(const ConfineLimits& limits) {
  watch_parent();
  return confine(limits);
}

// A worker that cannot lock itself in works for nobody.
[[noreturn]] void refuse_all(const Error& error) {
  serve_frames([&](std::string_view) { return refusal(error); });
}

[[noreturn]] void decode_files() {
  if (const Status locked = lock_in(kDecodeLimits); !locked) refuse_all(locked.error());
  serve_frames([](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    return answer(decode_sound(request->body), [](const Decoded& d) { return to_message(d); });
  });
}

[[noreturn]] void speak_lines() {
  FliteVoices voices;
  if (const Status locked = lock_in(kSpeakLimits); !locked) refuse_all(locked.error());
  serve_frames([&](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    return answer(
        voices.speak(json_string(request->head, "text"), voice_setting_from(request->head)),
        [](const Sound& sound) {
          return MediaMessage{Json::object(), to_body(sound)};
        });
  });
}

// The first frame is the script; it is loaded before the door closes.
[[noreturn]] void hear_takes() {
  std::unique_ptr<Ear> ear;
  serve_frames([&](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    if (!ear) {
      auto made = Ear::make(ear_script_from(request->head));
      if (!made) return refusal(made.error());
      if (const Status locked = lock_in(kHearLimits); !locked) return refusal(locked.error());
      ear = std::move(*made);
      return to_frame({});
    }
    std::vector<std::string> expected;
    for (const Json& word : json_at(request->head, "expected"))
      if (word.is_string()) expected.push_back(word.get<std::string>());
    const auto sound = sound_from_body(request->body);
    if (!sound) return refusal(sound.error());
    return answer(ear->hear(*sound, expected), [](const Hearing& h) {
      return MediaMessage{to_json(h), ""};
    });
  });
}

[[noreturn]] void open_pictures() {
  if (const Status locked = lock_in(kPictureLimits); !locked) refuse_all(locked.error());
  serve_frames([](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    return answer(decode_picture(request->body), [](const Picture& p) {
      return to_message(OpenedPicture{p, false, {}, {}});
    });
  });
}

[[noreturn]] void draw_pictures() {
  const auto drawer = SvgDrawer::make();
  if (!drawer) refuse_all(drawer.error());
  if (const Status locked = lock_in(kDrawLimits); !locked) refuse_all(locked.error());
  serve_frames([&](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    return answer((*drawer)->draw(request->body), [](const Drawn& d) {
      return to_message(OpenedPicture{d.picture, true, d.texts, d.outside});
    });
  });
}

// The first frame says in which languages; their models are loaded before the door closes.
[[noreturn]] void look_at_pictures() {
  std::unique_ptr<Eye> eye;
  serve_frames([&](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    if (!eye) {
      auto made = Eye::make(look_for_from(request->head).languages);
      if (!made) return refusal(made.error());
      if (const Status locked = lock_in(kLookLimits); !locked) return refusal(locked.error());
      eye = std::move(*made);
    }
    const auto picture = picture_from(*request);
    if (!picture) return refusal(picture.error());
    return answer(eye->look(*picture, look_for_from(request->head)), [](const Sight& sight) {
      return MediaMessage{to_json(sight), ""};
    });
  });
}

}  // namespace

int media_worker_main(std::span<const std::string> args) {
  const std::string role = args.empty() ? "" : args[0];
  if (role == "decode") decode_files();
  if (role == "speak") speak_lines();
  if (role == "hear") hear_takes();
  if (role == "open-picture") open_pictures();
  if (role == "draw") draw_pictures();
  if (role == "look") look_at_pictures();
  if (role == "page" && args.size() == 2) return page_driver_main(args[1]);
  return 2;
}

}  // namespace lathe::loop
