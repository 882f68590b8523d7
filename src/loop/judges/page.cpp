// The page judge: HTML, by what Chromium shows of it at several widths.
#include "loop/senses/page.h"

#include "ground/base/text.h"
#include "loop/judges/eyes.h"

namespace lathe::loop {
namespace {

constexpr OptionSpec kOptions[] = {
    {"widths", OptionType::kStrings, "[\"1280\", \"390\"]", "of the window, in pixels"},
    {"height", OptionType::kInteger, "800", "of the window, in pixels"},
    {"expect",
     OptionType::kString,
     {},
     "the words that must be read at every width, phrases parted by '|'; {unit} is the unit's "
     "text; default: the unit's own \"expect\""},
    {"contrast", OptionType::kNumber, "4.5", "WCAG ratio, as the eyes take it; 0: any"},
    {"min_text", OptionType::kNumber, "5", "pixels that a word must be high"},
    {"claims", OptionType::kTable, "{}",
     "name = \"JavaScript expression\" that must be true: \"has one heading\" = "
     "\"document.querySelectorAll('h1').length === 1\""},
    {"lang", OptionType::kString, "\"eng\"",
     "the languages to read, as Tesseract names them: \"deu+eng\"; each needs the Debian package "
     "tesseract-ocr-LANG"},
    {"links", OptionType::kBool, "true", "links to nowhere are faults"},
};
constexpr int kLeastWidth = 200, kMostWidth = 4000;
constexpr std::size_t kMostWidths = 6, kMostNotes = 50;

Result<PageWanted> page_wanted(const Json& options) {
  PageWanted wanted;
  for (const std::string& text : option_strings(options, "widths")) {
    const auto size = parse_size(text + "x1");
    if (!size || size->w < kLeastWidth || size->w > kMostWidth)
      return invalid("widths: '{}' must be a number from {} to {}", clip_utf8(text, 40),
                     kLeastWidth, kMostWidth);
    wanted.widths.push_back(size->w);
  }
  if (wanted.widths.empty() || wanted.widths.size() > kMostWidths)
    return invalid("widths: 1 to {} are possible", kMostWidths);
  wanted.height =
      static_cast<int>(std::clamp<std::int64_t>(option_int(options, "height"), 200, kMostWidth));
  for (const auto& [name, expression] : json_at(options, "claims").items()) {
    if (!expression.is_string()) return invalid("claims.{} must be a JavaScript expression", name);
    wanted.claims.emplace_back(name, expression.get<std::string>());
  }
  return wanted;
}

Status check_page(const Json& options) {
  LATHE_TRY_STATUS(page_wanted(options));
  LATHE_TRY_STATUS(find_chromium());
  return check_languages(option_string(options, "lang"));
}

Flaw flaw(FlawKind kind, std::string about, std::string claim, Box box = {}) {
  return {kind, box, std::move(about), std::move(claim), 0, 0};
}

Flaw outside_flaw(const std::string& what) {
  return flaw(FlawKind::kOutside, what,
              fmt::format("the page {}: it must hold all that it shows and stay where it is, "
                          "nothing else is loaded or opened",
                          what));
}

// What holds for the page whatever the width.
void judge_behaviour(const PageSight& sight, Verdict& verdict) {
  auto& flaws = verdict.flaws;
  if (!sight.finished)
    flaws.push_back(flaw(FlawKind::kUnfinished, "page",
                         "the page never finishes: a script runs for ever or it waits for "
                         "something; it must be there at once"));
  if (sight.burns)
    flaws.push_back(flaw(FlawKind::kUnfinished, "processor",
                         "the page's scripts never leave the processor alone: end the loop or the "
                         "worker, or leave long pauses between its steps"));
  for (const std::string& error : sight.errors)
    flaws.push_back(flaw(FlawKind::kScript, error, fmt::format("a script fails: {}", error)));
  for (const std::string& what : sight.outside) flaws.push_back(outside_flaw(what));
  for (const std::string& what : sight.intrusions)
    flaws.push_back(flaw(FlawKind::kIntrusion, what, fmt::format("the page opens {}", what)));
  for (const PageClaim& claim : sight.claims)
    if (!claim.holds && sight.finished && !sight.burns)
      flaws.push_back(flaw(FlawKind::kClaim, claim.name,
                           fmt::format("does not hold: {} (it gives {})", claim.name, claim.got)));
}

// The contrast of the colours that texts end up with.
void judge_colours(const PageView& view, const Picture& shot, double bar, Verdict& verdict) {
  const Json& inks = json_at(view.facts, "inks");
  if (!inks.is_array()) return;
  for (const Json& item : inks) {
    const double least = json_bool(item, "large", false) ? bar * 2 / 3 : bar;
    const double value = json_number(item, "contrast", 21);
    if (value >= least) continue;
    const std::string text = clip_utf8(make_valid_utf8(json_string(item, "text")), 80);
    verdict.flaws.push_back(
        {FlawKind::kContrast, common(box_from(json_at(item, "box")), shot.box()), text,
         fmt::format("'{}' stands out too little by its colours ({:.1f} : 1, at least {:.1f} : 1 "
                     "is needed): make letters and background differ more",
                     text, value, least),
         value, least});
  }
}

// Texts whose contrast the colours do not tell: "'Hello': a gradient lies behind it".
void note_unknown(const PageView& view, Json& notes) {
  const Json& unknown = json_at(view.facts, "unknown");
  if (!unknown.is_array()) return;
  for (const Json& item : unknown) {
    Json note = fmt::format("contrast of '{}' not known: {}",
                            clip_utf8(make_valid_utf8(json_string(item, "text")), 80),
                            clip_utf8(make_valid_utf8(json_string(item, "why")), 80));
    if (notes.size() < kMostNotes && std::ranges::find(notes, note) == notes.end())
      notes.push_back(std::move(note));
  }
}

// What the survey found at one width.
void judge_layout(const PageView& view, const Picture& shot, bool links, Verdict& verdict) {
  const Json& facts = view.facts;
  if (const auto over = json_int(facts, "overflow", 0); over > 1)
    verdict.flaws.push_back(
        {FlawKind::kOverflow,
         {std::max(0, shot.width - 12), 0, std::min(12, shot.width), shot.height},
         "width",
         fmt::format("the page is {} px wider than the window: let it wrap or shrink", over),
         static_cast<double>(over),
         0});
  const auto each = [&](const char* list, FlawKind kind, auto claim) {
    const Json& found = json_at(facts, list);
    if (!found.is_array()) return;
    for (const Json& item : found) {
      const std::string text = clip_utf8(make_valid_utf8(json_string(item, "text")), 80);
      verdict.flaws.push_back(
          flaw(kind, text, claim(text, item), common(box_from(json_at(item, "box")), shot.box())));
    }
  };
  if (const Json& hosts = json_at(facts, "hosts"); hosts.is_array())
    for (const Json& host : hosts)
      if (host.is_string())
        verdict.flaws.push_back(
            outside_flaw("asks for " + make_valid_utf8(host.get<std::string>())));
  each("beyond", FlawKind::kBeyond, [](const std::string& text, const Json&) {
    return fmt::format("'{}' stands partly or wholly outside the window: move it in", text);
  });
  each("cut", FlawKind::kCut, [](const std::string& text, const Json&) {
    return fmt::format("'{}' does not fit its box and is cut off: give it more room", text);
  });
  each("images", FlawKind::kImage, [](const std::string& text, const Json&) {
    return fmt::format("the image '{}' does not show: embed it as a data: URL", text);
  });
  if (links)
    each("links", FlawKind::kLink, [](const std::string& text, const Json& item) {
      return fmt::format("the link '{}' leads nowhere (href '{}')", text,
                         clip_utf8(make_valid_utf8(json_string(item, "href")), 80));
    });
}

// The words that the survey found, in pixels of a screenshot that is `scale` times as sharp.
std::vector<SvgText> words_of(const Json& facts, int scale) {
  std::vector<SvgText> words;
  if (const Json& found = json_at(facts, "words"); found.is_array())
    for (const Json& item : found) {
      const Box box = box_from(json_at(item, "box"));
      words.push_back({make_valid_utf8(json_string(item, "text")),
                       {box.x * scale, box.y * scale, box.w * scale, box.h * scale}});
    }
  return words;
}

// The words whose contrast the colours tell, or need not tell: pixels add nothing to that.
std::vector<Box> settled_words(const Json& facts, int scale) {
  std::vector<Box> boxes;
  if (const Json& found = json_at(facts, "words"); found.is_array())
    for (const Json& item : found)
      if (!json_string(item, "ink").empty()) {
        const Box box = box_from(json_at(item, "box"));
        boxes.push_back({box.x * scale, box.y * scale, box.w * scale, box.h * scale});
      }
  return boxes;
}

// Reads a screenshot: as a whole, then closer where words should stand, and in all ways when there
// are still some missing.
Result<Sight> read_page(MediaPool& pool, const OpenedPicture& shot, const Wanted& wanted,
                        const JudgeContext& context) {
  const std::vector<std::string> words = expected_words(wanted);
  LATHE_TRY(Sight sight, pool.look(shot.picture, {{}, false, wanted.languages}, context.time_limit,
                                   context.stop));
  LATHE_TRY_STATUS(
      look_closer(pool, shot, words, wanted.languages, context.time_limit, context.stop, sight));
  if (const auto unread = unread_words(words, sight); !unread.empty()) {
    LATHE_TRY(const Sight again, pool.look(shot.picture, {unread, false, wanted.languages},
                                           context.time_limit, context.stop));
    std::ranges::copy_if(again.words, std::back_inserter(sight.words),
                         [](const SeenWord& word) { return word.pass > 0; });
  }
  return sight;
}

Box divided(const Box& box, int by) {
  return {box.x / by, box.y / by, (box.w + by - 1) / by, (box.h + by - 1) / by};
}

// The same flaw at several widths is one.
void add_view(Verdict& all, Verdict view, int width, bool several, Json picture) {
  for (Flaw& flaw : view.flaws) {
    const auto known = std::ranges::find_if(all.flaws, [&](const Flaw& other) {
      return other.kind == flaw.kind && other.about == flaw.about;
    });
    if (known != all.flaws.end()) continue;
    if (several) flaw.claim = fmt::format("at {} px: {}", width, flaw.claim);
    all.flaws.push_back(std::move(flaw));
  }
  for (std::string& unsure : view.unsure) all.unsure.push_back(std::move(unsure));
  all.facts["views"].push_back(std::move(picture));
}

Result<Judgement> judge_page(const JudgeTask& task, const JudgeContext& context) {
  LATHE_TRY(const PageWanted wanted, page_wanted(task.options));
  auto sight = view_page(task.bytes, wanted, context.place, context.time_limit, context.stop);
  if (!sight && sight.error().kind == ErrorKind::kInvalid)
    return failed(task, FlawKind::kUnreadable, "page", sight.error().message);
  if (!sight) return std::unexpected(sight.error());

  const auto pool = media_pool(context.place.media, context.place.program);
  Wanted text;
  text.phrases = phrases_of(expected_text(task.options, task.units));
  text.any_text = true;
  text.languages = option_string(task.options, "lang");
  text.contrast = option_number(task.options, "contrast");
  text.least_text = option_number(task.options, "min_text");
  Verdict verdict;
  judge_behaviour(*sight, verdict);
  verdict.facts["views"] = Json::array();
  Json notes = Json::array();
  if (sight->restless)
    notes.push_back("the page never comes to rest: what was seen is a moment of it");
  for (const PageView& view : sight->views) {
    LATHE_TRY(OpenedPicture shot, pool->open_picture(view.png, context.time_limit, context.stop));
    const int scale = std::max(1, shot.picture.width / view.width);
    shot.texts = words_of(view.facts, scale);
    LATHE_TRY(const Sight seen, read_page(*pool, shot, text, context));
    text.sharpness = scale;
    text.settled = settled_words(view.facts, scale);
    Verdict at_width;
    judge_text(shot, seen, {}, text, at_width);
    for (Flaw& flaw : at_width.flaws) flaw.box = divided(flaw.box, scale);
    const Picture page =
        scaled(shot.picture, shot.picture.width / scale, shot.picture.height / scale);
    judge_colours(view, page, text.contrast, at_width);
    judge_layout(view, page, option_bool(task.options, "links"), at_width);
    note_unknown(view, notes);
    Json picture = view_json(fmt::format("{} px wide", view.width), page, boxes_of(at_width.flaws));
    add_view(verdict, std::move(at_width), view.width, wanted.widths.size() > 1,
             std::move(picture));
  }
  if (!notes.empty()) {
    const std::string first = notes[0].get<std::string>();
    verdict.facts["caveat"] =
        notes.size() == 1 ? first : fmt::format("{} (and {} more)", first, notes.size() - 1);
    verdict.facts["not_known"] = std::move(notes);
  }
  return concluded(task, verdict);
}

}  // namespace

extern const JudgeKind kPageJudge;
const JudgeKind kPageJudge = {
    .name = "page",
    .summary = "opens HTML in Chromium, confined: text, layout, contrast, console, links, claims",
    .options = kOptions,
    .needs_worker = false,
    .stage = Stage::kGate,
    .check = check_page,
    .judge = judge_page,
    .exhibits = picture_exhibits,
};

}  // namespace lathe::loop
