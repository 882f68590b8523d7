// Reads: pictures to words with places.
#include "loop/senses/eye.h"

#include <iconv.h>
#include <leptonica/allheaders.h>
#include <tesseract/baseapi.h>
#include <zbar.h>

#include <array>
#include <cmath>

#include "ground/base/file.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

// Letters are read best at 15 to 60 pixels: a poster is brought to this size.
constexpr int kLongSide = 1600;
constexpr int kShortSide = 640;  // of the longest side: below, the picture is enlarged
constexpr int kMaxPasses = 11;
constexpr const char* kModels = "/usr/share/tesseract-ocr";  // VERSION/tessdata, as Debian has it
// The languages of Debian's tesseract-ocr packages that are not written in Latin letters.
constexpr std::string_view kOtherLetters[] = {
    "amh", "ara", "asm", "bel", "ben", "bod", "bul", "chi", "chr", "ell", "fas", "grc",
    "guj", "heb", "hin", "iku", "jpn", "kan", "kat", "kaz", "khm", "kir", "kor", "lao",
    "mal", "mar", "mkd", "mon", "mya", "nep", "ori", "pan", "pus", "rus", "sin", "snd",
    "srp", "syr", "tam", "tat", "tel", "tgk", "tha", "tir", "uig", "ukr", "urd", "yid"};
constexpr double kMostEdges = 0.12;   // of pixels next to each other
constexpr double kMostBlots = 0.012;  // per pixel
// Pixels that share a background in even_light(): for titles, and for small text on narrow bands.
constexpr int kWideBlock = 48, kNarrowBlock = 16;

struct Gray {
  int width = 0, height = 0;
  std::vector<std::uint8_t> v;
  std::uint8_t& at(int x, int y) {
    return v[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
             static_cast<std::size_t>(x)];
  }
  std::uint8_t at(int x, int y) const { return const_cast<Gray*>(this)->at(x, y); }
};

template <class Value>
Gray gray_of(const Picture& picture, const Value& value) {
  Gray gray{picture.width, picture.height, {}};
  gray.v.reserve(picture.rgb.size() / 3);
  for (std::size_t i = 0; i + 2 < picture.rgb.size(); i += 3)
    gray.v.push_back(static_cast<std::uint8_t>(value(&picture.rgb[i])));
  return gray;
}

int brightness(const std::uint8_t* p) {
  return (77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8;
}

Gray blurred(const Gray& gray) {
  Gray out = gray;
  for (int y = 1; y + 1 < gray.height; ++y)
    for (int x = 1; x + 1 < gray.width; ++x) {
      int sum = 0;
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) sum += gray.at(x + dx, y + dy);
      out.at(x, y) = static_cast<std::uint8_t>(sum / 9);
    }
  return out;
}

