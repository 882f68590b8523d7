// The judge of quotations: each must be cited, and stand in the passage that it cites, word for
// word. Whether what is said around them is true is not looked at.
#include <algorithm>
#include <set>

#include "ground/base/text.h"
#include "loop/judges/judge.h"
#include "loop/terms/passage.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxCritiques = 20;

constexpr OptionSpec kOptions[] = {
    {"least", OptionType::kInteger, "1", "quotations that there must be"},
};

Status check(const Json& options) {
  const std::int64_t least = option_int(options, "least");
  return least >= 0 ? Status() : invalid("'least' must be 0 or more");
}

Status check_unit(const Unit& unit) {
  if (!passages_of(std::span(&unit, 1)).empty()) return {};
  return invalid(
      "the unit '{}' has no passages that could be cited; give the recipe a [context] in which "
      "something is found for it",
      clip_utf8(unit.key, 80));
}

// Marks of quotations: what opens one, and what may close it.
struct Marks {
  std::string_view open;
  std::vector<std::string_view> close;
};
const std::vector<Marks>& marks() {
  static const std::vector<Marks> all{{"\"", {"\""}}, {"“", {"”"}}, {"„", {"“", "”"}},
                                      {"«", {"»"}},   {"»", {"«"}}, {"”", {}}};
  return all;
}

// Blanks of any kind and number are one; none at the ends.
std::string squeezed(std::string_view text) {
  std::string words;
  for (const std::string& word :
       split(replace_all(
                 replace_all(replace_all(replace_all(text, "\u00a0", " "), "\n", " "), "\t", " "),
                 "\r", " "),
             ' '))
    if (!word.empty()) words += (words.empty() ? "" : " ") + word;
  return words;
}

struct Quotation {
  std::size_t begin = 0;
  std::string text;
  bool closed = true;
  std::vector<std::size_t> cites;  // passages, from 1; 0: a number that is none
};

class Reading {
 public:
  explicit Reading(std::string_view text) : text_(text) {}

  std::vector<Quotation> quotations() const {
    std::vector<Quotation> all;
    for (std::size_t at = 0; at < text_.size();) {
      if (begins_block(at)) {
        at = read_block(at, all.emplace_back());
        continue;
      }
      const auto mark = std::ranges::find_if(
          marks(), [&](const Marks& each) { return text_.substr(at).starts_with(each.open); });
      at = mark == marks().end() ? at + 1 : read_marked(at, *mark, all.emplace_back());
    }
    return all;
  }

  // Of all that is cited anywhere.
  std::vector<std::size_t> citations() const {
    std::vector<std::size_t> all;
    for (std::size_t at = 0; at < text_.size(); ++at) read_citation(at, all);
    return all;
  }

 private:
  bool begins_block(std::size_t at) const {
    return text_[at] == '>' && (at == 0 || text_[at - 1] == '\n');
  }

  // Lines that begin with ">".
  std::size_t read_block(std::size_t at, Quotation& quotation) const {
    quotation.begin = at;
    std::string inside;
    while (at < text_.size() && begins_block(at)) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      inside += std::string(text_.substr(at + 1, end - at - 1)) + "\n";
      at = std::min(end + 1, text_.size());
    }
    // Its citation may stand at its own end.
    const std::string_view said = trim(inside);
    const std::size_t bracket = said.ends_with(']') ? said.rfind('[') : said.npos;
    std::vector<std::size_t> cites;
    if (bracket != said.npos && Reading(said).read_citation(bracket, cites) == said.size()) {
      quotation.text = said.substr(0, bracket);
      quotation.cites = std::move(cites);
      return at;
    }
    quotation.text = said;
    return read_citations(at, quotation);
  }

  std::size_t read_marked(std::size_t at, const Marks& mark, Quotation& quotation) const {
    quotation.begin = at;
    const std::size_t from = at + mark.open.size();
    std::size_t end = text_.npos, length = 0;
    for (const std::string_view close : mark.close)
      if (const std::size_t found = text_.find(close, from); found < end)
        end = found, length = close.size();
    quotation.closed = end != text_.npos;
    if (!quotation.closed) return from;
    quotation.text = text_.substr(from, end - from);
    return read_citations(end + length, quotation);
  }

  // Behind blanks and what ends a sentence.
  std::size_t read_citations(std::size_t at, Quotation& quotation) const {
    const std::size_t next = text_.find_first_not_of(" \t\n.,;:!?)", at);
    std::size_t end = at;
    for (std::size_t from = std::min(next, text_.size()); from < text_.size();) {
      const std::size_t behind = read_citation(from, quotation.cites);
      if (behind == from) break;
      end = behind;
      from = std::min(text_.find_first_not_of(' ', behind), text_.size());
    }
    return end;
  }

  // "[3]" or "[3, 5]" → behind it; `at` where there is none.
  std::size_t read_citation(std::size_t at, std::vector<std::size_t>& cites) const {
    if (text_[at] != '[') return at;
    const std::size_t end = text_.find(']', at);
    if (end == text_.npos || end - at > 40) return at;
    std::vector<std::size_t> numbers;
    for (const std::string& part : split(text_.substr(at + 1, end - at - 1), ',')) {
      const std::string_view digits = trim(part);
      if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos) return at;
      numbers.push_back(digits.size() > 4 ? 0 : std::stoul(std::string(digits)));
    }
    cites.insert(cites.end(), numbers.begin(), numbers.end());
    return end + 1;
  }

  std::string_view text_;
};

