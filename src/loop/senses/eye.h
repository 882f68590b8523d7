// The eye: Tesseract reads words from a picture, zbar its codes. Holds about 50 MB of models and is
// for one thread; it lives in a worker process (MediaPool::look()).
#pragma once

#include <memory>

#include "loop/senses/reading.h"

namespace lathe::loop {

struct SeenCode {
  std::string text;
  Box box;
};

// What is looked for: the picture is looked at in other ways while some of these words are missing.
struct LookFor {
  std::vector<std::string> words;
  bool codes = false;
  std::string languages = "eng";  // as check_languages() takes them
};

// "deu+eng": languages of Tesseract, all of them installed. The error names the Debian package.
Status check_languages(std::string_view languages);
// Are they all written in Latin letters?
bool in_latin_letters(std::string_view languages);

struct Sight {
  std::vector<SeenWord> words;  // of all passes; boxes in the picture's pixels
  std::vector<SeenCode> codes;
  int passes = 0;
};
inline constexpr std::size_t kMaxSeenWords = 4000;

class Eye {
 public:
  static Result<std::unique_ptr<Eye>> make(const std::string& languages);
  ~Eye();
  Result<Sight> look(const Picture& picture, const LookFor& wanted);

 private:
  struct Reader;
  explicit Eye(std::unique_ptr<Reader> reader);
  std::unique_ptr<Reader> reader_;
};

}  // namespace lathe::loop