// How far each pixel is from the median colour of its surroundings, stretched to the full range:
// the faintest lettering becomes black on white.
Gray even_light(const Picture& picture, int block_side) {
  const int across = (picture.width + block_side - 1) / block_side;
  const int down = (picture.height + block_side - 1) / block_side;
  std::vector<std::array<int, 3>> medians(static_cast<std::size_t>(across * down));
  for (int by = 0; by < down; ++by)
    for (int bx = 0; bx < across; ++bx) {
      std::array<std::array<int, 256>, 3> counts{};
      int total = 0;
      const Box block =
          common(grown({bx * block_side, by * block_side, block_side, block_side}, block_side),
                 picture.box());
      for (int y = block.y; y < block.bottom(); y += 2)
        for (int x = block.x; x < block.right(); x += 2, ++total)
          for (std::size_t c = 0; c < 3; ++c) ++counts[c][picture.at(x, y)[c]];
      auto& median = medians[static_cast<std::size_t>(by * across + bx)];
      for (std::size_t c = 0; c < 3; ++c)
        for (int sum = 0, v = 0; v < 256; ++v) {
          sum += counts[c][static_cast<std::size_t>(v)];
          median[c] = v;
          if (2 * sum >= total) break;
        }
    }
  Gray distance{picture.width, picture.height, {}};
  distance.v.resize(picture.rgb.size() / 3);
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      // Between the centres of four blocks.
      const double u = std::clamp((x + 0.5) / block_side - 0.5, 0.0, across - 1.0);
      const double w = std::clamp((y + 0.5) / block_side - 0.5, 0.0, down - 1.0);
      const int i = std::min(static_cast<int>(u), std::max(0, across - 2));
      const int j = std::min(static_cast<int>(w), std::max(0, down - 2));
      const int right = std::min(i + 1, across - 1), below = std::min(j + 1, down - 1);
      const double fu = u - i, fw = w - j;
      int most = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        const auto m = [&](int by, int bx) {
          return medians[static_cast<std::size_t>(by * across + bx)][c];
        };
        const double background = (m(j, i) * (1 - fu) + m(j, right) * fu) * (1 - fw) +
                                  (m(below, i) * (1 - fu) + m(below, right) * fu) * fw;
        most = std::max(most, static_cast<int>(std::abs(picture.at(x, y)[c] - background)));
      }
      distance.at(x, y) = static_cast<std::uint8_t>(std::min(most, 255));
    }
  distance = blurred(blurred(distance));
  std::array<std::size_t, 256> counts{};
  for (const std::uint8_t d : distance.v) ++counts[d];
  // What is some times farther off than the grain of the background is ink, whatever its contrast.
  int grain = 0;
  for (std::size_t below = 0; grain < 255; ++grain) {
    below += counts[static_cast<std::size_t>(grain)];
    if (2 * below >= distance.v.size()) break;
  }
  const int full = std::clamp(5 * grain, 12, 255);
  for (std::uint8_t& d : distance.v)
    d = static_cast<std::uint8_t>(255 - std::min(255, d * 255 / full));
  return distance;
}

Gray turned(const Gray& gray, bool clockwise) {
  Gray out{gray.height, gray.width, std::vector<std::uint8_t>(gray.v.size())};
  for (int y = 0; y < gray.height; ++y)
    for (int x = 0; x < gray.width; ++x)
      (clockwise ? out.at(gray.height - 1 - y, x) : out.at(y, gray.width - 1 - x)) = gray.at(x, y);
  return out;
}

Box turned_back(const Box& box, const Gray& turned, bool clockwise) {
  return clockwise ? Box{box.y, turned.width - box.right(), box.h, box.w}
                   : Box{turned.height - box.bottom(), box.x, box.h, box.w};
}

// Grain, where the reader would look for letters in every speck, for minutes: far more edges or
// beginnings of dark blots than text has.
bool is_noise(const Gray& gray) {
  std::size_t edges = 0, blots = 0;
  for (int y = 1; y < gray.height; ++y)
    for (int x = 1; x + 1 < gray.width; ++x) {
      const auto dark = [&](int dx, int dy) { return gray.at(x + dx, y + dy) < 128; };
      edges += dark(0, 0) != dark(-1, 0);
      blots += dark(0, 0) && !dark(-1, 0) && !dark(-1, -1) && !dark(0, -1) && !dark(1, -1);
    }
  const auto pixels = static_cast<double>(gray.v.size());
  return static_cast<double>(edges) > kMostEdges * pixels ||
         static_cast<double>(blots) > kMostBlots * pixels;
}

// One way of looking: what the reader is shown, and the way back to the picture.
struct View {
  Gray gray;
  double factor = 1;  // of the view's pixels to the picture's
  int turn = 0;       // 1 clockwise, −1 the other way
};

}  // namespace

