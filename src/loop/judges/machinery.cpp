// Looks for test machinery in what a change adds: the table's names, and what only the tests
// themselves tell: their own functions redefined, their modules shadowed, their answers written
// down.
#include "loop/judges/machinery.h"

#include <algorithm>
#include <optional>
#include <set>

#include "ground/base/text.h"
#include "ground/schema/regex.h"
#include "loop/judges/machinery_table.h"
#include "loop/judges/source_text.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMostMatches = 10'000;
constexpr std::size_t kMostFindings = 20;

std::uint8_t bit_of(Language language) {
  switch (language) {
    case Language::kC:
      return kInC;
    case Language::kScript:
      return kInScript;
    case Language::kPython:
      return kInPython;
    case Language::kShell:
      return kInShell;
    case Language::kGo:
      return kInGo;
    case Language::kRust:
      return kInRust;
    case Language::kJava:
      return kInJava;
    case Language::kNone:
      return 0;
  }
  return 0;
}

struct Source {
  std::string path, text;  // valid UTF-8
  Language language;
  std::string words, code;  // without comments, and without strings

  Source(std::string name, std::string_view bytes)
      : path(std::move(name)),
        text(make_valid_utf8(bytes)),
        language(language_of(path, text)),
        words(blank_comments(language, text, false)),
        code(blank_comments(language, text, true)) {
    if (language == Language::kShell) code = words;
  }
};

// A pattern of our own, with names from the sources in it.
std::vector<Match> matches(const Regex& regex, std::string_view text) {
  return regex.find_all(text, kMostMatches).value_or(std::vector<Match>{});
}

std::vector<Match> matches(const std::string& pattern, std::string_view text) {
  const auto regex = Regex::compile(pattern, Regex::Flavour::kText);
  return regex ? matches(*regex, text) : std::vector<Match>{};
}

std::string text_of(std::string_view text, const Match& match) {
  return std::string(text.substr(match.begin, match.end - match.begin));
}

// The words in `text` that `pattern` ends with.
std::set<std::string> last_words(const std::string& pattern, std::string_view text) {
  std::set<std::string> found;
  for (const Match& match : matches(pattern, text)) {
    const std::string all = text_of(text, match);
    const auto end = all.find_last_not_of(" \t\n=:(") + 1;
    const auto begin = all.find_last_of(" \t\n.,({*&", end - 1) + 1;
    found.insert(all.substr(begin, end - begin));
  }
  found.erase("");
  return found;
}

std::string any_of(const std::set<std::string>& names) {
  std::vector<std::string> plain;
  for (const std::string& name : names)
    if (std::ranges::all_of(name, [](char c) {
          return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                 c == '_';
        }))
      plain.push_back(name);
  return plain.empty() ? "" : fmt::format("({})", join(plain, "|"));
}

class Search {
 public:
  Search(const Changes& changes, const TreeBefore& before, std::span<const std::string> allow)
      : before_(before), allow_(allow) {
    for (const auto& [path, text] : before.changed) old_.emplace_back(path, text);
    for (const auto& [path, text] : changes.files)
      if (text) new_.emplace_back(path, *text);
    for (const auto& [path, text] : before.protected_files) tests_.emplace_back(path, text);
    for (const Source& each : old_)
      for (const std::string_view line : split_lines(each.text)) old_lines_.emplace(trim(line));
  }

  std::vector<Machinery> run() {
    for (const MachineryRow& row : machinery_table()) {
      if (row.name == "exit in a sourced file" && !any_sourced()) continue;
      static std::map<std::string_view, Regex> compiled = compile_all();
      add(row.languages, row.searched, row.name, compiled.at(row.pattern), row.why);
    }
    for (const std::uint8_t language : {kInPython, kInScript}) patched_modules(language);
    the_tests_own_names();
    the_report();
    the_tests_own_files();
    for (const Source& each : new_) shadowed_module(each);
    return std::move(found_);
  }

 private:
  static std::map<std::string_view, Regex> compile_all() {
    std::map<std::string_view, Regex> all;
    for (const MachineryRow& row : machinery_table()) {
      auto regex = Regex::compile(row.pattern, Regex::Flavour::kText);
      LATHE_CHECK(regex.has_value());
      all.emplace(row.pattern, *std::move(regex));
    }
    return all;
  }

  static const std::string& seen(const Source& source, Searched searched) {
    return searched == Searched::kCode ? source.code : source.words;
  }

