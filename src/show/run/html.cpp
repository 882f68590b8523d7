// A run as one self-contained page.
#include "show/run/html.h"

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "loop/conductor/tree.h"
#include "show/run/html_parts.h"
#include "show/run/html_pictures.h"

namespace lathe::show {
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
audio{width:100%;height:2rem}video{max-width:100%}details{margin:.3rem 0}summary{cursor:pointer}
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

std::string json_html(const Json& json) {
  return "<pre>" + html_text(clip_utf8(dump_json(json, 1), kMaxEvidence)) + "</pre>";
}

std::string row_html(std::string_view name, const std::string& value) {
  return fmt::format("<tr><td>{}<td>{}</tr>", name, html_text(value));
}

std::string moves_html(const LoopYield& yield) {
  std::string html = "<table><tr><th>move · rung<th>laps<th>better<th>passed</tr>";
  for (const MoveYield& move : yield.moves)
    html += fmt::format("<tr><td>{}<td>{}<td>{}<td>{}</tr>", html_text(move.move), move.laps,
                        move.gained, move.passed);
  return html + "</table>";
}

std::string per_unit(const RunView& run) {
  const std::size_t passed = run.summary.units_passed;
  return format_duration(Milliseconds(run.t_ms / static_cast<std::int64_t>(passed))) +
         (run.joules ? ", " + format_energy(*run.joules / static_cast<double>(passed)) : "");
}

// The loop, judged by itself.
std::string yield_html(const RunView& run) {
  const LoopYield& yield = run.yield;
  std::string html = moves_html(yield) + "<table>";
  html += row_html("answers that could be used", fmt::format("{} of {}", yield.usable, yield.made));
  html += row_html("same candidate, same judge, other outcome",
                   yield.judged_again == 0
                       ? "no candidate was judged twice"
                       : fmt::format("{} of {}", yield.flipped, yield.judged_again));
  html += row_html("time in makers / in judges (calls added up)",
                   fmt::format("{} / {}", format_duration(Milliseconds(yield.make_ms)),
                               format_duration(Milliseconds(yield.judge_ms))));
  if (run.summary.units_passed > 0) html += row_html("working time per unit passed", per_unit(run));
  for (const SpentRow& row : run.summary.spent)
    if (!row.account.empty()) html += row_html(row.name, row.account);
  if (!run.summary.climate.empty()) html += row_html("the machine", run.summary.climate);
  return html + "</table>";
}

std::string baseline_html(const RunView& run, const RunView& baseline) {
  std::string html =
      "<h2>Against no loop</h2><table><tr><th><th>units passed<th>candidates<th>time</tr>";
  const auto row = [&](std::string_view name, std::size_t units, std::size_t candidates,
                       const std::string& time) {
    html += fmt::format("<tr><td>{}<td>{} of {}<td>{}<td>{}</tr>", name, units, run.summary.units,
                        candidates, time);
  };
  const auto time = [](const RunView& of) { return format_duration(Milliseconds(of.t_ms)); };
  const std::size_t loop = run.summary.units_passed, best_of = baseline.summary.units_passed;
  row("one shot", run.yield.one_shot, run.tracks.size(), "");
  row(fmt::format("best of {}, no feedback", baseline.best_of), best_of, baseline.yield.candidates,
      time(baseline));
  row("this loop", loop, run.yield.candidates, time(run));
  html += "</table>";
  if (best_of >= loop)
    html +=
        "<p class=bad>The loop did no better than as many independent samples: here its feedback "
        "bought nothing.</p>";
  return html;
}

// Where there are pictures, what they come from is folded away.
std::string below_pictures(const std::string& pictures, std::string_view what, std::string text) {
  if (pictures.empty()) return text;
  return pictures + details(fmt::format("<span class=dim>{}</span>", what), text);
}

Result<std::string> changes_html(const books::Journal& journal, const RunView& run,
                                 std::string_view bytes) {
  LATHE_TRY(const loop::Changes changes, loop::parse_changes(bytes));
  std::string html;
  for (const auto& [path, text] : changes.files) {
    LATHE_TRY(const std::string blob, loop::tree_file_blob(journal, run.tree, path));
    std::string original;
    if (!blob.empty()) {
      LATHE_TRY(original, journal.blob(blob));
    }
    html += fmt::format("<b class=file>{}</b><pre>{}</pre>", html_text(path),
                        diff_html(original, text.value_or("")));
  }
  return html;
}

// What a candidate is, for a person: a player, a picture, a diff, or its text. `before`: the text
// that it is compared with; "": none.
Result<std::string> artifact_html(const books::Journal& journal, const RunView& run,
                                  const CandidateView& candidate, const std::string& before) {
  LATHE_TRY(const std::string bytes, journal.blob(candidate.blob));
  const std::string shown = pictures_html(candidate, bytes);
  switch (candidate.kind) {
    case ArtifactKind::kPicture:
      return shown;
    case ArtifactKind::kSound:
      return fmt::format("<audio controls preload=none src='data:{};base64,{}'></audio>",
                         html_text(candidate.media_type), to_base64(bytes));
    case ArtifactKind::kFilm:
      return fmt::format("<video controls preload=none src='data:{};base64,{}'></video>{}",
                         html_text(candidate.media_type), to_base64(bytes), shown);
    case ArtifactKind::kChanges:
      return changes_html(journal, run, bytes);
    case ArtifactKind::kOther:
      return fmt::format("<p class=dim>{} of {}</p>", format_bytes(bytes.size()),
                         html_text(candidate.media_type));
    case ArtifactKind::kDrawing:
    case ArtifactKind::kText:
      break;
  }
  const std::string text = clip_utf8(bytes, kMaxShownText);
  if (!before.empty())
    return below_pictures(shown, "changes to the source",
                          "<pre>" + diff_html(before, text) + "</pre>");
  return below_pictures(shown, "source", "<pre>" + html_text(text) + "</pre>");
}

std::string critique_html(const loop::Critique& critique) {
  const std::string locus =
      critique.locus.empty() ? "" : "<code>" + html_text(critique.locus) + "</code> ";
  const std::string seen =
      critique.evidence.empty()
          ? ""
          : "<div class=dim>" + html_text(clip_utf8(critique.evidence, 600)) + "</div>";
  return fmt::format("<li>{}{}{}</li>", locus, html_text(critique.claim), seen);
}

std::string verdict_html(const VerdictView& verdict) {
  std::string html = fmt::format(
      "<div><span class={}>{}</span> {} <span class=dim>({}, {:.2f}, bar {:.2f})</span></div>",
      outcome_class(verdict.outcome), outcome_name(verdict.outcome), html_text(verdict.judge),
      stage_name(verdict.stage), verdict.score, verdict.bar);
  std::string list;
  for (const loop::Critique& critique : verdict.critiques) list += critique_html(critique);
  if (!list.empty()) html += "<ol>" + list + "</ol>";
  return html + details("<span class=dim>evidence</span>", json_html(verdict.evidence));
}

Result<std::string> candidate_html(const books::Journal& journal, const RunView& run,
                                   const CandidateView& candidate, const std::string& before) {
  std::string html;
  if (!candidate.error.empty())
    html += "<pre class=bad>" + html_text(clip_utf8(candidate.error, 4000)) + "</pre>";
  if (candidate.blob.empty()) return html;
  LATHE_TRY(const std::string artifact, artifact_html(journal, run, candidate, before));
  html += artifact;
  for (const VerdictView& verdict : candidate.verdicts) html += verdict_html(verdict);
  if (!candidate.facts.is_null())
    html += details("<span class=dim>how it was made</span>", json_html(candidate.facts));
  return html;
}

Result<std::string> lap_html(const books::Journal& journal, const RunView& run, const LapView& lap,
                             const std::string& before) {
  std::string html = fmt::format(
      "<div class=lap><b>lap {}</b> <span class=dim>{}{}</span>", lap.number, move_name(lap.move),
      lap.reason.empty() ? "" : ": " + html_text(clip_utf8(lap.reason, 300)));
  for (const CandidateView& candidate : lap.candidates) {
    if (lap.candidates.size() > 1)
      html += fmt::format("<div class=dim>candidate {}{}</div>", candidate.n + 1,
                          candidate.n == lap.best ? " (best)" : "");
    LATHE_TRY(const std::string shown, candidate_html(journal, run, candidate, before));
    html += shown;
  }
  return html + fmt::format("<div class={}>{}</div></div>", lap.gained ? "ok" : "dim",
                            !lap.closed  ? "not finished"
                            : lap.gained ? "taken"
                                         : "not taken");
}

std::string track_heading(const TrackRow& row, const TrackView& track) {
  const bool passed = row.passed();
  const std::string why = passed ? row.why + (row.caveats.empty() ? "" : " · " + row.caveats)
                                 : fmt::format("{}: {}", track.rule, row.why);
  return fmt::format(
      "<section class='unit{}'><h3>{}{} <span class={}>{}</span> <span "
      "class=dim>{}</span></h3><div>{}</div><div class=laps>",
      shows_pictures(track) ? " wide" : "", html_text(row.units.front().key),
      row.is_group() ? fmt::format(" and {} more", row.units.size() - 1) : "",
      passed ? "ok" : "bad", replace_all(track_state_name(row.state), "_", " "),
      html_text(clip_utf8(why, 400)), html_text(clip_utf8(row.text, 1000)));
}

Result<std::string> track_html(const books::Journal& journal, const RunView& run,
                               const TrackRow& row, const TrackView& track) {
  std::string html = track_heading(row, track);
  std::string before;
  for (const LapView& lap : track.laps) {
    LATHE_TRY(const std::string shown, lap_html(journal, run, lap, before));
    html += shown;
    if (!lap.gained) continue;
    const CandidateView& best = lap.candidates[static_cast<std::size_t>(lap.best)];
    if (best.kind == ArtifactKind::kText || best.kind == ArtifactKind::kDrawing) {
      LATHE_TRY(before, journal.blob(best.blob));
    }
  }
  return html + "</div></section>";
}

std::string head_html(const std::string& id, const RunView& run) {
  const RunSummary& summary = run.summary;
  return fmt::format(
             "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
             "content='width=device-width'>{}"
             "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
             "'unsafe-inline'; media-src data:; img-src data:\">"
             "<title>{} · {}</title><style>{}</style></head><body>",
             kReportMark, html_text(run.recipe), html_text(id), kStyle) +
         fmt::format(
             "<h1>{}: <span class={}>{}</span>{}</h1><p>{}<br><span class=dim>{} · {} · {} · "
             "{}</span></p>",
             html_text(run.recipe), summary.passed() ? "ok" : "bad", html_text(summary.outcome),
             html_text(run.caveats), html_text(summary.why), html_text(id), html_text(run.title),
             format_utc(run.created_ms), html_text(run.build));
}

std::string whole_html(const VerdictView& verdict) {
  return fmt::format("<h2>The whole: {} <span class={}>{}</span></h2>{}", html_text(verdict.judge),
                     outcome_class(verdict.outcome), outcome_name(verdict.outcome),
                     json_html(verdict.evidence));
}

}  // namespace

Result<std::string> html_page(const books::Journal& journal, const std::string& id,
                              const RunView& run, const RunView* baseline) {
  std::string html = head_html(id, run) + "<h2>Units passed after each lap</h2>" +
                     curve_svg(run.yield.curve, baseline ? &baseline->yield.curve : nullptr);
  if (baseline) html += baseline_html(run, *baseline);
  html += "<h2>The loop, judged by itself</h2>" + yield_html(run);
  for (const VerdictView& verdict : run.whole) html += whole_html(verdict);
  html += "<h2>Units</h2>";
  for (std::size_t i = 0; i < run.tracks.size(); ++i) {
    LATHE_TRY(const std::string section,
              track_html(journal, run, run.summary.rows[i], run.tracks[i]));
    html += section;
  }
  if (!run.account.empty())
    html += "<h2>What it took</h2><pre>" + html_text(join(run.account, "\n")) + "</pre>";
  html += "<h2>Recipe</h2>" +
          details("with its defaults", "<pre>" + html_text(dump_json(run.canonical, 1)) + "</pre>");
  return html + "</body></html>\n";
}

}  // namespace lathe::show
