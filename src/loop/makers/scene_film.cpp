// Scenes as films.
#include "loop/makers/scene_film.h"

#include <cmath>

#include "ground/base/text.h"
#include "loop/senses/box_text.h"
#include "loop/senses/film.h"
#include "loop/senses/media_pool.h"
#include "loop/senses/page.h"
#include "loop/senses/signal_facts.h"

namespace lathe::loop {
namespace {

constexpr double kTail = 0.35;     // seconds that a scene goes on after its line
constexpr double kMostScene = 20;  // seconds: in a longer one the bar all but stands still
constexpr double kRead = 1.1;      // more time than reading takes, for the eye to find the text
constexpr double kSlowest = 0.4;   // of the usual reading speed
constexpr std::size_t kCaptionLength = 84;  // two lines of 42 letters

Result<std::string> drawn_page(const std::string& html, const Box& size,
                               const MakeContext& context) {
  PageWanted wanted;
  wanted.widths = {size.w};
  wanted.height = size.h;
  LATHE_TRY(const PageSight sight,
            view_page(html, wanted, context.place, context.time_limit, context.stop));
  if (sight.views.empty()) return invalid("the scene's page shows nothing");
  const auto pool = media_pool(context.place.media, context.place.program);
  LATHE_TRY(const OpenedPicture opened,
            pool->open_picture(sight.views.front().png, context.time_limit, context.stop));
  const Picture& shot = opened.picture;
  const Picture page = scaled(shot, size.w, std::max(size.h, shot.height * size.w / shot.width));
  return png_bytes(cut_out(page, {0, 0, size.w, size.h}));
}

// The line in pieces that are read at a glance, each for its share of the time.
std::vector<Caption> captions_for(const std::string& line, double start, double end) {
  std::vector<std::string> pieces;
  for (const std::string& word : split(line, ' ')) {
    if (word.empty()) continue;
    if (pieces.empty() || pieces.back().size() + 1 + word.size() > kCaptionLength)
      pieces.push_back(word);
    else
      pieces.back() += " " + word;
  }
  double letters = 0, before = 0;
  for (const std::string& piece : pieces) letters += static_cast<double>(piece.size());
  std::vector<Caption> captions;
  for (const std::string& piece : pieces) {
    const double from = start + (end - start) * before / letters;
    before += static_cast<double>(piece.size());
    captions.push_back({from, start + (end - start) * before / letters, piece});
  }
  return captions;
}

}  // namespace

Result<Box> scene_size(const Json& options) {
  const std::string text = option_string(options, "size");
  const auto size = parse_box("box 0,0 " + text);
  const bool fine = size && size->w >= 320 && size->h >= 180 && size->w <= 1920 &&
                    size->h <= 1920 && size->w % 2 == 0 && size->h % 2 == 0;
  if (fine) return *size;
  return invalid("size = \"{}\" must be like \"1280x720\": even, 320x180 to 1920x1920",
                 clip_utf8(text, 40));
}

std::string_view scene_fault(const Critique& critique) {
  const std::string_view print = critique.fingerprint;
  if (!print.starts_with("eyes:") && !print.starts_with("clip:")) return {};
  return print.substr(0, print.find(':', 5));
}

double slower_pace(double before) {
  return before == 0 ? 1 : before * 0.75;
}

bool bearable_pace(double pace) {
  return pace == 0 || pace >= kSlowest;
}

Result<Made> film_made(const SceneFilm& film, SpokenLine spoken, const MakeContext& context) {
  double seconds = spoken.sound.seconds() + kTail;
  if (film.pace > 0)
    seconds = std::max(seconds, kRead * static_cast<double>(reading_length(film.scene.phrases())) /
                                    (kReadingSpeed * film.pace));
  seconds = std::ceil(seconds * kFrameRate) / kFrameRate;
  if (seconds > kMostScene)
    return invalid("the scene '{}' is {:.1f} s long, of {:.0f} at most: split it",
                   clip_utf8(film.scene.heading, 80), seconds, kMostScene);
  if (context.progress) context.progress("drawing and encoding");
  ScenePicture picture;
  LATHE_TRY(picture.png, drawn_page(film.page, film.size, context));
  picture.width = film.size.w;
  picture.height = film.size.h;
  picture.bar = film.bar;
  picture.seconds = seconds;
  if (film.keeps_source) picture.source = film.page;
  const SignalFacts speech = signal_facts(spoken.sound);
  Made made;
  LATHE_TRY(made.bytes,
            film_of(picture, spoken.sound,
                    captions_for(film.scene.line, speech.speech_start, speech.speech_end),
                    context.place, context.time_limit, context.stop));
  made.media_type = kFilmMediaType;
  made.extension = "mp4";
  made.facts = std::move(spoken.facts);
  made.facts["seconds"] = seconds;
  return made;
}

}  // namespace lathe::loop
