// How long runs are kept: CONFIG/lathe.toml
//
//   [journal]
//   keep_days = 30     # runs that were begun longer ago are erased, and chats that nobody has gone
//                      # on with for as long; without it they stay
#pragma once

#include "app/cli/app.h"
#include "books/chats/chats.h"

namespace lathe::app {

// Pure: the runs that have to go now. Those that a process works on stay.
std::vector<std::string> too_old(std::span<const books::RunRow> runs, std::int64_t keep_days,
                                 std::int64_t now_ms);

// Erases what is too old, and says so. Where another process uses the journal, later. Errors: the
// file says something wrong.
Status erase_old_runs(const App& app, books::Journal& journal);
Status forget_old_chats(const App& app, books::Chats& chats);

}  // namespace lathe::app
