// A table of forms that begin with a mark of their own, and four forms that are recognised as a
// whole: private keys, addresses with a password, named passwords, numbers of cards.
#include "ground/base/secrets.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ground/base/text.h"

namespace lathe {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_word(char c) {
  return is_digit(c) || is_letter(c) || c == '_' || c == '-';
}

// A mark, and how many characters of words stand behind it at least.
struct Form {
  std::string_view mark;
  std::size_t least;
  std::string_view kind;
};
constexpr auto kForms = std::to_array<Form>({
    {"AKIA", 16, "a key of AWS"},
    {"ASIA", 16, "a key of AWS"},
    {"AIza", 35, "a key of Google"},
    {"ghp_", 36, "a token of GitHub"},
    {"gho_", 36, "a token of GitHub"},
    {"ghu_", 36, "a token of GitHub"},
    {"ghs_", 36, "a token of GitHub"},
    {"ghr_", 36, "a token of GitHub"},
    {"github_pat_", 22, "a token of GitHub"},
    {"glpat-", 20, "a token of GitLab"},
    {"hf_", 30, "a token of Hugging Face"},
    {"npm_", 36, "a token of npm"},
    {"pypi-", 50, "a token of PyPI"},
    {"rk_live_", 16, "a key of Stripe"},
    {"sk_live_", 16, "a key of Stripe"},
    {"sk-", 20, "an API key"},
    {"xoxa-", 10, "a token of Slack"},
    {"xoxb-", 10, "a token of Slack"},
    {"xoxp-", 10, "a token of Slack"},
    {"xoxr-", 10, "a token of Slack"},
    {"xoxs-", 10, "a token of Slack"},
});

std::size_t end_of_word(std::string_view text, std::size_t from) {
  while (from < text.size() && is_word(text[from])) ++from;
  return from;
}

// Words are looked at where they begin, so each of these is asked at most once a word.
std::optional<FoundSecret> marked(std::string_view text, std::size_t at) {
  for (const Form& form : kForms) {
    if (!text.substr(at).starts_with(form.mark)) continue;
    const std::size_t end = end_of_word(text, at);
    if (end - at >= form.mark.size() + form.least) return FoundSecret{at, end, form.kind};
  }
  return std::nullopt;
}

// Three parts with dots between them, the first two of which are JSON in base64.
std::optional<FoundSecret> web_token(std::string_view text, std::size_t at) {
  if (!text.substr(at).starts_with("eyJ")) return std::nullopt;
  const std::size_t first = end_of_word(text, at);
  if (!text.substr(first).starts_with(".eyJ")) return std::nullopt;
  const std::size_t second = end_of_word(text, first + 1);
  if (second == text.size() || text[second] != '.') return std::nullopt;
  return FoundSecret{at, end_of_word(text, second + 1), "a web token"};
}

std::optional<FoundSecret> private_key(std::string_view text, std::size_t at) {
  constexpr std::string_view kBegin = "-----BEGIN ", kKey = "PRIVATE KEY", kEnd = "-----END ";
  constexpr std::size_t kLongestName = 40;
  if (!text.substr(at).starts_with(kBegin)) return std::nullopt;
  if (text.substr(at + kBegin.size(), kLongestName).find(kKey) == text.npos) return std::nullopt;
  const std::size_t end = text.find(kEnd, at);
  if (end == text.npos) return FoundSecret{at, text.size(), "a private key"};
  return FoundSecret{at, std::min(text.find('\n', end), text.size()), "a private key"};
}

// scheme://name:PASSWORD@host; `at` is where "://" begins.
std::optional<FoundSecret> password_in_address(std::string_view text, std::size_t at) {
  constexpr std::size_t kLongest = 300;
  if (!text.substr(at).starts_with("://")) return std::nullopt;
  const std::string_view rest = text.substr(at + 3, kLongest);
  const std::string_view user = rest.substr(0, rest.find_first_of("/ \t\r\n\"'"));
  const std::size_t sign = user.rfind('@'), colon = user.find(':');
  if (sign == user.npos || colon >= sign || colon + 1 == sign) return std::nullopt;
  return FoundSecret{at + 3 + colon + 1, at + 3 + sign, "a password in an address"};
}

constexpr auto kNames = std::to_array<std::string_view>(
    {"password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "api-key",
     "access_key", "private_key", "client_secret"});

// A value that is written out: letters and digits, and nothing of a program's text or a template's.
bool is_written_out(std::string_view value) {
  return value.size() >= 8 && std::ranges::any_of(value, is_digit) &&
         std::ranges::any_of(value, is_letter) && value.find_first_of("(){}[]<>$*") == value.npos;
}

// NAME = VALUE, NAME: VALUE, "NAME is VALUE", with quotes or without; `at` is where NAME begins.
std::optional<FoundSecret> named_password(std::string_view text, std::size_t at) {
  const auto skip = [&](std::size_t from, std::string_view any) {
    return std::min(text.find_first_not_of(any, from), text.size());
  };
  for (const std::string_view name : kNames) {
    if (to_lower_ascii(text.substr(at, name.size())) != name) continue;
    std::size_t next = skip(at + name.size(), " \t\"'");
    if (text.substr(next).starts_with("is ")) {
      next += 3;
    } else if (next < text.size() && (text[next] == ':' || text[next] == '=')) {
      ++next;
    } else {
      continue;
    }
    const std::size_t begin = skip(next, " \t\"'=");
    std::size_t end = std::min(text.find_first_of(" \t\r\n\"',;", begin), text.size());
    while (end > begin && (text[end - 1] == '.' || text[end - 1] == '!' || text[end - 1] == '?'))
      --end;
    if (is_written_out(text.substr(begin, end - begin)))
      return FoundSecret{begin, end, "a password"};
  }
  return std::nullopt;
}

// 13 to 19 digits, blanks and dashes between them, whose check digit is right (ISO/IEC 7812).
std::optional<FoundSecret> card_number(std::string_view text, std::size_t at) {
  constexpr std::size_t kFewest = 13, kMost = 19;
  std::string digits;
  std::size_t end = at;
  for (std::size_t i = at; i < text.size() && digits.size() <= kMost; ++i) {
    if (is_digit(text[i])) {
      digits += text[i];
      end = i + 1;
    } else if ((text[i] != ' ' && text[i] != '-') || i != end) {
      break;
    }
  }
  if (digits.size() < kFewest || digits.size() > kMost) return std::nullopt;
  if (digits[0] < '3' || digits[0] > '6') return std::nullopt;
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const int digit = digits[digits.size() - 1 - i] - '0';
    sum += i % 2 == 0 ? digit : digit * 2 - (digit > 4 ? 9 : 0);
  }
  if (sum % 10 != 0) return std::nullopt;
  return FoundSecret{at, end, "the number of a payment card"};
}

