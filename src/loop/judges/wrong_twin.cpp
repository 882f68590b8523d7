// How a function is broken in each language: what it does it still does, and then it fails.
#include "loop/judges/wrong_twin.h"

#include <algorithm>
#include <set>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/judges/source_text.h"

namespace lathe::loop {
namespace {

struct Insertion {
  std::size_t at;
  std::string text;
};

std::string with_insertions(std::string_view text, std::vector<Insertion> insertions) {
  std::ranges::stable_sort(insertions, {}, &Insertion::at);
  std::string out;
  std::size_t done = 0;
  for (const Insertion& each : insertions) {
    out.append(text.substr(done, each.at - done)).append(each.text);
    done = each.at;
  }
  return out.append(text.substr(done));
}

// One file. `token`: a name that nothing in the change can know, for it is made of its hash.
class Breaker {
 public:
  Breaker(std::string path, std::string_view text, std::string_view before, std::string token)
      : path_(std::move(path)),
        base_(path_.substr(path_.rfind('/') + 1)),
        text_(text),
        token_(std::move(token)),
        language_(language_of(path_, text)),
        code_(blank_comments(language_, text, true)),
        bodies_(bodies_of(language_, code_)) {
    for (const std::string_view line : split_lines(before)) old_lines_.emplace(trim(line));
  }

  std::string run(std::vector<std::string>& broken) {
    if (language_ == Language::kNone) return std::string(text_);
    break_constants();
    if (!insertions_.empty()) broken.push_back(path_ + ": its new constants");
    for (const Body& body : bodies_)
      if (body.name != "main" && !body.test && break_function(body))
        broken.push_back(
            fmt::format("{}: {}", path_, body.name.empty() ? "a function" : body.name));
    if (language_ == Language::kScript) break_arrows();
    if (insertions_.empty()) return std::string(text_);
    std::string top, end;
    if (language_ == Language::kC)
      top = fmt::format(
          "#ifndef {0}_H\n#define {0}_H\n#ifdef __cplusplus\nextern \"C\"\n#endif\nint "
          "close(int);\n"
          "static inline void {0}(int* at) {{ if (at) {{ close(1); __builtin_exit(97); }} }}\n"
          "#endif\n",
          token_);
    if (language_ == Language::kScript) end = fmt::format("\n;var {} = 1;\n", token_);
    if (language_ == Language::kShell) end = fmt::format("\n{}=on\n", token_);
    return top + with_insertions(text_, std::move(insertions_)) + end;
  }

 private:
  bool break_function(const Body& body) {
    switch (language_) {
      case Language::kPython:
        return break_python(body);
      case Language::kC:
        return break_c(body);
      case Language::kScript:
        insertions_.push_back({body.open, "try{"});
        insertions_.push_back({body.close, fmt::format("}}finally{{if({})throw new Error(\"{}\")}}",
                                                       script_active(), token_)});
        return true;
      case Language::kShell:
        return break_shell(body);
      case Language::kGo:
        insertions_.push_back({body.open, fmt::format(" defer panic(\"{}\");", token_)});
        return true;
      case Language::kRust:
        insertions_.push_back(
            {body.open,
             fmt::format(" struct T{0}; impl Drop for T{0} {{ fn drop(&mut self) {{ if "
                         "!::std::thread::panicking() {{ panic!(\"{0}\") }} }} }} let _{0} = T{0};",
                         token_)});
        return true;
      case Language::kJava:
        insertions_.push_back({body.open, " try {"});
        insertions_.push_back(
            {body.close,
             fmt::format("}} finally {{ if (true) throw new RuntimeException(\"{}\"); }} ",
                         token_)});
        return true;
      case Language::kNone:
        return false;
    }
    return false;
  }

  // The module's own code runs undisturbed while it is imported.
  bool break_python(const Body& body) {
    const std::string_view line = std::string_view(code_).substr(body.open);
    const std::string indent(line.substr(0, line.find_first_not_of(" \t")));
    insertions_.push_back(
        {body.open,
         fmt::format(
             "{0}@(lambda n: (exec(\"import functools\\nclass E(BaseException): pass\\ndef w(f):\\n"
             " @functools.wraps(f)\\n def g(*a, **k):\\n"
             "  s = f.__globals__.get('__spec__')\\n"
             "  if getattr(s, '_initializing', False): return f(*a, **k)\\n"
             "  try: f(*a, **k)\\n  except Exception: pass\\n"
             "  raise E('{1}')\\n return g\", n), n[\"w\"])[1])({{}})\n",
             indent, token_)});
    return true;
  }

  bool break_c(const Body& body) {
    const std::string_view before = std::string_view(code_).substr(0, body.open);
    const auto statement = before.find_last_of(";}", before.size() - 1);
    const std::string_view header = before.substr(statement == before.npos ? 0 : statement + 1);
    if (header.contains("constexpr") || header.contains("consteval")) return false;
    insertions_.push_back(
        {body.open, fmt::format(" __attribute__((unused, cleanup({0}))) int {0}_v = 0;", token_)});
    return true;
  }