struct Eye::Reader {
  tesseract::TessBaseAPI tesseract;
  // What a QR code may be written in. The C library loads a converter when it is first asked for
  // and keeps it as long as one is open: a confined process cannot load it.
  std::array<iconv_t, 5> converters{iconv_open("UTF-8", "ISO8859-1"), iconv_open("UTF-8", "SJIS"),
                                    iconv_open("UTF-8", "BIG-5"), iconv_open("UTF-8", "CP437"),
                                    iconv_open("UTF-8", "UTF-8")};
  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    for (const iconv_t each : converters)
      if (each != reinterpret_cast<iconv_t>(-1)) iconv_close(each);
  }
};

Eye::Eye(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
Eye::~Eye() = default;

Status check_languages(std::string_view languages) {
  for (const std::string& language : split(languages, '+')) {
    const bool named = !language.empty() && std::ranges::all_of(language, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    });
    if (!named)
      return invalid("lang = \"{}\" must be languages of Tesseract, like \"deu+eng\"",
                     clip_utf8(languages, 80));
    bool installed = false;
    std::error_code none;
    for (const auto& version : fs::directory_iterator(kModels, none))
      installed =
          installed || fs::exists(version.path() / "tessdata" / (language + ".traineddata"));
    if (!installed)
      return fail(ErrorKind::kUnavailable,
                  "the eye has no model to read '{}' with; install the Debian package "
                  "tesseract-ocr-{}",
                  language, replace_all(language, "_", "-"));
  }
  return {};
}

bool in_latin_letters(std::string_view languages) {
  return std::ranges::none_of(split(languages, '+'), [](const std::string& language) {
    return std::ranges::find(kOtherLetters, language.substr(0, 3)) != std::end(kOtherLetters) ||
           language.ends_with("_cyrl");
  });
}

Result<std::unique_ptr<Eye>> Eye::make(const std::string& languages) {
  LATHE_TRY_STATUS(check_languages(languages));
  setMsgSeverity(L_SEVERITY_NONE);
  auto reader = std::make_unique<Reader>();
  if (reader->tesseract.Init(nullptr, languages.c_str(), tesseract::OEM_LSTM_ONLY) != 0)
    return fail(ErrorKind::kUnavailable, "the eye cannot load its models of '{}'", languages);
  reader->tesseract.SetPageSegMode(tesseract::PSM_SPARSE_TEXT);
  std::unique_ptr<Eye> eye(new Eye(std::move(reader)));
  // What it opens at the first picture only is opened now.
  Picture white = blank_picture(64, 64);
  LATHE_TRY(const Sight nothing, eye->look(white, {{"a"}, true}));
  return eye;
}

