// Words of the trade that no dictionary here has, and how people say them: JSON, YAML, nginx. Voice
// and ear both go by it. Pure.
#pragma once

#include <map>
#include <span>
#include <string>

namespace lathe::loop {

// CMU phones of those of the words that are in the list.
std::map<std::string, std::string> listed_phones(std::span<const std::string> words);

}  // namespace lathe::loop
