// Sounds that are heard: played by a program of the system, PipeWire's pw-play or ALSA's aplay.
#pragma once

#include "ground/base/stop.h"
#include "ground/media/sound.h"

namespace lathe::app {

// Until it has been played, or `stop` is raised (kCancelled). An error: neither program is there,
// or what it said.
Status play_sound(const Sound& sound, const StopFlag& stop);
// The same of a WAV file's bytes, so many seconds long.
Status play_wav(std::string_view file, double seconds, const StopFlag& stop);

}  // namespace lathe::app
