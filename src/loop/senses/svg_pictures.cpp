// Looks at every embedded picture of an SVG before librsvg does: what that would reach for outside
// its process is replaced or refused.
#include "loop/senses/svg_pictures.h"

#include <pugixml.hpp>
#include <sstream>

#include "ground/base/base64.h"
#include "ground/base/text.h"
#include "ground/media/picture.h"
#include "ground/media/picture_decode.h"
#include "loop/senses/svg_drawer.h"

namespace lathe::loop {
namespace {

constexpr std::int64_t kMostPixels = 2 * kMaxPicturePixels;  // of all of them together

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [](char c) {
      return c >= '0' && c <= '9'   ? c - '0'
             : c >= 'a' && c <= 'f' ? c - 'a' + 10
             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                    : -1;
    };
    const int high = i + 2 < text.size() && text[i] == '%' ? digit(text[i + 1]) : -1;
    const int low = high < 0 ? -1 : digit(text[i + 2]);
    out += low < 0 ? text[i] : static_cast<char>(16 * high + low);
    if (low >= 0) i += 2;
  }
  return out;
}

// What stands in data:TYPE[;base64],PAYLOAD; nothing for other URLs.
std::optional<std::string> data_in(std::string_view url) {
  url = trim(url);
  if (to_lower_ascii(url.substr(0, 5)) != "data:") return std::nullopt;
  const auto comma = url.find(',');
  if (comma == url.npos) return std::string();
  const std::string payload = percent_decoded(url.substr(comma + 1));
  return to_lower_ascii(url.substr(0, comma)).ends_with(";base64") ? from_base64(payload) : payload;
}

std::string_view local_name(std::string_view name) {
  const auto colon = name.find(':');
  return colon == name.npos ? name : name.substr(colon + 1);
}

struct Check : pugi::xml_tree_walker {
  Status status{};
  bool changed = false;
  std::int64_t pixels = 0;

  bool for_each(pugi::xml_node& node) override {
    if (node.type() == pugi::node_doctype) {
      const std::string_view type = node.value();
      if (type.find("<!ENTITY") != type.npos && type.find("data:") != type.npos)
        status = invalid(
            "the SVG keeps a data: URL in an <!ENTITY>: write it where it is used, and leave the "
            "document type out");
      return status.has_value();
    }
    const std::string_view name = local_name(node.name());
    const bool picture = name == "image" || name == "feImage";
    for (pugi::xml_attribute& attribute : node.attributes()) {
      if (name == "a" || local_name(attribute.name()) != "href") continue;
      const auto data = data_in(attribute.value());
      if (!data) continue;
      if (!picture)
        status =
            invalid("the SVG embeds a file in <{}>: put what it shows straight into the drawing",
                    clip_utf8(name, 40));
      else
        check_picture(*data, attribute);
      if (!status) return false;
    }
    return true;
  }

  void check_picture(const std::string& data, pugi::xml_attribute& attribute) {
    if (looks_like_svg(data)) {
      status = invalid(
          "the SVG embeds another SVG as a picture, which is not drawn: put its elements straight "
          "into the drawing, in a <g> with a transform");
      return;
    }
    const auto plain = plain_picture(data);
    if (!plain) {
      status = invalid(
          "a picture that the SVG embeds cannot be drawn ({}): embed a PNG, JPEG or "
          "WebP, or draw it with shapes",
          plain.error().message);
      return;
    }
    pixels += plain->pixels;
    if (pixels > kMostPixels)
      status = invalid(
          "the pictures that the SVG embeds have more than {} million pixels together: "
          "embed smaller ones",
          kMostPixels / 1'000'000);
    if (plain->png.empty()) return;
    attribute = ("data:image/png;base64," + to_base64(plain->png)).c_str();
    changed = true;
  }
};

}  // namespace

Result<std::optional<std::string>> with_plain_pictures(std::string_view svg) {
  pugi::xml_document document;
  // What is no XML is for librsvg to refuse.
  if (!document.load_buffer(svg.data(), svg.size(), pugi::parse_full | pugi::parse_ws_pcdata))
    return std::nullopt;
  Check check;
  document.traverse(check);
  LATHE_TRY_STATUS(check.status);
  if (!check.changed) return std::nullopt;
  std::ostringstream plain;
  document.save(plain, "", pugi::format_raw);
  return plain.str();
}

}  // namespace lathe::loop