  // Only more of it than before is new: code that moves from one file to another is not.
  void add(std::uint8_t languages, Searched searched, std::string_view name, const Regex& regex,
           std::string_view why) {
    std::size_t before = 0, after = 0;
    for (const Source& each : old_)
      if (bit_of(each.language) & languages) before += matches(regex, seen(each, searched)).size();
    std::optional<Machinery> last;
    for (const Source& each : new_) {
      if (!(bit_of(each.language) & languages)) continue;
      for (const Match& match : matches(regex, seen(each, searched))) {
        ++after;
        if (auto here = describe(each, match, name, why)) last = std::move(here);
      }
    }
    if (after > before && last) add(*std::move(last));
  }

  void add(Machinery finding) {
    for (const std::string& glob : allow_)
      if (glob == finding.name || glob_match(glob, finding.name)) return;
    if (found_.size() < kMostFindings) found_.push_back(std::move(finding));
  }

  // Nothing for a line that stood there before.
  std::optional<Machinery> describe(const Source& source, const Match& match, std::string_view name,
                                    std::string_view why) const {
    const auto& text = source.text;
    // A match may begin with the end of the line above.
    const auto first = std::min(text.find_first_not_of(" \t\n", match.begin), match.end);
    const auto begin = text.rfind('\n', first == 0 ? 0 : first - 1) + 1;
    const std::string_view line =
        trim(std::string_view(text).substr(begin, text.find('\n', first) - begin));
    if (old_lines_.contains(line)) return std::nullopt;
    return Machinery{std::string(name), fmt::format("{}:{}", source.path, line_number(text, first)),
                     std::string(why), clip_utf8(line, 200)};
  }

  bool any_sourced() const {
    return std::ranges::any_of(new_, [&](const Source& each) {
      const std::string base = each.path.substr(each.path.rfind('/') + 1);
      return std::ranges::any_of(tests_, [&](const Source& test) {
        const auto lines = split_lines(test.text);
        return std::ranges::any_of(lines, [&](std::string_view line) {
          return line.contains(base) &&
                 (trim(line).starts_with(". ") || line.contains(" . ") || line.contains("source "));
        });
      });
    });
  }

