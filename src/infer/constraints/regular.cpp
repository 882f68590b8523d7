// The operations on regular languages: what is not deterministic is made so at once, and states
// from which no end can be reached are dropped.
#include "infer/constraints/regular.h"

#include <algorithm>
#include <map>

#include "infer/tokens/unicode.h"

namespace lathe::infer::grammar {

namespace {

constexpr std::size_t kMaxTextStates = 40'000;
constexpr std::size_t kMaxWork = 3'000'000;  // states and arrows looked at by one operation
constexpr std::uint32_t kNowhere = UINT32_MAX;

using Arrow = TextState::Arrow;

}  // namespace

// Copies of automata joined by jumps that read nothing, to be made deterministic.
class RegularBuilder {
 public:
  std::uint32_t state(bool ends = false) {
    states_.push_back({{}, ends});
    jumps_.emplace_back();
    return static_cast<std::uint32_t>(states_.size() - 1);
  }
  void jump(std::uint32_t from, std::uint32_t to) { jumps_[from].push_back(to); }
  // A copy of it, its start, and its ends, which lead on to `then` instead of ending.
  std::uint32_t copy(const TextAutomaton& what, std::uint32_t then) {
    const auto base = static_cast<std::uint32_t>(states_.size());
    if (what.empty()) return state();
    for (const TextState& each : what) {
      const std::uint32_t here = state();
      if (each.ends) jump(here, then);
      for (Arrow arrow : each.arrows) {
        arrow.to += base;
        states_[here].arrows.push_back(arrow);
      }
    }
    return base;
  }
  bool too_large() const { return states_.size() > kMaxWork / 10; }

  Regular::Maybe run(std::uint32_t start) {
    if (too_large()) return std::nullopt;
    start_of({start});
    Regular out;
    for (std::size_t at = 0; at < sets_.size(); ++at) {
      if (sets_.size() > kMaxTextStates || work_ > kMaxWork) return std::nullopt;
      const std::vector<std::uint32_t> set = *sets_[at];
      TextState made;
      std::vector<Arrow> arrows;
      for (const std::uint32_t each : set) {
        made.ends = made.ends || states_[each].ends;
        arrows.insert(arrows.end(), states_[each].arrows.begin(), states_[each].arrows.end());
      }
      work_ += set.size() + arrows.size();
      split(arrows, made);
      out.states_.push_back(std::move(made));
    }
    out.trim();
    return out;
  }

 private:
  std::uint32_t start_of(std::vector<std::uint32_t> open) {
    std::vector<std::uint32_t> set;
    ++round_;
    seen_.resize(states_.size());
    for (const std::uint32_t each : open) seen_[each] = round_;
    while (!open.empty()) {
      const std::uint32_t each = open.back();
      open.pop_back();
      set.push_back(each);
      for (const std::uint32_t to : jumps_[each]) {
        if (seen_[to] == round_) continue;
        seen_[to] = round_;
        open.push_back(to);
      }
    }
    work_ += set.size();
    std::ranges::sort(set);
    const auto [at, fresh] =
        ids_.try_emplace(std::move(set), static_cast<std::uint32_t>(sets_.size()));
    if (fresh) sets_.push_back(&at->first);
    return at->second;
  }

  // Arrows that overlap → ones that do not, each to the set of all places that its characters lead
  // to.
  void split(std::vector<Arrow>& arrows, TextState& made) {
    std::ranges::sort(arrows, {}, &Arrow::low);
    std::vector<char32_t> borders;
    for (const Arrow& arrow : arrows) {
      borders.push_back(arrow.low);
      borders.push_back(arrow.high + 1);
    }
    std::ranges::sort(borders);
    borders.erase(std::ranges::unique(borders).begin(), borders.end());
    std::vector<Arrow> active;
    std::size_t next = 0;
    for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
      while (next < arrows.size() && arrows[next].low == borders[i])
        active.push_back(arrows[next++]);
      std::erase_if(active, [&](const Arrow& arrow) { return arrow.high < borders[i]; });
      work_ += active.size() + 1;
      if (active.empty()) continue;
      std::vector<std::uint32_t> targets;
      for (const Arrow& arrow : active) targets.push_back(arrow.to);
      std::ranges::sort(targets);
      targets.erase(std::ranges::unique(targets).begin(), targets.end());
      const std::uint32_t to = start_of(std::move(targets));
      if (!made.arrows.empty() && made.arrows.back().to == to &&
          made.arrows.back().high + 1 == borders[i])
        made.arrows.back().high = borders[i + 1] - 1;
      else
        made.arrows.push_back({borders[i], borders[i + 1] - 1, to});
    }
  }

