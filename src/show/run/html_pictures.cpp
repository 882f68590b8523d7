// Pictures on a page: findings are drawn over what was seen.
#include "show/run/html_pictures.h"

#include "ground/base/text.h"
#include "ground/media/picture.h"
#include "show/run/html_parts.h"

namespace lathe::show {
namespace {

// Boxes are drawn in the picture's own pixels: lines and figures have to grow with it.
std::string boxes_svg(const std::vector<loop::MarkedBox>& boxes, double width) {
  std::string svg;
  const double line = std::max(1.5, width / 250), letter = std::max(11.0, width / 32);
  int number = 0;
  for (const loop::MarkedBox& box : boxes) {
    ++number;
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

std::string heat_svg(const loop::HeatMap& heat, double width, double height) {
  std::string svg;
  for (std::size_t i = 0; i < heat.values.size(); ++i) {
    const double off = heat.values[i];
    if (off < 0.04) continue;
    const auto column = i % static_cast<std::size_t>(heat.columns);
    const auto row = i / static_cast<std::size_t>(heat.columns);
    const double w = width / heat.columns, h = height / heat.rows;
    svg += fmt::format(
        "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='#e5252a' "
        "opacity='{:.2f}'/>",
        static_cast<double>(column) * w, static_cast<double>(row) * h, w, h, 0.75 * off);
  }
  return svg;
}

std::string figure(std::string_view caption, std::string_view media_type, std::string_view base64,
                   const loop::PictureExhibit& picture) {
  const double width = picture.width, height = picture.height;
  std::string html = "<figure class=shot>";
  if (width >= 1 && height >= 1)
    html += fmt::format(
        "<svg viewBox='0 0 {0} {1}'><image width='{0}' height='{1}' href='data:{2};base64,{3}'/>"
        "{4}{5}</svg>",
        width, height, html_text(media_type), base64, heat_svg(picture.heat, width, height),
        boxes_svg(picture.boxes, width));
  else
    html += fmt::format("<img alt='' src='data:{};base64,{}'>", html_text(media_type), base64);
  if (!caption.empty()) html += fmt::format("<figcaption>{}</figcaption>", html_text(caption));
  return html + "</figure>";
}

// Calls `visit` with each picture that a judge shows.
template <class Visit>
void for_pictures(const CandidateView& candidate, Visit visit) {
  for (const VerdictView& verdict : candidate.verdicts)
    for (const loop::Exhibit& exhibit : verdict.exhibits)
      if (const auto* picture = std::get_if<loop::PictureExhibit>(&exhibit))
        visit(verdict, *picture);
}

// The candidate with all that any judge found in it.
loop::PictureExhibit seen_candidate(const CandidateView& candidate) {
  loop::PictureExhibit all;
  for_pictures(candidate, [&](const VerdictView&, const loop::PictureExhibit& picture) {
    if (!picture.of_candidate()) return;
    if (picture.width > 0) all.width = picture.width;
    if (picture.height > 0) all.height = picture.height;
    all.boxes.insert(all.boxes.end(), picture.boxes.begin(), picture.boxes.end());
  });
  return all;
}

}  // namespace

std::string pictures_html(const CandidateView& candidate, std::string_view bytes) {
  std::string html;
  // A drawing is shown as it was drawn for the judge.
  if (candidate.kind == ArtifactKind::kPicture)
    html += figure("", candidate.media_type, to_base64(bytes), seen_candidate(candidate));
  for_pictures(candidate, [&](const VerdictView& verdict, const loop::PictureExhibit& picture) {
    if (!picture.of_candidate())
      html += figure(verdict.judge + ": " + picture.title, kPngMediaType, html_text(picture.base64),
                     picture);
  });
  return html;
}

bool shows_pictures(const TrackView& track) {
  bool any = false;
  for (const LapView& lap : track.laps)
    for (const CandidateView& candidate : lap.candidates) {
      any |= candidate.media_type.starts_with("image/");
      for_pictures(candidate, [&](const VerdictView&, const loop::PictureExhibit& picture) {
        any |= !picture.of_candidate();
      });
    }
  return any;
}

}  // namespace lathe::show