  // Names that a file gives to modules, and assignments to what is in them.
  void patched_modules(std::uint8_t language) {
    std::set<std::string> names;
    const bool python = language == kInPython;
    for (const Source& each : new_) {
      if (bit_of(each.language) != language) continue;
      for (const char* pattern : {R"(^\s*import\s+\w+)", R"(^\s*import\s+[\w.]+\s+as\s+\w+)",
                                  R"(^\s*from\s+\w[\w.]*\s+import\s+\w+)",
                                  R"(^\s*from\s+\w[\w.]*\s+import\s.*\bas\s+\w+)"})
        if (python) names.merge(last_words(pattern, each.code));
      for (const char* pattern :
           {R"(\b(const|let|var)\s+\w+(?=\s*=\s*(await\s+import|require)\s*\(\s*["'`][^.]))",
            R"(\bimport\s+\w+(?=\s+from\s*["'][^.]))",
            R"(\bimport\s+\*\s*as\s+\w+(?=\s+from\s*["'][^.]))",
            R"(\bimport\s+\w+\s*,\s*\*\s*as\s+\w+(?=\s+from\s*["'][^.]))"})
        if (!python) names.merge(last_words(pattern, each.words));
    }
    std::erase_if(names, [&](const std::string& name) { return python && is_own_module(name); });
    const std::string any = any_of(names);
    const std::string member = R"(\s*((\.\s*\w+|\[[^\]\n]*\])\s*)+(=(?![=>])|\+=))";
    std::string pattern =
        python
            ? R"(\b(setattr|delattr|vars)\s*\(\s*{0}\b|\bgetattr\s*\(\s*{0}\s*,(?!\s*["'][ \w]+["']\s*[,)])|(?<![.\w]){0})"
            : R"(\b(Object|Reflect)\s*\.\s*(assign|definePropert\w+|set\w*)\s*\(\s*({0}|require\s*\()|\brequire\s*\([^)\n]*\){1}|(?<![.\w]){0})";
    const std::string none = "(?!)";
    pattern = replace_all(replace_all(pattern, "{0}", any.empty() ? none : any), "{1}", member);
    if (const auto regex = Regex::compile(pattern + member, Regex::Flavour::kText))
      add(language, Searched::kCode, "patched modules", *regex,
          "it changes a module that others use too");
  }

  bool is_own_module(const std::string& name) const {
    return std::ranges::any_of(before_.files, [&](const std::string& file) {
      return !before_.protected_files.contains(file) &&
             (file == name + ".py" || file.ends_with("/" + name + ".py"));
    });
  }

  // What the tests define, defined again; their macros; their constants made unchangeable.
  void the_tests_own_names() {
    std::set<std::string> functions, words, variables;
    for (const Source& each : tests_) {
      for (const Body& body : bodies_of(each.language, each.code))
        if (body.name.size() > 1 && body.name != "main" && !body.name.starts_with("__") &&
            each.language != Language::kPython)
          functions.insert(body.name);
      if (each.language == Language::kC)
        for (const Match& match : matches(R"(\b[A-Za-z_]\w*\b)", each.code))
          words.insert(text_of(each.code, match));
      if (each.language == Language::kShell)
        for (const std::string& name : last_words(R"(^\s*\w+=)", each.code)) variables.insert(name);
    }
    std::set<std::string> old_functions;
    for (const Source& each : old_)
      for (const Body& body : bodies_of(each.language, each.code)) old_functions.insert(body.name);
    for (const Source& each : new_)
      for (const Body& body : bodies_of(each.language, each.code))
        if (functions.contains(body.name) && !old_functions.contains(body.name) &&
            (each.language == Language::kC || each.language == Language::kShell))
          if (auto here = describe(each, {body.open, body.open}, "the tests' own names",
                                   "the tests define a function of this name"))
            add(*std::move(here));
    named(kInC, R"(^\s*#\s*define\s+{0}\b)", words,
          "it gives a word that the tests use another meaning");
    named(kInShell, R"(\b(readonly|declare|typeset)\b[^\n]*\b{0}\b)", variables,
          "it fixes a variable that the tests set");
  }

  void named(std::uint8_t language, std::string_view pattern, const std::set<std::string>& names,
             std::string_view why) {
    const std::string any = any_of(names);
    if (any.empty()) return;
    if (const auto regex = Regex::compile(replace_all(pattern, "{0}", any), Regex::Flavour::kText))
      add(language, Searched::kCode, "the tests' own names", *regex, why);
  }

  void the_report() {
    const std::string base = before_.report.substr(before_.report.rfind('/') + 1);
    if (base.empty()) return;
    if (const auto regex = Regex::compile(quoted(base), Regex::Flavour::kText))
      add(kInAll, Searched::kText, "the report", *regex,
          "it names the file that the tests report in");
  }

  void the_tests_own_files() {
    std::set<std::string> names;
    for (const auto& [path, text] : before_.protected_files) {
      const std::string base = path.substr(path.rfind('/') + 1);
      names.insert(path.find('/') == path.npos ? path : path.substr(0, path.find('/') + 1));
      if (base.contains("test") || base.contains("spec")) names.insert(base);
    }
    std::vector<std::string> any;
    for (const std::string& name : names) any.push_back(quoted(name));
    if (any.empty()) return;
    if (const auto regex = Regex::compile(
            fmt::format(R"((?<![\w.]){})", "(" + join(any, "|") + ")"), Regex::Flavour::kText))
      add(kInAll, Searched::kText, "the tests' own files", *regex,
          "it names the files that the tests are in");
  }

  static std::string quoted(std::string_view name) {
    std::string pattern;
    for (const char c : name) pattern += fmt::format("[{}]", c == '^' || c == '\\' ? '.' : c);
    return pattern;
  }

  // "src/unittest.py": found before the library's own when src is where modules are looked for.
  void shadowed_module(const Source& source) {
    static const std::set<std::string_view> kModules{"abc",         "argparse",
                                                     "ast",         "asyncio",
                                                     "atexit",      "base64",
                                                     "bisect",      "builtins",
                                                     "calendar",    "codecs",
                                                     "collections", "contextlib",
                                                     "copy",        "csv",
                                                     "ctypes",      "dataclasses",
                                                     "datetime",    "decimal",
                                                     "difflib",     "dis",
                                                     "doctest",     "enum",
                                                     "errno",       "faulthandler",
                                                     "fnmatch",     "functools",
                                                     "gc",          "genericpath",
                                                     "getopt",      "gettext",
                                                     "glob",        "hashlib",
                                                     "heapq",       "html",
                                                     "importlib",   "inspect",
                                                     "io",          "itertools",
                                                     "json",        "keyword",
                                                     "linecache",   "locale",
                                                     "logging",     "marshal",
                                                     "math",        "multiprocessing",
                                                     "numbers",     "operator",
                                                     "os",          "pathlib",
                                                     "pdb",         "pickle",
                                                     "pkgutil",     "platform",
                                                     "pluggy",      "posixpath",
                                                     "pprint",      "pytest",
                                                     "_pytest",     "queue",
                                                     "random",      "re",
                                                     "runpy",       "select",
                                                     "selectors",   "shlex",
                                                     "shutil",      "signal",
                                                     "site",        "sitecustomize",
                                                     "socket",      "sre_compile",
                                                     "sre_parse",   "stat",
                                                     "statistics",  "string",
                                                     "struct",      "subprocess",
                                                     "symtable",    "sys",
                                                     "sysconfig",   "tempfile",
                                                     "textwrap",    "threading",
                                                     "time",        "timeit",
                                                     "token",       "tokenize",
                                                     "tomllib",     "trace",
                                                     "traceback",   "types",
                                                     "typing",      "unittest",
                                                     "urllib",      "usercustomize",
                                                     "uuid",        "warnings",
                                                     "weakref",     "xml",
                                                     "zipfile",     "zipimport",
                                                     "zlib",        "conftest"};
    static const std::set<std::string_view> kHeaders{
        "algorithm", "array",     "assert.h",    "bitset",     "cassert",       "cctype",
        "cerrno",    "chrono",    "climits",     "cmath",      "concepts",      "cstddef",
        "cstdint",   "cstdio",    "cstdlib",     "cstring",    "ctype.h",       "deque",
        "errno.h",   "exception", "fstream",     "functional", "inttypes.h",    "iomanip",
        "ios",       "iosfwd",    "iostream",    "istream",    "iterator",      "limits",
        "limits.h",  "list",      "map",         "math.h",     "memory",        "numeric",
        "optional",  "ostream",   "queue",       "random",     "ratio",         "set",
        "sstream",   "stdbool.h", "stddef.h",    "stdexcept",  "stdint.h",      "stdio.h",
        "stdlib.h",  "streambuf", "string",      "string.h",   "string_view",   "strings.h",
        "thread",    "tuple",     "type_traits", "unistd.h",   "unordered_map", "unordered_set",
        "utility",   "variant",   "vector",      "gtest.h",    "gmock.h",       "catch.hpp",
        "doctest.h"};
    if (std::ranges::find(before_.files, source.path) != before_.files.end()) return;
    const auto slash = source.path.rfind('/') + 1;
    const std::string directory = source.path.substr(0, slash);
    std::string name = source.path.substr(slash);
    bool shadows = kHeaders.contains(name);
    if (name.ends_with(".py")) {
      const bool is_package = name == "__init__.py";
      if (is_package && slash > 0) {
        const auto parent = directory.rfind('/', slash - 2) + 1;
        name = directory.substr(parent, slash - 1 - parent);
        shadows = kModules.contains(name) && !has_package(directory.substr(0, parent));
      } else {
        shadows = kModules.contains(name.substr(0, name.size() - 3)) && !has_package(directory);
      }
    }
    if (shadows)
      add({"shadowed modules", source.path, "it has the name of a module that the tests may load",
           name});
  }

  bool has_package(const std::string& directory) const {
    return std::ranges::find(before_.files, directory + "__init__.py") != before_.files.end();
  }

  const TreeBefore& before_;
  std::span<const std::string> allow_;
  std::vector<Source> old_, new_, tests_;
  std::set<std::string, std::less<>> old_lines_;
  std::vector<Machinery> found_;
};

