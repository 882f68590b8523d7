// Speaking a text with a named voice: "flite:rms", "flite:slt", "flite:awb", "flite:kal16" (linked,
// in a worker process) or "espeak-ng:VARIANT" (a program of its own, as it is GPL). Any thread.
#pragma once

#include <functional>
#include <span>

#include "loop/senses/media_pool.h"

namespace lathe::loop {

inline constexpr std::string_view kEspeakPrefix = "espeak-ng:";
inline constexpr std::string_view kFlitePrefix = "flite:";

std::span<const std::string_view> default_voices();  // in the order to try them
Status check_voice(std::string_view voice);          // is there such a name? Pure.

// 16 kHz mono at −18 LUFS (less where the true peak would pass −1 dBTP), a quarter of a second of
// silence on each side. The same setting gives the same bits. `text` is spoken text.
Result<Sound> speak_take(MediaPool& pool, const std::string& text, const VoiceSetting& setting,
                         Milliseconds limit, const StopFlag& stop);

// A sound of somebody else's in that form.
Sound as_take(const Sound& sound);

// A text as people write it, spoken sentence by sentence: `take` gets each as it is done, like
// speak_take() gives it. An error where there is nothing to say.
Status speak_text(MediaPool& pool, std::string_view text, VoiceSetting setting, Milliseconds limit,
                  const StopFlag& stop, const std::function<Status(const Sound& sentence)>& take);

// The word's phones by espeak-ng's rules: a second opinion on words that no dictionary has. An
// error where it is not installed.
Result<std::string> espeak_pronunciation(const std::string& word, const StopFlag& stop);

}  // namespace lathe::loop
