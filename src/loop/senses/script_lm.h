// A trigram language model of a script, in ARPA form. Pure.
#pragma once

#include <string>
#include <vector>

namespace lathe::loop {

// Absolute discounting with back-off. Lines are lists of words as words_of() gives them.
std::string script_language_model(const std::vector<std::vector<std::string>>& lines);

}  // namespace lathe::loop
