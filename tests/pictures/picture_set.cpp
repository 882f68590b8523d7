// Draws the set of pictures that the eyes are measured with.
#include "picture_set.h"

#include <cairo.h>
#include <leptonica/allheaders.h>
#include <qrencode.h>

#include <array>
#include <cmath>
#include <random>

namespace lathe {
namespace {

using Rgb = std::array<double, 3>;

struct Palette {
  Rgb ground, ink, accent;
};

constexpr Rgb hex(unsigned v) {
  return {(v >> 16) / 255.0, (v >> 8 & 255) / 255.0, (v & 255) / 255.0};
}

constexpr std::string_view kFaults[] = {
    "misspelt",     "wrong_digit",    "missing_word", "missing_line", "garbled",    "extra",
    "low_contrast", "faint_subtitle", "clipped_side", "clipped_top",  "off_center", "subject_cut",
    "overlap",      "tiny",           "blank",        "size",         "qr_broken",  "qr_other"};

constexpr const char* kFonts[] = {"DejaVu Sans",     "DejaVu Serif",     "DejaVu Sans Mono",
                                  "Liberation Sans", "Liberation Serif", "Liberation Mono",
                                  "FreeSans",        "FreeSerif",        "Liberation Sans Narrow"};

constexpr Palette kPalettes[] = {
    {hex(0x10233f), hex(0xffffff), hex(0xf2a33a)}, {hex(0xf6f1e4), hex(0x2b2a28), hex(0xb5452c)},
    {hex(0x1f3d2b), hex(0xe8f0d8), hex(0x9bc53d)}, {hex(0xffffff), hex(0x111111), hex(0x2f7de1)},
    {hex(0x000000), hex(0xf5d547), hex(0xdb3069)}, {hex(0x6b1d3a), hex(0xfff4e6), hex(0xf7b267)},
    {hex(0xd7ecff), hex(0x0b3954), hex(0xe85d04)}, {hex(0x2d2d34), hex(0xdedee0), hex(0x00b4d8)},
    {hex(0xffd166), hex(0x3d1f00), hex(0x118ab2)}, {hex(0xe9e4f0), hex(0x3c1a5b), hex(0x2a9d8f)},
    {hex(0x004d40), hex(0xffffff), hex(0xffca28)}, {hex(0xfbeaea), hex(0x7a0c0c), hex(0x457b9d)}};

constexpr std::string_view kTitles[] = {
    "Summer Festival", "Harvest Market", "Night Lights",   "Modern Bridges", "Winter Reading",
    "City Marathon",   "Open Garden",    "Jazz Weekend",   "Island Stories", "Coffee Tasting",
    "Robot Workshop",  "Ancient Maps",   "Quiet Mornings", "Lantern Parade", "River Cleanup"};
constexpr std::string_view kSubtitles[] = {"Saturday 14 June at noon", "Tickets from 12.50 euro",
                                           "Every friend is welcome",  "Doors open at 19:30",
                                           "Free entry for children",  "Room 205, second floor",
                                           "Live music until 23:00",   "Bring your own cup",
                                           "From 3 May to 28 July",    "Only 60 places left"};
constexpr std::string_view kExtras[] = {"Lorem ipsum", "SAMPLE", "Watermark", "placeholder"};

struct Chance {
  std::mt19937 random;
  int below(int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); }
  double between(double low, double high) {
    return low + (high - low) * static_cast<double>(random() % 10007) / 10006;
  }
  template <class T, std::size_t N>
  const T& one_of(const T (&list)[N]) {
    return list[random() % N];
  }
};

double linear(double v) {
  return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
}
double light(const Rgb& c) {
  return 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
}
Rgb mixed(const Rgb& a, const Rgb& b, double share) {
  Rgb out{};
  for (std::size_t i = 0; i < 3; ++i) out[i] = a[i] * (1 - share) + b[i] * share;
  return out;
}
// The ink brought so near to the ground that only `ratio` is left of the contrast.
Rgb faint(const Rgb& ground, const Rgb& ink, double ratio) {
  double low = 0, high = 1;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (loop::contrast_ratio(light(mixed(ground, ink, middle)), light(ground)) < ratio ? low : high) =
        middle;
  }
  return mixed(ground, ink, low);
}

