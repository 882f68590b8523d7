// Two globs as automata, and whether their product accepts anything.
#include "loop/plan/globs.h"

#include <algorithm>
#include <vector>

namespace lathe::loop {
namespace {

struct GlobToken {
  enum class Kind {
    kChar,  // this character
    kOne,   // one that is no '/'
    kStar,  // any number of those
    kDeep,  // any number of any
    kDirs,  // "**/": nothing, or anything up to a '/'; the '/' is the next token
  } kind;
  char c = 0;

  bool repeats() const { return kind != Kind::kChar && kind != Kind::kOne; }
  bool takes_slash() const { return kind == Kind::kDeep || kind == Kind::kDirs; }
};

std::vector<GlobToken> tokens_of(std::string_view glob) {
  std::vector<GlobToken> tokens;
  for (std::size_t i = 0; i < glob.size(); ++i) {
    const char c = glob[i];
    const bool begins = i == 0 || glob[i - 1] == '/';
    if (glob.substr(i).starts_with("**")) {
      ++i;
      const bool dirs = begins && i + 1 < glob.size() && glob[i + 1] == '/';
      tokens.push_back({dirs ? GlobToken::Kind::kDirs : GlobToken::Kind::kDeep});
    } else if (c == '*') {
      tokens.push_back({GlobToken::Kind::kStar});
    } else if (c == '?') {
      tokens.push_back({GlobToken::Kind::kOne});
    } else {
      tokens.push_back(
          {GlobToken::Kind::kChar, c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c});
    }
  }
  return tokens;
}

// Whether one character can be taken by both.
bool meet(const GlobToken& a, const GlobToken& b) {
  if (a.kind == GlobToken::Kind::kChar && b.kind == GlobToken::Kind::kChar) return a.c == b.c;
  if (a.kind == GlobToken::Kind::kChar) return a.c != '/' || b.takes_slash();
  if (b.kind == GlobToken::Kind::kChar) return b.c != '/' || a.takes_slash();
  return true;
}

}  // namespace

// A state is a place in each glob; all ways on lead to higher places, so that one pass in order
// finds what can be reached.
bool globs_overlap(std::string_view left, std::string_view right) {
  const std::vector<GlobToken> a = tokens_of(left), b = tokens_of(right);
  const std::size_t rows = a.size() + 1, columns = b.size() + 1;
  std::vector<bool> reached(rows * columns);
  const auto reach = [&](std::size_t i, std::size_t j) {
    if (i < rows && j < columns) reached[i * columns + j] = true;
  };
  reach(0, 0);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      if (!reached[i * columns + j]) continue;
      // What may be nothing is stepped over; "**/" with its '/'.
      if (i < a.size() && a[i].repeats()) reach(i + 1, j);
      if (i < a.size() && a[i].kind == GlobToken::Kind::kDirs) reach(i + 2, j);
      if (j < b.size() && b[j].repeats()) reach(i, j + 1);
      if (j < b.size() && b[j].kind == GlobToken::Kind::kDirs) reach(i, j + 2);
      if (i < a.size() && j < b.size() && meet(a[i], b[j]))
        reach(a[i].repeats() ? i : i + 1, b[j].repeats() ? j : j + 1);
    }
  return reached.back();
}

bool writes_overlap(std::string_view a, std::string_view b) {
  if (globs_overlap(a, b)) return true;
  if (!has_wildcard(a) && globs_overlap(std::string(a) + "/**", b)) return true;
  return !has_wildcard(b) && globs_overlap(a, std::string(b) + "/**");
}

bool has_wildcard(std::string_view glob) {
  return glob.find_first_of("*?") != glob.npos;
}

std::string fixed_part(std::string_view glob) {
  const auto wild = glob.find_first_of("*?");
  if (wild == glob.npos) return std::string(glob);
  const auto slash = glob.substr(0, wild).rfind('/');
  return slash == glob.npos ? std::string() : std::string(glob.substr(0, slash));
}

bool lies_within(std::string_view glob, std::string_view path) {
  if (path == ".") return true;
  const std::string fixed = fixed_part(glob);
  return fixed == path ||
         (fixed.size() > path.size() && fixed.starts_with(path) && fixed[path.size()] == '/');
}

}  // namespace lathe::loop