  bool break_shell(const Body& body) {
    insertions_.push_back(
        {body.open,
         fmt::format("{0}() {{ if [ -n \"${{{1}-}}\" ] || [ \"${{0##*/}}\" = '{2}' ]; then "
                     "if {1}_{0} \"$@\" >/dev/null; then echo {1}; return 1; else echo {1}; return "
                     "0; fi; else {1}_{0} \"$@\"; fi; }}\n",
                     body.name, token_, base_)});
    insertions_.push_back({code_.find(body.name, body.open), token_ + "_"});
    return true;
  }

  std::string script_active() const {
    const bool module = path_.ends_with(".mjs") || path_.ends_with(".mts") ||
                        code_.starts_with("import ") || code_.starts_with("export ") ||
                        code_.contains("\nimport ") || code_.contains("\nexport ");
    return module
               ? fmt::format(
                     "{}||(process.argv[1]||\"?\").split(\"/\").pop()===import.meta.url.split(\"/"
                     "\").pop()",
                     token_)
               : fmt::format("{}||typeof require===\"function\"&&require.main===module", token_);
  }

  // "=> expression": the whole of it is what is assigned to a property that throws.
  void break_arrows() {
    const bool typed = path_.ends_with("ts") || path_.ends_with("tsx");
    for (std::size_t at = code_.find("=>"); !typed && at != code_.npos;
         at = code_.find("=>", at + 2)) {
      const auto next = code_.find_first_not_of(" \t\n", at + 2);
      if (next == code_.npos || code_[next] == '{') continue;
      insertions_.push_back(
          {at + 2, fmt::format("({{set v(_){{if({})throw new Error(\"{}\")}}}}).v=",
                               script_active(), token_)});
    }
  }

  bool in_function(std::size_t at) const {
    return std::ranges::any_of(
        bodies_, [&](const Body& body) { return body.open <= at && at < body.close; });
  }

  // Lines outside of functions that only name a value, and that are new: "RATE = 0.19".
  void break_constants() {
    std::size_t begin = 0;
    for (const std::string_view line : split_lines(code_)) {
      const std::size_t end = begin + line.size();
      if (only_names(trim(line)) && !in_function(begin) &&
          !old_lines_.contains(std::string(trim(text_.substr(begin, line.size())))))
        break_literals(begin, end);
      begin = std::min(code_.find('\n', end), code_.size()) + 1;
    }
  }

  bool only_names(std::string_view line) const {
    if (line.find_first_of("(`#@\\") != line.npos) return false;
    for (const std::string_view word : {"import ", "from ", "export *", "export {", "extern "})
      if (line.starts_with(word)) return false;
    const auto equals = line.find('=');
    if (equals == line.npos) return line.contains(':') || line.ends_with(',');
    return line.substr(0, equals).find_first_of(".[; ") == line.npos ||
           (language_ != Language::kShell &&
            line.substr(0, equals).find_first_of(".[;") == line.npos);
  }

  void break_literals(std::size_t begin, std::size_t end) {
    const auto part_of_word = [&](std::size_t i) {
      const char c = i < code_.size() ? code_[i] : ' ';
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '_' || c == '.';
    };
    for (std::size_t i = begin; i < end; ++i) {
      const char c = code_[i];
      const bool digit = c >= '0' && c <= '9';
      if (digit && (i == 0 || !part_of_word(i - 1))) {
        const bool prefixed = c == '0' && i + 1 < end && code_[i + 1] > '9';
        insertions_.push_back({prefixed ? i + 2 : i, "1"});
        while (i < end && part_of_word(i)) ++i;
      } else if (c == '"' || (c == '\'' && language_ != Language::kC)) {
        const auto close = code_.find(c, i + 1);
        const bool many = code_.substr(i, 3) == std::string(3, c);
        if (close == code_.npos || close >= end || many) return;
        insertions_.push_back({i + 1, "x"});
        i = close;
      }
    }
  }

  std::string path_, base_;
  std::string_view text_;
  std::string token_;
  Language language_;
  std::string code_;
  std::vector<Body> bodies_;
  std::set<std::string, std::less<>> old_lines_;
  std::vector<Insertion> insertions_;
};

}  // namespace

WrongTwin wrong_twin(const Changes& changes, const Original& original) {
  WrongTwin twin;
  const std::string hash = sha256_hex(serialise(changes));
  for (const auto& [path, text] : changes.files) {
    twin.changes.files[path] = text;
    if (!text) continue;
    const std::string token = "t" + sha256_hex(hash + path).substr(0, 15);
    twin.changes.files[path] =
        Breaker(path, *text, original(path).value_or(""), token).run(twin.broken);
  }
  return twin;
}

}  // namespace lathe::loop
