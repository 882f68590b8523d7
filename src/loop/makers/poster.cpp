// The poster maker: a title, a subtitle and a subject, laid out as SVG and drawn by librsvg. No
// model: what the eyes find wrong says which part of the layout has to give. Rungs besides that are
// workers that paint the whole.
#include <array>
#include <cmath>

#include "ground/base/text.h"
#include "loop/makers/maker.h"
#include "loop/makers/markup.h"
#include "loop/makers/picture.h"
#include "loop/senses/box_text.h"
#include "loop/senses/media_pool.h"
#include "loop/senses/reading.h"
#include "loop/senses/scene.h"

namespace lathe::loop {

extern const MakerKind kPosterMaker;

namespace {

constexpr OptionSpec kOptions[] = {
    {"size", OptionType::kString, "\"1280x720\"", "pixels"},
    {"palette", OptionType::kString, "\"night\"", "night, paper, pale, sunset or forest"},
    {"background", OptionType::kString, "\"\"", "\"#rrggbb\" instead of the palette's"},
    {"ink", OptionType::kString, "\"\"", "of the letters, instead of the palette's"},
    {"accent", OptionType::kString, "\"\"", "of the subject, instead of the palette's"},
    {"subject", OptionType::kString, "\"circle\"",
     "circle, star, diamond, mountain, none, or a picture file next to the recipe"},
    {"x", OptionType::kNumber, "0.5", "where the subject's middle is, as a share of the width"},
    {"y", OptionType::kNumber, "0.6", "and of the height"},
    {"subject_size", OptionType::kNumber, "0.4", "its height, as a share of the picture's"},
    {"title_size", OptionType::kNumber, "0.14", "letter height, as a share of the picture's"},
    {"prompt", OptionType::kString,
     "\"A title picture with the words {unit}, exactly as written and no others, large and easy to "
     "read. One subject, whole, in the middle, clear of the words.\"",
     "what a worker is asked to paint; {unit} is the unit's text, each phrase in quotes"},
    {"paint_size", OptionType::kString, "\"\"", "pixels that it is asked for; default: size"},
};

constexpr std::string_view kOwnRung = "layout";

struct Palette {
  std::string_view name, background, ink, accent;
};
constexpr std::array<Palette, 5> kPalettes{{{"night", "#10233f", "#ffffff", "#f2a33a"},
                                            {"paper", "#f6f1e4", "#2b2a28", "#b5452c"},
                                            {"pale", "#eef2f0", "#c9d6d2", "#a9c5bd"},
                                            {"sunset", "#ffb38a", "#fff1e6", "#c8553d"},
                                            {"forest", "#1f3d2b", "#e8f0d8", "#9bc53d"}}};
constexpr std::array<std::string_view, 5> kShapes{"circle", "star", "diamond", "mountain", "none"};

constexpr double kMargin = 0.06;                         // of the width, on both sides of text
constexpr double kTitleTop = 0.07, kTitleBottom = 0.37;  // of the height: the title's own part
constexpr double kSubtitleBase = 0.93;
constexpr double kSubtitleSize = 0.062;
constexpr double kLeastTitle = 0.035;  // letter height, of the picture's: below, it is given up
constexpr double kShrink = 0.78;
constexpr double kLeastSubject = 0.12;

// What a lap changes about the layout; the first lap is as asked.
struct Layout {
  bool wrap = false;  // the title, and shrunk to fit
  double text_scale = 1;
  bool strong_ink = false;  // black or white, whichever stands out more
  bool placed = false;      // the subject: to its own part of the picture
  double subject_scale = 1;
  bool strong_subject = false;
  friend bool operator==(const Layout&, const Layout&) = default;
};

Json to_json(const Layout& layout) {
  return {{"wrap", layout.wrap},
          {"text_scale", layout.text_scale},
          {"strong_ink", layout.strong_ink},
          {"placed", layout.placed},
          {"subject_scale", layout.subject_scale},
          {"strong_subject", layout.strong_subject}};
}

Layout layout_from(const Json& json) {
  return {json_bool(json, "wrap", false),        json_number(json, "text_scale", 1),
          json_bool(json, "strong_ink", false),  json_bool(json, "placed", false),
          json_number(json, "subject_scale", 1), json_bool(json, "strong_subject", false)};
}

// A unit's own word (a record of a .jsonl file) counts more than the recipe's.
std::string text_of(const Json& options, const Unit& unit, const char* key) {
  return json_string(unit.data, key, option_string(options, key));
}
double number_of(const Json& options, const Unit& unit, const char* key) {
  return json_number(unit.data, key, option_number(options, key));
}

using Rgb = std::array<std::uint8_t, 3>;

std::optional<Rgb> parse_colour(std::string_view text) {
  if (text.size() != 7 || text[0] != '#') return std::nullopt;
  Rgb rgb{};
  for (std::size_t i = 0; i < 6; ++i) {
    const char c = static_cast<char>(text[i + 1] | 0x20);
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    rgb[i / 2] = static_cast<std::uint8_t>(rgb[i / 2] * 16 + digit);
  }
  return rgb;
}

// What must hold for a recipe's options, and for a unit's own ones.
Status check_look(const Json& options, const Unit& unit) {
  LATHE_TRY_STATUS(picture_size(text_of(options, unit, "size")));
  if (const std::string size = text_of(options, unit, "paint_size"); !size.empty())
    LATHE_TRY_STATUS(picture_size(size));
  const std::string palette = text_of(options, unit, "palette");
  if (std::ranges::find(kPalettes, palette, &Palette::name) == kPalettes.end())
    return invalid("palette = \"{}\" is not known: night, paper, pale, sunset or forest",
                   clip_utf8(palette, 40));
  for (const char* key : {"background", "ink", "accent"})
    if (const std::string colour = text_of(options, unit, key);
        !colour.empty() && !parse_colour(colour))
      return invalid("{} = \"{}\" must be a colour like \"#10233f\"", key, clip_utf8(colour, 40));
  for (const char* key : {"subject_size", "title_size"})
    if (const double share = number_of(options, unit, key); !(share >= 0.01 && share <= 1))
      return invalid("{} must lie between 0.01 and 1", key);
  for (const char* key : {"x", "y"})
    if (const double share = number_of(options, unit, key); !(share >= -1 && share <= 2))
      return invalid("{} must lie between -1 and 2", key);
  return {};
}

Status check(const Json& options, std::span<const std::string>) {
  return check_look(options, {});
}

std::string_view fault_of(const Critique& critique) {
  std::string_view print = critique.fingerprint;
  constexpr std::string_view kEyes = "eyes:";
  if (!print.starts_with(kEyes)) return {};
  print.remove_prefix(kEyes.size());
  return print.substr(0, print.find(':'));
}

// One fault, and the part of the layout that gives way to it.
void yield_to(std::string_view fault, Layout& layout, std::vector<std::string>& reasons) {
  const auto because = [&](std::string_view reason) {
    if (std::ranges::find(reasons, reason) == reasons.end()) reasons.emplace_back(reason);
  };
  if (fault == "clipped" || fault == "missing" || fault == "wrong") {
    if (!layout.wrap) {
      layout.wrap = true;
      because("wrap the title and fit it to the width");
    } else if (fault == "missing" && !layout.strong_ink) {
      layout.strong_ink = true;
      because("letters that stand out more");
    } else if (reasons.empty() || reasons.back() != "smaller letters") {
      layout.text_scale *= kShrink;
      because("smaller letters");
    }
  } else if (fault == "too_small") {
    layout.text_scale = std::min(2.0, layout.text_scale / kShrink);
    because("larger letters");
  } else if (fault == "contrast") {
    layout.strong_ink = true;
    because("letters that stand out more");
  } else if (fault == "off_center" || fault == "subject_cut") {
    if (layout.placed) layout.subject_scale *= kShrink;
    layout.placed = true;
    because("the subject into the middle");
  } else if (fault == "overlap") {
    if (layout.placed && layout.wrap) layout.subject_scale *= kShrink;
    layout.placed = layout.wrap = true;
    because("text and subject apart");
  } else if (fault == "no_subject") {
    layout.strong_subject = layout.placed = true;
    because("a subject that stands out more");
  }
}

std::optional<Proposal> propose_layout(const ProposeTask& task) {
  Proposal proposal;
  if (task.attempts.empty()) {
    proposal.setting = to_json(Layout{});
    proposal.reason = "as asked";
    return proposal;
  }
  const Attempt& last = task.attempts.back();
  if (!last.made) return std::nullopt;
  const Layout before = layout_from(last.setting);
  Layout layout = before;
  std::vector<std::string> reasons;
  for (const Critique& critique : last.critiques) yield_to(fault_of(critique), layout, reasons);
  const double subject = option_number(task.options, "subject_size") * layout.subject_scale;
  const double title = option_number(task.options, "title_size") * layout.text_scale;
  if (layout == before || subject < kLeastSubject / 2 || title < kLeastTitle / 2)
    return std::nullopt;
  proposal.move = Move::kRepair;
  proposal.rung = last.rung;
  proposal.setting = to_json(layout);
  proposal.reason = join(reasons, ", ");
  return proposal;
}

std::optional<Proposal> propose(const ProposeTask& task) {
  const int rung = task.attempts.empty() ? 0 : task.attempts.back().rung;
  const auto name = [&](int each) {
    return task.ladder.empty() ? kOwnRung
                               : std::string_view(task.ladder[static_cast<std::size_t>(each)]);
  };
  auto next = name(rung) == kOwnRung ? propose_layout(task) : propose_picture(task);
  if (!next && rung + 1 < std::ssize(task.ladder))
    next = Proposal{Move::kEscalate,
                    rung + 1,
                    1,
                    {},
                    fmt::format("every move of the layout was tried: ask {}", name(rung + 1))};
  if (next && next->rung != rung && name(next->rung) == kOwnRung) next->setting = to_json(Layout{});
  return next;
}

// How wide DejaVu Sans Bold sets a text, in letter heights. About right is enough: whether it fits
// is for the eyes to say.
double set_width(std::string_view text) {
  double width = 0;
  for (const char c : text) {
    if ((c & 0xC0) == 0x80) continue;  // the rest of a letter
    constexpr std::string_view kNarrow = "iljI.,'|!:;()[]", kWide = "mwMW@%";
    width += c == ' '                          ? 0.35
             : kNarrow.find(c) != kNarrow.npos ? 0.4
             : kWide.find(c) != kWide.npos     ? 1.05
                                               : 0.73;
  }
  return width;
}

std::vector<std::string> wrapped(const std::string& text, double width) {
  std::vector<std::string> lines;
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    if (!lines.empty() && set_width(lines.back() + " " + word) <= width)
      lines.back() += " " + word;
    else
      lines.push_back(word);
  }
  return lines;
}

struct Lines {
  std::vector<std::string> text;
  double size = 0;  // letter height in pixels
};

// The largest letters with which the text fits, at most `size`.
Lines fitted_lines(const std::string& text, double size, double width, double height) {
  for (;; size *= 0.94) {
    Lines lines{wrapped(text, width / size), size};
    const double widest =
        lines.text.empty()
            ? 0
            : set_width(*std::ranges::max_element(
                  lines.text, {}, [](const std::string& line) { return set_width(line); }));
    if ((widest * size <= width && 1.2 * size * static_cast<double>(lines.text.size()) <= height) ||
        size < 6)
      return lines;
  }
}

std::string text_element(const std::string& line, double x, double y, double size,
                         std::string_view weight, const std::string& ink) {
  return fmt::format(
      "<text x='{:.1f}' y='{:.1f}' font-family='DejaVu Sans' font-weight='{}' font-size='{:.1f}' "
      "text-anchor='middle' fill='{}'>{}</text>\n",
      x, y, weight, size, ink, markup_text(line));
}

std::string shape_element(std::string_view shape, double x, double y, double r,
                          const std::string& fill) {
  if (shape == "circle")
    return fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='{:.1f}' fill='{}'/>\n", x, y, r, fill);
  std::string points;
  if (shape == "star") {
    for (int i = 0; i < 10; ++i) {
      const double angle = 3.14159265358979 * (i / 5.0 - 0.5), reach = i % 2 == 0 ? r : 0.45 * r;
      points +=
          fmt::format("{:.1f},{:.1f} ", x + reach * std::cos(angle), y + reach * std::sin(angle));
    }
  } else if (shape == "diamond") {
    points = fmt::format("{0:.1f},{2:.1f} {3:.1f},{1:.1f} {0:.1f},{4:.1f} {5:.1f},{1:.1f}", x, y,
                         y - r, x + 0.8 * r, y + r, x - 0.8 * r);
  } else {  // mountain
    points = fmt::format("{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}",
                         x - 1.5 * r, y + r, x - 0.4 * r, y - r, x + 0.2 * r, y, x + 0.7 * r,
                         y - 0.5 * r, x + 1.5 * r, y + r);
  }
  return fmt::format("<polygon points='{}' fill='{}'/>\n", points, fill);
}

// Black or white, whichever is farther from the background.
std::string strongest_on(const Rgb& background) {
  return contrast_ratio(luminance(background.data()), 0) >
                 contrast_ratio(luminance(background.data()), 1)
             ? "#0b0b0b"
             : "#ffffff";
}

// The subject as an SVG element: a shape, or a picture file brought to size.
Result<std::string> subject_element(const MakeContext& context, const std::string& subject,
                                    double x, double y, double r, const std::string& fill) {
  if (subject == "none") return std::string();
  if (std::ranges::find(kShapes, subject) != kShapes.end())
    return shape_element(subject, x, y, r, fill);
  if (!is_safe_relative(subject))
    return invalid(
        "subject: '{}' is neither a shape (circle, star, diamond, mountain, none) nor a "
        "file below the recipe",
        clip_utf8(subject, 200));
  LATHE_TRY(const std::string file, read_file(context.place.recipe_dir / subject));
  const auto pool = media_pool(context.place.media, context.place.program);
  LATHE_TRY(const OpenedPicture opened, pool->open_picture(file, context.time_limit, context.stop));
  const double longest = std::max(opened.picture.width, opened.picture.height);
  const double w = 2 * r * opened.picture.width / longest;
  const double h = 2 * r * opened.picture.height / longest;
  return fmt::format(
      "<image x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
      "href='data:image/png;base64,{}'/>\n",
      x - w / 2, y - h / 2, w, h,
      to_base64(png_bytes(fitted(opened.picture, std::max(16, static_cast<int>(2 * r))))));
}

Result<std::string> drawing_of(const MakeTask& task, const MakeContext& context) {
  const Unit& unit = task.units.front();
  LATHE_TRY_STATUS(check_look(task.options, unit));
  const Layout layout = layout_from(task.setting);
  const Box size = *parse_box("box 0,0 " + text_of(task.options, unit, "size"));
  const double w = size.w, h = size.h;
  const Palette& palette =
      *std::ranges::find(kPalettes, text_of(task.options, unit, "palette"), &Palette::name);
  const auto colour = [&](const char* key, std::string_view fallback) {
    const std::string own = text_of(task.options, unit, key);
    return own.empty() ? std::string(fallback) : own;
  };
  const std::string background = colour("background", palette.background);
  const std::string strong = strongest_on(*parse_colour(background));
  const std::string ink = layout.strong_ink ? strong : colour("ink", palette.ink);

  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}'>\n"
      "<rect width='{0}' height='{1}' fill='{2}'/>\n",
      size.w, size.h, background);
  const double reach = number_of(task.options, unit, "subject_size") / 2 * layout.subject_scale;
  const double r = h * (layout.placed ? std::min(reach, 0.2) : reach);
  const double x = w * (layout.placed ? 0.5 : number_of(task.options, unit, "x"));
  const double y = h * (layout.placed ? 0.61 : number_of(task.options, unit, "y"));
  LATHE_TRY(const std::string subject,
            subject_element(context, text_of(task.options, unit, "subject"), x, y, r,
                            layout.strong_subject ? strong : colour("accent", palette.accent)));
  svg += subject;

  const std::vector<std::string> phrases = phrases_of(unit.text);
  if (phrases.empty()) return invalid("there is no title in '{}'", clip_utf8(unit.text, 80));
  const double room = w * (1 - 2 * kMargin);
  const double asked = h * number_of(task.options, unit, "title_size") * layout.text_scale;
  const double part = h * (kTitleBottom - kTitleTop) * (layout.wrap ? layout.text_scale : 1);
  const Lines title = layout.wrap ? fitted_lines(phrases[0], asked, room, std::min(part, h * 0.3))
                                  : Lines{{phrases[0]}, asked};
  double base = h * kTitleTop + 0.85 * title.size;
  if (title.text.size() == 1) base = h * (kTitleTop + 0.06) + 0.85 * title.size;
  for (const std::string& line : title.text) {
    svg += text_element(line, w / 2, base, title.size, "bold", ink);
    base += 1.2 * title.size;
  }
  const std::string rest = join(std::span(phrases).subspan(1), " · ");
  if (!rest.empty()) {
    const double most = h * kSubtitleSize * std::max(0.6, layout.text_scale);
    const Lines lines =
        layout.wrap ? fitted_lines(rest, most, room, h * 0.11) : Lines{{rest}, most};
    double line_base =
        h * kSubtitleBase - 1.2 * lines.size * static_cast<double>(lines.text.size() - 1);
    for (const std::string& line : lines.text) {
      svg += text_element(line, w / 2, line_base, lines.size, "normal", ink);
      line_base += 1.2 * lines.size;
    }
  }
  return svg + "</svg>\n";
}

