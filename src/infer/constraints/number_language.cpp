// The decimal texts of the numbers in a range, and of the multiples of one: compared digit by
// digit.
#include <algorithm>
#include <map>

#include "infer/constraints/text_languages.h"

namespace lathe::infer::grammar {
namespace {

constexpr std::size_t kMaxRemainders = 15'000;

struct Decimal {
  bool negative = false;
  std::string whole = "0", fraction;  // without zeros at their ends
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

Decimal decimal_of(const Json& number) {
  Decimal out;
  std::string text = dump_json(number);
  if (text.starts_with('-')) {
    out.negative = true;
    text.erase(0, 1);
  }
  long exponent = 0;
  if (const auto e = text.find_first_of("eE"); e != text.npos) {
    exponent = std::strtol(text.c_str() + e + 1, nullptr, 10);
    text.resize(e);
  }
  const auto point = text.find('.');
  std::string digits = text.substr(0, point);
  long places = static_cast<long>(digits.size()) + exponent;
  if (point != text.npos) digits += text.substr(point + 1);
  if (places < 0) digits.insert(0, static_cast<std::size_t>(-places), '0'), places = 0;
  if (static_cast<std::size_t>(places) > digits.size())
    digits.resize(static_cast<std::size_t>(places), '0');
  out.whole = digits.substr(0, static_cast<std::size_t>(places));
  out.fraction = digits.substr(static_cast<std::size_t>(places));
  out.whole.erase(0, std::min(out.whole.find_first_not_of('0'), out.whole.size()));
  if (out.whole.empty()) out.whole = "0";
  out.fraction.resize(out.fraction.find_last_not_of('0') + 1);
  return out;
}

// Digits between two bounds that are not negative.
class Between {
 public:
  Between(Decimal low, bool above, std::optional<Decimal> high, bool below, bool whole)
      : low_(std::move(low)),
        high_(std::move(high)),
        above_(above),
        below_(below),
        whole_(whole),
        most_(whole ? 16 : 15) {}

  std::optional<Regular> run() {
    states_.emplace_back();
    for (std::size_t length = 1; length <= most_; ++length) {
      if (length < low_.whole.size() || (high_ && length > high_->whole.size())) continue;
      length_ = length;
      ids_.clear();
      const std::uint32_t first =
          digit(0, length == low_.whole.size(), high_ && length == high_->whole.size());
      // The start has the arrows of all lengths.
      const auto arrows = states_[first].arrows;
      states_[0].arrows.insert(states_[0].arrows.end(), arrows.begin(), arrows.end());
    }
    return Regular::made_of(states_);
  }

 private:
  static char at(const std::string& digits, std::size_t place) {
    return place < digits.size() ? digits[place] : '0';
  }
  static bool more(const std::string& fraction, std::size_t from) { return fraction.size() > from; }

  // Whether the number may end after `places` of its fraction, still equal to a bound or not.
  bool may_end(std::size_t places, bool at_low, bool at_high) const {
    if (at_low && (more(low_.fraction, places) || above_)) return false;
    return !at_high || more(high_->fraction, places) || !below_;
  }

  // In front of a digit; those behind the point count on.
  std::uint32_t digit(std::size_t place, bool at_low, bool at_high) {
    const auto [known, fresh] = ids_.try_emplace({place, at_low, at_high}, 0);
    if (!fresh) return known->second;
    const auto id = static_cast<std::uint32_t>(states_.size());
    known->second = id;
    states_.emplace_back();
    const bool behind = place >= length_;
    states_[id].ends = behind && may_end(place - length_, at_low, at_high);
    if (place == length_) {
      if (!whole_ && place < most_) {
        const std::uint32_t point = digits(place, at_low, at_high);
        states_[id].arrows.push_back({'.', '.', point});
      }
    } else {
      add_digits(id, place, at_low, at_high);
    }
    return id;
  }
  // Right behind the point, where a digit must come.
  std::uint32_t digits(std::size_t place, bool at_low, bool at_high) {
    const auto id = static_cast<std::uint32_t>(states_.size());
    states_.emplace_back();
    add_digits(id, place, at_low, at_high);
    return id;
  }
  void add_digits(std::uint32_t id, std::size_t place, bool at_low, bool at_high) {
    if (place >= most_) return;
    const bool behind = place >= length_;
    const std::size_t index = behind ? place - length_ : place;
    const char least = at(behind ? low_.fraction : low_.whole, index);
    const char most = high_ ? at(behind ? high_->fraction : high_->whole, index) : '9';
    for (char c = place == 0 && length_ > 1 ? '1' : '0'; c <= '9'; ++c) {
      if ((at_low && c < least) || (at_high && c > most)) continue;
      const std::uint32_t next = digit(place + 1, at_low && c == least, at_high && c == most);
      const auto point = static_cast<char32_t>(c);
      states_[id].arrows.push_back({point, point, next});
    }
  }

