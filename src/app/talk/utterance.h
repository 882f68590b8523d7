// When somebody speaks, and when they have finished. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace lathe::app {

// Whether a sound of 16 kHz has a fifth of a second of speech in it and then 0.9 seconds without:
// frames of 20 ms count as speech above −40 dB of full scale (root mean square).
bool utterance_ended(std::span<const std::int16_t> samples);

// Where somebody begins to speak: of a fifth of a second from there on 0.12 seconds at least are
// speech. nullopt: nobody does.
std::optional<std::size_t> speech_in(std::span<const std::int16_t> samples);

}  // namespace lathe::app
