#include "loop/makers/code_cut.h"

#include <algorithm>
#include <array>

#include "ground/base/text.h"

namespace lathe {
namespace {

enum class Language { kNone, kBraces, kPython, kShell };

Language language_of(std::string_view path) {
  const auto dot = path.rfind('.');
  const std::string_view extension = dot == path.npos ? "" : path.substr(dot + 1);
  static constexpr std::array<std::string_view, 22> kBraces{
      "c",  "cc", "cpp", "cxx", "h",  "hh", "hpp", "hxx", "cu",    "java", "js",
      "ts", "go", "rs",  "cs",  "kt", "m",  "php", "jsx", "swift", "tsx",  "mjs"};
  if (extension == "py") return Language::kPython;
  if (extension == "sh" || extension == "bash") return Language::kShell;
  return std::ranges::find(kBraces, extension) != kBraces.end() ? Language::kBraces
                                                                : Language::kNone;
}

bool has_no_semicolons(std::string_view path) {
  static constexpr std::array<std::string_view, 8> kEndings{".go", ".js",  ".jsx", ".mjs",
                                                            ".ts", ".tsx", ".kt",  ".swift"};
  return std::ranges::any_of(kEndings, [&](std::string_view end) { return path.ends_with(end); });
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == ':' || c == '~' || static_cast<unsigned char>(c) >= 0x80;
}

std::string_view indent_of(std::string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

std::string_view last_part(std::string_view name) {
  const auto colons = name.rfind("::");
  if (colons != name.npos) return name.substr(colons + 2);
  const auto dot = name.rfind('.');
  return dot == name.npos ? name : name.substr(dot + 1);
}

// ---- braces ----

bool is_no_name(std::string_view word) {
  static constexpr std::array<std::string_view, 24> kWords{
      "if",       "for",     "while",     "switch",        "catch",   "return",
      "sizeof",   "else",    "do",        "func",          "fn",      "function",
      "decltype", "alignas", "noexcept",  "__attribute__", "defined", "requires",
      "match",    "foreach", "constexpr", "explicit",      "using",   "synchronized"};
  return std::ranges::find(kWords, word) != kWords.end();
}

// "static int Foo::bar(int a) const" → "Foo::bar"; "" when this opens no function.
std::string name_in_header(std::string_view header) {
  int depth = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header[i] == ')') --depth;
    if (header[i] != '(') continue;
    if (depth++ > 0) continue;
    std::string_view before = trim(header.substr(0, i));
    if (const auto op = before.rfind("operator"); op != before.npos)
      return std::string(before.substr(op));
    auto begin = before.size();
    while (begin > 0 && is_name_char(before[begin - 1])) --begin;
    std::string_view name = before.substr(begin);
    if (name == "if" || name == "for" || name == "while" || name == "switch" || name == "catch")
      return {};
    if (!name.empty() && !is_no_name(name) && before.find('=') == before.npos)
      return std::string(name);
    // "const add = (a, b) =>": the name stands before the '='.
    if (const auto equals = before.find('='); equals != before.npos) {
      before = trim(before.substr(0, equals));
      begin = before.size();
      while (begin > 0 && is_name_char(before[begin - 1])) --begin;
      const bool is_function = header.find("=>") != header.npos || name == "function";
      return is_function ? std::string(before.substr(begin)) : std::string();
    }
  }
  return {};
}

class BraceScanner {
 public:
  BraceScanner(std::string_view text, bool newline_ends)
      : text_(text), newline_ends_(newline_ends) {}

  std::vector<Function> scan() {
    while (pos_ < text_.size()) step();
    return std::move(functions_);
  }

