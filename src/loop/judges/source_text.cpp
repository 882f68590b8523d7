// The lexers behind source_text.h: comments, strings, and where functions begin and end.
#include "loop/judges/source_text.h"

#include <algorithm>
#include <array>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

template <std::size_t N>
bool one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, word) != words.end();
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

class Blanker {
 public:
  Blanker(Language language, std::string_view text, bool strings)
      : language_(language), text_(text), out_(text), strings_(strings) {}

  std::string run() {
    while (pos_ < text_.size()) {
      if (!comment() && !string()) {
        if (!is_space(text_[pos_])) last_ = text_[pos_];
        ++pos_;
      }
    }
    return std::move(out_);
  }

 private:
  char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  bool starts(std::string_view mark) const { return text_.substr(pos_).starts_with(mark); }

  void blank(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < std::min(to, out_.size()); ++i)
      if (out_[i] != '\n') out_[i] = ' ';
  }

  std::size_t find(std::string_view mark, std::size_t from) const {
    return std::min(text_.find(mark, from), text_.size());
  }

  bool comment() {
    std::size_t end = pos_;
    if (language_ == Language::kPython && at(pos_) == '#') {
      end = find("\n", pos_);
    } else if (language_ == Language::kShell && at(pos_) == '#' && begins_word()) {
      end = find("\n", pos_);
    } else if (slashes() && starts("//")) {
      end = find("\n", pos_);
    } else if (language_ == Language::kRust && starts("/*")) {
      end = nested_comment_end();
    } else if (slashes() && starts("/*")) {
      end = std::min(find("*/", pos_ + 2) + 2, text_.size());
    }
    if (end == pos_) return false;
    blank(pos_, end);
    pos_ = end;
    return true;
  }

  bool slashes() const {
    return language_ != Language::kPython && language_ != Language::kShell &&
           language_ != Language::kNone;
  }

  std::size_t nested_comment_end() const {
    std::size_t depth = 0;
    for (std::size_t i = pos_; i + 1 < text_.size(); ++i) {
      const std::string_view mark = text_.substr(i, 2);
      if (mark != "/*" && mark != "*/") continue;
      if (mark == "/*")
        ++depth;
      else
        --depth;
      ++i;
      if (depth == 0) return i + 1;
    }
    return text_.size();
  }

  bool begins_word() const {
    return pos_ == 0 || is_space(text_[pos_ - 1]) || text_[pos_ - 1] == ';' ||
           text_[pos_ - 1] == '(' || text_[pos_ - 1] == '&' || text_[pos_ - 1] == '|';
  }

  // A string from `open` characters behind pos_ up to `close`.
  void take_string(std::size_t open, std::string_view close, bool escapes, bool one_line) {
    std::size_t i = pos_ + open;
    while (i < text_.size() && !text_.substr(i).starts_with(close) &&
           !(one_line && text_[i] == '\n'))
      i += escapes && text_[i] == '\\' ? 2 : 1;
    i = std::min(i, text_.size());
    if (strings_) blank(pos_ + open, i);
    pos_ = std::min(i + close.size(), text_.size());
    last_ = '"';
  }

  bool string() {
    const char c = at(pos_);
    switch (language_) {
      case Language::kPython:
        for (const std::string_view three : {"\"\"\"", "'''"})
          if (starts(three)) return take_string(3, three, true, false), true;
        if (c == '"' || c == '\'') return take_string(1, text_.substr(pos_, 1), true, true), true;
        return false;
      case Language::kShell:
        if (c == '\\') return pos_ += 2, true;
        // What stands in double quotes may be commands.
        if (c == '\'') return take_string(1, "'", false, false), true;
        if (c == '"') return shell_quotes(), true;
        return false;
      case Language::kScript:
        if (c == '"' || c == '\'') return take_string(1, text_.substr(pos_, 1), true, true), true;
        if (c == '`') return take_string(1, "`", true, false), true;
        if (c == '/' && begins_regex()) return regex(), true;
        return false;
      case Language::kC:
        if (c == 'R' && at(pos_ + 1) == '"') return raw_string();
        if (c == '"') return take_string(1, "\"", true, true), true;
        if (c == '\'' && (pos_ == 0 || !is_word(text_[pos_ - 1])))  // no digit separator
          return take_string(1, "'", true, true), true;
        return false;
      case Language::kGo:
        if (c == '`') return take_string(1, "`", false, false), true;
        if (c == '"' || c == '\'') return take_string(1, text_.substr(pos_, 1), true, true), true;
        return false;
      case Language::kJava:
        if (starts("\"\"\"")) return take_string(3, "\"\"\"", true, false), true;
        if (c == '"' || c == '\'') return take_string(1, text_.substr(pos_, 1), true, true), true;
        return false;
      case Language::kRust:
        if (c == 'r' && (pos_ == 0 || !is_word(text_[pos_ - 1]) || text_[pos_ - 1] == 'b'))
          if (const auto open = text_.find_first_not_of('#', pos_ + 1);
              open != text_.npos && text_[open] == '"') {
            const std::string close = '"' + std::string(open - pos_ - 1, '#');
            return take_string(open + 1 - pos_, close, false, false), true;
          }
        if (c == '"') return take_string(1, "\"", true, false), true;
        // "'a'" and "'\n'", but not the lifetime "'a".
        if (c == '\'' && (at(pos_ + 1) == '\\' || rust_character()))
          return take_string(1, "'", true, true), true;
        return false;
      case Language::kNone:
        return false;
    }
    return false;
  }

  bool rust_character() const {
    std::size_t end = pos_ + 2;
    while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xc0) == 0x80) ++end;
    return at(end) == '\'';
  }

  void shell_quotes() {
    ++pos_;
    while (pos_ < text_.size() && text_[pos_] != '"') pos_ += text_[pos_] == '\\' ? 2 : 1;
    pos_ = std::min(pos_ + 1, text_.size());
  }

  bool raw_string() {
    const auto open = text_.find('(', pos_);
    if (open == text_.npos || open - pos_ > 18) return false;
    const std::string close = fmt::format("){}\"", text_.substr(pos_ + 2, open - pos_ - 2));
    take_string(open + 1 - pos_, close, false, false);
    return true;
  }

  // A '/' where a value is expected.
  bool begins_regex() const {
    return std::string_view("\0(,=:[!&|?{};+-*%~^<>", 21).contains(last_) ||
           trim(text_.substr(0, pos_)).ends_with("return");
  }

  void regex() {
    std::size_t i = pos_ + 1;
    bool in_class = false;
    while (i < text_.size() && text_[i] != '\n' && (in_class || text_[i] != '/')) {
      if (text_[i] == '[') in_class = true;
      if (text_[i] == ']') in_class = false;
      i += text_[i] == '\\' ? 2 : 1;
    }
    i = std::min(i, text_.size());
    if (strings_) blank(pos_ + 1, i);
    pos_ = std::min(i + 1, text_.size());
    last_ = '"';
  }

  Language language_;
  std::string_view text_;
  std::string out_;
  bool strings_;
  std::size_t pos_ = 0;
  char last_ = '\0';  // that is no space and no comment
};