  std::vector<TextState> states_;
  std::vector<std::vector<std::uint32_t>> jumps_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t round_ = 0;
  std::map<std::vector<std::uint32_t>, std::uint32_t> ids_;
  std::vector<const std::vector<std::uint32_t>*> sets_;
  std::size_t work_ = 0;
};

void Regular::trim() {
  std::vector<std::vector<std::uint32_t>> back(states_.size());
  std::vector<std::uint32_t> open;
  std::vector<bool> lives(states_.size());
  for (std::uint32_t s = 0; s < states_.size(); ++s) {
    for (const Arrow& arrow : states_[s].arrows) back[arrow.to].push_back(s);
    lives[s] = states_[s].ends;
    if (states_[s].ends) open.push_back(s);
  }
  while (!open.empty()) {
    const std::uint32_t at = open.back();
    open.pop_back();
    for (const std::uint32_t from : back[at]) {
      if (lives[from]) continue;
      lives[from] = true;
      open.push_back(from);
    }
  }
  if (states_.empty() || !lives[0]) {
    states_.clear();
    return;
  }
  std::vector<std::uint32_t> number(states_.size(), kNowhere);
  std::uint32_t count = 0;
  for (std::uint32_t s = 0; s < states_.size(); ++s)
    if (lives[s]) number[s] = count++;
  TextAutomaton kept;
  for (std::uint32_t s = 0; s < states_.size(); ++s) {
    if (!lives[s]) continue;
    kept.push_back({{}, states_[s].ends});
    for (Arrow arrow : states_[s].arrows) {
      arrow.to = number[arrow.to];
      if (arrow.to != kNowhere) kept.back().arrows.push_back(arrow);
    }
  }
  states_ = std::move(kept);
}

Regular Regular::nothing_written() {
  Regular out;
  out.states_.push_back({{}, true});
  return out;
}

Regular Regular::anything() {
  Regular out;
  out.states_.push_back({{}, true});
  for (const auto& [low, high] : complement({})) out.states_[0].arrows.push_back({low, high, 0});
  return out;
}

Regular Regular::one_of(const CodePoints& characters) {
  Regular out;
  if (characters.empty()) return out;
  out.states_.resize(2);
  for (const auto& [low, high] : characters) out.states_[0].arrows.push_back({low, high, 1});
  out.states_[1].ends = true;
  return out;
}

Regular Regular::words(const std::vector<std::string>& words) {
  Regular out;
  if (words.empty()) return out;
  std::vector<std::map<char32_t, std::uint32_t>> next(1);
  out.states_.resize(1);
  for (const std::string& word : words) {
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < word.size();) {
      const Character character = character_at(word, i);
      i += character.bytes;
      const auto [to, fresh] =
          next[at].try_emplace(character.code, static_cast<std::uint32_t>(next.size()));
      at = to->second;
      if (!fresh) continue;
      next.emplace_back();
      out.states_.emplace_back();
    }
    out.states_[at].ends = true;
  }
  for (std::size_t s = 0; s < next.size(); ++s)
    for (const auto& [c, to] : next[s]) out.states_[s].arrows.push_back({c, c, to});
  return out;
}

Regular::Maybe Regular::of_length(std::uint32_t min, std::uint32_t max) {
  const std::uint32_t last = max == kUnlimited ? min : max;
  if (last >= kMaxTextStates) return std::nullopt;
  Regular out;
  for (std::uint32_t n = 0; n <= last; ++n) {
    out.states_.push_back({{}, n >= min});
    if (n == last && max != kUnlimited) break;
    for (const auto& [low, high] : complement({}))
      out.states_.back().arrows.push_back({low, high, std::min(n + 1, last)});
  }
  return out;
}

