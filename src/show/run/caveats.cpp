// Collects the caveats of judgements, and what can be told from the candidates side by side.
#include "show/run/caveats.h"

#include "ground/base/plural.h"
#include "ground/base/text.h"

namespace lathe::show {
namespace {

constexpr std::size_t kMostWords = 8, kMostUnits = 4, kMostText = 200;

void add_once(std::vector<std::string>& list, const std::string& item) {
  if (!item.empty() && std::ranges::find(list, item) == list.end()) list.push_back(item);
}

std::string first_of(const std::vector<std::string>& list, std::size_t most) {
  if (list.size() <= most) return join(list, ", ");
  return join(std::vector(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(most)), ", ") +
         fmt::format(" and {} more", list.size() - most);
}

// The voice that most units have, and who has another one.
std::string voices_note(const loop::RunState& state) {
  std::map<std::string, std::vector<std::string>> units_of;
  for (const loop::Track& track : state.tracks)
    if (const loop::CandidateState* best = best_candidate(track))
      if (const std::string voice = json_string(best->facts, "voice"); !voice.empty())
        units_of[voice].push_back(state.units[track.units.front()].key);
  if (units_of.size() < 2) return {};
  const auto main =
      std::ranges::max_element(units_of, {}, [](const auto& each) { return each.second.size(); });
  std::vector<std::string> others;
  for (auto it = units_of.begin(); it != units_of.end(); ++it)
    if (it != main)
      others.push_back(fmt::format("{} by {}", first_of(it->second, kMostUnits), it->first));
  return fmt::format("the voice changes: {}, the rest by {}", join(others, "; "), main->first);
}

}  // namespace

std::string caveats_of(const loop::Track& track) {
  std::vector<std::string> caveats;
  if (const loop::CandidateState* best = best_candidate(track))
    for (const loop::JudgedBy* verdict : counted_verdicts(*best))
      add_once(caveats, caveat_of(verdict->judgement));
  return clip_utf8(make_valid_utf8(join(caveats, " · ")), kMostText);
}

std::string run_caveats(const loop::RunState& state) {
  std::vector<std::string> words, others;
  for (const loop::Track& track : state.tracks) {
    const loop::CandidateState* best = best_candidate(track);
    if (!best) continue;
    for (const loop::JudgedBy* verdict : counted_verdicts(*best)) {
      const std::vector<std::string> unverified = unverified_words(verdict->judgement);
      for (const std::string& word : unverified) add_once(words, make_valid_utf8(word));
      if (const std::string caveat = caveat_of(verdict->judgement);
          unverified.empty() && !caveat.empty()) {
        const std::string unit =
            state.tracks.size() > 1 ? state.units[track.units.front()].key + ": " : "";
        add_once(others, unit + clip_utf8(make_valid_utf8(caveat), kMostText));
      }
    }
  }
  std::string notes;
  if (!words.empty())
    notes += fmt::format(" · {} not verified: {}", counted(words.size(), "word"),
                         first_of(words, kMostWords));
  if (!others.empty()) notes += " · " + first_of(others, kMostUnits);
  if (const std::string voices = voices_note(state); !voices.empty()) notes += " · " + voices;
  return notes;
}

}  // namespace lathe::show