// ---- functions ----

std::size_t matching(std::string_view code, std::size_t open, char left, char right) {
  int depth = 0;
  for (std::size_t i = open; i < code.size(); ++i) {
    if (code[i] == left) ++depth;
    if (code[i] == right && --depth == 0) return i;
  }
  return code.size();
}

std::size_t matching_back(std::string_view code, std::size_t close) {
  int depth = 0;
  for (std::size_t i = close + 1; i-- > 0;) {
    if (code[i] == ')') ++depth;
    if (code[i] == '(' && --depth == 0) return i;
  }
  return code.npos;
}

std::string_view word_before(std::string_view code, std::size_t end) {
  while (end > 0 && is_space(code[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && is_word(code[begin - 1])) --begin;
  return code.substr(begin, end - begin);
}

// Preprocessor lines hold braces that need not match.
std::string without_directives(std::string_view code) {
  std::string out(code);
  bool goes_on = false;
  std::size_t begin = 0;
  for (const std::string_view line : split_lines(code)) {
    if (goes_on || trim(line).starts_with('#')) {
      std::ranges::fill(out.begin() + static_cast<std::ptrdiff_t>(begin),
                        out.begin() + static_cast<std::ptrdiff_t>(begin + line.size()), ' ');
      goes_on = line.ends_with('\\');
    }
    begin = std::min(code.find('\n', begin + line.size()), code.size() - 1) + 1;
  }
  return out;
}

// "static int Foo::bar(int a) const" → "bar"; "" when this opens no function.
std::string c_function_name(std::string_view header) {
  static constexpr std::array<std::string_view, 20> kNoNames{
      "__attribute__", "alignas", "decltype", "noexcept", "requires", "sizeof",   "explicit",
      "__declspec",    "defined", "asm",      "throw",    "if",       "for",      "while",
      "switch",        "catch",   "return",   "else",     "do",       "constexpr"};
  int depth = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header[i] == ')') --depth;
    if (header[i] == '=' && depth == 0 && !header.substr(0, i).ends_with("operator") &&
        !header.substr(0, i).ends_with("operator="))
      return {};
    if (header[i] != '(' || depth++ > 0) continue;
    const std::string_view before = trim(header.substr(0, i));
    if (before.ends_with(']')) continue;  // a lambda's
    if (const auto op = before.rfind("operator"); op != before.npos)
      return std::string(before.substr(op));
    const std::string_view name = word_before(before, before.size());
    if (!name.empty() && !one_of(name, kNoNames)) return std::string(name);
  }
  return {};
}

