// Jinja's tokens.
#include "infer/templates/template_lexer.h"

#include <algorithm>

#include "infer/templates/template_value.h"
#include "infer/tokens/unicode.h"

namespace lathe::infer {
namespace {

using Kind = TemplateTokenKind;

bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Lines end with "\n", and the last one's end does not count.
std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::size_t spaces_end(std::string_view text, std::size_t at) {
  for (Character c; (c = character_at(text, at)).bytes > 0 && is_python_space(c.code);)
    at += c.bytes;
  return at;
}

// Where the white space begins that `text` ends with, not before `from`.
std::size_t trailing_spaces(std::string_view text, std::size_t from) {
  std::size_t kept = from;
  for (std::size_t at = from; at < text.size();) {
    const Character c = character_at(text, at);
    at += c.bytes;
    if (!is_python_space(c.code)) kept = at;
  }
  return kept;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : owned_(with_plain_newlines(source)), source_(owned_) {}

  Result<std::vector<TemplateToken>> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag(at_);
      const char kind = tag < source_.size() ? source_[tag + 1] : '\0';
      take_text(tag, kind);
      if (tag == source_.size()) break;
      Status status = kind == '#' ? comment() : tag_body(kind);
      if (!status) return std::unexpected(std::move(status).error());
    }
    add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::size_t find_tag(std::size_t from) const {
    for (std::size_t at = from; (at = source_.find('{', at)) != source_.npos; ++at)
      if (at + 1 < source_.size() &&
          (source_[at + 1] == '{' || source_[at + 1] == '%' || source_[at + 1] == '#'))
        return at;
    return source_.size();
  }

  // The text up to a tag, without what the tag's sign or lstrip_blocks cuts from its end.
  void take_text(std::size_t tag, char kind) {
    std::string_view text = source_.substr(at_, tag - at_);
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (tag < source_.size() && sign == '-') {
      text = text.substr(0, trailing_spaces(text, 0));
    } else if (tag < source_.size() && kind != '{' && sign != '+') {
      const auto newline = text.rfind('\n');
      const std::size_t line = newline == text.npos ? 0 : newline + 1;
      if ((line > 0 || line_starts_) && trailing_spaces(text, line) == line)
        text = text.substr(0, line);
    }
    if (!text.empty()) add(Kind::kText, std::string(text));
    move_to(tag);
  }

  Status comment() {
    const auto end = source_.find("#}", at_ + 2);
    if (end == source_.npos) return template_error(place_, "a comment is not closed by '#}'");
    close(end, '#');
    return {};
  }

  // After an end at `end` ("%}", "}}", "#}"): what its sign or trim_blocks takes with it.
  void close(std::size_t end, char kind) {
    const char sign = end > 0 ? source_[end - 1] : '\0';
    std::size_t next = end + 2;
    if (sign == '-')
      next = spaces_end(source_, next);
    else if (kind != '}' && sign != '+' && next < source_.size() && source_[next] == '\n')
      ++next;
    line_starts_ = source_[next - 1] == '\n';
    move_to(next);
  }

  Status tag_body(char kind) {
    const TemplatePlace opened = place_;
    if (kind == '%') {
      LATHE_TRY(const bool raw, raw_block());
      if (raw) return {};
    }
    add(kind == '%' ? Kind::kBlockBegin : Kind::kPrintBegin, "");
    const bool sign =
        at_ + 2 < source_.size() && (source_[at_ + 2] == '-' || source_[at_ + 2] == '+');
    move_to(at_ + (sign ? 3 : 2));
    const char end = kind == '%' ? '%' : '}';
    std::string brackets;  // that are open
    for (;;) {
      move_to(spaces_end(source_, at_));
      if (at_ >= source_.size())
        return template_error(opened, fmt::format("a tag is not closed by '{}}}'", end));
      const std::string_view rest = source_.substr(at_);
      const std::size_t signs = rest[0] == '-' || (rest[0] == '+' && kind == '%') ? 1 : 0;
      if (brackets.empty() && rest.size() >= signs + 2 && rest[signs] == end &&
          rest[signs + 1] == '}') {
        add(kind == '%' ? Kind::kBlockEnd : Kind::kPrintEnd, "");
        close(at_ + signs, end);
        return {};
      }
      LATHE_TRY_STATUS(token(rest, brackets));
    }
  }

  // {% raw %} … {% endraw %}
  Result<bool> raw_block() {
    const auto opened = raw_tag(at_, "raw");
    if (!opened) return false;
    for (std::size_t from = opened->second; (from = source_.find("{%", from)) != source_.npos;
         from += 2) {
      const auto closed = raw_tag(from, "endraw");
      if (!closed) continue;
      close(opened->first, '%');
      take_text(std::max(from, at_), '%');
      close(closed->first, '%');
      return true;
    }
    return template_error(place_, "'raw' is not closed by 'endraw'");
  }