// ---- special cases ----

// How little a literal is of a kind that code and tests share by chance: 0 for words and small
// numbers, 2 for what nobody writes twice.
int weight_of(std::string_view text) {
  const auto count = [&](auto matches) { return std::ranges::count_if(text, matches); };
  const auto digits = count([](char c) { return c >= '0' && c <= '9'; });
  const auto letters = count([](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == ' ';
  });
  const auto size = std::ssize(text);
  if (digits == size) return size >= 5 ? 2 : size >= 3 ? 1 : 0;
  if (letters == size) return size >= 10 || (size >= 6 && text.contains(' ')) ? 1 : 0;
  return size >= 6 ? 2 : size >= 3 ? 1 : 0;
}

// "12 pears": what a test expects to read.
bool is_phrase(std::string_view text) {
  return weight_of(text) == 2 && text.find_first_of(" ,(") != text.npos &&
         text.find_first_of("0123456789") != text.npos;
}

// Numbers and strings as they stand in a line.
std::vector<std::string> literals_of(std::string_view line, Language language = Language::kNone) {
  // In shell most words are literals, and double quotes hold commands.
  static const Regex shell =
      Regex::compile(R"re('[^'\n]*'|[A-Za-z0-9][\w.,:+-]*)re", Regex::Flavour::kText).value();
  static const Regex regex =
      Regex::compile(
          R"re("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`\n]*`|(?<![\w.])\d[\d_.]*(?![\w]))re",
          Regex::Flavour::kText)
          .value();
  std::vector<std::string> found;
  for (const Match& match : matches(language == Language::kShell ? shell : regex, line)) {
    std::string text = text_of(line, match);
    if (text.front() == '"' || text.front() == '\'' || text.front() == '`')
      text = text.substr(1, text.size() - 2);
    else
      std::erase(text, '_');
    found.push_back({std::move(text)});
  }
  return found;
}

