// The makers of SVG and HTML: a model writes the whole source, and is judged by what it looks like.
#include "ground/base/text.h"
#include "loop/makers/ask.h"
#include "loop/makers/writing.h"
#include "loop/senses/media_pool.h"
#include "loop/senses/scene.h"

namespace lathe::loop {

extern const MakerKind kSvgMaker;
extern const MakerKind kHtmlMaker;

namespace {

constexpr OptionSpec kOptions[] = {
    {"task", OptionType::kString, "\"\"", "what is to be made from the unit's text"},
    {"task_file", OptionType::kString, "\"\"", "the same from a file, relative to the recipe"},
    {"system", OptionType::kString, "\"\"", "instead of the built-in opening of the prompt"},
    {"references", OptionType::kStrings, "[]", "text files that every prompt begins with"},
    {"reference", OptionType::kString, "\"\"",
     "a picture next to the recipe: what the eye sees in it is described in the prompt"},
    {"reference_as", OptionType::kString, "\"auto\"",
     "\"picture\": the model is shown it as well; \"words\": the description only; \"auto\": shown "
     "to "
     "a model that is known to read pictures"},
    {"max_tokens", OptionType::kInteger, "8192", "of one answer"},
    {"temperature", OptionType::kNumber, {}, "default: 0.2, and 0.8 for fresh samples"},
    {"prompt_limit", OptionType::kInteger, "200000", "bytes; a longer prompt is an error"},
};

constexpr Milliseconds kReferenceLimit{60'000};
constexpr std::size_t kMaxDescribed = 60;

struct Language {
  std::string_view name, media_type, extension, system, format, begins, ends;
};
constexpr Language kSvg{
    "svg",
    kSvgMediaType,
    "svg",
    "You draw figures as SVG. The whole figure is in the one file: no scripts, no links to other "
    "files. Give width and height in pixels. Keep text inside the canvas and large enough to read.",
    "Answer with the whole SVG file only, from <svg to </svg>: no comment, no fence.\n",
    "<svg",
    "</svg>"};
constexpr Language kHtml{
    "html",
    "text/html",
    "html",
    "You write web pages. The whole page is in the one file: styles in a <style>, images as inline "
    "SVG or data: URLs, nothing loaded from elsewhere. It must fit narrow and wide windows.",
    "Answer with the whole HTML file only, from <!doctype html> to </html>: no comment, no "
    "fence.\n",
    "<",
    "</html>"};

// The source in a reply: talk and fences around it are left out.
Result<std::string> source_in(const Reply& reply, const Json& options, const Language& language) {
  LATHE_TRY(const std::string text, finished_text(reply, options));
  const std::string lower = to_lower_ascii(text);
  std::size_t begin = lower.find(language.begins);
  for (const std::string_view opening : {"<?xml", "<!doctype", "<html"})
    if (const auto found = lower.find(opening); found != lower.npos) begin = std::min(begin, found);
  const std::size_t end = lower.rfind(language.ends);
  if (begin == lower.npos || end == lower.npos || end < begin)
    return invalid("the answer is not a whole {} file: it must begin with {} and end with {}",
                   language.name, language.name == "svg" ? "<svg" : "<!doctype html>",
                   language.ends);
  return text.substr(begin, end + language.ends.size() - begin) + "\n";
}

std::string colour_text(const Picture& picture, const Box& box) {
  const int x = std::clamp(box.x, 0, picture.width - 1);
  const int y = std::clamp(box.y, 0, picture.height - 1);
  const std::uint8_t* p = picture.at(x, y);
  return fmt::format("#{:02x}{:02x}{:02x}", p[0], p[1], p[2]);
}

// The reference in words: a model without eyes has to go by them.
Result<std::string> described(const std::string& name, const Place& place) {
  LATHE_TRY(const std::string file, read_file(place.recipe_dir / name));
  const auto pool = media_pool(place.media, place.program);
  const StopFlag go;
  LATHE_TRY(const OpenedPicture opened, pool->open_picture(file, kReferenceLimit, go));
  LATHE_TRY(const Sight sight, pool->look(opened.picture, {}, kReferenceLimit, go));
  const Picture& picture = opened.picture;
  std::string text = fmt::format(
      "\nThe page must look like the picture {}, which is {}x{} pixels. Its corners are {}, {}, {} "
      "and {}.\nText in it (left, top, width x height in pixels, letters on background):\n",
      name, picture.width, picture.height, colour_text(picture, {0, 0, 1, 1}),
      colour_text(picture, {picture.width - 1, 0, 1, 1}),
      colour_text(picture, {0, picture.height - 1, 1, 1}),
      colour_text(picture, {picture.width - 1, picture.height - 1, 1, 1}));
  std::vector<Box> letters;
  std::map<int, std::pair<std::string, Box>> lines;
  for (const SeenWord& word : sight.words) {
    if (word.confidence < 40) continue;
    letters.push_back(word.box);
    auto& [line, box] = lines[word.line];
    line += (line.empty() ? "" : " ") + word.text;
    box = united(box, word.box);
  }
  std::size_t count = 0;
  for (const auto& [number, line] : lines)
    if (++count <= kMaxDescribed)
      text +=
          fmt::format("- '{}' at {},{} {}x{}, on {}\n", line.first, line.second.x, line.second.y,
                      line.second.w, line.second.h, colour_text(picture, grown(line.second, 4)));
  const Scene scene = scene_of(picture, letters);
  if (!scene.things.empty()) text += "Shapes and panels in it:\n";
  count = 0;
  for (const Thing& thing : scene.things)
    if (++count <= kMaxDescribed)
      text += fmt::format(
          "- {} {}x{} at {},{}, in its middle {}\n", thing.filled > 0.9 ? "a rectangle" : "a shape",
          thing.box.w, thing.box.h, thing.box.x, thing.box.y,
          colour_text(picture,
                      {thing.box.x + thing.box.w / 2, thing.box.y + thing.box.h / 2, 1, 1}));
  return text;
}

bool always_shown(const Json& options) {
  return option_string(options, "reference_as") == "picture";
}

Status check(const Json& options, std::span<const std::string>) {
  const std::string as = option_string(options, "reference_as");
  if (as != "auto" && as != "picture" && as != "words")
    return invalid("'reference_as' is '{}', but must be auto, picture or words", clip_utf8(as, 60));
  if (as != "auto" && option_string(options, "reference").empty())
    return invalid("'reference_as' says how 'reference' is shown: give one");
  return check_writing(options);
}

// The reference as it is, before the text of the units: it stays the same in every lap. Empty: the
// model goes by the description.
Result<std::optional<Media>> shown_reference(const MakeTask& task, const MakeContext& context) {
  const std::string name = option_string(task.options, "reference");
  if (name.empty() || option_string(task.options, "reference_as") == "words")
    return std::optional<Media>();
  if (!always_shown(task.options)) {
    const Result<bool> sees = context.worker->sees();
    if (!sees || !*sees) return std::optional<Media>();
  }
  LATHE_TRY(std::string file, read_file(context.place.recipe_dir / name));
  std::optional<Media> picture = Media::of_file(std::move(file));
  if (!picture || picture->kind != Media::Kind::kPicture)
    return invalid(
        "{}: models are shown PNG, JPEG, WebP or GIF, and it is none of them; give make.reference "
        "as one, or set make.reference_as = \"words\"",
        name);
  return picture;
}

Result<std::string> prefix_for(const Json& options, const Place& place, const Language& language) {
  std::vector<PromptBlock> more;
  if (const std::string name = option_string(options, "reference"); !name.empty()) {
    LATHE_TRY(std::string text, described(name, place));
    more.push_back({"the description of make.reference", std::move(text)});
  }
  return writing_prefix(options, place, language.system, std::move(more));
}

Result<Made> make_source(const MakeTask& task, const MakeContext& context,
                         const Language& language) {
  if (!context.worker) return invalid("{}: needs a worker; name one in make.ladder", language.name);
  LATHE_TRY(Request request, writing_request(task, context, std::string(language.format)));
  LATHE_TRY(std::optional<Media> reference, shown_reference(task, context));
  Made made;
  made.media_type = language.media_type;
  made.extension = language.extension;
  made.facts = Json::object();
  if (!option_string(task.options, "reference").empty())
    made.facts["reference_as"] = reference ? "picture" : "words";
  if (reference) {
    Content& said = std::get<Talk>(request.ask).messages.back().content;
    said = Content(*std::move(reference)).add(std::move(said));
  }
  LATHE_TRY(Asked<std::string> asked,
            ask<std::string>(
                language.name, std::move(request), context, language.format,
                [&](const Reply& reply) { return source_in(reply, task.options, language); }));
  made.bytes = std::move(asked.value);
  made.facts["model"] = asked.model;
  if (!asked.refused.empty()) made.facts["refused"] = asked.refused;
  return made;
}

}  // namespace

const MakerKind kSvgMaker{
    .name = "svg",
    .summary = "a model draws a figure as SVG",
    .options = kOptions,
    .needs_worker = true,
    .check = check,
    .propose = propose_by_model,
    .prefix = [](const Json& options, std::span<const Unit>,
                 const Place& place) { return prefix_for(options, place, kSvg); },
    .make = [](const MakeTask& task,
               const MakeContext& context) { return make_source(task, context, kSvg); },
    .shows_pictures = always_shown,
};

const MakerKind kHtmlMaker{
    .name = "html",
    .summary = "a model writes a web page, from a text or after a reference picture",
    .options = kOptions,
    .needs_worker = true,
    .check = check,
    .propose = propose_by_model,
    .prefix = [](const Json& options, std::span<const Unit>,
                 const Place& place) { return prefix_for(options, place, kHtml); },
    .make = [](const MakeTask& task,
               const MakeContext& context) { return make_source(task, context, kHtml); },
    .shows_pictures = always_shown,
};

}  // namespace lathe::loop
