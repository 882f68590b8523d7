// Any bytes as a sound file, a frame from a media worker and a critique to read back.
#include <cstdlib>

#include "ground/media/decode_codec.h"
#include "ground/media/sound_decode.h"
#include "loop/senses/media_codec.h"
#include "loop/senses/phones.h"
#include "loop/senses/signal_facts.h"
#include "loop/senses/word_fault.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto decoded = lathe::decode_sound(bytes)) {
    if (decoded->sound.seconds() > lathe::kMaxSoundSeconds * 1.1) std::abort();
    lathe::loop::signal_facts(decoded->sound);
  }
  if (const auto message = lathe::parse_frame(bytes)) {
    if (const auto hearing = lathe::loop::hearing_from(message->head))
      for (const auto& word : hearing->heard)
        if (!(word.posterior >= 0 && word.posterior <= 1)) std::abort();
    (void)lathe::decoded_from(*message);
  }
  (void)lathe::loop::parse_fault(bytes, bytes);
  (void)lathe::loop::cmu_phones(bytes);
  (void)lathe::loop::cmu_from_espeak(bytes);
  return 0;
}
