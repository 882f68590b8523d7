// A run as one self-contained page.
#include "app/cli/report_html.h"

#include "app/cli/caveats.h"
#include "app/cli/report_pictures.h"
#include "ground/base/clock.h"
#include "ground/base/diff.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "loop/conductor/tree.h"
#include "loop/media/picture.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMaxShownText = 20'000;
constexpr std::size_t kMaxEvidence = 6'000;

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--fg:#1c2024;--bg:#fff;--soft:#f4f5f7;--line:#d9dce1;--ok:#14783c;--bad:#b3261e;--dim:#667080}
@media(prefers-color-scheme:dark){:root{--fg:#e6e8eb;--bg:#15181c;--soft:#1f242a;--line:#343b44;--ok:#5bc98a;--bad:#ff8a80;--dim:#9aa5b1}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:0}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
pre{background:var(--soft);padding:.6rem;overflow:auto;max-height:24rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px;margin:.4rem 0}
.ok{color:var(--ok)}.bad{color:var(--bad)}.dim{color:var(--dim)}
.unit{border:1px solid var(--line);border-radius:8px;padding:.8rem;margin:.8rem 0}
.laps{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:.8rem;margin-top:.6rem}
.lap{background:var(--soft);border-radius:6px;padding:.6rem;min-width:0;overflow-wrap:anywhere}.lap pre{background:var(--bg)}
audio{width:100%;height:2rem}details{margin:.3rem 0}summary{cursor:pointer}
ul{padding-left:1.2rem}li .dim{white-space:pre-wrap}.file{display:block;margin-top:.4rem}
.add{color:var(--ok)}.del{color:var(--bad)}
svg{max-width:34rem;width:100%;height:auto}
.shot{margin:.4rem 0;max-width:36rem}.shot svg,.shot img{display:block;width:100%;max-width:none;height:auto;border-radius:4px;outline:1px solid var(--line)}
.shot figcaption{color:var(--dim);font-size:12px;margin-top:.2rem}
.wide .laps{grid-template-columns:repeat(auto-fit,minmax(340px,1fr))}ol{padding-left:1.4rem}
)css";

std::string_view outcome_class(loop::Outcome outcome) {
  return outcome == loop::Outcome::kPass      ? "ok"
         : outcome == loop::Outcome::kAbstain ? "dim"
                                              : "bad";
}

std::string details(std::string_view summary, std::string_view body) {
  return fmt::format("<details><summary>{}</summary>{}</details>", summary, body);
}

// The curve: share of units passed (y) after lap k (x).
std::string curve_svg(const std::vector<double>& loop, const std::vector<double>* baseline) {
  constexpr double kLeft = 44, kTop = 12, kWidth = 440, kHeight = 160;
  const double steps = std::max(1.0, static_cast<double>(loop.size()) - 1);
  const auto path = [&](const std::vector<double>& curve) {
    std::string points;
    for (std::size_t i = 0; i < curve.size(); ++i)
      points += fmt::format("{:.1f},{:.1f} ", kLeft + kWidth * static_cast<double>(i) / steps,
                            kTop + kHeight * (1 - curve[i]));
    return points;
  };
  std::string svg = fmt::format(
      "<svg viewBox='0 0 520 216' role='img' aria-label='share of units passed after each lap' "
      "font-size='12' fill='currentColor' font-family='system-ui,sans-serif'>");
  for (const int percent : {0, 50, 100}) {
    const double y = kTop + kHeight * (1 - percent / 100.0);
    svg += fmt::format(
        "<line x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}' stroke='currentColor' opacity='.2'/>", kLeft,
        kLeft + kWidth, y, y);
    svg += fmt::format("<text x='{}' y='{:.1f}' text-anchor='end'>{}%</text>", kLeft - 6, y + 4,
                       percent);
  }
  const std::size_t every = 1 + loop.size() / 12;
  for (std::size_t i = 0; i < loop.size(); i += every)
    svg += fmt::format("<text x='{:.1f}' y='{}' text-anchor='middle'>{}</text>",
                       kLeft + kWidth * static_cast<double>(i) / steps, kTop + kHeight + 18, i);
  svg += fmt::format("<text x='{}' y='{}' text-anchor='middle'>laps</text>", kLeft + kWidth / 2,
                     kTop + kHeight + 36);
  if (baseline)
    svg += fmt::format(
        "<polyline points='{}' fill='none' stroke='currentColor' stroke-dasharray='5 4' "
        "opacity='.6'/>",
        path(*baseline));
  svg += fmt::format(
      "<polyline points='{}' fill='none' stroke='#2f7de1' stroke-width='2.5'/></svg>", path(loop));
  return svg;
}

struct MoveYield {
  int laps = 0, gained = 0, passed = 0;
};

std::string self_judgement(const loop::RunState& state, std::span<const loop::Entry> entries) {
  std::map<std::string, MoveYield> moves;
  int flips = 0, pairs = 0;
  for (const loop::Track& track : state.tracks) {
    std::map<std::pair<std::string, std::size_t>, loop::Outcome> seen;
    for (const loop::LapState& lap : track.laps) {
      const auto rung = static_cast<std::size_t>(lap.rung);
      MoveYield& yield = moves[fmt::format(
          "{}{}", loop::move_name(lap.move),
          rung < state.recipe.ladder.size() ? " · " + state.recipe.ladder[rung] : "")];
      ++yield.laps;
      yield.gained += lap.gained;
      yield.passed += lap.rank.passed;
      for (const loop::CandidateState& candidate : lap.candidates)
        for (const loop::JudgedBy* verdict : loop::counted_verdicts(candidate)) {
          const auto [it, fresh] =
              seen.try_emplace({candidate.blob, verdict->index}, verdict->judgement.outcome);
          if (fresh) continue;
          ++pairs;
          flips += it->second != verdict->judgement.outcome;
        }
    }
  }
  int made = 0, usable = 0;
  std::int64_t make_ms = 0, judge_ms = 0;
  for (const loop::Entry& entry : entries) {
    if (const auto* event = std::get_if<loop::CandidateMade>(&entry.event)) {
      ++made;
      usable += event->answer.has_value();
      make_ms += event->ms.value_or(0);
    } else if (const auto* verdict = std::get_if<loop::VerdictGiven>(&entry.event)) {
      judge_ms += verdict->ms.value_or(0);
    }
  }
  std::string html = "<table><tr><th>move · rung<th>laps<th>better<th>passed</tr>";
  for (const auto& [name, yield] : moves)
    html += fmt::format("<tr><td>{}<td>{}<td>{}<td>{}</tr>", html_text(name), yield.laps,
                        yield.gained, yield.passed);
  html += "</table><table>";
  const auto row = [&](std::string_view name, const std::string& value) {
    html += fmt::format("<tr><td>{}<td>{}</tr>", name, html_text(value));
  };
  row("answers that could be used", fmt::format("{} of {}", usable, made));
  row("same candidate, same judge, other outcome",
      pairs == 0 ? "no candidate was judged twice" : fmt::format("{} of {}", flips, pairs));
  row("time in makers / in judges (calls added up)",
      fmt::format("{} / {}", format_duration(Milliseconds(make_ms)),
                  format_duration(Milliseconds(judge_ms))));
  std::size_t passed = 0;
  for (const loop::Track& track : state.tracks)
    for (const std::size_t unit : track.units)
      passed += loop::unit_passed(track, state.units[unit]);
  if (passed > 0)
    row("working time per unit passed",
        format_duration(Milliseconds(state.t_ms / static_cast<std::int64_t>(passed))) +
            (state.joules ? ", " + format_energy(*state.joules / static_cast<double>(passed))
                          : std::string()));
  for (const loop::BudgetKind& kind : loop::budget_kinds())
    if (const std::string account = kind.account ? kind.account(state) : ""; !account.empty())
      row(kind.option.name, account);
  return html + "</table>";
}

std::size_t candidates_made(const loop::RunState& state) {
  std::size_t count = 0;
  for (const loop::Track& track : state.tracks)
    for (const loop::LapState& lap : track.laps) count += lap.candidates.size();
  return count;
}

std::string baseline_section(const loop::RunState& state, const loop::RunState& baseline) {
  const auto passed = [](const loop::RunState& run) {
    std::size_t count = 0;
    for (const loop::Track& track : run.tracks)
      for (const std::size_t unit : track.units) count += loop::unit_passed(track, run.units[unit]);
    return count;
  };
  // One shot: the loop's own first candidate, before any judge's word reached the maker.
  std::size_t one_shot = 0;
  for (const loop::Track& track : state.tracks)
    if (!track.laps.empty() &&
        loop::outcome_of(state.recipe, track.laps[0].candidates[0]) == loop::Outcome::kPass)
      one_shot += track.units.size();
  const std::size_t loop = passed(state), best_of = passed(baseline);
  std::string html =
      "<h2>Against no loop</h2><table><tr><th><th>units passed<th>candidates<th>time</tr>";
  const auto row = [&](std::string_view name, std::size_t units, std::size_t candidates,
                       std::int64_t ms) {
    html += fmt::format("<tr><td>{}<td>{} of {}<td>{}<td>{}</tr>", name, units, state.units.size(),
                        candidates, ms < 0 ? "" : format_duration(Milliseconds(ms)));
  };
  row("one shot", one_shot, state.tracks.size(), -1);
  row(fmt::format("best of {}, no feedback", baseline.recipe.best_of), best_of,
      candidates_made(baseline), baseline.t_ms);
  row("this loop", loop, candidates_made(state), state.t_ms);
  html += "</table>";
  if (best_of >= loop)
    html +=
        "<p class=bad>The loop did no better than as many independent samples: here its feedback "
        "bought nothing.</p>";
  return html;
}

std::vector<DiffLine> shortened_diff(std::string_view before, std::string_view after) {
  const std::vector<DiffLine> lines = diff_lines(split_lines(before), split_lines(after));
  // Three lines around each change; the rest is one "…".
  std::vector<bool> keep(lines.size(), false);
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (lines[i].kind != ' ')
      for (std::size_t k = i < 3 ? 0 : i - 3; k < std::min(lines.size(), i + 4); ++k)
        keep[k] = true;
  std::vector<DiffLine> shown;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (keep[i])
      shown.push_back(lines[i]);
    else if (shown.empty() || shown.back().text != "…")
      shown.push_back({' ', "…"});
  }
  return shown;
}

