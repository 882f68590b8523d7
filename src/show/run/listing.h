// What a list of runs says of each of them.
#pragma once

#include "books/journal/journal.h"

namespace lathe::show {

// "running" while a process holds it, "stopped" where none does and it has not ended, else what it
// came to. A pass is looked at again: what a run's verdicts do not give it has not got.
std::string listed_state(const books::Journal& journal, const books::RunRow& row);

}  // namespace lathe::show
