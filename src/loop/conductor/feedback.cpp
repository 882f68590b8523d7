// What the next lap is told of the one before.
#include "loop/conductor/feedback.h"

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxCritiques = 12;
constexpr std::size_t kMaxEvidenceBytes = 1500;
constexpr std::size_t kMaxRejected = 5;

std::string one_line(std::string_view text) {
  return clip_utf8(replace_all(text, "\n", " "), 160);
}

}  // namespace

bool is_text_media(std::string_view media_type) {
  return media_type.starts_with("text/") || media_type == "application/json" ||
         media_type == "image/svg+xml";
}

std::string feedback_tail(const Track& track, const LapState& lap,
                          const std::optional<std::string>& best) {
  std::string tail;
  const bool fresh = lap.move == Move::kSample || lap.move == Move::kResample;
  const CandidateState* candidate = best_candidate(track);
  // A candidate that could not be used has no artifact to show, but its fault must be said.
  if (!candidate && lap.number > 1)
    candidate = &track.laps[static_cast<std::size_t>(lap.number) - 2].candidates.front();

  if (!fresh && best) tail += fmt::format("The best version so far:\n<<<\n{}\n>>>\n\n", *best);
  if (!fresh && candidate) {
    const std::vector<Critique> critiques = critiques_of(*candidate);
    if (!critiques.empty()) tail += "What is wrong with it, worst first:\n";
    for (std::size_t i = 0; i < critiques.size() && i < kMaxCritiques; ++i) {
      const Critique& critique = critiques[i];
      tail += fmt::format("- {}{}{}\n", critique.locus, critique.locus.empty() ? "" : ": ",
                          critique.claim);
      if (!critique.evidence.empty())
        tail += fmt::format(
            "  {}\n", replace_all(clip_utf8(critique.evidence, kMaxEvidenceBytes), "\n", "\n  "));
    }
    if (critiques.size() > kMaxCritiques)
      tail += fmt::format("- and {} more\n", critiques.size() - kMaxCritiques);
    if (!critiques.empty()) tail += "\n";
  }

  std::vector<std::string> rejected;
  for (auto it = track.laps.rbegin(); it != track.laps.rend() && rejected.size() < kMaxRejected;
       ++it) {
    if (!it->closed || it->gained) continue;
    const CandidateState& tried =
        it->candidates[it->best < 0 ? 0 : static_cast<std::size_t>(it->best)];
    const std::vector<Critique> critiques = critiques_of(tried);
    if (critiques.empty()) continue;
    const auto& [locus, severity, claim, evidence, fingerprint] = critiques.front();
    rejected.push_back(one_line(locus.empty() ? claim : locus + ": " + claim));
  }
  if (!rejected.empty()) {
    tail += "Already tried and rejected:\n";
    for (const std::string& line : rejected) tail += "- " + line + "\n";
    tail += "\n";
  }
  return tail;
}

}  // namespace lathe::loop