// What is wrong with it; "": nothing.
std::string fault_of(const Quotation& quotation, std::span<const std::string> passages) {
  if (!quotation.closed) return "A quotation mark has no other end.";
  const std::string said = squeezed(quotation.text);
  if (said.empty()) return "A quotation is empty.";
  if (quotation.cites.empty()) return "A quotation has no citation behind it, like [1].";
  for (const std::size_t number : quotation.cites) {
    if (number < 1 || number > passages.size())
      return fmt::format("A quotation cites [{}], and there are passages 1 to {}.", number,
                         passages.size());
    if (!passages[number - 1].contains(said))
      return fmt::format("A quotation does not stand in passage [{}] word for word.", number);
  }
  return "";
}

Result<Judgement> judge(const JudgeTask& task, const JudgeContext&) {
  const std::vector<Passage> passages = passages_of(task.units);
  if (passages.empty()) return invalid("cited: there are no passages that could be cited");
  std::vector<std::string> texts;
  for (const Passage& each : passages) texts.push_back(squeezed(each.text));

  Judgement judgement;
  judgement.candidate = task.candidate;
  const auto complain = [&](std::size_t at, std::string claim, std::string_view seen) {
    if (judgement.critiques.size() < kMaxCritiques)
      judgement.critiques.push_back(
          {fmt::format("line {}", 1 + std::ranges::count(task.bytes.substr(0, at), '\n')), "must",
           std::move(claim), clip_utf8(make_valid_utf8(seen), 300), ""});
  };
  const Reading reading(task.bytes);
  const std::vector<Quotation> quotations = reading.quotations();
  std::size_t right = 0;
  for (const Quotation& quotation : quotations) {
    std::string fault = fault_of(quotation, texts);
    right += fault.empty();
    if (!fault.empty()) complain(quotation.begin, std::move(fault), quotation.text);
  }
  std::set<std::string> used;
  std::size_t astray = 0;
  for (const std::size_t number : reading.citations()) {
    if (number >= 1 && number <= passages.size()) {
      used.insert(passages[number - 1].id);
      continue;
    }
    ++astray;
    complain(0,
             fmt::format("[{}] is cited, and there are passages 1 to {}.", number, passages.size()),
             "");
  }
  const auto least = static_cast<std::size_t>(option_int(task.options, "least"));
  if (quotations.size() < least)
    complain(
        0, fmt::format("There are {} quotations, but there must be {}.", quotations.size(), least),
        "");
  const std::size_t wanted = std::max({quotations.size(), least, std::size_t{1}}) + astray;
  judgement.outcome = judgement.critiques.empty() ? Outcome::kPass : Outcome::kFail;
  judgement.score =
      judgement.critiques.empty() ? 1 : static_cast<double>(right) / static_cast<double>(wanted);
  judgement.evidence = {{"quotations", quotations.size()},
                        {"right", right},
                        {"cited", used},
                        {"caveat", "what is said without quotation marks is not checked"}};
  return judgement;
}

}  // namespace

extern const JudgeKind kCitedJudge;
const JudgeKind kCitedJudge{
    .name = "cited",
    .summary = "what is quoted stands word for word in the passage that it cites",
    .options = kOptions,
    .check = check,
    .check_unit = check_unit,
    .judge = judge,
};

}  // namespace lathe::loop
