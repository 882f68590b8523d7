// Finds placeholders and marks that an answer left in a file.
#include "loop/makers/code_check.h"

#include <algorithm>
#include <set>
#include <string>

#include "ground/base/text.h"
#include "loop/makers/code_patch.h"

namespace lathe::loop {
namespace {

bool has_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.find(word) != text.npos; });
}

// The comment in a line, else what is bracketed like "[... rest ...]"; "" when there is neither.
std::string_view remark_in(std::string_view line) {
  line = trim(line);
  for (const std::string_view mark : {"#", "//", "/*", "<!--", "--", ";", "%", "{/*", "{#", "(*",
                                      "*", "\"\"\"", "'''", "rem ", "...", "\u2026", "[", "<", "("})
    if (line.starts_with(mark)) return line;
  for (const std::string_view mark : {" # ", " // ", " /* ", " -- ", " <!-- ", "\t# ", "\t// "})
    if (const auto found = line.find(mark); found != line.npos) return line.substr(found);
  return {};
}

// Only words and the blanks between them; an ellipsis is the word "...".
std::string words_of(std::string_view remark) {
  std::string words = " ";
  const std::string plain = replace_all(to_lower_ascii(remark), "\u2026", "...");
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    if (plain.compare(i, 2, "..") == 0) {
      words += words.ends_with(' ') ? "... " : " ... ";
      while (i + 1 < plain.size() && plain[i + 1] == '.') ++i;
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               static_cast<unsigned char>(c) >= 0x80) {
      words += c;
    } else if (!words.ends_with(' ')) {
      words += ' ';
    }
  }
  return words.ends_with(' ') ? words : words + ' ';
}

bool is_placeholder(std::string_view line) {
  const std::string_view remark = remark_in(line);
  if (remark.empty()) return false;
  const std::string words = words_of(remark);
  if (words.size() > 200) return false;
  if (words == " ... ") return !line.starts_with(' ') && !line.starts_with('\t');
  const bool dots = words.contains(" ... ");
  // A remark that is not a comment must be dots to begin with.
  const char first = trim(remark).front();
  const bool bare = first == '[' || first == '<' || first == '(';
  if (bare && !dots && !has_any(words, {" unchanged ", " rest of "})) return false;
  if (dots && has_any(words, {" rest ",     " remain",           " existing ", " unchanged ",
                              " same ",     " other ",           " others ",   " previous ",
                              " original ", " omitted ",         " above ",    " before ",
                              " code ",     " function",         " method",    " import",
                              " class",     " implementation",   " snip",      " continue",
                              " keep ",     " unver\u00e4ndert", " restlich",  " inchang"}))
    return true;
  // Without dots it is one only where it speaks of code, and of little else.
  const auto count = std::ranges::count(words, ' ') - 1;
  if (count > 12) return false;
  const bool stays =
      has_any(words, {" unchanged ", " stays the same ", " stay the same ", " remains the same ",
                      " remain the same ", " same as before ", " same as above ", " as before ",
                      " as is ", " omitted ", " no changes ", " no change "});
  const bool of_code =
      has_any(words, {" code ", " function ", " functions ", " method ", " methods ", " class ",
                      " classes ", " import", " file ", " rest ", " module ", " implementation ",
                      " everything ", " others ", " content "});
  const bool told = has_any(
      words, {" rest of the code ", " rest of code ", " rest of the file ", " rest of file ",
              " rest of the function", " rest of the class ", " rest of the method",
              " rest of the module ", " rest of the implementation ", " rest of your ",
              " rest of the script ", " rest of the document ", " omitted for brevity ",
              " your code here ", " code goes here ", " keep the rest "});
  const bool existing = count <= 5 && has_any(words, {" existing ", " original ", " remaining "}) &&
                        has_any(words, {" code ", " functions ", " methods ", " imports ",
                                        " implementation ", " logic ", " tests "});
  return (stays && of_code) || told || existing || words == " unchanged " ||
         words == " no changes " || words == " no change ";
}

bool is_mark(std::string_view line) {
  return (opens_search(line) && trim(line).size() > 5) || line.starts_with("*** Begin Patch") ||
         line.starts_with("*** End Patch") || line.starts_with(">>>>>>> ") ||
         (line.starts_with("@@ -") && line.find(" @@") != line.npos);
}

}  // namespace

Status no_leftovers(std::string_view path, std::string_view before, std::string_view after) {
  const std::vector<std::string_view> old = split_lines(before);
  std::set<std::string_view> known;
  for (const std::string_view line : old) known.insert(trim(line));
  const std::vector<std::string_view> lines = split_lines(after);
  const bool patch = path.ends_with(".diff") || path.ends_with(".patch");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (known.contains(trim(lines[i]))) continue;
    if (is_placeholder(lines[i]))
      return invalid(
          "{}: the new line {}, '{}', stands for code that is left out: nothing may be left out; "
          "to change only some lines send them as a SEARCH/REPLACE block",
          path, i + 1, clip_utf8(trim(lines[i]), 120));
    if (!patch && is_mark(lines[i]))
      return invalid("{}: the new line {}, '{}', belongs to the form of an answer, not to a file",
                     path, i + 1, clip_utf8(lines[i], 120));
  }
  return {};
}

}  // namespace lathe::loop