// Without the separators in numbers: 123_456 and 123'456.
std::string plain_digits(std::string_view text) {
  const auto digit = [&](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!((text[i] == '_' || text[i] == '\'') && i > 0 && digit(i - 1) && digit(i + 1)))
      plain += text[i];
  return plain;
}

// As a literal of its own, or as a part of a line when it is long enough to be no chance.
bool says(std::string_view line, const std::string& text, std::size_t enough) {
  if (!line.contains(text)) return false;
  if (text.size() >= enough) return true;
  const auto literals = literals_of(line);
  return std::ranges::any_of(literals, [&](const std::string& each) { return each == text; });
}

}  // namespace

std::vector<Machinery> machinery_added(const Changes& changes, const TreeBefore& before,
                                       std::span<const std::string> allow) {
  return Search(changes, before, allow).run();
}

std::vector<Machinery> special_cases(const Changes& changes, const TreeBefore& before) {
  // Literals that stand in one line of the tests, by the more telling of each two.
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> pairs;  // → other, where
  for (const auto& [path, bytes] : before.protected_files) {
    const Source test(path, bytes);
    if (test.language == Language::kNone) continue;
    std::size_t number = 0;
    for (const std::string_view line : split_lines(test.words)) {
      ++number;
      const auto literals = literals_of(line, test.language);
      if (literals.size() > 12) continue;
      for (const std::string& one : literals)
        for (const std::string& other : literals)
          if (one != other && !other.empty() &&
              (weight_of(one) + weight_of(other) >= 3 || is_phrase(one)) &&
              weight_of(one) >= weight_of(other))
            pairs[one].emplace_back(other, fmt::format("{}:{}", path, number));
    }
  }
  std::string old;
  for (const auto& [path, bytes] : before.changed) old += Source(path, bytes).words + '\n';
  std::vector<Machinery> found;
  for (const auto& [path, bytes] : changes.files) {
    if (!bytes) continue;
    const Source source(path, *bytes);
    const std::string words = plain_digits(source.words);
    const auto lines = split_lines(words);
    for (std::size_t i = 0; i < lines.size() && found.size() < kMostFindings; ++i) {
      // The answer stands in the same line or in one of the next two.
      const auto stands = [&](const std::string& text, std::size_t rows, std::size_t enough) {
        for (std::size_t k = i; k < std::min(i + rows, lines.size()); ++k)
          if (says(lines[k], text, enough)) return true;
        return false;
      };
      for (const auto& [one, others] : pairs) {
        if (!stands(one, 1, 5) || says(old, one, 5)) continue;
        const auto both = std::ranges::find_if(
            others, [&](const auto& other) { return stands(other.first, 3, 4); });
        if (both == others.end()) continue;
        found.push_back({"special case", fmt::format("{}:{}", path, i + 1),
                         fmt::format("'{}' and '{}' stand together in {} too", clip_utf8(one, 60),
                                     clip_utf8(both->first, 60), both->second),
                         clip_utf8(trim(lines[i]), 200)});
        break;
      }
    }
  }
  return found;
}

}  // namespace lathe::loop