  const Decimal low_;
  const std::optional<Decimal> high_;
  const bool above_, below_, whole_;
  const std::size_t most_;  // digits
  std::size_t length_ = 0;  // of the whole part
  std::map<std::tuple<std::size_t, bool, bool>, std::uint32_t> ids_;
  TextAutomaton states_;
};

// Multiples of `step` / 10^`places`: the remainder of all digits so far.
std::optional<Regular> multiples(const Decimal& of, bool whole) {
  const std::size_t places = of.fraction.size();
  const std::string digits = of.whole + of.fraction;
  if (of.is_zero() || digits.size() > 12) return std::nullopt;
  const std::uint64_t step = std::stoull(digits);
  if (step * (places + 2) > kMaxRemainders) return std::nullopt;
  TextAutomaton states(1);  // the start
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint32_t> ids;
  std::vector<std::pair<std::size_t, std::uint64_t>> open;
  // Behind `place` digits of the fraction; 0: within the whole part.
  const auto id_of = [&](std::size_t place, std::uint64_t remainder) {
    const auto [known, fresh] =
        ids.try_emplace({place, remainder}, static_cast<std::uint32_t>(states.size()));
    if (fresh) {
      open.emplace_back(place, remainder);
      states.emplace_back();
    }
    return known->second;
  };
  const auto digits_to = [&](std::uint32_t from, char32_t low, std::size_t place,
                             std::uint64_t remainder) {
    for (char32_t c = low; c <= '9'; ++c) {
      const std::uint32_t next = id_of(place, (remainder * 10 + (c - '0')) % step);
      states[from].arrows.push_back({c, c, next});
    }
  };
  const auto finish = [&](std::uint32_t id, std::size_t place, std::uint64_t remainder) {
    std::uint64_t rest = remainder;
    for (std::size_t i = place; i < places; ++i) rest = rest * 10 % step;
    states[id].ends = rest == 0;
    if (place > 0) {
      if (place < places) digits_to(id, '0', place + 1, remainder);
    } else if (!whole && places > 0) {
      const auto point = static_cast<std::uint32_t>(states.size());
      states.emplace_back();
      states[id].arrows.push_back({'.', '.', point});
      digits_to(point, '0', 1, remainder);
    }
  };
  states[0].arrows.push_back({'-', '-', 1});
  states.emplace_back();  // behind the sign
  const std::uint32_t zero = 2;
  states.emplace_back();
  finish(zero, 0, 0);
  for (const std::uint32_t from : {0U, 1U}) {
    states[from].arrows.push_back({'0', '0', zero});
    digits_to(from, '1', 0, 0);
  }
  for (std::size_t i = 0; i < open.size(); ++i) {
    const auto [place, remainder] = open[i];
    const std::uint32_t id = ids.at(open[i]);
    finish(id, place, remainder);
    if (place == 0) digits_to(id, '0', 0, remainder);
  }
  return Regular::made_of(states);
}

}  // namespace

std::optional<Regular> number_language(const NumberRange& range, bool whole) {
  const Decimal zero;
  std::optional<Decimal> low, high;
  if (!range.low.is_null()) low = decimal_of(range.low);
  if (!range.high.is_null()) high = decimal_of(range.high);
  const auto below_zero = [](const Decimal& bound) { return bound.negative && !bound.is_zero(); };
  std::vector<Regular> parts;
  if (!high || !below_zero(*high)) {
    const bool from_zero = !low || below_zero(*low);
    auto part =
        Between(from_zero ? zero : *low, !from_zero && range.above, high, range.below, whole).run();
    if (!part) return std::nullopt;
    parts.push_back(std::move(*part));
  }
  if (!low || below_zero(*low)) {
    // Of these "-0" is none.
    const bool to_zero = !high || !below_zero(*high);
    const auto part =
        Between(to_zero ? zero : *high, to_zero || range.below, low, range.above, whole).run();
    if (!part) return std::nullopt;
    auto signed_part = Regular::then(Regular::words({"-"}), *part);
    if (!signed_part) return std::nullopt;
    parts.push_back(std::move(*signed_part));
  }
  auto all = Regular::either(parts);
  if (!all || range.multiple_of.is_null()) return all;
  const auto steps = multiples(decimal_of(range.multiple_of), whole);
  return steps ? Regular::both(*all, *steps) : std::nullopt;
}

}  // namespace lathe::infer::grammar
