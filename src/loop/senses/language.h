// Which language a line is in, as far as voice and ear need to know: is it English? Pure.
#pragma once

#include <string>
#include <string_view>

namespace lathe::loop {

// "" for English and for what cannot be told; else "German", "French" … or "another script".
//
// The rule: a line with more letters of other scripts than Latin ones is in another script. Else
// the small words of each language are counted (und, nicht, les, avec …; none that English has as
// well), and each further word with a letter that English lacks (ä, ñ, ł …) counts half. The line
// is in the language with the highest count if that is above the count of English small words and
// reaches two, or half of the line's words.
std::string foreign_language(std::string_view text);

}  // namespace lathe::loop
