// The flite voices and their lexicon. C library with global state: only in a worker process, one
// thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "ground/media/sound.h"

namespace lathe::loop {

struct VoiceSetting {
  std::string voice = "rms";                          // "rms", "slt", "awb", "kal16"
  double stretch = 1;                                 // of durations; above 1 is slower
  double pitch = 1;                                   // factor on the voice's own pitch
  std::map<std::string, std::string> pronounce = {};  // word → phones, as cmu_phones() takes them
};

class FliteVoices {
 public:
  FliteVoices();  // loads all four libraries: later on nothing is read from files
  ~FliteVoices();
  Result<Sound> speak(const std::string& text, const VoiceSetting& setting);
  // CMU phones by its lexicon or, for words that are not in it, its letter-to-sound rules; "" when
  // there are none.
  std::string pronunciation(const std::string& word) const;

 private:
  struct Voices;
  std::unique_ptr<Voices> voices_;
};

}  // namespace lathe::loop
