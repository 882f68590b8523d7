// A deliberately wrong twin of a change: everything that the change adds still happens, but no
// function of the files it touches gives what it should. Tests that pass all the same do not test
// the change. Pure.
#pragma once

#include <functional>

#include "loop/terms/terms.h"

namespace lathe::loop {

struct WrongTwin {
  Changes changes;
  std::vector<std::string> broken;  // "src/money.py: parse_amount"; empty: no twin could be made
};

// `original`: a file's text before the change, nothing for a new one. Broken are the functions of
// every changed source file, which do their work and then fail, and the constants that the change
// adds; `main` and what runs while a module is loaded stay as they are.
using Original = std::function<std::optional<std::string>(const std::string& path)>;
WrongTwin wrong_twin(const Changes& changes, const Original& original);

}  // namespace lathe::loop