Result<Made> paint(const MakeTask& task, const MakeContext& context) {
  const Unit& unit = task.units.front();
  LATHE_TRY_STATUS(check_look(task.options, unit));
  std::vector<std::string> phrases;
  for (const std::string& phrase : phrases_of(unit.text))
    phrases.push_back(fmt::format("\"{}\"", phrase));
  const std::string own_size = text_of(task.options, unit, "paint_size");
  const std::string prompt = text_of(task.options, unit, "prompt");
  LATHE_TRY(const Box size,
            picture_size(own_size.empty() ? text_of(task.options, unit, "size") : own_size));
  return paint_picture({replace_all(prompt, "{unit}", join(phrases, ", ")), size}, task, context);
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!task.rung.empty() && task.rung != kOwnRung) return paint(task, context);
  LATHE_TRY(const std::string svg, drawing_of(task, context));
  const auto pool = media_pool(context.place.media, context.place.program);
  LATHE_TRY(const OpenedPicture drawn, pool->open_picture(svg, context.time_limit, context.stop));
  Made made;
  made.bytes = png_bytes(drawn.picture);
  made.media_type = kPngMediaType;
  made.extension = "png";
  made.facts = {{"layout", task.setting}};
  return made;
}

}  // namespace

const MakerKind kPosterMaker = {
    .name = "poster",
    .summary =
        "lays out a title, a subtitle and a subject, and moves what the eyes find fault with; or "
        "has a worker paint them",
    .options = kOptions,
    .repeat = "pure",
    .check = check,
    .propose = propose,
    .make = make,
    .own_rung = kOwnRung,
};

}  // namespace lathe::loop