// What a brace opens.
enum class Braced { kBody, kNoFunction, kPartOfHeader, kConstructor };

// Functions whose header stands between the last statement and a brace. `what` tells of a header,
// its name ("" without one) and the brace's place what it opens.
template <class What>
std::vector<Body> braced_bodies(std::string_view code, const What& what) {
  std::vector<Body> bodies;
  std::size_t header = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i] == ';' || code[i] == '}') header = i + 1;
    if (code[i] == '(') i = std::min(matching(code, i, '(', ')'), code.size() - 1);
    if (code[i] != '{') continue;
    const std::string_view head = code.substr(header, i - header);
    const std::string name = c_function_name(head);
    const Braced opened = name.empty() ? Braced::kNoFunction : what(head, name, i);
    if (opened == Braced::kNoFunction) {
      header = i + 1;
      continue;
    }
    const std::size_t close = matching(code, i, '{', '}');
    if (opened == Braced::kBody) bodies.push_back({name, i + 1, close});
    if (opened != Braced::kPartOfHeader) header = close + 1;
    i = close;
  }
  return bodies;
}

std::vector<Body> c_bodies(std::string_view raw) {
  const std::string code = without_directives(raw);
  return braced_bodies(code, [&](std::string_view head, const std::string&, std::size_t brace) {
    // "Foo() : a{1}, b{2} {": braces of an initialiser list.
    const bool initialises =
        head.contains(") :") && !word_before(code, brace).empty() && is_word(code[brace - 1]);
    return initialises ? Braced::kPartOfHeader : Braced::kBody;
  });
}

// "class P { P(int a) { … } }": what has no type in front of its name makes objects.
std::vector<Body> java_bodies(std::string_view code) {
  static constexpr std::array<std::string_view, 4> kModifiers{"", "public", "protected", "private"};
  return braced_bodies(code, [](std::string_view head, const std::string& name, std::size_t) {
    if (head.contains("record ")) return Braced::kNoFunction;
    const auto at = head.find(name + "(");
    if (at == head.npos) return Braced::kBody;
    const std::string_view before = trim(head.substr(0, at));
    const std::string_view word = before.substr(before.find_last_of(" \t\n") + 1);
    const bool constructs =
        one_of(word, kModifiers) || word.starts_with('@') || before.ends_with(')');
    return constructs ? Braced::kConstructor : Braced::kBody;
  });
}

