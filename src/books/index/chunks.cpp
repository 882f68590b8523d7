// Cuts texts into chunks: lines to blocks, blocks to chunks.
#include "books/index/chunks.h"

#include <algorithm>

#include "ground/base/fence.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::size_t kMaxHeadingBytes = 200;
constexpr std::size_t kPartBytes = kMaxChunkBytes - 1000;  // leaves room for a heading

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

std::size_t words_in(std::string_view text) {
  std::size_t words = 0;
  bool inside = false;
  for (const char c : text) {
    if (!is_blank(c) && !inside) ++words;
    inside = !is_blank(c);
  }
  return words;
}

// 1 to 6 of "## Title"; 0: it is none.
std::size_t heading_level(std::string_view line) {
  const std::size_t level = std::min(line.find_first_not_of('#'), line.size());
  return level >= 1 && level <= 6 && level < line.size() && line[level] == ' ' ? level : 0;
}

// What belongs together: a heading, a paragraph, a fenced block, or a part of one that is too long.
struct Block {
  std::size_t begin = 0, end = 0;
  std::size_t first_line = 1, last_line = 1;
  std::size_t level = 0;  // of a heading
};

class Cutter {
 public:
  Cutter(std::string_view text, bool markdown) : text_(text), markdown_(markdown) {}

  std::vector<Chunk> run() {
    for (const Block& block : blocks()) add(block);
    close();
    return std::move(chunks_);
  }

 private:
  std::vector<Block> blocks() const {
    std::vector<Block> blocks;
    std::string_view fence;
    bool open = false;  // the last block goes on
    std::size_t number = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      const std::string_view line = text_.substr(at, end - at);
      ++number;
      const bool inside = !fence.empty();
      const std::size_t level = inside || !markdown_ ? 0 : heading_level(line);
      if (!inside) {
        fence = fence_of(line);
        open = open && level == 0 && fence.empty() && !trim(line).empty();
      }
      if (inside || !trim(line).empty()) {
        if (!open) blocks.push_back({at, end, number, number, level});
        blocks.back().end = end;
        blocks.back().last_line = number;
        open = level == 0;
      }
      if (inside && closes_fence(line, fence)) {
        fence = {};
        open = false;
      }
      at = end + 1;
    }
    return blocks;
  }

  void add(const Block& block) {
    if (block.level > 0) {
      if (!only_headings_) close();
      headings_.resize(block.level - 1);
      headings_.push_back(
          clip_utf8(trim(text_.substr(block.begin, block.end - block.begin).substr(block.level)),
                    kMaxHeadingBytes));
      put(block);
      return;
    }
    if (!fits(block) && !only_headings_) close();
    const std::vector<Block> parts = fits(block) ? std::vector{block} : parts_of(block);
    for (const Block& part : parts) {
      if (!fits(part)) close();
      put(part);
      only_headings_ = false;
    }
  }

  // Lines of it, and of a line that is too long its words, and of a word its characters.
  std::vector<Block> parts_of(const Block& block) const {
    std::vector<Block> parts;
    std::size_t number = block.first_line;
    for (std::size_t at = block.begin; at < block.end; ++number) {
      const std::size_t end = std::min(text_.find('\n', at), block.end);
      for (std::size_t from = at; from < end;) {
        const std::size_t to = from + prefix_that_fits(text_.substr(from, end - from));
        parts.push_back({from, to, number, number, 0});
        from = to;
      }
      at = end + 1;
    }
    return parts;
  }

  static std::size_t prefix_that_fits(std::string_view line) {
    if (line.size() <= kPartBytes && words_in(line) <= kChunkWords) return line.size();
    std::size_t words = 0, last_blank = 0, at = 0;
    for (; at < std::min(line.size(), kPartBytes); ++at) {
      if (is_blank(line[at]))
        last_blank = at;
      else if ((at == 0 || is_blank(line[at - 1])) && ++words > kChunkWords)
        return at;
    }
    if (at == line.size()) return at;
    if (last_blank > 0) return last_blank;
    while (at > 1 && (static_cast<unsigned char>(line[at]) & 0xC0) == 0x80) --at;
    return at;
  }

  bool fits(const Block& block) const {
    const std::size_t begin = empty_ ? block.begin : chunk_.begin;
    if (block.end - begin > kMaxChunkBytes) return false;
    const std::size_t had = empty_ ? 0 : words_in(text_.substr(chunk_.begin, chunk_.end - begin));
    return (only_headings_ || had < kChunkWords) &&
           had + words_in(text_.substr(block.begin, block.end - block.begin)) <= kMaxChunkWords;
  }

  void put(const Block& block) {
    if (empty_) {
      chunk_ = {block.begin, block.end, block.first_line, block.last_line, heading()};
      empty_ = false;
      return;
    }
    chunk_.end = block.end;
    chunk_.last_line = block.last_line;
    chunk_.heading = heading();
  }

  std::string heading() const {
    std::string path;
    for (const std::string& each : headings_)
      if (!each.empty()) path += (path.empty() ? "" : " › ") + each;
    return path;
  }

  void close() {
    for (; chunk_.begin < chunk_.end && is_blank(text_[chunk_.begin]); ++chunk_.begin)
      chunk_.first_line += text_[chunk_.begin] == '\n';
    for (; chunk_.begin < chunk_.end && is_blank(text_[chunk_.end - 1]); --chunk_.end)
      chunk_.last_line -= text_[chunk_.end - 1] == '\n';
    if (!empty_ && chunk_.begin < chunk_.end) chunks_.push_back(chunk_);
    empty_ = true;
    only_headings_ = true;
  }

  const std::string_view text_;
  const bool markdown_;
  std::vector<std::string> headings_;
  std::vector<Chunk> chunks_;
  Chunk chunk_;
  bool empty_ = true;
  bool only_headings_ = true;  // in the chunk that is open
};

}  // namespace

std::vector<Chunk> chunks_of(std::string_view text, bool markdown) {
  return Cutter(text, markdown).run();
}

}  // namespace lathe::books
