// Regular expressions by PCRE2, in two flavours, with limits.
#include "ground/schema/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "ground/base/text.h"

namespace lathe {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kMaxPatternBytes = 16384;
constexpr std::uint32_t kMatchLimit = 2'000'000;  // internal calls of one search
constexpr std::uint32_t kHeapLimitKib = 16384;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeCompileContext {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

PCRE2_SPTR units(std::string_view text) {
  // PCRE2 refuses a null pointer, even for an empty text.
  return reinterpret_cast<PCRE2_SPTR>(text.data() ? text.data() : "");
}

// ECMAScript's \s: tab to carriage return, the separators of Unicode, U+FEFF; PCRE2's own is ASCII.
// And all the others.
constexpr std::string_view kSpaces =
    "\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff";
constexpr std::string_view kNoSpaces =
    "\0-\x08\x0e-\x1f!-\u009f\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e"
    "\u2060-\u2fff\u3001-\ufefe\uff00-\U0010ffff"sv;

std::string with_ecma_spaces(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\' && (next == 's' || next == 'S')) {
      const std::string_view members = next == 's' ? kSpaces : kNoSpaces;
      out.append(in_class ? "" : "[").append(members).append(in_class ? "" : "]");
    } else {
      out += c;
      if (c != '\\') {
        in_class = (in_class || c == '[') && c != ']';
        continue;
      }
      if (next == '\0') break;
      out += next;
    }
    ++i;
  }
  return out;
}

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* compiled) : code(compiled) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* code;
  std::string pattern;
};

Result<Regex> Regex::compile(std::string_view pattern, Flavour flavour) {
  const std::string shown = clip_utf8(make_valid_utf8(pattern), 100);
  if (pattern.size() > kMaxPatternBytes)
    return invalid("the pattern '{}' is longer than {} bytes", shown, kMaxPatternBytes);
  const std::uint32_t options =
      PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C |
      (flavour == Flavour::kEcma ? PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX |
                                       PCRE2_MATCH_UNSET_BACKREF | PCRE2_ALLOW_EMPTY_CLASS
                                 : PCRE2_UCP | PCRE2_MULTILINE);
  const std::unique_ptr<pcre2_compile_context, FreeCompileContext> context(
      pcre2_compile_context_create(nullptr));
  if (flavour == Flavour::kEcma)
    pcre2_set_compile_extra_options(context.get(), PCRE2_EXTRA_ALT_BSUX);  // \u{1F600}
  // PCRE2's own default depends on how it was built.
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::string read =
      flavour == Flavour::kEcma ? with_ecma_spaces(pattern) : std::string(pattern);
  pcre2_code* compiled =
      pcre2_compile(units(read), read.size(), options, &error, &offset, context.get());
  if (!compiled && read != pattern)  // the place in it, as it was written
    pcre2_code_free(
        pcre2_compile(units(pattern), pattern.size(), options, &error, &offset, context.get()));
  if (!compiled)
    return invalid("the pattern '{}' is wrong at byte {}: {}", shown, offset, message_of(error));
  auto code = std::make_shared<Code>(compiled);
  code->pattern = shown;
  return Regex(std::move(code));
}

Result<std::vector<Match>> Regex::find_all(std::string_view text, std::size_t most) const {
  if (const auto bad = find_invalid_utf8(text); bad != text.npos)
    return invalid("the text is not valid UTF-8 at byte {}", bad);
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeMatchContext> context(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  std::vector<Match> matches;
  for (std::size_t from = 0; from <= text.size() && matches.size() < most;) {
    const int found = pcre2_match(code_->code, units(text), text.size(), from, PCRE2_NO_UTF_CHECK,
                                  data.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0)
      return invalid("the pattern '{}' could not be tried on a text of {} bytes: {}",
                     code_->pattern, text.size(), message_of(found));
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
    // \K in a look-around can put an end before a beginning, or a match before `from`.
    const std::size_t begin = std::max(std::min(span[0], span[1]), from);
    const std::size_t end = std::max({span[0], span[1], from});
    matches.push_back({begin, end});
    from = end > begin ? end : end + 1;
    while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0U) == 0x80U) ++from;
  }
  return matches;
}

Result<std::optional<Match>> Regex::find(std::string_view text) const {
  LATHE_TRY(const std::vector<Match> matches, find_all(text, 1));
  return matches.empty() ? std::nullopt : std::optional(matches.front());
}

}  // namespace lathe