// What one poster is made of; faults change it before it is drawn.
struct Poster {
  int w = 0, h = 0;
  Palette palette;
  Rgb title_ink{}, subtitle_ink{};
  std::string font;
  bool bold = false;
  std::string ground_kind, subject_kind;
  std::string title, subtitle, extra;
  double title_size = 0, subtitle_size = 0;  // pixels
  double title_x = 0, title_y = 0, subtitle_y = 0;
  double subject_x = 0, subject_y = 0, subject_r = 0;
  bool frame = false, scribble = false, upper = false;
  std::string code;
  double code_damage = 0;
};

class Canvas {
 public:
  Canvas(const Poster& poster, Chance& chance)
      : p_(poster),
        chance_(chance),
        surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, poster.w, poster.h)),
        c_(cairo_create(surface_)) {}
  ~Canvas() {
    cairo_destroy(c_);
    cairo_surface_destroy(surface_);
  }
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;

  void draw() {
    ground();
    if (p_.frame) frame();
    if (p_.subject_r > 0) subject();
    title_box = text(p_.title, p_.title_x, p_.title_y, p_.title_size, p_.title_ink);
    if (p_.scribble) scribble(title_box);
    subtitle_box = text(p_.subtitle, p_.w / 2.0, p_.subtitle_y, p_.subtitle_size, p_.subtitle_ink);
    if (!p_.extra.empty())
      extra_box = text(p_.extra, p_.w * 0.5, p_.subtitle_y - 1.9 * p_.subtitle_size,
                       p_.subtitle_size * 1.1, p_.subtitle_ink);
    if (!p_.code.empty()) code();
  }

  Picture picture() const {
    cairo_surface_flush(surface_);
    Picture out = blank_picture(p_.w, p_.h);
    const unsigned char* data = cairo_image_surface_get_data(surface_);
    for (int y = 0; y < p_.h; ++y)
      for (int x = 0; x < p_.w; ++x) {
        const unsigned char* from =
            data + std::ptrdiff_t{y} * cairo_image_surface_get_stride(surface_) + 4 * x;
        for (std::size_t i = 0; i < 3; ++i) out.at(x, y)[i] = from[2 - i];
      }
    return out;
  }

  Box title_box, subtitle_box, extra_box, subject_box, code_box;

 private:
  void colour(const Rgb& c) { cairo_set_source_rgb(c_, c[0], c[1], c[2]); }

  void ground() {
    const Rgb& g = p_.palette.ground;
    colour(g);
    cairo_paint(c_);
    // Towards the side that keeps the ink readable.
    const Rgb away = light(p_.palette.ink) > light(g) ? Rgb{0, 0, 0} : Rgb{1, 1, 1};
    const Rgb other = mixed(g, away, 0.35);
    const double w = p_.w, h = p_.h;
    cairo_pattern_t* gradient = nullptr;
    if (p_.ground_kind == "gradient") gradient = cairo_pattern_create_linear(0, 0, 0, h);
    if (p_.ground_kind == "diagonal") gradient = cairo_pattern_create_linear(0, 0, w, h);
    if (p_.ground_kind == "radial")
      gradient = cairo_pattern_create_radial(w / 2, h / 2, 10, w / 2, h / 2, std::hypot(w, h) / 2);
    if (gradient) {
      cairo_pattern_add_color_stop_rgb(gradient, 0, g[0], g[1], g[2]);
      cairo_pattern_add_color_stop_rgb(gradient, 1, other[0], other[1], other[2]);
      cairo_set_source(c_, gradient);
      cairo_paint(c_);
      cairo_pattern_destroy(gradient);
    }
    colour(mixed(g, away, 0.22));
    const double step = std::max(24.0, w / 28);
    if (p_.ground_kind == "stripes")
      for (double x = 0; x < w; x += 2 * step) {
        cairo_rectangle(c_, x, 0, step, h);
        cairo_fill(c_);
      }
    if (p_.ground_kind == "checks")
      for (int i = 0; i * step < w; ++i)
        for (int j = i % 2; j * step < h; j += 2) {
          cairo_rectangle(c_, i * step, j * step, step, step);
          cairo_fill(c_);
        }
    if (p_.ground_kind == "dots")
      for (double x = step / 2; x < w; x += step)
        for (double y = step / 2; y < h; y += step) {
          cairo_arc(c_, x, y, step / 6, 0, 7);
          cairo_fill(c_);
        }
    if (p_.ground_kind == "grain" || p_.ground_kind == "photo") texture(away);
  }

  // Grain, or soft patches under grain as in a photograph that was darkened for its text.
  void texture(const Rgb& away) {
    cairo_surface_flush(surface_);
    unsigned char* data = cairo_image_surface_get_data(surface_);
    const int stride = cairo_image_surface_get_stride(surface_);
    const bool photo = p_.ground_kind == "photo";
    double waves[6][4];
    for (auto& wave : waves) {
      wave[0] = chance_.between(-1, 1) * 16 / p_.w;
      wave[1] = chance_.between(-1, 1) * 16 / p_.w;
      wave[2] = chance_.between(0, 6.28);
      wave[3] = chance_.between(0.4, 1);
    }
    const double towards = away[0] > 0.5 ? 1 : -1;
    for (int y = 0; y < p_.h; ++y)
      for (int x = 0; x < p_.w; ++x) {
        double shift = chance_.between(-9, 9);
        if (photo) {
          double sum = 0;
          for (const auto& wave : waves)
            sum += wave[3] * std::sin(wave[0] * x + wave[1] * y + wave[2]);
          shift += towards * 34 * (0.5 + sum / 8);
        }
        for (int c = 0; c < 3; ++c) {
          unsigned char& v = data[std::ptrdiff_t{y} * stride + 4 * x + c];
          v = static_cast<unsigned char>(std::clamp(v + shift, 0.0, 255.0));
        }
      }
    cairo_surface_mark_dirty(surface_);
  }

  void frame() {
    colour(p_.palette.accent);
    cairo_set_line_width(c_, p_.w * 0.008);
    cairo_rectangle(c_, p_.w * 0.02, p_.w * 0.02, p_.w * 0.96, p_.h - p_.w * 0.04);
    cairo_stroke(c_);
  }

  void subject() {
    const double x = p_.subject_x, y = p_.subject_y, r = p_.subject_r;
    colour(p_.palette.accent);
    if (p_.subject_kind == "circle") {
      cairo_arc(c_, x, y, r, 0, 7);
    } else if (p_.subject_kind == "star") {
      for (int i = 0; i < 10; ++i)
        cairo_line_to(c_, x + (i % 2 ? 0.5 : 1) * r * std::cos(M_PI * (i / 5.0 - 0.5)),
                      y + (i % 2 ? 0.5 : 1) * r * std::sin(M_PI * (i / 5.0 - 0.5)));
    } else if (p_.subject_kind == "house") {
      cairo_rectangle(c_, x - 0.8 * r, y - 0.1 * r, 1.6 * r, 1.1 * r);
      cairo_fill(c_);
      colour(mixed(p_.palette.accent, {0.2, 0.1, 0.1}, 0.35));
      cairo_move_to(c_, x - r, y - 0.1 * r);
      cairo_line_to(c_, x, y - r);
      cairo_line_to(c_, x + r, y - 0.1 * r);
    } else if (p_.subject_kind == "picture") {
      for (int i = 0; i < 24; ++i)
        for (int j = 0; j < 24; ++j) {
          const double t = 0.5 + 0.5 * std::sin(0.5 * i) * std::cos(0.4 * j);
          colour(mixed(p_.palette.accent, {0.9, 0.9, 0.8}, 0.4 * t));
          cairo_rectangle(c_, x - r + i * r / 12, y - r + j * r / 12, r / 12 + 1, r / 12 + 1);
          cairo_fill(c_);
        }
    } else {  // tree
      cairo_rectangle(c_, x - 0.14 * r, y, 0.28 * r, r);
      cairo_fill(c_);
      colour(mixed(p_.palette.accent, {0.1, 0.4, 0.1}, 0.25));
      cairo_arc(c_, x, y - 0.25 * r, 0.75 * r, 0, 7);
    }
    cairo_fill(c_);
    const double half = r;
    subject_box = {static_cast<int>(x - half), static_cast<int>(y - r), static_cast<int>(2 * half),
                   static_cast<int>(2 * r)};
  }

  // Centred at x, on the base line y. The box is the ink's.
  Box text(const std::string& words, double x, double y, double size, const Rgb& ink) {
    if (words.empty()) return {};
    cairo_select_font_face(c_, p_.font.c_str(), CAIRO_FONT_SLANT_NORMAL,
                           p_.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c_, size);
    cairo_text_extents_t extents;
    cairo_text_extents(c_, words.c_str(), &extents);
    const double left = x - extents.width / 2 - extents.x_bearing;
    colour(ink);
    cairo_move_to(c_, left, y);
    cairo_show_text(c_, words.c_str());
    return {static_cast<int>(left + extents.x_bearing), static_cast<int>(y + extents.y_bearing),
            static_cast<int>(extents.width) + 1, static_cast<int>(extents.height) + 1};
  }

  // Strokes like letters through the letters: what some generators write for text.
  void scribble(const Box& box) {
    colour(p_.title_ink);
    cairo_set_line_width(c_, std::max(4.0, box.h / 7.0));
    for (int x = box.x; x < box.right(); x += std::max(6, box.h / 5)) {
      cairo_move_to(c_, x, box.y + chance_.between(0, box.h));
      cairo_curve_to(c_, x + chance_.between(-20, 40), box.y + chance_.between(0, box.h),
                     x + chance_.between(-20, 40), box.y + chance_.between(0, box.h),
                     x + chance_.between(0, 30), box.y + chance_.between(0, box.h));
      cairo_stroke(c_);
    }
  }

  void code() {
    QRcode* code = QRcode_encodeString(p_.code.c_str(), 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    const double side = 0.17 * std::min(p_.w, p_.h), x0 = p_.w - side * 1.35,
                 y0 = p_.h * 0.58 - side / 2, cell = side / code->width;
    colour({1, 1, 1});
    cairo_rectangle(c_, x0 - 4 * cell, y0 - 4 * cell, side + 8 * cell, side + 8 * cell);
    cairo_fill(c_);
    cairo_set_antialias(c_, CAIRO_ANTIALIAS_NONE);
    colour({0, 0, 0});
    for (int y = 0; y < code->width; ++y)
      for (int x = 0; x < code->width; ++x) {
        bool dark = code->data[y * code->width + x] & 1;
        if (chance_.between(0, 1) < p_.code_damage) dark = !dark;
        if (!dark) continue;
        cairo_rectangle(c_, x0 + x * cell, y0 + y * cell, cell, cell);
        cairo_fill(c_);
      }
    cairo_set_antialias(c_, CAIRO_ANTIALIAS_DEFAULT);
    code_box = {static_cast<int>(x0 - 4 * cell), static_cast<int>(y0 - 4 * cell),
                static_cast<int>(side + 8 * cell), static_cast<int>(side + 8 * cell)};
    QRcode_free(code);
  }

  const Poster& p_;
  Chance& chance_;
  cairo_surface_t* surface_;
  cairo_t* c_;
};

