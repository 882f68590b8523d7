// Makes a run of a take and its judges, and a verdict of the run.
#include "app/tools/judged.h"

#include "ground/base/base64.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostCritiques = 12, kMaxEvidence = 300, kMaxShownEvidence = 8000;
constexpr std::size_t kMostPictures = 2, kMaxPictureBase64 = std::size_t{3} << 19;
constexpr double kMaxPicturePixels = 1'050'000;  // what clients take without scaling it themselves

Json critiques_json(const std::vector<loop::Critique>& critiques) {
  Json list = Json::array();
  for (const loop::Critique& critique : critiques) {
    if (list.size() == kMostCritiques) break;
    list.push_back({{"locus", critique.locus},
                    {"severity", critique.severity},
                    {"claim", critique.claim},
                    {"evidence", clip_utf8(critique.evidence, kMaxEvidence)}});
  }
  return list;
}

// What the exhibits are, for programs; pictures go as pictures.
void add_exhibits(const std::vector<loop::Exhibit>& exhibits, Json& verdict,
                  std::vector<std::string>& pictures) {
  for (const loop::Exhibit& exhibit : exhibits) {
    if (const auto* sound = std::get_if<loop::SoundExhibit>(&exhibit)) {
      Json words = Json::array();
      for (const loop::SoundExhibit::Word& word : sound->words)
        words.push_back({{"expected", word.expected},
                         {"heard", word.heard},
                         {"match", word.match},
                         {"start", word.start},
                         {"end", word.end}});
      verdict["words"] = std::move(words);
      continue;
    }
    const auto& picture = std::get<loop::PictureExhibit>(exhibit);
    Json boxes = Json::array();
    for (const loop::MarkedBox& box : picture.boxes)
      if (!box.empty()) boxes.push_back({{"x", box.x}, {"y", box.y}, {"w", box.w}, {"h", box.h}});
    verdict["pictures"].push_back({{"title", picture.title}, {"boxes", std::move(boxes)}});
    if (!picture.of_candidate() && pictures.size() < kMostPictures &&
        picture.base64.size() <= kMaxPictureBase64 &&
        picture.width * picture.height <= kMaxPicturePixels)
      pictures.push_back(picture.base64);
  }
}

// What one judge said; the seq is that of its record.
Json judge_json(const show::VerdictView& verdict, const FinishedRun& run) {
  Json json = {{"judge", verdict.judge},
               {"outcome", loop::outcome_name(verdict.outcome)},
               {"score", verdict.score},
               {"bar", verdict.bar},
               {"critiques", critiques_json(verdict.critiques)}};
  if (dump_json(verdict.evidence).size() <= kMaxShownEvidence) json["evidence"] = verdict.evidence;
  for (const loop::Entry& entry : run.entries) {
    const auto* given = std::get_if<loop::VerdictGiven>(&entry.event);
    if (!given || given->judge_name != verdict.judge) continue;
    json["seq"] = entry.seq;
    if (given->judge_hash) json["judge_hash"] = *given->judge_hash;
  }
  return json;
}

std::string verdict_text(const Json& verdict) {
  std::string text = fmt::format("{}: judge {} gives {:.1f} of 10, {:.1f} passes\n",
                                 json_string(verdict, "outcome"), json_string(verdict, "judge"),
                                 json_number(verdict, "score", 0), json_number(verdict, "bar", 0));
  for (const Json& critique : json_at(verdict, "critiques")) {
    const std::string locus = json_string(critique, "locus");
    const std::string seen = json_string(critique, "evidence");
    text += fmt::format("- {}{}{}{}\n", locus, locus.empty() ? "" : ": ",
                        json_string(critique, "claim"), seen.empty() ? "" : " (" + seen + ")");
  }
  if (const std::string why = json_string(verdict, "why"); !why.empty()) text += why + "\n";
  for (const Json& other : json_at(verdict, "others"))
    text += fmt::format("beside it, {}", verdict_text(other));
  return text;
}

std::string_view outcome_of(const FinishedRun& run, loop::Outcome decided) {
  if (!run.state.ended || run.state.end_state == loop::RunResult::kNotJudged) return "error";
  if (run.state.end_state == loop::RunResult::kPassed) return "pass";
  return decided == loop::Outcome::kAbstain ? "abstain" : "fail";
}

