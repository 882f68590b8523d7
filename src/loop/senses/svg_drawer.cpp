// Draws SVG, without the network or other files.
#include "loop/senses/svg_drawer.h"

#include <cairo.h>
#include <fontconfig/fontconfig.h>
#include <librsvg/rsvg.h>

#include <cmath>
#include <pugixml.hpp>
#include <sstream>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "loop/senses/svg_pictures.h"

namespace lathe::loop {
namespace {

constexpr double kMaxSide = 4096;
constexpr double kDefaultWidth = 1024, kDefaultHeight = 768;
constexpr std::size_t kMaxOutside = 20;

// cairo keeps ten font files open; with more it would have to open one again, and that is not
// possible in a confined process.
constexpr std::string_view kFonts[] = {
    "dejavu/DejaVuSans.ttf",
    "dejavu/DejaVuSans-Bold.ttf",
    "dejavu/DejaVuSerif.ttf",
    "dejavu/DejaVuSerif-Bold.ttf",
    "dejavu/DejaVuSansMono.ttf",
    "dejavu/DejaVuSansMono-Bold.ttf",
    "liberation/LiberationSans-Regular.ttf",
    "liberation/LiberationSans-Bold.ttf",
    "liberation/LiberationSerif-Regular.ttf",
};
constexpr std::size_t kNeededFonts = 6;

constexpr const char* kFontRules = R"xml(<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<alias binding="same"><family>Arial</family><prefer><family>Liberation Sans</family></prefer></alias>
<alias binding="same"><family>Helvetica</family><prefer><family>Liberation Sans</family></prefer></alias>
<alias binding="same"><family>Times New Roman</family><prefer><family>Liberation Serif</family></prefer></alias>
<alias binding="same"><family>Times</family><prefer><family>Liberation Serif</family></prefer></alias>
<alias binding="same"><family>Georgia</family><prefer><family>DejaVu Serif</family></prefer></alias>
<alias binding="same"><family>Courier New</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
<alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<match target="pattern"><edit name="family" mode="append_last"><string>DejaVu Sans</string></edit></match>
<match target="font">
  <test name="slant"><const>roman</const></test>
  <test target="pattern" name="slant" compare="not_eq"><const>roman</const></test>
  <edit name="matrix" mode="assign"><times><name>matrix</name>
    <matrix><double>1</double><double>0.2</double><double>0</double><double>1</double></matrix></times></edit>
</match>
</fontconfig>)xml";

// Every font, every filter with threads or tables of its own, and both kinds of embedded picture.
constexpr std::string_view kWarmUp =
    R"svg(<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">
<filter id="f"><feGaussianBlur stdDeviation="2"/><feTurbulence baseFrequency="0.1"/>
<feConvolveMatrix order="3" kernelMatrix="1 0 0 0 1 0 0 0 1"/><feMorphology radius="1"/><feColorMatrix type="saturate"/>
<feDiffuseLighting><feDistantLight azimuth="1" elevation="1"/></feDiffuseLighting>
<feSpecularLighting><fePointLight x="1" y="1" z="1"/></feSpecularLighting></filter>
<rect width="9" height="9" filter="url(#f)"/>
<image width="4" height="4" href="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="/>
<image width="4" height="4" href="data:image/jpeg;base64,/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="/>
)svg";

struct Freed {
  void operator()(RsvgHandle* handle) const { g_object_unref(handle); }
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* context) const { cairo_destroy(context); }
};
using Handle = std::unique_ptr<RsvgHandle, Freed>;

// A GError's text, which is then freed.
std::string taken(GError* error) {
  std::string text = error ? error->message : "no reason given";
  if (error) g_error_free(error);
  return clip_utf8(make_valid_utf8(text), 300);
}

Result<Handle> parse(std::string_view svg) {
  GError* error = nullptr;
  Handle handle(
      rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(svg.data()), svg.size(), &error));
  if (!handle) return invalid("not a readable SVG: {}", taken(error));
  rsvg_handle_set_dpi(handle.get(), 96);
  return handle;
}

RsvgRectangle size_of(RsvgHandle* handle) {
  gdouble width = 0, height = 0;
  if (!rsvg_handle_get_intrinsic_size_in_pixels(handle, &width, &height) || !(width > 0) ||
      !(height > 0)) {
    gboolean has_width = 0, has_height = 0, has_box = 0;
    RsvgLength w{}, h{};
    RsvgRectangle box{};
    rsvg_handle_get_intrinsic_dimensions(handle, &has_width, &w, &has_height, &h, &has_box, &box);
    const bool boxed = has_box && box.width > 0 && box.height > 0;
    width = boxed ? box.width : kDefaultWidth;
    height = boxed ? box.height : kDefaultHeight;
  }
  const double factor = std::min(1.0, kMaxSide / std::max(width, height));
  return {0, 0, std::max(1.0, std::round(width * factor)),
          std::max(1.0, std::round(height * factor))};
}