// "func (r T) Name[P any](a int) (interface{}, error) {"
std::vector<Body> go_bodies(std::string_view code) {
  std::vector<Body> bodies;
  std::size_t begin = 0;
  for (const std::string_view line : split_lines(code)) {
    const std::size_t start = begin;
    begin = std::min(code.find('\n', begin + line.size()), code.size()) + 1;
    if (!line.starts_with("func ") || (!bodies.empty() && start < bodies.back().close)) continue;
    std::size_t i = start + 5;
    while (i < code.size() && is_space(code[i])) ++i;
    if (i < code.size() && code[i] == '(') i = matching(code, i, '(', ')') + 1;
    while (i < code.size() && is_space(code[i])) ++i;
    const std::size_t from = std::min(i, code.size());
    while (i < code.size() && is_word(code[i])) ++i;
    const std::string name(code.substr(from, i - from));
    for (; i < code.size() && code[i] != '\n'; ++i) {
      if (code[i] == '(') i = matching(code, i, '(', ')');
      if (i >= code.size() || code[i] != '{') continue;
      const std::string_view word = word_before(code, i);
      const std::size_t close = matching(code, i, '{', '}');
      if (word != "interface" && word != "struct") {
        bodies.push_back({name, i + 1, close});
        break;
      }
      i = close;
    }
  }
  return bodies;
}

// "fn name<T: X>(a: A) -> [B; 4] where T: Y {"
std::vector<Body> rust_bodies(std::string_view code) {
  std::vector<Body> bodies;
  std::size_t tests_until = 0;
  bool test = false;  // by an attribute that belongs to what comes
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code.substr(i).starts_with("#[")) {
      const std::size_t end = matching(code, i + 1, '[', ']');
      const std::string_view attribute = code.substr(i, end - i);
      test |= attribute.contains("test");
      i = end;
      continue;
    }
    const bool word = is_word(code[i]) && (i == 0 || !is_word(code[i - 1]));
    if (word && code.substr(i).starts_with("mod ")) {
      const auto open = code.find_first_of("{;", i);
      if (test && open != code.npos && code[open] == '{')
        tests_until = std::max(tests_until, matching(code, open, '{', '}'));
      test = false;
    }
    if (!word || !code.substr(i).starts_with("fn ")) continue;
    const bool in_tests = std::exchange(test, false) || i < tests_until;
    std::size_t from = code.find_first_not_of(" \t\n", i + 3), end = from;
    while (end < code.size() && is_word(code[end])) ++end;
    const std::string name(code.substr(std::min(from, code.size()), end - from));
    const bool constant = word_before(code, i) == "const";
    for (i = end; i < code.size() && code[i] != ';' && code[i] != '{'; ++i) {
      if (code[i] == '(') i = matching(code, i, '(', ')');
      if (i < code.size() && code[i] == '[') i = matching(code, i, '[', ']');
    }
    if (i >= code.size() || code[i] == ';' || name.empty()) continue;
    const std::size_t close = matching(code, i, '{', '}');
    if (!constant) bodies.push_back({name, i + 1, close, in_tests});
    i = close;
  }
  return bodies;
}

bool opens_script_function(std::string_view code, std::size_t brace, std::string& name) {
  static constexpr std::array<std::string_view, 6> kControl{"if",     "for",   "while",
                                                            "switch", "catch", "with"};
  std::size_t end = brace;
  while (end > 0 && is_space(code[end - 1])) --end;
  if (end >= 2 && code.substr(end - 2, 2) == "=>") return name.clear(), true;
  if (end == 0) return false;
  if (code[end - 1] != ')') {  // "): Map<string, number> {" in TypeScript
    const auto close = code.rfind(')', end);
    if (close == code.npos) return false;
    const std::string_view type = trim(code.substr(close + 1, end - close - 1));
    if (type.size() < 2 || !type.starts_with(':') || type.find_first_of("?;={}\n") != type.npos)
      return false;
    end = close + 1;
  }
  const std::size_t open = matching_back(code, end - 1);
  if (open == code.npos) return false;
  const std::string_view word = word_before(code, open);
  if (word.empty() || one_of(word, kControl)) return false;
  name = word == "function" ? "" : std::string(word);
  return true;
}

std::vector<Body> script_bodies(std::string_view code) {
  std::vector<Body> bodies;
  for (std::size_t i = 0; i < code.size(); ++i) {
    std::string name;
    if (code[i] == '{' && opens_script_function(code, i, name))
      bodies.push_back({name, i + 1, matching(code, i, '{', '}')});
  }
  return bodies;
}