std::string encoded(const Picture& picture, unsigned index, std::string& extension) {
  if (index % 3 == 0) {
    extension = "png";
    return png_bytes(picture);
  }
  PIX* pix = pixCreate(picture.width, picture.height, 32);
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      const std::uint8_t* p = picture.at(x, y);
      pixSetRGBPixel(pix, x, y, p[0], p[1], p[2]);
    }
  l_uint8* data = nullptr;
  std::size_t size = 0;
  if (index % 3 == 1) {
    extension = "jpg";
    pixWriteMemJpeg(&data, &size, pix, 85, 0);
  } else {
    extension = "webp";
    pixWriteMemWebP(&data, &size, pix, 85, 0);
  }
  std::string bytes(reinterpret_cast<const char*>(data), size);
  lept_free(data);
  pixDestroy(&pix);
  return bytes;
}

double text_width(const Poster& p, const std::string& text, double size) {
  cairo_surface_t* surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 8, 8);
  cairo_t* c = cairo_create(surface);
  cairo_select_font_face(c, p.font.c_str(), CAIRO_FONT_SLANT_NORMAL,
                         p.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(c, size);
  cairo_text_extents_t extents;
  cairo_text_extents(c, text.c_str(), &extents);
  cairo_destroy(c);
  cairo_surface_destroy(surface);
  return extents.width;
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return text;
}

