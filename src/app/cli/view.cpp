// The live table of a run, its lines, and what tests print.
#include "app/cli/view.h"

#include "app/cli/caveats.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/base/visible_text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kLongestLine = 4096;  // bytes of a program's output in one line
constexpr std::string_view kRed = "31", kGreen = "32", kYellow = "33", kDim = "2";

std::string paint(const TableStyle& style, std::string_view color, std::string_view text) {
  return style.color ? fmt::format("\033[{}m{}\033[0m", color, text) : std::string(text);
}

// Columns, not bytes: wide enough for the scripts this table shows (one column per code point).
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string fit(std::string_view text, std::size_t width) {
  std::string one_line = replace_all(text, "\n", " ");
  for (char& c : one_line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = ' ';  // no control codes from artifacts on the terminal
  if (columns(one_line) <= width) return one_line + std::string(width - columns(one_line), ' ');
  std::string out;
  std::size_t used = 0;
  for (std::size_t i = 0; i < one_line.size(); ++i) {
    if ((static_cast<unsigned char>(one_line[i]) & 0xC0U) != 0x80U && ++used >= width) break;
    out += one_line[i];
  }
  return width > 0 ? out + "…" : out;
}

// The end of a name or of a trail of scores says most: where it is too long, its beginning goes.
std::string fit_end(std::string_view text, std::size_t width) {
  const std::size_t all = columns(text);
  if (all <= width || width == 0) return fit(text, width);
  std::size_t skip = all - width + 1, at = 0;
  while (skip > 0 && ++at < text.size())
    skip -= (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
  return fit("…" + std::string(text.substr(at)), width);
}

std::string lap_scores(const loop::Track& track) {
  std::vector<std::string> scores;
  for (const loop::LapState& lap : track.laps)
    scores.push_back(
        !lap.closed ? "…"
        : lap.best < 0
            ? "–"
            : fmt::format("{:.1f}", 10 * loop::weakest_score(
                                             lap.candidates[static_cast<std::size_t>(lap.best)])));
  return join(scores, " → ");
}

std::string first_critique(const loop::Track& track) {
  for (auto lap = track.laps.rbegin(); lap != track.laps.rend(); ++lap) {
    if (!lap->closed) continue;
    const auto critiques = loop::critiques_of(
        lap->candidates[lap->best < 0 ? 0 : static_cast<std::size_t>(lap->best)]);
    if (critiques.empty()) return {};
    const loop::Critique& first = critiques.front();
    return first.locus.empty() ? first.claim : first.locus + ": " + first.claim;
  }
  return {};
}

std::string track_name(const loop::RunState& state, const loop::Track& track) {
  const std::string& first = state.units[track.units.front()].key;
  return track.units.size() == 1 ? first
                                 : fmt::format("{} (+{} more)", first, track.units.size() - 1);
}

// In the table the units of a group stand below it, one by one.
std::string row_name(const loop::RunState& state, const loop::Track& track) {
  return track.units.size() == 1 ? track_name(state, track) : counted(track.units.size(), "unit");
}

struct Columns {
  std::size_t name = 14, scores = 24;
};

// As wide as what stands in them, within bounds.
Columns columns_of(const loop::RunState& state, std::span<const loop::Track* const> tracks,
                   int width) {
  const std::size_t most = width > 110 ? 40 : 14;
  Columns wide;
  for (const loop::Track* track : tracks)
    wide.name = std::max(wide.name, std::min(most, columns(row_name(state, *track))));
  return wide;
}

std::string track_line(const loop::RunState& state, const loop::Track& track,
                       const TableStyle& style, const Columns& wide) {
  const bool passed = track.state == loop::TrackState::kPassed;
  const bool open = track.state == loop::TrackState::kOpen;
  std::string note = passed ? state.units[track.units.front()].text : first_critique(track);
  if (passed && track.units.size() > 1) note = track.why;
  if (const std::string caveats = caveats_of(track); passed && !caveats.empty())
    note = "· " + caveats + " · " + note;
  if (track.state == loop::TrackState::kGaveUp && note.empty()) note = track.why;
  if (open && track.laps.empty()) note = state.units[track.units.front()].text;
  const std::size_t used = 2 + wide.name + 2 + wide.scores + 2 + 9 + 2;
  const std::size_t rest =
      style.width > static_cast<int>(used) + 10 ? static_cast<std::size_t>(style.width) - used : 10;
  std::string_view word = passed ? "passed"
                          : open ? (track.laps.empty() ? "waiting" : "open")
                                 : "gave up";
  if (loop::without_verdict(track)) word = "unjudged";
  return fmt::format("  {}  {}  {}  {}", fit_end(row_name(state, track), wide.name),
                     fit_end(lap_scores(track), wide.scores),
                     paint(style,
                           passed ? kGreen
                           : open ? kYellow
                                  : kRed,
                           fit(word, 9)),
                     paint(style, kDim, fit(note, rest)));
}

// Which units of a group pass in its best candidate.
void unit_lines(const loop::RunState& state, const loop::Track& track, const TableStyle& style,
                std::vector<std::string>& lines) {
  constexpr std::size_t kMost = 20;
  if (track.units.size() < 2) return;
  const auto width = static_cast<std::size_t>(std::max(20, style.width - 14));
  for (std::size_t i = 0; i < track.units.size(); ++i) {
    if (i == kMost) {
      lines.push_back(fmt::format("    … {} more", track.units.size() - kMost));
      return;
    }
    const loop::Unit& unit = state.units[track.units[i]];
    const bool passed = loop::unit_passed(track, unit);
    lines.push_back(fmt::format("    {}  {}",
                                paint(style, passed ? kGreen : kRed, passed ? "passed" : "fails "),
                                fit_end(unit.key, std::min(width, columns(unit.key)))));
  }
}

std::string time_left(const loop::RunState& state) {
  const std::size_t done = state.tracks.size() - state.open_tracks;
  const auto budget =
      Milliseconds(std::max<std::int64_t>(0, state.recipe.stop.time_ms - state.t_ms));
  if (done == 0) return fmt::format("at most {} left", format_duration(budget));
  const auto estimate = Milliseconds(state.t_ms * static_cast<std::int64_t>(state.open_tracks) /
                                     static_cast<std::int64_t>(done));
  return fmt::format("about {} left", format_duration(std::min(estimate, budget)));
}

}  // namespace

std::string run_totals(const loop::RunState& state) {
  std::size_t passed = 0, laps = 0;
  for (const loop::Track& track : state.tracks) {
    laps += track.laps.size();
    for (const std::size_t unit : track.units)
      passed += loop::unit_passed(track, state.units[unit]);
  }
  std::string tokens;
  if (state.usage.calls > 0)
    tokens = state.usage.counted
                 ? fmt::format(" · {} tokens in ({} cached), {} out", state.usage.prompt_tokens,
                               state.usage.cached_tokens, state.usage.completion_tokens)
                 : fmt::format(" · {}, tokens not counted by the worker",
                               counted(static_cast<std::size_t>(state.usage.calls), "call"));
  return fmt::format("{} of {} passed · {}{} · {} · energy {}", passed,
                     counted(state.units.size(), "unit"), counted(laps, "lap"), tokens,
                     format_duration(Milliseconds(state.t_ms)),
                     state.joules ? format_energy(*state.joules) : "not readable here");
}

std::vector<std::string> run_table(const loop::RunState& state, const TableStyle& style,
                                   const std::map<std::string, std::string>& running) {
  std::vector<const loop::Track*> shown;
  for (const loop::Track& track : state.tracks) shown.push_back(&track);
  const auto room =
      static_cast<std::size_t>(std::max(3, style.height - 4 - static_cast<int>(running.size())));
  // Too many for the screen: first those that have passed go, then those that wait.
  if (shown.size() > room)
    std::erase_if(
        shown, [](const loop::Track* track) { return track->state == loop::TrackState::kPassed; });
  const std::size_t hidden = shown.size() > room ? shown.size() - room : 0;
  shown.resize(shown.size() - hidden);

  std::vector<std::string> lines;
  const Columns wide = columns_of(state, shown, style.width);
  for (const loop::Track* track : shown) {
    lines.push_back(track_line(state, *track, style, wide));
    if (state.ended || style.height == TableStyle().height) unit_lines(state, *track, style, lines);
  }
  if (const std::size_t missing = state.tracks.size() - shown.size(); missing > 0)
    lines.push_back(fmt::format("  … {} more not shown", missing));
  for (const loop::JudgedBy& verdict : state.whole)
    lines.push_back(fmt::format("  the whole: '{}' says {} ({:.1f}/10)", verdict.judge,
                                loop::outcome_name(verdict.judgement.outcome),
                                10 * verdict.judgement.score));
  for (const auto& [call, what] : running)
    lines.push_back(paint(
        style, kDim, "  " + fit(what, static_cast<std::size_t>(std::max(20, style.width - 4)))));
  lines.push_back("  " + run_totals(state) +
                  (state.ended || running.empty() ? "" : " · " + time_left(state)));
  return lines;
}

std::string record_line(const loop::RunState& state, const books::Record& record) {
  const Json& body = record.body;
  const auto index = json_int(body, "track", -1);
  const loop::Track* track = index >= 0 && index < std::ssize(state.tracks)
                                 ? &state.tracks[static_cast<std::size_t>(index)]
                                 : nullptr;
  const std::string name = track ? track_name(state, *track) : "";
  const std::string time = fmt::format("[{:>8}]", format_duration(Milliseconds(record.t_ms)));
  if (record.kind == "lap") {
    const std::string reason = json_string(body, "reason");
    return fmt::format("{} {} lap {}: {}{}", time, name, json_int(body, "lap", 0),
                       json_string(body, "move"), reason.empty() ? "" : " (" + reason + ")");
  }
  if (record.kind == "close" && track) {
    const std::string critique = first_critique(*track);
    const bool said =
        json_bool(json_at(body, "rank"), "passed", false) || json_int(body, "best", -1) < 0;
    const std::string caveats = caveats_of(*track);
    return fmt::format("{} {} lap {}: {}{}{}", time, name, json_int(body, "lap", 0),
                       json_string(body, "reason"), said && !caveats.empty() ? " · " + caveats : "",
                       said || critique.empty() ? "" : "; " + clip_utf8(critique, 200));
  }
  if (record.kind == "unit" && json_string(body, "rule") == "passed") return {};  // its lap said so
  if (record.kind == "unit")
    return fmt::format("{} {} {}: {}", time, name,
                       replace_all(json_string(body, "state"), "_", " "),
                       json_string(body, "reason"));
  if (record.kind == "call" && json_string(body, "kind") == "whole") {
    const auto judge = static_cast<std::size_t>(json_int(body, "judge", 0));
    return fmt::format("{} the whole: asking '{}'", time,
                       judge < state.recipe.judges.size() ? state.recipe.judges[judge].name : "");
  }
  if (record.kind == "verdict" && json_string(body, "kind") == "whole") {
    const Json& judgement = json_at(body, "judgement");
    return fmt::format("{} the whole: '{}' says {}", time, json_string(body, "judge_name"),
                       json_string(judgement, "outcome"));
  }
  if (record.kind == "end")
    return fmt::format("{} {}: {}", time, replace_all(json_string(body, "state"), "_", " "),
                       json_string(body, "reason"));
  if (record.kind == "pause")
    return fmt::format("{} stopped: {}", time, json_string(body, "reason"));
  return {};
}

void View::on_record(const loop::RunState& state, const books::Record& record) {
  const std::string call = json_string(record.body, "call");
  {
    const std::lock_guard lock(mutex_);
    if (const auto begun = begun_.find(call); begun != begun_.end() && record.kind != "call") {
      const BegunLine last = begun->second;
      if (!last.text.empty()) print_output(call, last.label, "\n");
      begun_.erase(call);
    }
    if (record.kind == "call") {
      const auto judge = static_cast<std::size_t>(json_int(record.body, "judge", 0));
      const std::string kind = json_string(record.body, "kind");
      const auto index = static_cast<std::size_t>(json_int(record.body, "track", 0));
      const std::string name =
          kind == "whole" ? "the whole" : track_name(state, state.tracks[index]);
      running_[call] = kind == "make"
                           ? fmt::format("making {}", name)
                           : fmt::format("judging {}: {}", name, state.recipe.judges[judge].name);
    } else if (!call.empty()) {
      running_.erase(call);
    }
  }
  if (app_.json) {
    const std::lock_guard lock(mutex_);
    print_json({{"seq", record.seq},
                {"t_ms", record.t_ms},
                {"joules", record.joules ? Json(*record.joules) : Json()},
                {"kind", record.kind},
                {"body", record.body}});
  } else if (app_.color) {
    redraw(state);
  } else if (const std::string line = record_line(state, record); !line.empty()) {
    const std::lock_guard lock(mutex_);
    print(line + "\n");
  }
}

void View::on_progress(const loop::RunCall& call, std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (const auto found = running_.find(call.id()); found != running_.end()) {
    const auto colon = found->second.find(" · ");
    found->second = found->second.substr(0, colon) + " · " + std::string(what);
  }
}

void View::on_output(const loop::RunCall* call, std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (call)
    print_output(call->id(), fmt::format("lap {}.{}", call->lap, call->n + 1), text);
  else
    print_output("", "before", text);
}

// Above the table, which the next record draws again below it.
void View::print_output(const std::string& call, std::string_view label, std::string_view text) {
  std::string& line =
      begun_.try_emplace(call, BegunLine{std::string(label), ""}).first->second.text;
  line += text;
  std::string shown;
  for (std::size_t end; (end = line.find('\n')) != line.npos || line.size() > kLongestLine;) {
    const std::size_t length = std::min(end, kLongestLine);
    const std::string whole = visible_text(line.substr(0, length));
    if (app_.json)
      print_json({{"kind", "output"}, {"call", call}, {"text", whole}});
    else
      shown += fmt::format("{} │ {}\n", label, whole);
    line.erase(0, length + (length == end));
  }
  if (shown.empty()) return;
  if (drawn_lines_ > 0) shown = fmt::format("\033[{}A\r\033[J", drawn_lines_) + shown;
  drawn_lines_ = 0;
  print_raw(shown);
}

void View::redraw(const loop::RunState& state) {
  const std::lock_guard lock(mutex_);
  std::string frame;
  if (drawn_lines_ > 0) frame += fmt::format("\033[{}A\r", drawn_lines_);
  const auto lines = run_table(state, {app_.width, app_.height, true}, running_);
  for (const std::string& line : lines) frame += line + "\033[K\n";
  frame += "\033[J";
  drawn_lines_ = static_cast<int>(lines.size());
  print_raw(frame);
}

void View::finish() {
  drawn_lines_ = 0;
}

}  // namespace lathe::app
