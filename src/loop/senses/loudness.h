// How loud a sound is, and brought to a loudness. Pure; the same input gives the same bits.
#pragma once

#include "ground/media/sound.h"

namespace lathe::loop {

struct Loudness {
  double lufs = -70;          // integrated, EBU R128; -70 for silence
  double true_peak_db = -70;  // dBTP
};
Loudness loudness_of(const Sound& sound);

// Brought to `lufs` as far as the true peak stays at or below `peak_db`.
Sound levelled(const Sound& sound, double lufs = -18, double peak_db = -1);

}  // namespace lathe::loop