std::optional<FoundSecret> secret_at(std::string_view text, std::size_t at) {
  const char c = text[at];
  if (c == ':') return password_in_address(text, at);
  if (at > 0 && is_word(text[at - 1]) && is_word(c) && c != '-') {
    // Names of passwords have others before them: DB_PASSWORD.
    const bool behind_another = text[at - 1] == '_' || text[at - 1] == '-';
    return behind_another && is_letter(c) ? named_password(text, at) : std::nullopt;
  }
  if (c == '-') return private_key(text, at);
  if (is_digit(c)) return card_number(text, at);
  if (!is_letter(c)) return std::nullopt;
  if (auto found = marked(text, at)) return found;
  if (auto found = web_token(text, at)) return found;
  return named_password(text, at);
}

}  // namespace

std::vector<FoundSecret> find_secrets(std::string_view text) {
  std::vector<FoundSecret> found;
  for (std::size_t at = 0; at < text.size();) {
    const auto secret = secret_at(text, at);
    if (secret) found.push_back(*secret);
    at = secret ? secret->end : at + 1;
  }
  return found;
}

std::string without_secrets(std::string_view text) {
  std::string out;
  std::size_t from = 0;
  for (const FoundSecret& secret : find_secrets(text)) {
    out += text.substr(from, secret.begin - from);
    out += "[" + std::string(secret.kind) + "]";
    from = secret.end;
  }
  return out += text.substr(from);
}

}  // namespace lathe