namespace {

void read_view(tesseract::TessBaseAPI& reader, const View& view, int pass, const Box& whole,
               std::vector<SeenWord>& words) {
  reader.SetImage(view.gray.v.data(), view.gray.width, view.gray.height, 1, view.gray.width);
  reader.SetSourceResolution(96);
  if (reader.Recognize(nullptr) != 0) return;
  const std::unique_ptr<tesseract::ResultIterator> it(reader.GetIterator());
  if (!it) return;
  int line = pass * 100'000;
  do {
    if (it->IsAtBeginningOf(tesseract::RIL_TEXTLINE)) ++line;
    const std::unique_ptr<char[]> text(it->GetUTF8Text(tesseract::RIL_WORD));
    int left = 0, top = 0, right = 0, bottom = 0;
    if (!text || !it->BoundingBox(tesseract::RIL_WORD, &left, &top, &right, &bottom)) continue;
    Box box{left, top, right - left, bottom - top};
    if (view.turn != 0) box = turned_back(box, view.gray, view.turn > 0);
    const auto back = [&](int v) { return static_cast<int>(std::lround(v * view.factor)); };
    box = common({back(box.x), back(box.y), back(box.w), back(box.h)}, whole);
    if (trim(text.get()).empty() || box.empty() || words.size() >= kMaxSeenWords) continue;
    words.push_back({clip_utf8(make_valid_utf8(trim(text.get())), 100),
                     it->Confidence(tesseract::RIL_WORD), box, line, pass});
  } while (it->Next(tesseract::RIL_WORD));
}

// The ways of looking, the likeliest to help first.
View view_of(const Picture& base, double factor, int pass) {
  const auto half = [&] { return scaled(base, base.width / 2, base.height / 2); };
  switch (pass) {
    case 0:
      return {gray_of(base, brightness), factor};
    case 1:
      return {gray_of(half(), brightness), factor * base.width / std::max(1, base.width / 2)};
    case 2:
      return {even_light(base, kWideBlock), factor};
    case 3:
      return {even_light(base, kNarrowBlock), factor};
    case 4:  // only what is as dark as ink
      return {gray_of(base,
                      [](auto* p) {
                        return std::min(255, 2 * std::max({p[0], p[1], p[2]}));
                      }),
              factor};
    case 5:  // only what is as bright as paper
      return {gray_of(base,
                      [](auto* p) {
                        return std::min(255, 2 * (255 - std::min({p[0], p[1], p[2]})));
                      }),
              factor};
    case 6:
      return {blurred(gray_of(base, brightness)), factor};
    case 7:
      return {gray_of(base, [](auto* p) { return p[0]; }), factor};
    case 8:
      return {gray_of(scaled(base, base.width * 2, base.height * 2), brightness), factor / 2};
    case 9:
      return {turned(gray_of(base, brightness), true), factor, 1};
    default:
      return {turned(gray_of(base, brightness), false), factor, -1};
  }
}

std::vector<SeenCode> codes_in(const Picture& picture) {
  const Gray gray = gray_of(picture, brightness);
  zbar::ImageScanner scanner;
  scanner.set_config(zbar::ZBAR_NONE, zbar::ZBAR_CFG_ENABLE, 0);
  scanner.set_config(zbar::ZBAR_QRCODE, zbar::ZBAR_CFG_ENABLE, 1);
  zbar::Image image(static_cast<unsigned>(gray.width), static_cast<unsigned>(gray.height), "Y800",
                    gray.v.data(), gray.v.size());
  std::vector<SeenCode> codes;
  if (scanner.scan(image) < 0) return codes;
  for (auto symbol = image.symbol_begin(); symbol != image.symbol_end(); ++symbol) {
    SeenCode code{clip_utf8(make_valid_utf8(symbol->get_data()), 2000), {}};
    for (int i = 0; i < symbol->get_location_size(); ++i)
      code.box = united(code.box, {symbol->get_location_x(static_cast<unsigned>(i)),
                                   symbol->get_location_y(static_cast<unsigned>(i)), 1, 1});
    codes.push_back(std::move(code));
  }
  return codes;
}

}  // namespace

Result<Sight> Eye::look(const Picture& picture, const LookFor& wanted) {
  if (picture.width < 1 || picture.height < 1) return invalid("a picture without pixels");
  Sight sight;
  if (wanted.codes) sight.codes = codes_in(picture);
  Picture base = fitted(picture, kLongSide);
  const int longest = std::max(base.width, base.height);
  if (longest < kShortSide && longest > 0) {
    const int times = std::min(4, kShortSide / longest + 1);
    base = scaled(base, base.width * times, base.height * times);
  }
  const double factor = static_cast<double>(picture.width) / base.width;
  std::vector<bool> missing(wanted.words.size(), true);
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    if (pass == 8 && std::max(base.width, base.height) > 1000) continue;
    const View view = view_of(base, factor, pass);
    if (pass > 0 && is_noise(view.gray)) continue;
    std::vector<SeenWord> words;
    read_view(reader_->tesseract, view, pass, picture.box(), words);
    ++sight.passes;
    const auto boxes = tick_off(wanted.words, words);
    for (std::size_t i = 0; i < boxes.size(); ++i)
      if (boxes[i]) missing[i] = false;
    for (SeenWord& word : words)
      if (sight.words.size() < kMaxSeenWords) sight.words.push_back(std::move(word));
    if (std::ranges::find(missing, true) == missing.end()) break;
  }
  reader_->tesseract.Clear();
  return sight;
}

}  // namespace lathe::loop
