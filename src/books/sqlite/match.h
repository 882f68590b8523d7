// Questions of people as FTS5 reads them. Pure; safe on any bytes.
#pragma once

#include <string>
#include <string_view>

namespace lathe::books {

// Any of the question's words; what is written as one, like ID-0815, also as it stands. "": it has
// no words. At most 64 are looked for.
std::string match_expression(std::string_view question);
// All of the words, each as the beginning of one: what is typed into a field for a search.
std::string match_beginnings(std::string_view typed);

}  // namespace lathe::books