std::vector<Body> line_bodies(Language language, std::string_view code) {
  std::vector<Body> bodies;
  const auto lines = split_lines(code);
  std::vector<std::pair<std::size_t, std::size_t>> open;  // indentation, body
  std::size_t begin = 0, shell_until = 0;
  for (const std::string_view line : lines) {
    const std::size_t end = std::min(code.find('\n', begin + line.size()), code.size());
    std::string_view text = trim(line);
    const std::size_t indent =
        static_cast<std::size_t>(text.data() - line.data()) * (text.empty() ? 0 : 1);
    if (language == Language::kPython) {
      if (!text.empty() && !text.starts_with(')'))
        while (!open.empty() && open.back().first >= indent) open.pop_back();
      for (const auto& [depth, body] : open) bodies[body].close = end;
      if (text.starts_with("async ")) text = trim(text.substr(6));
      if (text.starts_with("def ")) {
        text = trim(text.substr(4));
        open.emplace_back(indent, bodies.size());
        bodies.push_back({std::string(text.substr(0, text.find_first_of("( ["))), begin, end});
      }
    } else {
      const bool keyword = text.starts_with("function ");
      if (keyword) text = trim(text.substr(9));
      std::size_t size = 0;
      while (size < text.size() && (is_word(text[size]) || text[size] == '-')) ++size;
      const std::string_view rest = trim(text.substr(size));
      const bool opens =
          rest.starts_with("()") || rest.starts_with("( )") || (keyword && rest.starts_with('{'));
      if (size > 0 && opens && begin >= shell_until) {
        const auto brace = code.find('{', begin);
        const std::size_t close = brace == code.npos ? end : matching(code, brace, '{', '}');
        bodies.push_back({std::string(text.substr(0, size)), begin, close});
        shell_until = close;
      }
    }
    begin = end + 1;
  }
  return bodies;
}

}  // namespace

Language language_of(std::string_view path, std::string_view text) {
  static constexpr std::array<std::string_view, 12> kC{"c",   "cc",  "cpp", "cxx", "h",   "hh",
                                                       "hpp", "hxx", "ipp", "inl", "tpp", "inc"};
  static constexpr std::array<std::string_view, 8> kScript{"js", "mjs", "cjs", "jsx",
                                                           "ts", "tsx", "mts", "cts"};
  const std::string_view base = path.substr(path.rfind('/') + 1);
  const auto dot = base.rfind('.');
  const std::string_view extension = dot == base.npos ? "" : base.substr(dot + 1);
  if (extension == "py" || extension == "pyi") return Language::kPython;
  if (extension == "sh" || extension == "bash") return Language::kShell;
  if (one_of(extension, kC)) return Language::kC;
  if (one_of(extension, kScript)) return Language::kScript;
  if (extension == "go") return Language::kGo;
  if (extension == "rs") return Language::kRust;
  if (extension == "java") return Language::kJava;
  const std::string_view first = text.substr(0, text.find('\n'));
  if (!first.starts_with("#!")) return Language::kNone;
  if (first.contains("python")) return Language::kPython;
  if (first.contains("node")) return Language::kScript;
  return first.contains("sh") ? Language::kShell : Language::kNone;
}

std::string blank_comments(Language language, std::string_view text, bool strings) {
  return Blanker(language, text, strings).run();
}

std::vector<Body> bodies_of(Language language, std::string_view code) {
  switch (language) {
    case Language::kC:
      return c_bodies(code);
    case Language::kScript:
      return script_bodies(code);
    case Language::kPython:
    case Language::kShell:
      return line_bodies(language, code);
    case Language::kGo:
      return go_bodies(code);
    case Language::kRust:
      return rust_bodies(code);
    case Language::kJava:
      return java_bodies(code);
    case Language::kNone:
      return {};
  }
  return {};
}

std::size_t line_number(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(
                 std::ranges::count(text.substr(0, std::min(offset, text.size())), '\n'));
}

}  // namespace lathe::loop
