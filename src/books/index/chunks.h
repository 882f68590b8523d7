// Cuts a text into chunks of about 120 words along its structure. Pure; safe on any bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::books {

inline constexpr std::size_t kChunkWords = 120;      // a chunk is closed when it has so many …
inline constexpr std::size_t kMaxChunkWords = 180;   // … and has no more
inline constexpr std::size_t kMaxChunkBytes = 4000;  // whatever words are there

// A range of whole lines, but of lines that are too long by themselves.
struct Chunk {
  std::size_t begin = 0, end = 0;  // bytes, without blanks at either end
  std::size_t first_line = 1, last_line = 1;
  std::string heading;  // those it stands under, from the outermost: "Setup › Ports"
};

// Blank lines and fenced blocks part a text, and with `markdown` headings ("# …"), which begin a
// chunk. Nothing but blanks is left out, and chunks do not overlap.
std::vector<Chunk> chunks_of(std::string_view text, bool markdown);

}  // namespace lathe::books
