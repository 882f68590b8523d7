#pragma once

#include <string>

// Breaks text into lines of at most `width` characters, between words. A word that is longer gets a
// line of its own. Newlines in the text stay.
std::string wrap(const std::string& text, std::size_t width);