serve::McpResult result_of(const FinishedRun& run, const Json& more) {
  const show::RunView view = show::view_of(run.state, run.entries);
  const bool passed = run.state.ended && run.state.end_state == loop::RunResult::kPassed;
  serve::McpResult result;
  std::vector<Json> verdicts;
  std::size_t decided = 0;  // which of them the outcome is by: the first that does not pass
  loop::Outcome outcome = loop::Outcome::kError;
  std::string blob;
  for (const show::TrackView& track : view.tracks)
    for (const show::LapView& lap : track.laps)
      for (const show::CandidateView& candidate : lap.candidates)
        for (const show::VerdictView& given : candidate.verdicts) {
          const bool first = verdicts.empty();
          if (first || (!passed && outcome == loop::Outcome::kPass)) {
            decided = verdicts.size();
            outcome = given.outcome;
          }
          blob = candidate.blob;
          verdicts.push_back(judge_json(given, run));
          add_exhibits(given.exhibits, verdicts.back(), result.pictures);
        }
  Json verdict = verdicts.empty() ? Json::object() : verdicts[decided];
  verdict["outcome"] = outcome_of(run, outcome);
  verdict["blob"] = blob;
  verdict["run"] = run.id;
  verdict["why"] = view.summary.why;
  if (!view.caveats.empty()) verdict["caveats"] = view.caveats;
  for (std::size_t i = 0; i < verdicts.size(); ++i)
    if (i != decided) verdict["others"].push_back(std::move(verdicts[i]));
  if (more.is_object()) verdict.update(more);
  result.error = json_string(verdict, "outcome") == "error";
  result.text = make_valid_utf8(verdict_text(verdict) + "run " + run.id);
  result.structured = std::move(verdict);
  return result;
}

}  // namespace

void ProgressOf::on_entry(const loop::RunState& state, const loop::Entry&) {
  call_.progress(fmt::format("{} records", state.next_seq));
}

void ProgressOf::on_progress(const loop::CallId&, std::string_view what) {
  call_.progress(what);
}

Result<FinishedRun> read_run(const books::Journal& journal, const std::string& id) {
  FinishedRun run;
  run.id = id;
  LATHE_TRY(const std::vector<books::Record> records, journal.records(id));
  LATHE_TRY(run.entries, loop::from_records(records));
  LATHE_TRY(run.state, loop::fold(run.entries));
  return run;
}

Result<loop::Recipe> tool_recipe(std::string_view name, Json make, Json judges, Json unit) {
  return loop::recipe_from_json({{"recipe", name},
                                 {"version", 1},
                                 {"collect", "all"},
                                 {"description", "a call of the tool lathe_" + std::string(name)},
                                 {"unit", std::move(unit)},
                                 {"make", std::move(make)},
                                 {"judge", std::move(judges)},
                                 {"stop", {{"laps", 1}, {"time", "30m"}, {"call", "20m"}}}});
}

serve::McpResult judge_given(const Workshop& workshop, std::string_view name, Json judges,
                             const loop::GivenTake& take, serve::McpCall& call,
                             const std::function<Json(const loop::RunState& run)>& more) {
  const auto judged = [&]() -> Result<FinishedRun> {
    LATHE_TRY(const loop::Recipe recipe,
              tool_recipe(name, {{"kind", "given"}}, std::move(judges), {{"from", "the call"}}));
    LATHE_TRY(books::Journal journal, workshop.journal());
    ProgressOf progress(call);
    std::string id;
    LATHE_TRY_STATUS(
        workshop.with_bench(call.stop(), &progress, [&](const loop::Bench& bench) -> Status {
          LATHE_TRY(loop::Run run,
                    loop::Run::start_given(journal, recipe, take, {{"tool", name}}, bench));
          id = run.id();
          return run.drive();
        }));
    return read_run(journal, id);
  }();
  if (!judged) return serve::mcp_failure(judged.error());
  return result_of(*judged, more ? more(judged->state) : Json());
}

}  // namespace lathe::app
