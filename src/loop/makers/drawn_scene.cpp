// The maker of scenes that a model draws: a page or an SVG for the heading and points, narrated by
// a voice of this program. Notes of the eyes go to the model, notes of the ears the voice's way; a
// page that nobody finds fault with is kept while the line is said another way.
#include <array>

#include "loop/makers/ask.h"
#include "loop/makers/scene_film.h"
#include "loop/makers/writing.h"
#include "loop/senses/film.h"

namespace lathe::loop {

extern const MakerKind kDrawnSceneMaker;

namespace {

constexpr std::size_t kMostPage = 100'000;  // bytes: it goes with the film
constexpr std::string_view kPageFormat =
    "Answer with the whole HTML file only, from <!doctype html> to </html>, or with one SVG only, "
    "from <svg to </svg>: no comment, no fence.\n";

constexpr OptionSpec kOwnDrawnOptions[] = {
    kSceneSizeOption,
    {"bar", OptionType::kString, "\"#f2a33a\"", "colour of the bar at the bottom"},
    {"speakers", OptionType::kStrings,
     "[\"flite:rms\", \"flite:slt\", \"flite:awb\", \"flite:kal16\"]",
     "the voices that say the line, the next one where one is not understood"},
    {"task", OptionType::kString, "\"Draw the scene.\"", "what is to be drawn, and how"},
    {"task_file", OptionType::kString, "\"\"",
     "the same from a file, relative to the recipe; then task = \"\""},
    {"system", OptionType::kString, "\"\"", "instead of the built-in opening of the prompt"},
    {"references", OptionType::kStrings, "[]", "text files that every prompt begins with"},
    {"max_tokens", OptionType::kInteger, "8192", "of one answer"},
    {"temperature", OptionType::kNumber, {}, "default: 0.2, and 0.8 for fresh samples"},
    {"prompt_limit", OptionType::kInteger, "200000", "bytes; a longer prompt is an error"},
};
constexpr auto kDrawnOptions = [] {
  std::array<OptionSpec, std::size(kVoiceOptions) + std::size(kOwnDrawnOptions)> all;
  std::ranges::copy(kOwnDrawnOptions, std::ranges::copy(kVoiceOptions, all.begin()).out);
  return all;
}();

bool is_colour(std::string_view text) {
  return text.size() == 7 && text[0] == '#' &&
         text.find_first_not_of("0123456789abcdefABCDEF", 1) == text.npos;
}

Status check_drawn(const Json& options, std::span<const std::string>) {
  const std::vector<std::string> speakers = option_strings(options, "speakers");
  if (speakers.empty() || !std::ranges::all_of(speakers, is_own_voice))
    return invalid("'speakers' must name voices of this program, like \"flite:rms\"");
  LATHE_TRY_STATUS(check_voice_options(options, speakers));
  LATHE_TRY_STATUS(scene_size(options));
  if (!is_colour(option_string(options, "bar")))
    return invalid("bar = \"{}\" must be like \"#f2a33a\"",
                   clip_utf8(option_string(options, "bar"), 40));
  return check_writing(options);
}

Result<std::string> drawn_prefix(const Json& options, std::span<const Unit>, const Place& place) {
  LATHE_TRY(const Box size, scene_size(options));
  const std::string system = fmt::format(
      "You draw the pictures of a film. A scene's picture is one HTML page, or one SVG, that is "
      "seen at exactly {} by {} pixels; what does not fit is cut off. Of the scene's text the line "
      "that begins with # is the heading, and lines that begin with - are points: all of them are "
      "shown, letter by letter, and no other text. The rest is spoken, and not shown. Letters are "
      "at least {} pixels high and stand out from what is behind them; the lowest {} pixels stay "
      "free for a bar. No scripts, no animation, nothing loaded from elsewhere.",
      size.w, size.h, size.h / 20, size.h / 20);
  return writing_prefix(options, place, system);
}

// What was said last, as the voice's moves see it.
ProposeTask as_said(const ProposeTask& task, const std::vector<std::string>& speakers,
                    std::vector<Attempt>& attempts) {
  attempts.assign(task.attempts.begin(), task.attempts.end());
  for (Attempt& attempt : attempts) {
    attempt.setting = json_at(attempt.setting, "said");
    attempt.rung = static_cast<int>(json_int(attempt.setting, "rung", 0));
    std::erase_if(attempt.critiques,
                  [](const Critique& each) { return !scene_fault(each).empty(); });
  }
  ProposeTask saying = task;
  saying.ladder = speakers;
  saying.attempts = attempts;
  return saying;
}

Json said_of(const Proposal& voice) {
  Json said = voice.setting;
  said["rung"] = voice.rung;
  return said;
}

bool has_fault(const Attempt& attempt, std::string_view kind) {
  return std::ranges::any_of(attempt.critiques, [&](const Critique& each) {
    const std::string_view fault = scene_fault(each);
    return kind.empty() ? fault.empty() : fault.starts_with(kind);
  });
}

std::optional<Proposal> propose_drawn(const ProposeTask& task) {
  const std::vector<std::string> speakers = option_strings(task.options, "speakers");
  std::vector<Attempt> said_before;
  const ProposeTask saying = as_said(task, speakers, said_before);
  std::optional<Proposal> drawing = propose_by_model(task);
  if (!drawing) return std::nullopt;
  if (task.attempts.empty()) {
    drawing->setting["said"] = said_of(*propose_voice(saying));
    drawing->setting["pace"] = 0;
    return drawing;
  }
  const Attempt& last = task.attempts.back();
  Json said = json_at(last.setting, "said");
  double pace = json_number(last.setting, "pace", 0);
  std::vector<std::string> reasons;
  if (last.made && has_fault(last, "")) {
    const auto voice = propose_voice(saying);
    if (voice) {
      said = said_of(*voice);
      reasons.push_back(voice->reason);
    }
  }
  if (has_fault(last, kReadingFault)) {
    pace = slower_pace(pace);
    reasons.emplace_back("hold the scene until it can be read");
  }
  if (!bearable_pace(pace)) return std::nullopt;
  // The page of the best one stays, where only its sound or its length was wrong.
  const auto base = std::ranges::find_if(task.attempts.rbegin(), task.attempts.rend(),
                                         [](const Attempt& each) { return each.gained; });
  const bool keeps = base != task.attempts.rend() && !has_fault(*base, "eyes:") &&
                     !has_fault(last, "eyes:") && !reasons.empty();
  if (keeps)
    drawing = Proposal{Move::kRepair, last.rung, 1, drawing->setting, ""};
  else
    reasons.insert(reasons.begin(), drawing->reason);
  drawing->setting["keeps_page"] = keeps;
  drawing->setting["said"] = std::move(said);
  drawing->setting["pace"] = pace;
  drawing->reason = join(reasons, "; ");
  return drawing;
}

// The page in a reply; an SVG alone becomes one. Talk and fences around it are left out.
Result<std::string> page_in(const Reply& reply, const Json& options) {
  LATHE_TRY(const std::string text, finished_text(reply, options));
  const std::string lower = to_lower_ascii(text);
  const auto part = [&](std::size_t begin, std::string_view end) -> std::string {
    const std::size_t at = lower.rfind(end);
    return begin == lower.npos || at == lower.npos || at < begin
               ? ""
               : text.substr(begin, at + end.size() - begin);
  };
  std::string page = part(std::min(lower.find("<!doctype"), lower.find("<html")), "</html>");
  if (page.empty())
    if (const std::string svg = part(lower.find("<svg"), "</svg>"); !svg.empty())
      page =
          "<!doctype html><html lang=en><meta charset=utf-8><title>scene</title><style>"
          "html,body{margin:0}svg{display:block}</style>" +
          svg + "</html>";
  if (page.empty())
    return invalid(
        "the answer is neither a whole HTML file nor a whole SVG: it must begin with "
        "<!doctype html> or <svg and end with </html> or </svg>");
  if (page.size() > kMostPage)
    return invalid("the page has {} bytes, and may have {}", page.size(), kMostPage);
  return page;
}

// Of the best take so far; "": there is none.
Result<std::string> page_so_far(const MakeTask& task, const MakeContext& context) {
  if (!task.best) return std::string();
  LATHE_TRY(const Film film,
            Film::open(*task.best, context.place, context.time_limit, context.stop));
  return film.probe().source;
}

Result<Made> make_drawn(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("drawn_scene: needs a worker; name one in make.ladder");
  const Unit& unit = task.units.front();
  const ScriptScene scene = script_scene(unit.text);
  if (scene.phrases().empty())
    return invalid("there is nothing to show in '{}': begin it with \"# Heading\"",
                   clip_utf8(unit.text, 80));
  LATHE_TRY(const Box size, scene_size(task.options));
  MakeTask saying = task;
  saying.setting = json_at(task.setting, "said");
  saying.rung = json_string(saying.setting, "voice");
  saying.n_index = 0;
  LATHE_TRY(SpokenLine spoken, speak_line(scene.line, saying, context));

  SceneFilm film{.scene = scene,
                 .size = size,
                 .bar = option_string(task.options, "bar"),
                 .pace = json_number(task.setting, "pace", 0),
                 .keeps_source = true};
  LATHE_TRY(film.page, page_so_far(task, context));
  std::string model, refused;
  if (!json_bool(task.setting, "keeps_page", false) || film.page.empty()) {
    const std::string before =
        film.page.empty() ? "" : fmt::format("The page so far:\n<<<\n{}\n>>>\n\n", film.page);
    LATHE_TRY(Request request, writing_request(task, context, before + std::string(kPageFormat)));
    request.prediction = film.page;
    LATHE_TRY(Asked<std::string> asked,
              ask<std::string>("drawn_scene", std::move(request), context, kPageFormat,
                               [&](const Reply& reply) { return page_in(reply, task.options); }));
    film.page = std::move(asked.value);
    model = std::move(asked.model);
    refused = std::move(asked.refused);
  }
  LATHE_TRY(Made made, film_made(film, std::move(spoken), context));
  if (!model.empty()) made.facts["model"] = model;
  if (!refused.empty()) made.facts["refused"] = refused;
  return made;
}

}  // namespace

const MakerKind kDrawnSceneMaker{
    .name = "drawn_scene",
    .summary =
        "a film of a heading and points that a model draws as a page or an SVG, and of a "
        "spoken line",
    .options = kDrawnOptions,
    .needs_worker = true,
    .check = check_drawn,
    .propose = propose_drawn,
    .prefix = drawn_prefix,
    .make = make_drawn,
};

}  // namespace lathe::loop
