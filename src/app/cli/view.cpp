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
      Milliseconds(std::max<std::int64_t>(0, state.recipe.stop.time_ms() - state.t_ms));
  if (done == 0) return fmt::format("at most {} left", format_duration(budget));
  const auto estimate = Milliseconds(state.t_ms * static_cast<std::int64_t>(state.open_tracks) /
                                     static_cast<std::int64_t>(done));
  return fmt::format("about {} left", format_duration(std::min(estimate, budget)));
}

std::string call_words(const loop::RunState& state, const loop::CallId& call) {
  const auto name = [&] { return track_name(state, state.tracks[call.track]); };
  if (call.kind == loop::CallId::Kind::kMake) return "making " + name();
  return fmt::format("judging {}: {}",
                     call.kind == loop::CallId::Kind::kWhole ? "the whole" : name(),
                     state.recipe.judges[call.judge].name);
}

}  // namespace

std::string run_totals(const loop::RunState& state) {
  std::size_t passed = 0, laps = 0;
  for (const loop::Track& track : state.tracks) {
    laps += track.laps.size();
    for (const std::size_t unit : track.units)
      passed += loop::unit_passed(track, state.units[unit]);
  }
  std::string line = fmt::format("{} of {} passed · {}", passed,
                                 counted(state.units.size(), "unit"), counted(laps, "lap"));
  // What calls have used, then what passes by itself.
  for (const bool by_calls : {true, false})
    for (const loop::BudgetKind& kind : loop::budget_kinds())
      if (kind.by_calls == by_calls)
        if (const std::string brief = kind.brief(state); !brief.empty()) line += " · " + brief;
  return line;
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

namespace {

// What an entry says, behind its time; "": nothing new to a person.
struct EntryLine {
  const loop::RunState& state;
  std::string name;          // of the track
  const loop::Track* track;  // or null

  std::string operator()(const loop::LapOpened& lap) const {
    return fmt::format("{} lap {}: {}{}", name, lap.lap, move_name(lap.move),
                       lap.reason.empty() ? "" : " (" + lap.reason + ")");
  }
  std::string operator()(const loop::LapClosed& lap) const {
    const std::string critique = first_critique(*track);
    const bool said = lap.rank.passed || lap.best < 0;
    const std::string caveats = caveats_of(*track);
    return fmt::format("{} lap {}: {}{}{}", name, lap.lap, lap.reason,
                       said && !caveats.empty() ? " · " + caveats : "",
                       said || critique.empty() ? "" : "; " + clip_utf8(critique, 200));
  }
  std::string operator()(const loop::TrackEnded& ended) const {
    if (ended.rule == loop::Rule::kPassed) return {};  // its lap said so
    return fmt::format("{} {}: {}", name, ended.passed ? "passed" : "gave up", ended.reason);
  }
  std::string operator()(const loop::CallBegun& begun) const {
    if (begun.call.kind != loop::CallId::Kind::kWhole) return {};
    const auto& judges = state.recipe.judges;
    return fmt::format("the whole: asking '{}'",
                       begun.call.judge < judges.size() ? judges[begun.call.judge].name : "");
  }
  std::string operator()(const loop::VerdictGiven& given) const {
    if (given.call.kind != loop::CallId::Kind::kWhole) return {};
    return fmt::format("the whole: '{}' says {}", given.judge_name,
                       outcome_name(given.judgement.outcome));
  }
  std::string operator()(const loop::RunEnded& run) const {
    return fmt::format("{}: {}", replace_all(run.state, "_", " "), run.reason);
  }
  std::string operator()(const loop::Paused& pause) const { return "stopped: " + pause.reason; }
  std::string operator()(const auto&) const { return {}; }
};

}  // namespace

std::string entry_line(const loop::RunState& state, const loop::Entry& entry) {
  const auto index = track_of(entry.event);
  const loop::Track* track =
      index && *index < state.tracks.size() ? &state.tracks[*index] : nullptr;
  const std::string line =
      std::visit(EntryLine{state, track ? track_name(state, *track) : "", track}, entry.event);
  return line.empty() ? line
                      : fmt::format("[{:>8}] {}", format_duration(Milliseconds(entry.t_ms)), line);
}

void View::on_entry(const loop::RunState& state, const loop::Entry& entry) {
  const loop::CallId* call = call_of(entry.event);
  const std::string id = call ? call->text() : "";
  {
    const std::lock_guard lock(mutex_);
    if (std::holds_alternative<loop::CallBegun>(entry.event)) {
      running_[id] = call_words(state, *call);
    } else {
      end_line(id);
      running_.erase(id);
    }
  }
  if (app_.json) {
    const std::lock_guard lock(mutex_);
    print_json(record_json(entry));
  } else if (app_.color) {
    redraw(state);
  } else if (const std::string line = entry_line(state, entry); !line.empty()) {
    const std::lock_guard lock(mutex_);
    print(line + "\n");
  }
}

// Output that has no end yet gets one.
void View::end_line(const std::string& call) {
  const auto found = begun_.find(call);
  if (found == begun_.end()) return;
  const BegunLine last = found->second;
  if (!last.text.empty()) print_output(call, last.label, "\n");
  begun_.erase(call);
}

void View::on_progress(const loop::CallId& call, std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (const auto found = running_.find(call.text()); found != running_.end()) {
    const auto colon = found->second.find(" · ");
    found->second = found->second.substr(0, colon) + " · " + std::string(what);
  }
}

void View::on_output(const loop::CallId* call, std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (call)
    print_output(call->text(), fmt::format("lap {}.{}", call->lap, call->n + 1), text);
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