Poster good_poster(Chance& chance, loop::Wanted& wanted) {
  constexpr std::pair<int, int> kSizes[] = {
      {1280, 720}, {800, 1000}, {1080, 1080}, {640, 900}, {1200, 630}};
  constexpr std::string_view kGrounds[] = {"flat",  "flat",    "gradient", "diagonal", "radial",
                                           "grain", "stripes", "checks",   "dots",     "photo"};
  constexpr std::string_view kSubjects[] = {"circle", "star", "house", "picture", "tree"};
  Poster p;
  std::tie(p.w, p.h) = chance.one_of(kSizes);
  p.palette = chance.one_of(kPalettes);
  p.title_ink = p.subtitle_ink = p.palette.ink;
  p.font = chance.one_of(kFonts);
  p.bold = chance.below(2) == 0;
  p.ground_kind = chance.one_of(kGrounds);
  p.subject_kind = chance.one_of(kSubjects);
  p.upper = chance.below(5) == 0;
  p.title = chance.one_of(kTitles);
  p.subtitle = chance.one_of(kSubtitles);
  wanted.phrases = {p.title, p.subtitle};
  if (p.upper) p.title = upper(p.title);
  p.title_size = p.h * chance.between(0.085, 0.13);
  p.title_size =
      std::min(p.title_size, p.title_size * 0.86 * p.w / text_width(p, p.title, p.title_size));
  p.subtitle_size = std::max(17.0, p.h * chance.between(0.034, 0.05));
  p.subtitle_size = std::min(
      p.subtitle_size, p.subtitle_size * 0.86 * p.w / text_width(p, p.subtitle, p.subtitle_size));
  p.title_x = p.w / 2.0;
  p.title_y = p.h * chance.between(0.17, 0.21);
  p.subtitle_y = p.h * chance.between(0.88, 0.93);
  p.subject_x = p.w * chance.between(0.46, 0.54);
  p.subject_y = p.h * chance.between(0.5, 0.56);
  p.subject_r = std::min(p.w, p.h) * chance.between(0.13, 0.2);
  p.frame = chance.below(6) == 0;
  if (p.ground_kind != "photo") wanted.subject = "center";
  if (chance.below(8) == 0 && p.w >= 1080)
    p.code = wanted.code = "https://example.org/event/" + std::to_string(chance.below(900));
  return p;
}

