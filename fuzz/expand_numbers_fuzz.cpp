// Any bytes as a line to be spoken: words come out that are at rest when expanded again.
#include <cstdlib>

#include "ground/base/text.h"
#include "loop/senses/spoken.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string spoken = lathe::loop::spoken_text({reinterpret_cast<const char*>(data), size});
  if (lathe::find_invalid_utf8(spoken) != spoken.npos) std::abort();
  for (const std::string& word : lathe::loop::words_of(spoken))
    if (word.empty() || word.find_first_not_of("abcdefghijklmnopqrstuvwxyz'") != word.npos)
      std::abort();
  return 0;
}