// Where there are pictures, what they come from is folded away.
std::string below_pictures(const std::string& pictures, std::string_view what, std::string text) {
  if (pictures.empty()) return text;
  return pictures + details(fmt::format("<span class=dim>{}</span>", what), text);
}

// What a candidate is, for a person: a player, a diff, or its text.
Result<std::string> artifact_html(const books::Journal& journal, const loop::RunState& state,
                                  const loop::CandidateState& candidate,
                                  const std::string& before) {
  LATHE_TRY(const std::string bytes, journal.blob(candidate.blob));
  const std::string shown = pictures_html(candidate, bytes);
  const bool source = candidate.media_type == loop::kSvgMediaType;
  if (candidate.media_type.starts_with("image/") && !source) return shown;
  if (candidate.media_type.starts_with("audio/"))
    return fmt::format("<audio controls preload=none src='data:{};base64,{}'></audio>",
                       html_text(candidate.media_type), to_base64(bytes));
  const auto diff_html = [](std::string_view from, std::string_view to) {
    std::string html;
    for (const DiffLine& line : shortened_diff(from, to))
      html += fmt::format("<span class={}>{} {}</span>\n",
                          line.kind == '+'   ? "add"
                          : line.kind == '-' ? "del"
                                             : "dim",
                          line.kind, html_text(line.text));
    return html;
  };
  if (candidate.media_type == loop::kChangesMediaType) {
    LATHE_TRY(const loop::Changes changes, loop::parse_changes(bytes));
    std::string html;
    for (const auto& [path, text] : changes.files) {
      LATHE_TRY(
          const std::string blob,
          loop::tree_file_blob(journal, state.header.tree ? state.header.tree->blob : "", path));
      std::string original;
      if (!blob.empty()) {
        LATHE_TRY(original, journal.blob(blob));
      }
      html += fmt::format("<b class=file>{}</b><pre>{}</pre>", html_text(path),
                          diff_html(original, text.value_or("")));
    }
    return html;
  }
  const bool text = source || candidate.media_type.starts_with("text/") ||
                    candidate.media_type == "application/json";
  if (!text)
    return fmt::format("<p class=dim>{} of {}</p>", format_bytes(bytes.size()),
                       html_text(candidate.media_type));
  if (!before.empty())
    return below_pictures(shown, "changes to the source",
                          "<pre>" + diff_html(before, clip_utf8(bytes, kMaxShownText)) + "</pre>");
  return below_pictures(shown, "source",
                        "<pre>" + html_text(clip_utf8(bytes, kMaxShownText)) + "</pre>");
}