Regular::Maybe Regular::both(const Regular& a, const Regular& b) {
  Regular out;
  if (a.is_empty() || b.is_empty()) return out;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> ids{{{0, 0}, 0}};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> open{{0, 0}};
  for (std::size_t at = 0; at < open.size(); ++at) {
    if (open.size() > kMaxTextStates) return std::nullopt;
    const TextState &one = a.states_[open[at].first], &other = b.states_[open[at].second];
    TextState made{{}, one.ends && other.ends};
    for (std::size_t i = 0, j = 0; i < one.arrows.size() && j < other.arrows.size();) {
      const Arrow &x = one.arrows[i], &y = other.arrows[j];
      const char32_t low = std::max(x.low, y.low), high = std::min(x.high, y.high);
      if (low <= high) {
        const std::pair key{x.to, y.to};
        const auto [to, fresh] = ids.try_emplace(key, static_cast<std::uint32_t>(open.size()));
        if (fresh) open.push_back(key);
        made.arrows.push_back({low, high, to->second});
      }
      x.high < y.high ? ++i : ++j;
    }
    out.states_.push_back(std::move(made));
  }
  out.trim();
  return out;
}

Regular::Maybe Regular::made_of(const TextAutomaton& states) {
  RegularBuilder builder;
  const std::uint32_t end = builder.state(true);
  return builder.run(builder.copy(states, end));
}

Regular::Maybe Regular::either(const std::vector<Regular>& options) {
  RegularBuilder builder;
  const std::uint32_t start = builder.state(), end = builder.state(true);
  for (const Regular& option : options) {
    const std::uint32_t copy = builder.copy(option.states_, end);
    builder.jump(start, copy);
  }
  return builder.run(start);
}

Regular::Maybe Regular::then(const Regular& a, const Regular& b) {
  RegularBuilder builder;
  const std::uint32_t end = builder.state(true), second = builder.copy(b.states_, end);
  return builder.run(builder.copy(a.states_, second));
}

Result<Regular> Regular::without(const std::vector<std::string_view>& words) {
  Regular all = anything();
  for (const std::string_view word : words) {
    const auto begun = then(anything(), Regular::words({std::string(word)}));
    const auto held = begun ? then(*begun, anything()) : std::nullopt;
    auto both = held ? Regular::both(all, held->others()) : std::nullopt;
    if (!both) return invalid("the words of the form take too many states");
    all = std::move(*both);
  }
  return all;
}

Regular::Maybe Regular::repeated(const Regular& what, std::uint32_t min, std::uint32_t max) {
  RegularBuilder builder;
  std::uint32_t next = builder.state(true);
  if (max == kUnlimited) {
    const std::uint32_t again = builder.copy(what.states_, next);
    builder.jump(next, again);
  }
  const std::uint32_t end = next, optional = max == kUnlimited ? 0 : max - min;
  for (std::uint32_t i = 0; i < optional + min && !builder.too_large(); ++i) {
    const std::uint32_t here = builder.state(), copy = builder.copy(what.states_, next);
    builder.jump(here, copy);
    if (i < optional) builder.jump(here, end);
    next = here;
  }
  return builder.run(next);
}

Regular Regular::others() const {
  if (is_empty()) return anything();
  Regular out = *this;
  const auto sink = static_cast<std::uint32_t>(states_.size());
  out.states_.push_back({{}, false});
  for (TextState& state : out.states_) {
    state.ends = !state.ends;
    CodePoints taken;
    for (const Arrow& arrow : state.arrows) taken.emplace_back(arrow.low, arrow.high);
    for (const auto& [low, high] : complement(normalize(std::move(taken))))
      state.arrows.push_back({low, high, sink});
    std::ranges::sort(state.arrows, {}, &Arrow::low);
  }
  out.trim();
  return out;
}

bool Regular::has(std::string_view text) const {
  if (is_empty()) return false;
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Character character = character_at(text, i);
    i += character.bytes;
    const auto& arrows = states_[at].arrows;
    const auto found = std::ranges::find_if(arrows, [&](const Arrow& arrow) {
      return arrow.low <= character.code && character.code <= arrow.high;
    });
    if (found == arrows.end()) return false;
    at = found->to;
  }
  return states_[at].ends;
}

}  // namespace lathe::infer::grammar