Result<Picture> painted(RsvgHandle* handle, const RsvgRectangle& viewport) {
  const auto width = static_cast<int>(viewport.width), height = static_cast<int>(viewport.height);
  const std::unique_ptr<cairo_surface_t, Freed> surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
  const std::unique_ptr<cairo_t, Freed> context(cairo_create(surface.get()));
  cairo_set_source_rgb(context.get(), 1, 1, 1);
  cairo_paint(context.get());
  GError* error = nullptr;
  if (!rsvg_handle_render_document(handle, context.get(), &viewport, &error))
    return invalid("the SVG cannot be drawn: {}", taken(error));
  cairo_surface_flush(surface.get());
  const unsigned char* data = cairo_image_surface_get_data(surface.get());
  if (!data) return invalid("the SVG cannot be drawn: {}x{} pixels are too many", width, height);
  Picture picture = blank_picture(width, height);
  const int stride = cairo_image_surface_get_stride(surface.get());
  for (int y = 0; y < height; ++y) {
    const auto* row = reinterpret_cast<const std::uint32_t*>(data + std::ptrdiff_t{y} * stride);
    for (int x = 0; x < width; ++x) {
      std::uint8_t* to = picture.at(x, y);
      to[0] = static_cast<std::uint8_t>(row[x] >> 16);
      to[1] = static_cast<std::uint8_t>(row[x] >> 8);
      to[2] = static_cast<std::uint8_t>(row[x]);
    }
  }
  return picture;
}

std::string text_of(const pugi::xml_node& node) {
  std::string text;
  struct Collect : pugi::xml_tree_walker {
    std::string* to = nullptr;
    bool for_each(pugi::xml_node& each) override {
      if (each.type() == pugi::node_pcdata || each.type() == pugi::node_cdata) {
        *to += each.value();
      } else if (!to->empty() && to->back() != ' ') {
        *to += ' ';  // a <tspan> is often a new line
      }
      return true;
    }
  } collect;
  collect.to = &text;
  pugi::xml_node root = node;
  root.traverse(collect);
  return std::string(trim(text));
}

// What the source says about itself: its texts (given an id where they lack one) and what it asks
// for from outside.
struct Survey : pugi::xml_tree_walker {
  std::vector<std::pair<std::string, std::string>> texts;  // id, text
  std::vector<std::string> outside;

  void note(std::string_view what) {
    if (outside.size() < kMaxOutside)
      outside.push_back(clip_utf8(make_valid_utf8(trim(what)), 200));
  }

  void note_urls(std::string_view css) {
    for (std::size_t at = css.find("url("); at != css.npos; at = css.find("url(", at + 4)) {
      const std::string_view rest = css.substr(at + 4, 300);
      const auto first = rest.find_first_not_of(" '\"\t\n");
      if (first == rest.npos || rest[first] == '#' || rest.substr(first).starts_with("data:"))
        continue;
      note(rest.substr(0, rest.find(')')));
    }
    if (css.find("@import") != css.npos) note("@import in a style");
  }

  bool for_each(pugi::xml_node& node) override {
    if (node.type() == pugi::node_doctype) {
      if (std::string_view(node.value()).find("<!ENTITY") != std::string_view::npos)
        note("<!ENTITY> in the document type");
      return true;
    }
    std::string_view name = node.name();
    if (const auto colon = name.find(':'); colon != name.npos) name.remove_prefix(colon + 1);
    if (name == "script") note("<script>");
    if (name == "style") note_urls(text_of(node));
    for (const pugi::xml_attribute& attribute : node.attributes()) {
      const std::string_view key = attribute.name(), value = attribute.value();
      const bool link = name == "a";  // asked for by a click only
      if (!link && (key == "href" || key == "xlink:href" || key == "src") && !value.empty() &&
          value[0] != '#' && !value.starts_with("data:"))
        note(value);
      if (key.starts_with("on")) note(fmt::format("a script in {}", key));
      if (value.find("url(") != value.npos) note_urls(value);
    }
    if (name == "text" && texts.size() < kMaxSvgTexts) {
      if (!node.attribute("id")) {
        const std::string id = fmt::format("lathe-text-{}", texts.size());
        node.append_attribute("id") = id.c_str();
      }
      texts.emplace_back(node.attribute("id").value(), text_of(node));
    }
    return true;
  }
};

