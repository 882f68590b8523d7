// The report's pictures: what eyes and pages found, drawn over what they saw.
#include "app/cli/report_pictures.h"

#include "ground/base/text.h"
#include "loop/media/picture_codec.h"

namespace lathe::app {
namespace {

constexpr std::string_view kViews = "views";

// Boxes are drawn in the picture's own pixels: lines and figures have to grow with it.
std::string boxes_svg(const Json& findings, double width) {
  std::string svg;
  const double line = std::max(1.5, width / 250), letter = std::max(11.0, width / 32);
  int number = 0;
  for (const Json& finding : findings) {
    ++number;
    const loop::Box box = loop::box_from(json_at(finding, "box"));
    if (box.empty()) continue;
    const double pad = line * 1.5, x = box.x - pad, y = box.y - pad;
    svg += fmt::format(
        "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='none' stroke='#fff' "
        "stroke-width='{:.1f}'/><rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' "
        "fill='none' stroke='#e5252a' stroke-width='{:.1f}'/>",
        x, y, box.w + 2 * pad, box.h + 2 * pad, 2 * line, x, y, box.w + 2 * pad, box.h + 2 * pad,
        line);
    const double tag_x = std::max(0.0, x), tag_y = std::max(letter * 1.3, y);
    svg += fmt::format(
        "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' rx='{:.1f}' fill='#e5252a'/>"
        "<text x='{:.1f}' y='{:.1f}' font-size='{:.1f}' font-weight='700' fill='#fff' "
        "text-anchor='middle' font-family='system-ui,sans-serif'>{}</text>",
        tag_x, tag_y - letter * 1.3, letter * 1.2, letter * 1.3, letter * 0.2, tag_x + letter * 0.6,
        tag_y - letter * 0.3, letter, number);
  }
  return svg;
}

// {"columns": n, "rows": n, "values": […]}: how far each part is off, in [0,1].
std::string heat_svg(const Json& heat, double width, double height) {
  const auto columns = json_int(heat, "columns", 0), rows = json_int(heat, "rows", 0);
  const Json& values = json_at(heat, "values");
  if (columns < 1 || rows < 1 || !values.is_array() ||
      std::ssize(values) != static_cast<std::ptrdiff_t>(columns * rows))
    return {};
  std::string svg;
  for (std::int64_t i = 0; i < columns * rows; ++i) {
    const Json& value = values[static_cast<std::size_t>(i)];
    const double off = value.is_number() ? std::clamp(value.get<double>(), 0.0, 1.0) : 0;
    if (off < 0.04) continue;
    const double w = width / static_cast<double>(columns), h = height / static_cast<double>(rows);
    svg += fmt::format(
        "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='#e5252a' "
        "opacity='{:.2f}'/>",
        static_cast<double>(i % columns) * w, static_cast<double>(i / columns) * h, w, h,
        0.75 * off);
  }
  return svg;
}

std::string figure(std::string_view caption, std::string_view media_type, std::string_view base64,
                   const Json& view) {
  const double width = json_number(view, "width", 0), height = json_number(view, "height", 0);
  std::string html = "<figure class=shot>";
  if (width >= 1 && height >= 1)
    html += fmt::format(
        "<svg viewBox='0 0 {0} {1}'><image width='{0}' height='{1}' href='data:{2};base64,{3}'/>"
        "{4}{5}</svg>",
        width, height, html_text(media_type), base64,
        heat_svg(json_at(view, "heat"), width, height),
        boxes_svg(json_at(view, "findings"), width));
  else
    html += fmt::format("<img alt='' src='data:{};base64,{}'>", html_text(media_type), base64);
  if (!caption.empty()) html += fmt::format("<figcaption>{}</figcaption>", html_text(caption));
  return html + "</figure>";
}

// The size that a judge found the picture to have, and all that was found fault with.
Json seen_picture(const loop::CandidateState& candidate) {
  Json view = {{"findings", Json::array()}};
  for (const loop::JudgedBy* verdict : loop::counted_verdicts(candidate)) {
    const Json& evidence = verdict->judgement.evidence;
    if (const Json& picture = json_at(evidence, "picture"); picture.is_object())
      view.update(picture);
    for (const Json& finding : json_at(evidence, "findings")) view["findings"].push_back(finding);
  }
  return view;
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : make_valid_utf8(text)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  return out;
}

std::string pictures_html(const loop::CandidateState& candidate, std::string_view bytes) {
  std::string html;
  // A drawing is shown as it was drawn for the judge.
  if (candidate.media_type.starts_with("image/") && candidate.media_type != loop::kSvgMediaType)
    html += figure("", candidate.media_type, to_base64(bytes), seen_picture(candidate));
  for (const loop::JudgedBy* verdict : loop::counted_verdicts(candidate))
    for (const Json& view : json_at(verdict->judgement.evidence, kViews))
      html += figure(verdict->judge + ": " + json_string(view, "name"), loop::kPngMediaType,
                     html_text(json_string(view, "png")), view);
  return html;
}

bool shows_pictures(const loop::Track& track) {
  for (const loop::LapState& lap : track.laps)
    for (const loop::CandidateState& candidate : lap.candidates) {
      if (candidate.media_type.starts_with("image/")) return true;
      for (const loop::JudgedBy* verdict : loop::counted_verdicts(candidate))
        if (verdict->judgement.evidence.contains(kViews)) return true;
    }
  return false;
}

Json without_pictures(Json evidence) {
  if (evidence.is_object()) evidence.erase(std::string(kViews));
  return evidence;
}

}  // namespace lathe::app
