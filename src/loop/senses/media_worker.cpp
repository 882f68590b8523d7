// The confined child that speaks, hears, draws and reads; decoding is a room further down.
#include "loop/senses/media_worker.h"

#include "ground/media/decode_codec.h"
#include "ground/media/decoders.h"
#include "ground/sys/worker_process.h"
#include "loop/senses/media_codec.h"
#include "loop/senses/page.h"
#include "loop/senses/picture_codec.h"

namespace lathe::loop {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr ConfineLimits kSpeakLimits{.memory_bytes = 1024 * kMiB};
constexpr ConfineLimits kHearLimits{.memory_bytes = 4096 * kMiB};
constexpr ConfineLimits kDrawLimits{
    .memory_bytes = 2048 * kMiB, .cpu_seconds = 10, .draws_text = true};
constexpr ConfineLimits kLookLimits{.memory_bytes = 2048 * kMiB};

int speak_lines(std::span<const std::string>) {
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
int hear_takes(std::span<const std::string>) {
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

int draw_pictures(std::span<const std::string>) {
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
int look_at_pictures(std::span<const std::string>) {
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

int drive_page(std::span<const std::string> arguments) {
  return page_driver_main(arguments[0]);
}

constexpr WorkerRole kRoles[] = {{"speak", 0, speak_lines},
                                 {"hear", 0, hear_takes},
                                 {"draw", 0, draw_pictures},
                                 {"look", 0, look_at_pictures},
                                 {"page", 1, drive_page}};

}  // namespace

int media_worker_main(std::span<const std::string> args) {
  return run_worker(args, {decoder_roles(), kRoles});
}

}  // namespace lathe::loop
