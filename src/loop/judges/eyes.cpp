// The eyes: opens a picture, looks, and says what is wrong with it.
#include "loop/judges/eyes.h"

#include <set>

#include "ground/base/text.h"
#include "loop/senses/box_text.h"

namespace lathe::loop {
namespace {

constexpr int kCloserPass = -1;  // its boxes are the best: it comes before those of a whole look
constexpr std::size_t kMaxCloserLooks = 60;

constexpr OptionSpec kOptions[] = {
    {"expect",
     OptionType::kString,
     {},
     "the words that must be read, phrases parted by '|'; {unit} is the unit's text; default: the "
     "unit's own \"expect\""},
    {"also", OptionType::kStrings, "[]", "words that may be there besides"},
    {"any_text", OptionType::kBool, "false", "other words are welcome"},
    {"contrast", OptionType::kNumber, "4.5",
     "WCAG ratio of letters and background; letters of 24 px and more need two thirds of it; 0: "
     "any"},
    {"min_text", OptionType::kNumber, "7", "pixels that a word must be high"},
    {"subject", OptionType::kString, "\"\"",
     "where the subject must be, whole and free of text: center, left, right, whole (anywhere); "
     "\"\": it is not looked at"},
    {"size", OptionType::kString, "\"\"", "\"1280x720\": exactly so many pixels"},
    {"aspect", OptionType::kString, "\"\"", "\"16:9\": width to height"},
    {"code", OptionType::kString, "\"\"", "what a QR code must say; \"*\": anything"},
    {"lang", OptionType::kString, "\"eng\"",
     "the languages to read, as Tesseract names them: \"deu+eng\"; each needs the Debian package "
     "tesseract-ocr-LANG"},
};

// Nothing was there to be judged, or not all of it.
bool shows_nothing(FlawKind kind) {
  return kind == FlawKind::kBlank || kind == FlawKind::kUnreadable || kind == FlawKind::kUnfinished;
}

std::optional<double> parse_aspect(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto size =
      parse_size(std::string(text.substr(0, colon)) + "x" + std::string(text.substr(colon + 1)));
  return size ? std::optional(static_cast<double>(size->w) / size->h) : std::nullopt;
}

Status check_eyes(const Json& options) {
  const std::string subject = option_string(options, "subject");
  constexpr std::string_view kPlaces[] = {"", "center", "left", "right", "whole"};
  if (std::ranges::find(kPlaces, subject) == std::end(kPlaces))
    return invalid("subject = \"{}\" is not known: center, left, right or whole", subject);
  const std::string size = option_string(options, "size"),
                    aspect = option_string(options, "aspect");
  if (!size.empty() && !parse_size(size))
    return invalid("size = \"{}\" must be like \"1280x720\"", size);
  if (!aspect.empty() && !parse_aspect(aspect))
    return invalid("aspect = \"{}\" must be like \"16:9\"", aspect);
  if (const double bar = option_number(options, "contrast"); !(bar >= 0 && bar <= 21))
    return invalid("contrast must lie between 0 and 21");
  return check_languages(option_string(options, "lang"));
}

Wanted wanted_from(const JudgeTask& task) {
  const Json& options = task.options;
  Wanted wanted;
  wanted.phrases = phrases_of(expected_text(options, task.units));
  wanted.also = option_strings(options, "also");
  wanted.any_text = option_bool(options, "any_text");
  wanted.contrast = option_number(options, "contrast");
  wanted.least_text = option_number(options, "min_text");
  wanted.subject = option_string(options, "subject");
  if (const auto size = parse_size(option_string(options, "size"))) {
    wanted.width = size->w;
    wanted.height = size->h;
  }
  wanted.aspect = parse_aspect(option_string(options, "aspect")).value_or(0);
  wanted.code = option_string(options, "code");
  wanted.languages = option_string(options, "lang");
  return wanted;
}

Result<Judgement> judge_eyes(const JudgeTask& task, const JudgeContext& context) {
  const auto pool = media_pool(context.place.media, context.place.program);
  auto verdict =
      look_and_judge(*pool, task.bytes, wanted_from(task), context.time_limit, context.stop);
  if (verdict) return concluded(task, *verdict);
  // A file that cannot be read is a fault of the picture; an eye that fails judges nothing.
  if (verdict.error().kind != ErrorKind::kInvalid) return std::unexpected(verdict.error());
  return failed(task, FlawKind::kUnreadable, "file", verdict.error().message);
}

}  // namespace

Result<Verdict> look_and_judge(MediaPool& pool, std::string_view file, const Wanted& wanted,
                               Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY(const OpenedPicture opened, pool.open_picture(file, limit, stop));
  // An empty picture is looked at once: there is nothing to look for in other ways.
  const bool empty = is_empty(opened.picture);
  LATHE_TRY(Sight sight, pool.look(opened.picture,
                                   {empty ? std::vector<std::string>() : expected_words(wanted),
                                    !wanted.code.empty(), wanted.languages},
                                   limit, stop));
  LATHE_TRY_STATUS(
      look_closer(pool, opened, expected_words(wanted), wanted.languages, limit, stop, sight));
  Verdict verdict = judge_sight(opened, sight, wanted);
  if (opened.drawn)
    verdict.facts["views"] =
        Json::array({view_json("as drawn", opened.picture, boxes_of(verdict.flaws))});
  return verdict;
}

std::vector<std::string> unread_words(const std::vector<std::string>& words, const Sight& sight) {
  const auto places = places_of(words, sight);
  std::vector<std::string> unread;
  for (std::size_t i = 0; i < words.size(); ++i)
    if (!places[i]) unread.push_back(words[i]);
  return unread;
}

Status look_closer(MediaPool& pool, const OpenedPicture& opened,
                   const std::vector<std::string>& words, const std::string& languages,
                   Milliseconds limit, const StopFlag& stop, Sight& sight) {
  std::set<std::string> unread;
  for (const std::string& word : unread_words(words, sight)) unread.insert(folded(word));
  std::size_t looks = 0;
  for (const SvgText& text : opened.texts) {
    std::vector<std::string> sought;
    for (const std::string& word : words_in(text.text))
      if (unread.contains(folded(word))) sought.push_back(word);
    const Box part = common(grown(text.ink, text.ink.h / 3), opened.picture.box());
    if (sought.empty() || text.ink.empty() || part.empty() || ++looks > kMaxCloserLooks) continue;
    LATHE_TRY(const Sight close,
              pool.look(cut_out(opened.picture, part), {sought, false, languages}, limit, stop));
    for (std::size_t i = 0; i < sought.size(); ++i)
      for (const SeenWord& seen : close.words) {
        const auto box = tick_off({sought[i]}, {seen})[0];
        if (!box) continue;
        sight.words.push_back({seen.text,
                               seen.confidence,
                               {part.x + box->x, part.y + box->y, box->w, box->h},
                               -static_cast<int>(looks),
                               kCloserPass});
        break;
      }
  }
  return {};
}

std::string expected_text(const Json& options, std::span<const Unit> units) {
  std::vector<std::string> texts, own;
  for (const Unit& unit : units) {
    texts.push_back(unit.text);
    if (const std::string expect = json_string(unit.data, "expect"); !expect.empty())
      own.push_back(expect);
  }
  if (!options.contains("expect")) return join(own, "|");
  return replace_all(option_string(options, "expect"), "{unit}", join(texts, "|"));
}

std::optional<Box> parse_size(std::string_view text) {
  const auto box = parse_box("box 0,0 " + std::string(text));
  return box && box->w > 0 && box->h > 0 ? box : std::nullopt;
}

Judgement concluded(const JudgeTask& task, const Verdict& verdict) {
  Judgement judgement;
  judgement.candidate = task.candidate;
  judgement.outcome = !verdict.flaws.empty()    ? Outcome::kFail
                      : !verdict.unsure.empty() ? Outcome::kAbstain
                                                : Outcome::kPass;
  // Fewer flaws are better, and what shows nothing is worse than anything that does: that is all
  // that the ratchet needs to know.
  const bool shows = std::ranges::none_of(
      verdict.flaws, [](const Flaw& flaw) { return shows_nothing(flaw.kind); });
  judgement.score = judgement.outcome == Outcome::kPass ? 1
                    : !shows                            ? 0
                             : 0.95 / (1 + 0.25 * static_cast<double>(verdict.flaws.size()));
  judgement.evidence = verdict.facts;
  Json findings = Json::array();
  for (const Flaw& flaw : verdict.flaws) {
    findings.push_back(to_json(flaw));
    judgement.critiques.push_back(to_critique(flaw));
  }
  judgement.evidence["findings"] = std::move(findings);
  if (!verdict.unsure.empty()) judgement.evidence["unsure"] = verdict.unsure;
  return judgement;
}

Judgement failed(const JudgeTask& task, FlawKind kind, std::string_view about, std::string claim) {
  Verdict verdict;
  verdict.flaws.push_back({kind, {}, std::string(about), std::move(claim), 0, 0});
  return concluded(task, verdict);
}

std::vector<Box> boxes_of(const std::vector<Flaw>& flaws) {
  std::vector<Box> boxes;
  for (const Flaw& flaw : flaws) boxes.push_back(flaw.box);
  return boxes;
}

Json view_json(std::string name, const Picture& picture, const std::vector<Box>& boxes) {
  Json findings = Json::array();
  for (const Box& box : boxes) findings.push_back({{"box", to_json(box)}});
  return {{"name", std::move(name)},
          {"png", to_base64(png_bytes(fitted(picture, kViewSide)))},
          {"width", picture.width},
          {"height", picture.height},
          {"findings", std::move(findings)}};
}

namespace {

std::vector<MarkedBox> marked_boxes(const Json& findings) {
  std::vector<MarkedBox> boxes;
  for (const Json& finding : findings) {
    const Box box = box_from(json_at(finding, "box"));
    boxes.push_back({box.x, box.y, box.w, box.h});
  }
  return boxes;
}

HeatMap heat_of(const Json& heat) {
  const auto columns = json_int(heat, "columns", 0), rows = json_int(heat, "rows", 0);
  const Json& values = json_at(heat, "values");
  if (columns < 1 || rows < 1 || !values.is_array() ||
      std::ssize(values) != static_cast<std::ptrdiff_t>(columns * rows))
    return {};
  HeatMap map{static_cast<int>(columns), static_cast<int>(rows), {}};
  for (const Json& value : values)
    map.values.push_back(value.is_number() ? std::clamp(value.get<double>(), 0.0, 1.0) : 0);
  return map;
}

}  // namespace

std::vector<Exhibit> picture_exhibits(Json& evidence) {
  const Json& seen = json_at(evidence, "picture");
  std::vector<Exhibit> exhibits{
      PictureExhibit{.width = json_number(seen, "width", 0),
                     .height = json_number(seen, "height", 0),
                     .boxes = marked_boxes(json_at(evidence, "findings"))}};
  for (const Json& view : json_at(evidence, "views"))
    exhibits.push_back(PictureExhibit{json_string(view, "name"), json_string(view, "png"),
                                      json_number(view, "width", 0), json_number(view, "height", 0),
                                      marked_boxes(json_at(view, "findings")),
                                      heat_of(json_at(view, "heat"))});
  evidence.erase("views");
  return exhibits;
}

const JudgeKind kEyesJudge = {
    .name = "eyes",
    .summary = "looks at a picture: words, contrast, edges, subject, size, QR code",
    .options = kOptions,
    .needs_worker = false,
    .stage = Stage::kGate,
    .check = check_eyes,
    .judge = judge_eyes,
    .exhibits = picture_exhibits,
};

}  // namespace lathe::loop
