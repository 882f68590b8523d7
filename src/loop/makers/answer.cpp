// Parts an answer's text from what a model says around it.
#include "loop/makers/answer.h"

#include <algorithm>
#include <array>

#include "ground/base/fence.h"
#include "ground/base/text.h"
#include "ground/base/thoughts.h"

namespace lathe::loop {
namespace {

constexpr std::string_view kEnds[] = {"<|im_end|>",
                                      "<|eot_id|>",
                                      "<|end|>",
                                      "<|return|>",
                                      "<|end_of_text|>",
                                      "<|endoftext|>",
                                      "</s>",
                                      "<|eom_id|>",
                                      "<end_of_turn>",
                                      "<eos>",
                                      "<\uff5cend\u2581of\u2581sentence\uff5c>"};

bool has_any(std::string_view text, std::span<const std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.find(word) != text.npos; });
}

bool begins_with_any(std::string_view text, std::span<const std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.starts_with(word); });
}

// ---- talk ----

constexpr std::string_view kYes[] = {
    "sure",   "certainly",          "of course", "absolutely", "okay",         "ok,",
    "great!", "understood",         "got it",    "no problem", "natürlich",    "gerne",
    "klar",   "selbstverständlich", "bien sûr",  "claro",      "por supuesto", "certo"};
constexpr std::string_view kOffers[] = {
    "here is",   "here's",        "here’s", "here are", "below is", "below are",
    "this is",   "the following", "i've",   "i’ve",     "i have",   "hier ist",
    "hier sind", "hier die",      "voici",  "aquí",     "ecco",     "as requested"};
constexpr std::string_view kWork[] = {
    "rewrit",   "rewrote", "revis",   "version",  "paragraph",    "text",       "translat",
    "summar",   "improve", "updated", "edited",   "correct",      "simplif",    "polish",
    "draft",    "answer",  "result",  "output",   "document",     "request",    "shorten",
    "reformat", "fassung", "absatz",  "übersetz", "zusammenfass", "überarbeit", "texte",
    "traduc",   "versión", "resumen", "réécri"};
// What offers more; it must also speak of the work.
constexpr std::string_view kCloses[] = {
    "let me know",       "please let me know", "feel free",      "i hope this",
    "hope this",         "would you like",     "do you want me", "if you'd like",
    "if you’d like",     "if you would like",  "if you need",    "if you want",
    "is there anything", "i can also",         "ich hoffe",      "lass mich wissen",
    "lassen sie mich",   "n'hésitez pas",      "avísame",        "sag bescheid"};
constexpr std::string_view kMore[] = {
    "change", "revis",         "adjust",  "edit",    "modif",  "tweak",  "version", "rewrit",
    "help",   "anything else", "further", "shorter", "longer", "tone",   "improve", "refine",
    "hilft",  "änder",         "anpass",  "besoin",  "cambio", "convert"};
constexpr std::string_view kReports[] = {
    "changes made",  "key changes",  "changes:",   "note: i ",   "(note: i ",
    "note that i ",  "explanation:", "i kept ",    "i've kept ", "i changed ",
    "i've changed ", "i replaced ",  "word count:"};

// Lower case, without the marks that make a line bold or a heading.
std::string plain_line(std::string_view line) {
  const auto begin = line.find_first_not_of("*#_>( \t");
  if (begin == line.npos) return {};
  line = line.substr(begin);
  return to_lower_ascii(line.substr(0, line.find_last_not_of("*_ \t") + 1));
}

std::string_view behind_yes(std::string_view line) {
  for (const std::string_view word : kYes) {
    if (!line.starts_with(word)) continue;
    const std::string_view rest = line.substr(word.size());
    if (rest.empty() || (std::string_view("!,. :").find(rest.front()) == rest.npos)) continue;
    return rest.substr(std::min(rest.find_first_not_of("!,. :-"), rest.size()));
  }
  return line;
}

// A line above the text that can be nothing but talk about it.
bool introduces(std::string_view line) {
  const std::string plain = plain_line(line);
  const bool colon = plain.ends_with(':');
  const std::string_view rest = behind_yes(plain);
  const bool yes = rest.size() < plain.size();
  const auto words = std::ranges::count(plain, ' ') + 1;
  if (!colon || words > 30) return false;
  if (yes || (begins_with_any(rest, kOffers) && has_any(rest, kWork))) return true;
  return words <= 4 && has_any(plain, std::span(kWork).first(3)) && !plain.contains('.');
}