 private:
  char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  void skip_to(std::size_t end) {
    end = std::min(end, text_.size());
    line_ += static_cast<std::size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                                 text_.begin() + static_cast<std::ptrdiff_t>(end),
                                                 '\n'));
    pos_ = end;
  }

  void skip_past(std::string_view mark, std::size_t from) {
    const auto found = text_.find(mark, from);
    skip_to(found == text_.npos ? text_.size() : found + mark.size());
  }

  void skip_string(char quote) {
    std::size_t i = pos_ + 1;
    while (i < text_.size() && text_[i] != quote && (quote == '`' || text_[i] != '\n'))
      i += text_[i] == '\\' ? 2 : 1;
    header_ += ' ';
    skip_to(i + 1);
  }

  bool skip_literal_or_comment() {
    const char c = at(pos_);
    if (c == '/' && at(pos_ + 1) == '/') {
      skip_to(std::min(text_.find('\n', pos_), text_.size()));
    } else if (c == '/' && at(pos_ + 1) == '*') {
      skip_past("*/", pos_ + 2);
    } else if (c == 'R' && at(pos_ + 1) == '"') {
      const auto open = text_.find('(', pos_);
      if (open == text_.npos || open - pos_ > 18) return false;
      skip_past(fmt::format("){}\"", text_.substr(pos_ + 2, open - pos_ - 2)), open);
    } else if (c == '"' || c == '`') {
      skip_string(c);
    } else if (c == '\'' && (at(pos_ + 1) == '\\' || at(pos_ + 2) == '\'')) {
      skip_string(c);  // not a Rust lifetime, nor a C++ digit separator
    } else if (c == '#' && header_is_blank()) {
      std::size_t end = text_.find('\n', pos_);
      while (end != text_.npos && end > 0 && text_[end - 1] == '\\')
        end = text_.find('\n', end + 1);
      skip_to(std::min(end, text_.size()));
    } else {
      return false;
    }
    return true;
  }

  bool header_is_blank() const { return trim(header_).empty(); }

  void new_header() {
    header_.clear();
    parentheses_ = 0;
  }

  void step() {
    if (skip_literal_or_comment()) return;
    const char c = at(pos_);
    if (header_is_blank() && c != ' ' && c != '\t' && c != '\n' && c != '\r') header_line_ = line_;
    if (c == '{') {
      const std::string name = inside_ == 0 ? name_in_header(header_) : std::string();
      if (!name.empty()) {
        functions_.push_back({name, header_line_, line_});
        inside_ = depth_ + 1;
      }
      ++depth_;
      new_header();
    } else if (c == '}') {
      if (inside_ != 0 && depth_ == inside_) {
        functions_.back().last = line_;
        inside_ = 0;
      }
      depth_ = std::max(0, depth_ - 1);
      new_header();
    } else if (c == ';' || (c == '\n' && newline_ends_ && parentheses_ <= 0)) {
      new_header();
    } else if (header_.size() < 4000) {
      header_ += c;
      parentheses_ += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    // "public:" is no part of what follows it.
    if (c == ':' && at(pos_ + 1) == '\n') new_header();
    skip_to(pos_ + 1);
  }

  std::string_view text_;
  bool newline_ends_;  // a statement, outside of parentheses
  std::size_t pos_ = 0, line_ = 1;
  int parentheses_ = 0;         // open ones in the header
  int depth_ = 0, inside_ = 0;  // inside_: the depth of the open function's body
  std::string header_;
  std::size_t header_line_ = 1;
  std::vector<Function> functions_;
};

// ---- Python ----

class PythonScanner {
 public:
  explicit PythonScanner(std::string_view text) : lines_(split_lines(text)) {}

  std::vector<Function> scan() {
    for (number_ = 1; number_ <= lines_.size(); ++number_) {
      const std::string_view line = lines_[number_ - 1];
      const bool in_string = !quote_.empty();
      follow_strings(line);
      const std::string_view code = trim(line);
      if (in_string || code.empty() || code.starts_with('#') || code.starts_with(')')) continue;
      close_down_to(indent_of(line).size());
      if (code.starts_with('@')) {
        if (decorated_ == 0) decorated_ = number_;
        continue;
      }
      open(code, indent_of(line).size());
      decorated_ = 0;
      for (Open& each : open_) each.last = number_;
    }
    close_down_to(0);
    std::ranges::sort(functions_, {}, &Function::first);
    return std::move(functions_);
  }

