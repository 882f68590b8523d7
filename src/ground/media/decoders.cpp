// Decodes files in confined children: what is asked of them, and what they do.
#include "ground/media/decoders.h"

#include "ground/media/decode_codec.h"

namespace lathe {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::string_view kRate = "rate";  // that is wanted
constexpr ConfineLimits kSoundLimits{.memory_bytes = 1280 * kMiB, .finds_no_files = true};
constexpr ConfineLimits kPictureLimits{.memory_bytes = 1024 * kMiB, .cpu_seconds = 10};

int decode_sounds(std::span<const std::string>) {
  if (const Status locked = lock_in(kSoundLimits); !locked) refuse_all(locked.error());
  serve_frames([](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    const int rate = static_cast<int>(json_int(request->head, kRate, kSoundRate));
    return answer(decode_sound(request->body, rate),
                  [](const Decoded& d) { return to_message(d); });
  });
}

int decode_pictures(std::span<const std::string>) {
  if (const Status locked = lock_in(kPictureLimits); !locked) refuse_all(locked.error());
  serve_frames([](std::string_view frame) {
    const auto request = parse_frame(frame);
    if (!request) return refusal(request.error());
    return answer(decode_picture(request->body), [](const Picture& p) { return to_message(p); });
  });
}

Result<Decoded> decode_at(const fs::path& program, std::string_view file, int rate,
                          Milliseconds limit, const StopFlag& stop) {
  if (file.size() > kMaxSoundFile)
    return invalid("the sound file is longer than {} MiB", kMaxSoundFile >> 20);
  WorkerProcess process(media_worker(program, "decode-sound"));
  const auto reply = ask_reader(process, file, limit, stop, {{kRate, rate}});
  if (!reply) return at("unreadable sound file", reply.error());
  return decoded_from(*reply);
}

constexpr WorkerRole kRoles[] = {{"decode-sound", 0, decode_sounds},
                                 {"decode-picture", 0, decode_pictures}};

}  // namespace

std::span<const WorkerRole> decoder_roles() {
  return kRoles;
}

Result<Decoded> decode_sound_file(const fs::path& program, std::string_view file,
                                  Milliseconds limit, const StopFlag& stop) {
  return decode_at(program, file, kSoundRate, limit, stop);
}

Result<std::vector<std::int16_t>> decode_samples_file(const fs::path& program,
                                                      std::string_view file, int rate,
                                                      Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY(Decoded decoded, decode_at(program, file, rate, limit, stop));
  return std::move(decoded.sound.samples);
}

Result<Picture> decode_picture_file(const fs::path& program, std::string_view file,
                                    Milliseconds limit, const StopFlag& stop) {
  if (file.size() > kMaxPictureFile)
    return invalid("the picture file is longer than {} MiB", kMaxPictureFile >> 20);
  WorkerProcess process(media_worker(program, "decode-picture"));
  const auto reply = ask_reader(process, file, limit, stop);
  if (!reply) return at("unreadable picture", reply.error());
  return picture_from(*reply);
}

}  // namespace lathe