bool says_goodbye(std::string_view line) {
  const std::string plain = plain_line(line);
  return begins_with_any(plain, kReports) ||
         (begins_with_any(plain, kCloses) && has_any(plain, kMore));
}

bool is_rule(std::string_view line) {
  const std::string_view mark = trim(line);
  return mark.size() >= 3 && (mark.find_first_not_of(mark.front()) == mark.npos) &&
         std::string_view("-*_").find(mark.front()) != std::string_view::npos;
}

class Text {
 public:
  Text(std::string_view reply, std::string_view source) : source_(to_lower_ascii(source)) {
    for (const std::string_view line : split_lines(trim(reply))) lines_.push_back(line);
  }

  Result<std::string> only() {
    const bool introduced = drop_introduction();
    const bool ended = drop_goodbye();
    if (introduced || ended) drop_rules();
    if (!unwrap() && introduced && !lines_.empty() && !fence_of(lines_.front()).empty())
      return invalid("the answer holds a fenced block and more beside it: send the text alone");
    if (lines_.empty()) return invalid("the answer is talk without the text: send the text");
    const std::string plain = plain_line(lines_.front());
    if (behind_yes(plain).size() < plain.size() && !in_source(plain))
      return invalid("the answer begins with talk ('{}'): send the text alone",
                     clip_utf8(lines_.front(), 80));
    std::string text;
    for (const std::string_view line : lines_) text.append(line).append("\n");
    return std::string(trim(text));
  }

 private:
  bool in_source(std::string_view plain) const { return source_.contains(plain.substr(0, 24)); }

  bool drop_introduction() {
    if (lines_.size() < 2 || !introduces(lines_.front()) || in_source(plain_line(lines_.front())))
      return false;
    if (!trim(lines_[1]).empty() && fence_of(lines_[1]).empty() && !is_rule(lines_[1]))
      return false;
    lines_.erase(lines_.begin());
    trim_lines();
    return true;
  }

  // From the first paragraph on that speaks about the text.
  bool drop_goodbye() {
    for (std::size_t i = 1; i < lines_.size(); ++i) {
      const bool begins =
          trim(lines_[i - 1]).empty() || is_rule(lines_[i - 1]) || !fence_of(lines_[i - 1]).empty();
      if (!begins || !says_goodbye(lines_[i]) || in_source(plain_line(lines_[i]))) continue;
      // A goodbye is short; a report of changes may have a list.
      const bool report = begins_with_any(plain_line(lines_[i]), kReports);
      if (!report && lines_.size() - i > 3) continue;
      lines_.resize(i);
      trim_lines();
      return true;
    }
    return false;
  }

  void drop_rules() {
    while (!lines_.empty() && is_rule(lines_.front())) lines_.erase(lines_.begin());
    while (!lines_.empty() && is_rule(lines_.back())) lines_.pop_back();
    trim_lines();
  }

  // One fence around all of it.
  bool unwrap() {
    if (lines_.size() < 2) return false;
    const std::string_view fence = fence_of(lines_.front());
    if (fence.empty() || !closes_fence(lines_.back(), fence)) return false;
    if (source_.starts_with(fence)) return false;
    for (std::size_t i = 1; i + 1 < lines_.size(); ++i)
      if (closes_fence(lines_[i], fence)) return false;
    lines_.erase(lines_.begin());
    lines_.pop_back();
    trim_lines();
    return true;
  }

  void trim_lines() {
    while (!lines_.empty() && trim(lines_.front()).empty()) lines_.erase(lines_.begin());
    while (!lines_.empty() && trim(lines_.back()).empty()) lines_.pop_back();
  }

  std::string source_;
  std::vector<std::string_view> lines_;
};

}  // namespace

Result<std::string> without_thoughts(std::string_view reply) {
  const SplitAnswer split = split_thoughts(reply);
  if (!split.thoughts.empty() && trim(split.text).empty())
    return invalid("the answer is all thoughts; send the answer itself");
  std::string_view text = split.text;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view end : kEnds)
      if (trim(text).ends_with(end)) {
        text = trim(text);
        text.remove_suffix(end.size());
        again = true;
      }
  }
  return std::string(text);
}

Result<std::string> only_text(std::string_view reply, std::string_view source) {
  return Text(reply, source).only();
}

}  // namespace lathe::loop
