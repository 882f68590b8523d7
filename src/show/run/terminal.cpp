// Prints a run as lines for a terminal or a log.
#include "show/run/terminal.h"

#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "show/run/caveats.h"

namespace lathe::show {
namespace {

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

std::string lap_scores(const TrackRow& row) {
  std::vector<std::string> scores;
  for (const LapScore& lap : row.laps)
    scores.push_back(!lap.closed ? "…" : lap.score ? fmt::format("{:.1f}", *lap.score) : "–");
  return join(scores, " → ");
}

// In the table the units of a group stand below it, one by one.
std::string row_name(const TrackRow& row) {
  return row.is_group() ? counted(row.units.size(), "unit") : row.units.front().key;
}

struct Columns {
  std::size_t name = 14, scores = 24;
};

// As wide as what stands in them, within bounds.
Columns columns_of(const RunSummary& run, int width) {
  const std::size_t most = width > 110 ? 40 : 14;
  Columns wide;
  for (const TrackRow& row : run.rows)
    wide.name = std::max(wide.name, std::min(most, columns(row_name(row))));
  return wide;
}

std::string note_of(const TrackRow& row) {
  if (row.state == loop::TrackState::kOpen && row.laps.empty()) return row.text;
  if (!row.passed())
    return row.fault.empty() && row.state == loop::TrackState::kGaveUp ? row.why : row.fault;
  const std::string& note = row.is_group() ? row.why : row.text;
  return row.caveats.empty() ? note : "· " + row.caveats + " · " + note;
}

std::string track_line(const TrackRow& row, const TableStyle& style, const Columns& wide) {
  const bool open = row.state == loop::TrackState::kOpen;
  const std::size_t used = 2 + wide.name + 2 + wide.scores + 2 + 9 + 2;
  const std::size_t rest =
      style.width > static_cast<int>(used) + 10 ? static_cast<std::size_t>(style.width) - used : 10;
  const std::string_view word = row.passed()       ? "passed"
                                : row.unjudged     ? "unjudged"
                                : !open            ? "gave up"
                                : row.laps.empty() ? "waiting"
                                                   : "open";
  const std::string_view color = row.passed() ? kGreen : open ? kYellow : kRed;
  return fmt::format("  {}  {}  {}  {}", fit_end(row_name(row), wide.name),
                     fit_end(lap_scores(row), wide.scores), paint(style, color, fit(word, 9)),
                     paint(style, kDim, fit(note_of(row), rest)));
}

// Which units of a group pass in its best candidate.
void add_unit_lines(const TrackRow& row, const TableStyle& style, std::vector<std::string>& lines) {
  constexpr std::size_t kMost = 20;
  if (!row.is_group()) return;
  const auto width = static_cast<std::size_t>(std::max(20, style.width - 14));
  for (std::size_t i = 0; i < row.units.size(); ++i) {
    if (i == kMost) {
      lines.push_back(fmt::format("    … {} more", row.units.size() - kMost));
      return;
    }
    const UnitRow& unit = row.units[i];
    lines.push_back(fmt::format(
        "    {}  {}", paint(style, unit.passed ? kGreen : kRed, unit.passed ? "passed" : "fails "),
        fit_end(unit.key, std::min(width, columns(unit.key)))));
  }
}

std::string time_left(const RunSummary& run) {
  return fmt::format("{} {} left", run.left_is_estimate ? "about" : "at most",
                     format_duration(Milliseconds(run.left_ms)));
}

}  // namespace

std::string totals_line(const RunSummary& run) {
  std::string line = fmt::format("{} of {} passed · {}", run.units_passed,
                                 counted(run.units, "unit"), counted(run.laps, "lap"));
  // What calls have used, then what passes by itself.
  for (const bool by_calls : {true, false})
    for (const SpentRow& row : run.spent)
      if (row.by_calls == by_calls && !row.brief.empty()) line += " · " + row.brief;
  return line;
}

std::size_t rows_for(int height, std::size_t running) {
  return static_cast<std::size_t>(std::max(3, height - 4 - static_cast<int>(running)));
}

std::vector<std::string> table_lines(const RunSummary& run, const TableStyle& style,
                                     const std::map<std::string, std::string>& running) {
  std::vector<std::string> lines;
  const Columns wide = columns_of(run, style.width);
  for (const TrackRow& row : run.rows) {
    lines.push_back(track_line(row, style, wide));
    if (run.ended || style.unit_lines) add_unit_lines(row, style, lines);
  }
  if (run.hidden > 0) lines.push_back(fmt::format("  … {} more not shown", run.hidden));
  for (const WholeRow& whole : run.whole)
    lines.push_back(fmt::format("  the whole: '{}' says {} ({:.1f}/10)", whole.judge,
                                outcome_name(whole.outcome), whole.score));
  for (const std::string& wait : run.waits)
    lines.push_back("  " + fit(wait, static_cast<std::size_t>(std::max(20, style.width - 4))));
  for (const std::string& late : run.late)
    lines.push_back("  " + fit(late, static_cast<std::size_t>(std::max(20, style.width - 4))));
  for (const auto& [call, what] : running)
    lines.push_back(paint(
        style, kDim, "  " + fit(what, static_cast<std::size_t>(std::max(20, style.width - 4)))));
  lines.push_back("  " + totals_line(run) +
                  (run.ended || running.empty() ? "" : " · " + time_left(run)));
  return lines;
}

std::string heading_line(const std::string& id, const RunSummary& run, std::string_view caveats) {
  return fmt::format("run {}: {}{}{}", id, run.outcome, run.why.empty() ? "" : ", " + run.why,
                     caveats);
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
    const std::string critique = last_fault(*track);
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
    return fmt::format("{}: {}", result_text(run.result), run.reason);
  }
  std::string operator()(const loop::Doubted& doubt) const {
    return fmt::format("node {} was found broken: what it judged is judged again", doubt.node);
  }
  std::string operator()(const loop::ConsentAsked& asked) const {
    return fmt::format("{} waits for consent {}", call_words(state, asked.within), asked.consent);
  }
  std::string operator()(const loop::ConsentAnswered& answered) const {
    return fmt::format("consent {} was {}", answered.consent,
                       answered.given ? "given: " + answered.by : "not given");
  }
  std::string operator()(const loop::CameTooLate& late) const { return late_words(state, late); }
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

}  // namespace lathe::show