  // Of "{% name %}" at `at`: where its "%}" is and what follows.
  std::optional<std::pair<std::size_t, std::size_t>> raw_tag(std::size_t at,
                                                             std::string_view name) const {
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    at = spaces_end(source_, at);
    if (!source_.substr(at).starts_with(name)) return std::nullopt;
    at = spaces_end(source_, at + name.size());
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    if (!source_.substr(at).starts_with("%}")) return std::nullopt;
    return std::pair{at, at + 2};
  }

  Status token(std::string_view rest, std::string& brackets) {
    const char first = rest[0];
    if (is_word_start(first)) {
      std::size_t end = 1;
      while (end < rest.size() && (is_word_start(rest[end]) || is_digit(rest[end]))) ++end;
      add(Kind::kName, std::string(rest.substr(0, end)));
      move_to(at_ + end);
      return {};
    }
    if (is_digit(first)) {
      number(rest);
      return {};
    }
    if (first == '\'' || first == '"') return string(rest);
    static constexpr std::string_view kSigns[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                                  "/",  "%",  "~",  ">",  "<",  "=",  ".", ":", "|",
                                                  ",",  "(",  ")",  "[",  "]",  "{",  "}"};
    for (const std::string_view sign : kSigns) {
      if (!rest.starts_with(sign)) continue;
      if (sign == "(" || sign == "[" || sign == "{") brackets += first;
      if (sign == ")" || sign == "]" || sign == "}") {
        const char open = first == ')' ? '(' : first == ']' ? '[' : '{';
        if (!brackets.ends_with(open))
          return template_error(place_, fmt::format("'{}' closes nothing", first));
        brackets.pop_back();
      }
      add(Kind::kSign, std::string(sign));
      move_to(at_ + sign.size());
      return {};
    }
    const std::uint32_t bytes = character_at(rest, 0).bytes;
    return template_error(place_, fmt::format("'{}' is not expected here", rest.substr(0, bytes)));
  }

  void number(std::string_view rest) {
    std::string digits;
    std::size_t end = 0;
    const auto take_digits = [&] {
      for (; end < rest.size() && (is_digit(rest[end]) || rest[end] == '_'); ++end)
        if (rest[end] != '_') digits += rest[end];
    };
    take_digits();
    bool real = false;
    if (end + 1 < rest.size() && rest[end] == '.' && is_digit(rest[end + 1])) {
      real = true;
      digits += rest[end++];
      take_digits();
    }
    if (end + 1 < rest.size() && (rest[end] == 'e' || rest[end] == 'E')) {
      const std::size_t sign = rest[end + 1] == '+' || rest[end + 1] == '-' ? 1 : 0;
      if (end + 1 + sign < rest.size() && is_digit(rest[end + 1 + sign])) {
        real = true;
        digits += rest.substr(end, 1 + sign);
        end += 1 + sign;
        take_digits();
      }
    }
    add(real ? Kind::kReal : Kind::kInteger, std::move(digits));
    move_to(at_ + end);
  }

  Status string(std::string_view rest) {
    std::string value;
    for (std::size_t i = 1; i < rest.size();) {
      if (rest[i] == rest[0]) {
        add(Kind::kString, std::move(value));
        move_to(at_ + i + 1);
        return {};
      }
      if (rest[i] == '\\' && i + 1 < rest.size())
        i += escape(rest.substr(i), value);
      else
        value += rest[i++];
    }
    return template_error(place_, "a string is not closed");
  }

  // Python's escapes; an unknown one stays as it is. Returns its length.
  static std::size_t escape(std::string_view text, std::string& value) {
    const char kind = text[1];
    static constexpr std::string_view kLetters = "ntrbfav0\\'\"",
                                      kMeans("\n\t\r\b\f\a\v\0\\'\"", 11);
    const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits > 0 && text.size() >= 2 + digits) {
      char32_t code = 0;
      bool valid = true;
      for (std::size_t i = 0; i < digits; ++i) {
        const int digit = hex_digit(text[2 + i]);
        valid = valid && digit >= 0;
        code = code << 4 | static_cast<char32_t>(std::max(digit, 0));
      }
      if (valid && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF)) {
        append_utf8(value, code);
        return 2 + digits;
      }
    }
    if (kind == '\n') return 2;  // a line goes on
    if (const auto letter = kLetters.find(kind); letter != kLetters.npos) {
      value += kMeans[letter];
      return 2;
    }
    value += '\\';
    return 1;
  }

  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), place_}); }

  void move_to(std::size_t to) {
    for (; at_ < to; ++at_)
      if (source_[at_] == '\n')
        place_ = {place_.line + 1, 1};
      else
        ++place_.column;
  }

  const std::string owned_;
  const std::string_view source_;
  std::size_t at_ = 0;
  bool line_starts_ = true;
  TemplatePlace place_;
  std::vector<TemplateToken> tokens_;
};

}  // namespace

std::unexpected<Error> template_error(TemplatePlace place, std::string_view what) {
  return invalid("chat template, line {}, column {}: {}", place.line, place.column, what);
}

Result<std::vector<TemplateToken>> lex_template(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace lathe::infer