Box box_of(const RsvgRectangle& r) {
  static constexpr double kFar = 1e6;
  if (!(r.width > 0) || !(r.height > 0)) return {};
  const auto clamp = [](double v) { return std::clamp(std::isfinite(v) ? v : kFar, -kFar, kFar); };
  const int x = static_cast<int>(std::floor(clamp(r.x)));
  const int y = static_cast<int>(std::floor(clamp(r.y)));
  return {x, y, static_cast<int>(std::ceil(clamp(r.x + r.width))) - x,
          static_cast<int>(std::ceil(clamp(r.y + r.height))) - y};
}

void survey_source(std::string_view svg, const RsvgRectangle& viewport, Drawn& drawn) {
  pugi::xml_document document;
  if (!document.load_buffer(svg.data(), svg.size(), pugi::parse_default | pugi::parse_doctype))
    return;
  Survey survey;
  document.traverse(survey);
  drawn.outside = std::move(survey.outside);
  if (survey.texts.empty()) return;
  std::ostringstream named;
  document.save(named, "", pugi::format_raw);
  const auto handle = parse(named.str());
  if (!handle) return;
  for (const auto& [id, text] : survey.texts) {
    RsvgRectangle ink{}, logical{};
    GError* error = nullptr;
    if (!rsvg_handle_get_geometry_for_layer(handle->get(), ("#" + id).c_str(), &viewport, &ink,
                                            &logical, &error)) {
      g_clear_error(&error);
      continue;
    }
    drawn.texts.push_back({clip_utf8(make_valid_utf8(text), 400), box_of(ink)});
  }
}

Status use_own_fonts() {
  FcConfig* config = FcConfigCreate();
  for (std::size_t i = 0; i < std::size(kFonts); ++i) {
    const std::string path = "/usr/share/fonts/truetype/" + std::string(kFonts[i]);
    if (!FcConfigAppFontAddFile(config, reinterpret_cast<const FcChar8*>(path.c_str())) &&
        i < kNeededFonts)
      return fail(ErrorKind::kUnavailable,
                  "{} is missing; install the Debian package fonts-dejavu-core", path);
  }
  FcConfigParseAndLoadFromMemory(config, reinterpret_cast<const FcChar8*>(kFontRules), FcTrue);
  FcConfigSetCurrent(config);
  FcConfigDestroy(config);  // the library keeps its own reference
  return {};
}

}  // namespace

bool looks_like_svg(std::string_view file) {
  if (file.starts_with("\xef\xbb\xbf")) file.remove_prefix(3);
  const std::string_view begin = trim(file.substr(0, 65536));
  return begin.starts_with('<') && begin.find("<svg") != begin.npos &&
         to_lower_ascii(begin.substr(0, 15)).find("<!doctype html") == std::string::npos &&
         !to_lower_ascii(begin.substr(0, 5)).starts_with("<html");
}

Result<std::unique_ptr<SvgDrawer>> SvgDrawer::make() {
  LATHE_TRY_STATUS(use_own_fonts());
  auto drawer = std::make_unique<SvgDrawer>();
  std::string warm_up(kWarmUp);
  for (const char* family :
       {"DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "Liberation Sans", "Liberation Serif"})
    for (const char* weight : {"normal", "bold"})
      warm_up += fmt::format(
          "<text y='9' font-family='{}' font-weight='{}'>Ag<tspan font-style='italic'>x</tspan> "
          "\u4e2d</text>",
          family, weight);
  LATHE_TRY(const Drawn drawn, drawer->draw(warm_up + "</svg>"));
  return drawer;
}

Result<Drawn> SvgDrawer::draw(std::string_view svg) const {
  if (svg.size() > kMaxSvgFile) return invalid("the SVG is longer than {} MiB", kMaxSvgFile >> 20);
  LATHE_TRY(const std::optional<std::string> plain, with_plain_pictures(svg));
  if (plain) svg = *plain;
  LATHE_TRY(const Handle handle, parse(svg));
  const RsvgRectangle viewport = size_of(handle.get());
  Drawn drawn;
  LATHE_TRY(drawn.picture, painted(handle.get(), viewport));
  survey_source(svg, viewport, drawn);
  return drawn;
}

}  // namespace lathe::loop