std::string verdicts_html(const loop::RunState& state, const loop::CandidateState& candidate) {
  std::string html;
  for (const loop::JudgedBy* verdict : loop::counted_verdicts(candidate)) {
    const loop::Judgement& judgement = verdict->judgement;
    html += fmt::format(
        "<div><span class={}>{}</span> {} <span class=dim>({}, {:.2f}, bar {:.2f})</span></div>",
        outcome_class(judgement.outcome), loop::outcome_name(judgement.outcome),
        html_text(verdict->judge), loop::stage_name(state.recipe.judges[verdict->index].stage),
        10 * judgement.score, 10 * judgement.bar);
    std::string list;
    for (const loop::Critique& critique : judgement.critiques)
      list += fmt::format(
          "<li>{}{}{}</li>",
          critique.locus.empty() ? "" : "<code>" + html_text(critique.locus) + "</code> ",
          html_text(critique.claim),
          critique.evidence.empty()
              ? ""
              : "<div class=dim>" + html_text(clip_utf8(critique.evidence, 600)) + "</div>");
    if (!list.empty()) html += "<ol>" + list + "</ol>";
    html += details(
        "<span class=dim>evidence</span>",
        "<pre>" +
            html_text(clip_utf8(dump_json(without_pictures(judgement.evidence), 1), kMaxEvidence)) +
            "</pre>");
  }
  return html;
}

