// The scene maker: a heading, points and a spoken line, laid out as a page that Chromium draws, and
// made a film with captions by ffmpeg. No model: what eyes and ears find wrong says what gives way.
#include <array>

#include "ground/base/text.h"
#include "loop/makers/markup.h"
#include "loop/makers/scene_film.h"

namespace lathe::loop {

extern const MakerKind kSceneMaker;

namespace {

constexpr OptionSpec kOwnOptions[] = {
    kSceneSizeOption,
    {"palette", OptionType::kString, "\"night\"", "night, paper, pale, sunset or forest"},
    {"text_size", OptionType::kNumber, "0.055",
     "letter height of the points, as a share of the picture's; the heading's is twice that"},
};
constexpr auto kSceneOptions = [] {
  std::array<OptionSpec, std::size(kVoiceOptions) + std::size(kOwnOptions)> all;
  std::ranges::copy(kOwnOptions, std::ranges::copy(kVoiceOptions, all.begin()).out);
  return all;
}();

struct ScenePalette {
  std::string_view name, background, ink, accent, strong;
};
constexpr std::array<ScenePalette, 5> kScenePalettes{
    {{"night", "#10233f", "#ffffff", "#f2a33a", "#ffffff"},
     {"paper", "#f6f1e4", "#2b2a28", "#b5452c", "#0b0b0b"},
     {"pale", "#eef2f0", "#c9d6d2", "#5f8f83", "#0b0b0b"},
     {"sunset", "#ffb38a", "#fff1e6", "#c8553d", "#0b0b0b"},
     {"forest", "#1f3d2b", "#e8f0d8", "#9bc53d", "#ffffff"}}};

constexpr double kSmaller = 0.85, kLarger = 1.3;
constexpr double kLeastScale = 0.4, kMostScale = 2.5;

// What a lap changes about the picture; the first lap is as asked.
struct SceneLook {
  double text_scale = 1;
  bool strong_ink = false;
  double pace =
      0;  // of the usual reading speed, that the scene is held for; 0: as long as its line
  friend bool operator==(const SceneLook&, const SceneLook&) = default;
};

Json to_json(const SceneLook& look) {
  return {{"text_scale", look.text_scale}, {"strong_ink", look.strong_ink}, {"pace", look.pace}};
}

SceneLook scene_look_from(const Json& json) {
  return {json_number(json, "text_scale", 1), json_bool(json, "strong_ink", false),
          json_number(json, "pace", 0)};
}

// A unit's own word (a record of a .jsonl file) counts more than the recipe's.
std::string scene_text_of(const Json& options, const Unit& unit, const char* key) {
  return json_string(unit.data, key, option_string(options, key));
}

Status check_scene_look(const Json& options, const Unit& unit) {
  const std::string palette = scene_text_of(options, unit, "palette");
  if (std::ranges::find(kScenePalettes, palette, &ScenePalette::name) == kScenePalettes.end())
    return invalid("palette = \"{}\" is not known: night, paper, pale, sunset or forest",
                   clip_utf8(palette, 40));
  const double size = json_number(unit.data, "text_size", option_number(options, "text_size"));
  if (!(size >= 0.01 && size <= 0.2)) return invalid("text_size must lie between 0.01 and 0.2");
  return {};
}

Status check_scene(const Json& options, std::span<const std::string> voices) {
  LATHE_TRY_STATUS(check_voice_options(options, voices));
  LATHE_TRY_STATUS(scene_size(options));
  return check_scene_look(options, {});
}

// What the picture gives way to. The first critiques count: what a change of one part mends is
// not mended twice.
void yield_scene(std::string_view fault, const SceneLook& before, SceneLook& look,
                 std::vector<std::string>& reasons) {
  const auto because = [&](std::string_view reason) {
    if (std::ranges::find(reasons, reason) == reasons.end()) reasons.emplace_back(reason);
  };
  const auto scale = [&](double by, std::string_view reason) {
    if (look.text_scale != before.text_scale) return;
    look.text_scale = std::clamp(look.text_scale * by, kLeastScale, kMostScale);
    because(reason);
  };
  if (fault == "eyes:too_small") {
    scale(kLarger, "larger letters");
  } else if (fault == "eyes:contrast") {
    look.strong_ink = true;
    because("letters that stand out more");
  } else if (fault == "eyes:clipped" || fault == "eyes:missing" || fault == "eyes:wrong") {
    scale(kSmaller, "smaller letters");
  } else if (fault == kReadingFault) {
    look.pace = slower_pace(before.pace);
    because("hold the scene until it can be read");
  }
}

std::optional<Proposal> propose_scene(const ProposeTask& task) {
  std::vector<Attempt> spoken(task.attempts.begin(), task.attempts.end());
  for (Attempt& attempt : spoken)
    std::erase_if(attempt.critiques,
                  [](const Critique& each) { return !scene_fault(each).empty(); });
  ProposeTask saying = task;
  saying.attempts = spoken;
  const bool said_well = !spoken.empty() && spoken.back().made && spoken.back().critiques.empty();
  std::optional<Proposal> proposal;
  if (said_well) {
    const Attempt& last = spoken.back();
    proposal.emplace();
    proposal->move = Move::kRepair;
    proposal->rung = last.rung;
    proposal->setting = last.setting;
  } else {
    proposal = propose_voice(saying);
    if (!proposal) return std::nullopt;
  }
  const SceneLook before = task.attempts.empty()
                               ? SceneLook{}
                               : scene_look_from(json_at(task.attempts.back().setting, "look"));
  SceneLook look = before;
  std::vector<std::string> reasons;
  if (!said_well) reasons.push_back(proposal->reason);
  if (!task.attempts.empty())
    for (const Critique& each : task.attempts.back().critiques)
      yield_scene(scene_fault(each), before, look, reasons);
  if (said_well && look == before) return std::nullopt;
  if (!bearable_pace(look.pace)) return std::nullopt;
  proposal->setting["look"] = to_json(look);
  proposal->reason = join(reasons, "; ");
  return proposal;
}

std::string page_of(const ScriptScene& scene, const ScenePalette& palette, const Box& size,
                    double text_size, bool strong) {
  const std::string_view ink = strong ? palette.strong : palette.ink;
  std::string html = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><title>scene</title><style>"
      "html,body{{margin:0;background:{0}}}"
      "main{{box-sizing:border-box;width:{1}px;height:{2}px;padding:6% 8%;overflow:hidden;"
      "display:flex;flex-direction:column;justify-content:center;color:{3};"
      "font-family:'DejaVu Sans',sans-serif;font-size:{4:.1f}px;line-height:1.3}}"
      "h1{{font-size:2em;line-height:1.15;margin:0 0 .5em;padding-bottom:.3em;"
      "border-bottom:4px solid {5}}}"
      "h1:last-child{{margin:0}}ul{{margin:0;padding-left:1.1em}}li{{margin:.25em 0}}"
      "li::marker{{color:{5}}}</style><main>",
      palette.background, size.w, size.h, ink, text_size, palette.accent);
  if (!scene.heading.empty()) html += "<h1>" + markup_text(scene.heading) + "</h1>";
  if (!scene.points.empty()) {
    html += "<ul>";
    for (const std::string& point : scene.points) html += "<li>" + markup_text(point) + "</li>";
    html += "</ul>";
  }
  return html + "</main></html>\n";
}

Result<Made> make_scene(const MakeTask& task, const MakeContext& context) {
  const Unit& unit = task.units.front();
  LATHE_TRY_STATUS(check_scene_look(task.options, unit));
  const ScriptScene scene = script_scene(unit.text);
  if (scene.phrases().empty())
    return invalid("there is nothing to show in '{}': begin it with \"# Heading\"",
                   clip_utf8(unit.text, 80));
  const SceneLook look = scene_look_from(json_at(task.setting, "look"));
  LATHE_TRY(const Box size, scene_size(task.options));
  const ScenePalette& palette = *std::ranges::find(
      kScenePalettes, scene_text_of(task.options, unit, "palette"), &ScenePalette::name);
  const double share =
      json_number(unit.data, "text_size", option_number(task.options, "text_size"));

  LATHE_TRY(SpokenLine spoken, speak_line(scene.line, task, context));
  SceneFilm film{
      .scene = scene, .size = size, .bar = std::string(palette.accent), .pace = look.pace};
  film.page = page_of(scene, palette, size, share * look.text_scale * size.h, look.strong_ink);
  LATHE_TRY(Made made, film_made(film, std::move(spoken), context));
  made.facts["look"] = to_json(look);
  return made;
}

}  // namespace

const MakerKind kSceneMaker = {
    .name = "scene",
    .summary =
        "a film of a heading, points and a spoken line; changes what eyes and ears find "
        "fault with",
    .options = kSceneOptions,
    .repeat = "pure",
    .check = check_scene,
    .propose = propose_scene,
    .make = make_scene,
    .is_own_rung = is_own_voice,
};

}  // namespace lathe::loop