// A word with two letters swapped, one dropped or one replaced, so that it looks wrong.
std::string misspelt(std::string word, Chance& chance) {
  const auto i = 1 + static_cast<std::size_t>(chance.below(static_cast<int>(word.size()) - 3));
  const std::string before = word;
  switch (chance.below(3)) {
    case 0:
      std::swap(word[i], word[i + 1]);
      break;
    case 1:
      word.erase(i, 1);
      break;
    default:
      word[i] = before[i] == 'k' ? 'p' : 'k';
  }
  if (word == before) word.erase(i, 1);
  return word;
}

void add_fault(std::string_view kind, Poster& p, loop::Wanted& wanted, Chance& chance,
               SetPicture& out) {
  const auto set = [&](std::vector<loop::FlawKind> right) { out.right = std::move(right); };
  // Faults of the subject are looked for where a background can be told from it.
  if ((kind == "off_center" || kind == "subject_cut" || kind == "overlap" || kind == "blank") &&
      p.ground_kind == "photo") {
    p.ground_kind = "grain";
    wanted.subject = "center";
  }
  const std::size_t space = p.title.find(' ');
  if (kind == "misspelt") {
    p.title = misspelt(p.title.substr(0, space), chance) + p.title.substr(space);
    set({loop::FlawKind::kWrong});
  } else if (kind == "wrong_digit") {
    p.subtitle = chance.below(2) == 0 ? "Tickets from 12.50 euro" : "Saturday 14 June at 16:30";
    wanted.phrases[1] =
        p.subtitle == "Tickets from 12.50 euro"
            ? (chance.below(2) == 0 ? "Tickets from 15.20 euro" : "Tickets from 1.25 euro")
            : (chance.below(2) == 0 ? "Saturday 17 June at 16:30" : "Saturday 14 June at 18:30");
    p.subtitle_size = std::min(
        p.subtitle_size, p.subtitle_size * 0.86 * p.w / text_width(p, p.subtitle, p.subtitle_size));
    set({loop::FlawKind::kWrong});
  } else if (kind == "missing_word") {
    p.title = chance.below(2) == 0 ? p.title.substr(0, space) : p.title.substr(space + 1);
    set({loop::FlawKind::kMissing});
  } else if (kind == "missing_line") {
    p.subtitle.clear();
    set({loop::FlawKind::kMissing});
  } else if (kind == "garbled") {
    p.scribble = true;
    set({loop::FlawKind::kWrong, loop::FlawKind::kMissing});
  } else if (kind == "extra") {
    p.extra = chance.one_of(kExtras);
    p.subject_r *= 0.8;
    p.subject_y = p.h * 0.48;
    set({loop::FlawKind::kExtra});
  } else if (kind == "low_contrast") {
    p.title_ink = faint(p.palette.ground, p.palette.ink, chance.between(1.25, 2.2));
    if (p.ground_kind != "flat" && p.ground_kind != "grain")
      p.ground_kind = chance.below(2) ? "flat" : "grain";
    set({loop::FlawKind::kContrast});
  } else if (kind == "faint_subtitle") {
    p.subtitle_ink = faint(p.palette.ground, p.palette.ink, chance.between(1.4, 2.4));
    if (p.ground_kind != "flat" && p.ground_kind != "grain")
      p.ground_kind = chance.below(2) ? "flat" : "grain";
    set({loop::FlawKind::kContrast});
  } else if (kind == "clipped_side") {
    const double half = text_width(p, p.title, p.title_size) / 2;
    const double over = chance.between(0.25, 1.6) * p.title_size;
    p.title_x = chance.below(2) == 0 ? half - over : p.w - half + over;
    set({loop::FlawKind::kClipped});
  } else if (kind == "clipped_top") {
    if (chance.below(2) == 0)
      p.title_y = p.title_size * chance.between(0.3, 0.6);
    else
      p.subtitle_y = p.h + p.subtitle_size * chance.between(0.1, 0.35);
    set({loop::FlawKind::kClipped});
  } else if (kind == "off_center") {
    p.subject_x =
        p.w * (chance.below(2) == 0 ? chance.between(0.27, 0.36) : chance.between(0.64, 0.73));
    p.subject_r = std::min(p.subject_r, 0.2 * p.w);
    p.code.clear();
    wanted.code.clear();
    set({loop::FlawKind::kOffCenter});
  } else if (kind == "subject_cut") {
    p.subject_x = chance.below(2) == 0 ? p.subject_r * chance.between(-0.1, 0.6)
                                       : p.w - p.subject_r * chance.between(-0.1, 0.6);
    p.code.clear();
    wanted.code.clear();
    p.frame = false;
    set({loop::FlawKind::kSubjectCut});
  } else if (kind == "overlap") {
    p.subject_y = p.title_y + p.title_size * chance.between(-0.5, 0.7);
    p.subject_r = std::max(p.subject_r, 0.9 * p.title_size);
    if (loop::contrast_ratio(light(p.palette.accent), light(p.palette.ink)) < 3)
      p.palette.accent = mixed(p.palette.accent, p.palette.ground, 0.5);
    p.frame = false;
    set({loop::FlawKind::kOverlap});
  } else if (kind == "tiny") {
    p.subtitle_size = chance.between(5, 6.5);
    set({loop::FlawKind::kTooSmall, loop::FlawKind::kMissing});
  } else if (kind == "blank") {
    p.title.clear();
    p.subtitle.clear();
    p.code.clear();
    p.subject_r = 0;
    p.frame = false;
    wanted.code.clear();
    set({loop::FlawKind::kBlank});
  } else if (kind == "size") {
    if (chance.below(2) == 0) {
      wanted.width = p.w + 80;
      wanted.height = p.h;
    } else {
      wanted.aspect = 1.9 * p.w / p.h;
    }
    set({loop::FlawKind::kSize});
  } else {
    if (p.w < 1080)
      std::tie(p.w, p.h) = std::pair(1280, 720), p.subject_x = 640, p.subject_y = 380,
                    p.subject_r = 110, p.title_x = 640, p.title_y = 130, p.subtitle_y = 650,
                    p.title_size = 70, p.subtitle_size = 30;
    p.code = wanted.code = "https://example.org/event/77";
    if (kind == "qr_broken")
      p.code_damage = 0.25;
    else
      wanted.code = "https://example.org/event/78";
    set({loop::FlawKind::kCode});
  }
}

}  // namespace