Result<std::string> track_html(const books::Journal& journal, const loop::RunState& state,
                               const loop::Track& track) {
  const loop::Unit& first = state.units[track.units.front()];
  const bool passed = track.state == loop::TrackState::kPassed;
  const std::string caveats = caveats_of(track);
  std::string html = fmt::format(
      "<section class='unit{}'><h3>{}{} <span class={}>{}</span> <span "
      "class=dim>{}</span></h3><div>{}</div><div class=laps>",
      shows_pictures(track) ? " wide" : "", html_text(first.key),
      track.units.size() > 1 ? fmt::format(" and {} more", track.units.size() - 1) : "",
      passed ? "ok" : "bad", replace_all(loop::track_state_name(track.state), "_", " "),
      html_text(clip_utf8(passed ? track.why + (caveats.empty() ? "" : " · " + caveats)
                                 : fmt::format("{}: {}", rule_text(track.rule), track.why),
                          400)),
      html_text(clip_utf8(first.text, 1000)));
  std::string before;
  for (const loop::LapState& lap : track.laps) {
    html += fmt::format("<div class=lap><b>lap {}</b> <span class=dim>{}{}</span>", lap.number,
                        loop::move_name(lap.move),
                        lap.reason.empty() ? "" : ": " + html_text(clip_utf8(lap.reason, 300)));
    for (const loop::CandidateState& candidate : lap.candidates) {
      if (lap.candidates.size() > 1)
        html += fmt::format("<div class=dim>candidate {}{}</div>", candidate.n + 1,
                            candidate.n == lap.best ? " (best)" : "");
      if (candidate.error)
        html += "<pre class=bad>" + html_text(clip_utf8(candidate.error->message, 4000)) + "</pre>";
      if (candidate.blob.empty()) continue;
      LATHE_TRY(const std::string artifact, artifact_html(journal, state, candidate, before));
      html += artifact + verdicts_html(state, candidate);
      if (!candidate.facts.is_null())
        html += details(
            "<span class=dim>how it was made</span>",
            "<pre>" + html_text(clip_utf8(dump_json(candidate.facts, 1), kMaxEvidence)) + "</pre>");
    }
    html += fmt::format("<div class={}>{}</div></div>", lap.gained ? "ok" : "dim",
                        !lap.closed  ? "not finished"
                        : lap.gained ? "taken"
                                     : "not taken");
    if (lap.gained)
      if (const loop::CandidateState& best = lap.candidates[static_cast<std::size_t>(lap.best)];
          best.media_type.starts_with("text/") || best.media_type == "application/json" ||
          best.media_type == loop::kSvgMediaType) {
        LATHE_TRY(before, journal.blob(best.blob));
      }
  }
  return html + "</div></section>";
}

}  // namespace