 private:
  struct Open {
    std::string name;
    std::size_t indent, first, last;
    bool is_class;
  };

  void follow_strings(std::string_view line) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string_view three = line.substr(i, 3);
      if (!quote_.empty()) {
        if (three == quote_) {
          quote_ = {};
          i += 2;
        }
      } else if (three == "\"\"\"" || three == "'''") {
        quote_ = three;
        i += 2;
      } else if (line[i] == '#') {
        return;
      }
    }
    // A string that begins and goes on makes the lines up to its end part of this statement.
    if (!quote_.empty())
      for (Open& each : open_) each.last = number_;
  }

  void open(std::string_view code, std::size_t indent) {
    bool is_class = false;
    if (code.starts_with("async ")) code = trim(code.substr(6));
    if (code.starts_with("def "))
      code = trim(code.substr(4));
    else if (code.starts_with("class "))
      code = trim(code.substr(6)), is_class = true;
    else
      return;
    const auto end = code.find_first_of("(:[ ");
    std::string name;
    for (const Open& each : open_) name += each.name + ".";
    const std::size_t first = decorated_ ? decorated_ : number_;
    open_.push_back({std::string(code.substr(0, end)), indent, first, number_, is_class});
    full_names_.push_back(name + open_.back().name);
  }

  void close_down_to(std::size_t indent) {
    while (!open_.empty() && open_.back().indent >= indent) {
      if (!open_.back().is_class)
        functions_.push_back({full_names_.back(), open_.back().first, open_.back().last});
      open_.pop_back();
      full_names_.pop_back();
    }
  }

  std::vector<std::string_view> lines_;
  std::size_t number_ = 1, decorated_ = 0;
  std::string_view quote_;
  std::vector<Open> open_;
  std::vector<std::string> full_names_;
  std::vector<Function> functions_;
};

// ---- shell ----

std::vector<Function> shell_functions(std::string_view text) {
  std::vector<Function> functions;
  const std::vector<std::string_view> lines = split_lines(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string_view code = trim(lines[i]);
    const bool keyword = code.starts_with("function ");
    if (keyword) code = trim(code.substr(9));
    const auto end =
        std::ranges::find_if_not(code, [](char c) { return is_name_char(c) || c == '-'; });
    const std::string name(code.begin(), end);
    const std::string_view rest = trim(code.substr(name.size()));
    if (name.empty() || !(rest.starts_with("()") || (keyword && rest.starts_with('{')))) continue;
    const std::string closing = std::string(indent_of(lines[i])) + "}";
    std::size_t last = i;
    if (!rest.ends_with('}'))
      while (last + 1 < lines.size() && !lines[last].starts_with(closing)) ++last;
    functions.push_back({name, i + 1, last + 1});
    i = last;
  }
  return functions;
}

}  // namespace

std::vector<Function> functions_of(std::string_view path, std::string_view text) {
  switch (language_of(path)) {
    case Language::kBraces:
      return BraceScanner(text, has_no_semicolons(path)).scan();
    case Language::kPython:
      return PythonScanner(text).scan();
    case Language::kShell:
      return shell_functions(text);
    case Language::kNone:
      return {};
  }
  return {};
}

std::optional<Function> function_at(std::string_view path, std::string_view text,
                                    std::size_t line) {
  std::optional<Function> found;
  for (const Function& each : functions_of(path, text))
    if (each.first <= line && line <= each.last && (!found || each.first >= found->first))
      found = each;
  return found;
}

std::string lines_of(std::string_view text, std::size_t first, std::size_t last) {
  std::string result;
  const std::vector<std::string_view> lines = split_lines(text);
  for (std::size_t i = first; i <= last && i <= lines.size(); ++i)
    result.append(lines[i - 1]).append("\n");
  return result;
}