std::span<const std::string_view> fault_kinds() {
  return kFaults;
}

SetPicture set_picture(std::string_view kind, unsigned seed, unsigned index) {
  std::seed_seq sequence{seed, index, static_cast<unsigned>(kind.size()),
                         static_cast<unsigned>(kind.front())};
  Chance chance{std::mt19937(sequence)};
  SetPicture out;
  out.kind = kind;
  out.name = fmt::format("{}-{}", kind, index);
  Poster poster = good_poster(chance, out.wanted);
  if (kind != "good") add_fault(kind, poster, out.wanted, chance, out);
  Canvas canvas(poster, chance);
  canvas.draw();
  out.file = encoded(canvas.picture(), index, out.extension);
  out.look = fmt::format("{}x{}, {}{}, {}, {}{}{}", poster.w, poster.h, poster.font,
                         poster.bold ? " bold" : "", poster.ground_kind, poster.subject_kind,
                         poster.frame ? ", frame" : "", poster.code.empty() ? "" : ", code");
  const Box whole{0, 0, poster.w, poster.h};
  if (kind == "misspelt" || kind == "garbled" || kind == "low_contrast" || kind == "overlap" ||
      kind == "clipped_side")
    out.where = common(canvas.title_box, whole);
  if (kind == "wrong_digit" || kind == "faint_subtitle") out.where = canvas.subtitle_box;
  if (kind == "extra") out.where = canvas.extra_box;
  if (kind == "off_center" || kind == "subject_cut") out.where = common(canvas.subject_box, whole);
  return out;
}

bool judged_right(const SetPicture& picture, const loop::Verdict& verdict) {
  if (picture.right.empty()) return verdict.flaws.empty() && verdict.unsure.empty();
  return std::ranges::any_of(verdict.flaws, [&](const loop::Flaw& flaw) {
    const bool kind = std::ranges::find(picture.right, flaw.kind) != picture.right.end();
    const bool place =
        picture.where.empty() || flaw.box.empty() || !common(flaw.box, picture.where).empty();
    return kind && place;
  });
}

}  // namespace lathe