std::vector<double> pass_curve(const loop::RunState& state) {
  std::size_t laps = 1;
  for (const loop::Track& track : state.tracks) laps = std::max(laps, track.laps.size());
  std::vector<double> curve(laps + 1, 0.0);
  for (const loop::Track& track : state.tracks)
    for (const std::size_t unit : track.units) {
      // A unit of a group may have passed before its group has: the lap after which the best
      // candidate has it.
      std::size_t since = laps + 1;
      loop::Track so_far = track;
      so_far.state = loop::TrackState::kOpen;
      so_far.best_lap = -1;
      for (std::size_t k = 0; k < track.laps.size() && since > laps; ++k) {
        if (track.laps[k].gained) so_far.best_lap = static_cast<int>(k);
        if ((track.laps[k].closed && track.laps[k].rank.passed) ||
            loop::unit_passed(so_far, state.units[unit]))
          since = k + 1;
      }
      for (std::size_t k = since; k <= laps; ++k)
        curve[k] += 1.0 / static_cast<double>(state.units.size());
    }
  return curve;
}

Result<std::string> report_html(const books::Journal& journal, const std::string& id,
                                const loop::RunState& state, std::span<const loop::Entry> entries,
                                const loop::RunState* baseline) {
  const std::string outcome = state.ended ? state.end_state : "not ended";
  std::string html = fmt::format(
      "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
      "content='width=device-width'>{}"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
      "'unsafe-inline'; media-src data:; img-src data:\">"
      "<title>{} · {}</title><style>{}</style></head><body>",
      kReportMark, html_text(state.recipe.name), html_text(id), kStyle);
  html += fmt::format(
      "<h1>{}: <span class={}>{}</span>{}</h1><p>{}<br><span class=dim>{} · {} · {} · "
      "{}</span></p>",
      html_text(state.recipe.name), outcome == "passed" ? "ok" : "bad",
      html_text(replace_all(outcome, "_", " ")), html_text(run_caveats(state)),
      html_text(state.end_why), html_text(id), html_text(state.header.title),
      format_utc(state.header.created_ms), html_text(state.header.build));
  const std::vector<double> curve = pass_curve(state);
  if (baseline) {
    const std::vector<double> other = pass_curve(*baseline);
    html += "<h2>Units passed after each lap</h2>" + curve_svg(curve, &other) +
            baseline_section(state, *baseline);
  } else {
    html += "<h2>Units passed after each lap</h2>" + curve_svg(curve, nullptr);
  }
  html += "<h2>The loop, judged by itself</h2>" + self_judgement(state, entries);
  for (const loop::JudgedBy& verdict : state.whole)
    html += fmt::format(
        "<h2>The whole: {} <span class={}>{}</span></h2><pre>{}</pre>", html_text(verdict.judge),
        outcome_class(verdict.judgement.outcome), loop::outcome_name(verdict.judgement.outcome),
        html_text(clip_utf8(dump_json(verdict.judgement.evidence, 1), kMaxEvidence)));
  html += "<h2>Units</h2>";
  for (const loop::Track& track : state.tracks) {
    LATHE_TRY(const std::string section, track_html(journal, state, track));
    html += section;
  }
  html += "<h2>Recipe</h2>" +
          details("with its defaults",
                  "<pre>" + html_text(dump_json(state.recipe.canonical, 1)) + "</pre>");
  return html + "</body></html>\n";
}

}  // namespace lathe::app
