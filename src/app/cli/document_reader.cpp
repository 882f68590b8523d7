// Documents of all kinds, the words of pages that are pictures, and pictures of films.
#include "app/cli/document_reader.h"

#include "loop/senses/film.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kLookLimit{120'000};
constexpr Milliseconds kFilmLimit{120'000};
// What a model is shown of a film: more pictures would fill a context, larger ones no model takes.
constexpr int kMostShown = 16, kMostShownSide = 1024;
constexpr double kLeastConfidence = 30;  // of 100: below it specks are taken for letters

// The words of a page, line by line.
Result<std::string> words_of(loop::MediaPool& media, const std::string& png,
                             const std::string& languages, const StopFlag& stop) {
  LATHE_TRY(const auto opened, media.open_picture(png, kLookLimit, stop));
  LATHE_TRY(const loop::Sight sight,
            media.look(opened.picture, {.words = {}, .codes = false, .languages = languages},
                       kLookLimit, stop));
  std::string text;
  int line = -1;
  for (const loop::SeenWord& word : sight.words) {
    if (word.pass != 0 || word.confidence < kLeastConfidence) continue;
    if (!text.empty()) text += word.line == line ? ' ' : '\n';
    text += word.text;
    line = word.line;
  }
  return text;
}

// With a line before each page that says which it is.
std::string with_page_marks(const DocumentText& document) {
  std::string text;
  std::size_t from = 0;
  for (std::size_t i = 0; i < document.pages.size(); ++i) {
    text +=
        document.text.substr(from, document.pages[i] - from) + fmt::format("[page {}]\n", i + 1);
    from = document.pages[i];
  }
  return text + document.text.substr(from);
}

}  // namespace

std::string quoted_document(std::string_view name, const DocumentText& document) {
  std::string text = with_page_marks(document);
  if (!text.ends_with('\n')) text += '\n';
  std::string fence = "```";
  while (text.find(fence) != text.npos) fence += '`';
  return fmt::format("{}\n{}\n{}{}\n", name, fence, text, fence);
}

Result<Content> shown_film(const App& app, std::string_view name, const std::string& bytes,
                           const StopFlag& stop) {
  loop::Place place;
  place.program = app.program;
  LATHE_TRY(const loop::Film film, loop::Film::open(bytes, place, kFilmLimit, stop));
  const double seconds = film.probe().picture_seconds;
  std::vector<double> times = loop::sample_times(seconds, kMostShown);
  LATHE_TRY(std::vector<std::string> frames, film.frames(times, kMostShownSide, kFilmLimit, stop));
  if (frames.empty()) return invalid("none of its pictures could be decoded");
  // A film that breaks off has fewer than its length says; a slow one perhaps no last one.
  std::string text =
      fmt::format("{}: a film of {:.1f} seconds, as {} of its pictures, each behind its time", name,
                  seconds, frames.size());
  if (const std::size_t missing = times.size() - frames.size(); missing > 0)
    text += fmt::format("; {} more were not found in it", missing);
  if (film.probe().sound >= 0) text += "; its sound is left out";
  Content content(std::move(text));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    auto picture = Media::of_file(std::move(frames[i]));
    if (!picture) return invalid("its picture at {:.1f} seconds could not be decoded", times[i]);
    content.add(fmt::format("<{:.1f} seconds>", times[i])).add(*std::move(picture));
  }
  return content;
}

Result<PeoplesReader> PeoplesReader::make(const App& app, std::string languages) {
  if (auto known = loop::check_languages(languages); !known)
    return at("languages of scanned pages", known.error());
  return PeoplesReader(std::make_shared<loop::MediaPool>(app.program, 1), std::move(languages));
}

void add_languages_flag(CLI::App& command, std::string& languages) {
  command
      .add_option("--languages", languages,
                  "What scanned pages are written in, as Tesseract names it: \"deu+eng\"")
      ->capture_default_str();
}

std::string PeoplesReader::way(std::string_view path) const {
  const std::string_view kind = document_kind(path);
  if (kind.empty()) return TextReader::way(path);
  // A scan that was read in one language is another text in another.
  return kind == "pdf" && languages_ != kLanguages ? fmt::format("{} {}", kind, languages_)
                                                   : std::string(kind);
}

Result<DocumentText> PeoplesReader::read(std::string_view path, const std::string& bytes,
                                         const StopFlag& stop) const {
  const std::string_view kind = document_kind(path);
  if (kind.empty()) return TextReader::read(path, bytes, stop);
  return read_document(
      kind, bytes, [&](const std::string& png) { return words_of(*media_, png, languages_, stop); },
      stop);
}

}  // namespace lathe::app