Result<Function> function_named(std::string_view path, std::string_view text,
                                std::string_view name) {
  std::vector<Function> found, all = functions_of(path, text);
  for (const Function& each : all)
    if (each.name == name) found.push_back(each);
  if (found.empty())
    for (const Function& each : all)
      if (last_part(each.name) == last_part(name)) found.push_back(each);
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    std::vector<std::string> places;
    for (const Function& each : found)
      places.push_back(fmt::format("{} in line {}", each.name, each.first));
    return invalid("{} has {} functions '{}': {}; send the whole file instead", path, found.size(),
                   clip_utf8(name, 100), join(places, ", "));
  }
  std::ranges::sort(all, {}, [&](const Function& each) {
    return edit_distance(last_part(each.name).substr(0, 100), last_part(name).substr(0, 100));
  });
  std::string nearest;
  for (std::size_t i = 0; i < all.size() && i < 3; ++i)
    nearest += fmt::format("\n  line {}: {}", all[i].first,
                           trim(lines_of(text, all[i].first, all[i].first)));
  return invalid("{} has no function '{}'; {}{}", path, clip_utf8(name, 100),
                 nearest.empty() ? "no functions are recognised in it, so send the whole file"
                                 : "the nearest real lines are:",
                 nearest);
}

Result<std::string> splice_function(std::string_view path, std::string_view text,
                                    std::string_view name, std::string_view code) {
  LATHE_TRY(const Function target, function_named(path, text, name));
  const std::vector<Function> given = functions_of(path, code);
  const bool same = std::ranges::any_of(
      given, [&](const Function& each) { return last_part(each.name) == last_part(target.name); });
  if (!same)
    return invalid("the code for {} in {} does not define {}; send that whole function",
                   clip_utf8(name, 100), path, last_part(target.name));
  const std::vector<std::string_view> lines = split_lines(text);
  const std::vector<std::string_view> fresh = split_lines(code);
  // Models often write a method without the indentation that its class gives it.
  const std::string_view indent = indent_of(lines[target.first - 1]);
  const bool shift = !fresh.empty() && indent_of(fresh.front()).empty();
  std::string result = lines_of(text, 1, target.first - 1);
  for (const std::string_view line : fresh)
    result.append(shift && !line.empty() ? indent : "").append(line).append("\n");
  result += lines_of(text, target.last + 1, lines.size());
  if (!text.ends_with('\n')) result.pop_back();
  return result;
}

std::vector<FunctionText> functions_between(std::string_view path, std::string_view before,
                                            std::string_view after) {
  const auto leads_there = [&](const std::vector<FunctionText>& exchanges) {
    std::string text(before);
    for (const FunctionText& each : exchanges) {
      auto next = splice_function(path, text, each.name, each.code);
      if (!next) return false;
      text = *std::move(next);
    }
    return text == after;
  };
  const std::vector<Function> functions = functions_of(path, before);
  std::vector<FunctionText> changed;
  std::size_t inside = 0;  // the last line of what is exchanged: functions in it go with it
  for (const Function& each : functions) {
    const auto same = function_named(path, after, each.name);
    if (!same || each.first <= inside) continue;
    std::string code = lines_of(after, same->first, same->last);
    if (code == lines_of(before, each.first, each.last)) continue;
    changed.push_back({each.name, std::move(code)});
    inside = each.last;
  }
  if (leads_there(changed)) return changed;

  // All that differs stands in and beside one function.
  const auto old = split_lines(before), fresh = split_lines(after);
  std::vector<FunctionText> best;
  for (const Function& each : functions) {
    const std::size_t behind = old.size() - each.last;  // lines that stay
    if (fresh.size() < each.first + behind) continue;
    const std::vector<FunctionText> one{
        {each.name, lines_of(after, each.first, fresh.size() - behind)}};
    const bool shorter = best.empty() || one.front().code.size() < best.front().code.size();
    if (shorter && leads_there(one)) best = one;
  }
  return best;
}

}  // namespace lathe
