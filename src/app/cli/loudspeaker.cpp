// One program a sound.
#include "app/cli/loudspeaker.h"

#include <cstdlib>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/sys/subprocess.h"

namespace lathe::app {

Status play_sound(const Sound& sound, const StopFlag& stop) {
  return play_wav(wav_bytes(sound), sound.seconds(), stop);
}

Status play_wav(std::string_view bytes, double seconds, const StopFlag& stop) {
  const bool pipewire = find_program("pw-play").has_value();
  if (!pipewire && !find_program("aplay"))
    return fail(ErrorKind::kNotFound,
                "there is no program that plays sounds; install alsa-utils (aplay) or "
                "pipewire-bin (pw-play), or give --out FILE");
  LATHE_TRY(const TempDir place, TempDir::make());
  const fs::path file = place.path() / "speech.wav";
  LATHE_TRY_STATUS(write_file_atomic(file, bytes));
  Command command;
  command.argv = pipewire ? std::vector<std::string>{"pw-play", file.string()}
                          : std::vector<std::string>{"aplay", "-q", file.string()};
  command.env = plain_environment();
  // PipeWire's socket is found by this.
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"))
    command.env["XDG_RUNTIME_DIR"] = runtime;
  command.time_limit = Milliseconds(static_cast<std::int64_t>(seconds * 2000) + 10'000);
  LATHE_TRY(const Exit exit, run_command(command, stop));
  if (exit.stopped) return fail(ErrorKind::kCancelled, "stopped");
  if (exit.ok()) return {};
  return fail(ErrorKind::kUnavailable, "{}: {} {}", command.argv[0], exit.describe(),
              clip_utf8(trim(exit.err), 200));
}

}  // namespace lathe::app
