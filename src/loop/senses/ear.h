// The ear: PocketSphinx with the script's own language model mixed into the general one, a forced
// alignment and a free phone loop. Holds about 200 MB of models and is for one thread; it lives in
// a worker process (MediaPool::hear()).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ground/media/sound.h"
#include "loop/senses/flite_voice.h"

namespace lathe::loop {

// What the ear is prepared for: the lines that may be said, as words, and the pronunciations that a
// person gave.
struct EarScript {
  std::vector<std::vector<std::string>> lines;
  std::map<std::string, std::string> pronounce;  // word → phones, as cmu_phones() takes them
};

struct HeardWord {
  std::string word;
  std::string phones;
  double start = 0, end = 0;  // seconds in the sound
  double posterior = 0;       // in [0,1]
};

struct ExpectedWord {
  std::string word;
  std::vector<std::string> pronunciations;
  std::string voice_says;      // by flite's lexicon or rules
  bool in_dictionary = false;  // or given by a person; else by flite's rules
  std::string second_opinion;  // for words by rule: how another engine says it; filled in by judges
  // From the forced alignment; end is 0 when the sound cannot be aligned with the words at all.
  double start = 0, end = 0;
  double acoustic = 0;  // score per frame above that of a free phone loop; 0 is perfect
};

struct Hearing {
  std::vector<HeardWord> heard;
  std::vector<ExpectedWord> expected;
  bool aligned = false;
};

class Ear {
 public:
  static Result<std::unique_ptr<Ear>> make(const EarScript& script);
  ~Ear();
  // The words need not be from the script. Bounded: as much sound as a file may hold, 20,000 words.
  Result<Hearing> hear(const Sound& sound, const std::vector<std::string>& expected);

 private:
  struct Models;
  explicit Ear(std::unique_ptr<Models> models);
  std::unique_ptr<Models> models_;
};

}  // namespace lathe::loop
