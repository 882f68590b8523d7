// Films: foreign ones read and own ones made, by ffmpeg in the sandbox, within limits. What comes
// back of a foreign film is as foreign as the film: its frames and its sound are opened by the
// media pool's confined processes. Any thread.
#pragma once

#include <string>
#include <vector>

#include "ground/base/units.h"
#include "ground/media/sound.h"
#include "loop/terms/terms.h"

namespace lathe::loop {

inline constexpr std::string_view kFilmMediaType = "video/mp4";
inline constexpr std::size_t kMaxFilmFile = std::size_t{256} << 20;
inline constexpr double kMaxFilmSeconds = 600;
inline constexpr std::size_t kMaxFrames = 192;  // looked at in one film

// Where a film of so many seconds is looked at: one time a second, as far as `most` go, each in the
// middle of its stretch.
std::vector<double> sample_times(double seconds, int most);

struct Stretch {
  double start = 0, end = 0;
  double seconds() const { return end - start; }
};
Stretch common(const Stretch& a, const Stretch& b);  // empty where they do not meet

struct Caption {
  double start = 0, end = 0;
  std::string text;
};

struct FilmProbe {
  int picture = -1, sound = -1, captions = -1;  // indices of streams; -1: there is none
  bool text_captions = false;                   // else they are pictures
  double picture_seconds = 0, sound_seconds = 0;
  int width = 0, height = 0;
  std::vector<Stretch> chapters;
  std::string source;  // of the picture, where film_of() was given one; foreign bytes
};

// Shortest stretches that count, in seconds; 0: any length is welcome, and none is looked for.
struct FilmLimits {
  double black = 0.5, frozen = 2, silent = 1.5;
};

struct FilmSight {
  std::vector<std::string> frames;  // PNG, of the times asked for
  std::string wav;                  // 16 kHz, mono
  std::vector<Caption> captions;
  std::vector<Stretch> black, frozen, silent;
  double picture_end = 0, sound_end = 0;  // of what could be decoded
  std::string damage;                     // what ffmpeg said of the file while it read it
};

// A foreign film in a directory of its own.
class Film {
 public:
  // kInvalid: it is none, or larger or longer than a film may be. kUnavailable: no ffmpeg, or no
  // sandbox.
  static Result<Film> open(std::string_view bytes, const Place& place, Milliseconds limit,
                           const StopFlag& stop);
  const FilmProbe& probe() const { return probe_; }
  // Where the picture changes from one frame to the next.
  Result<std::vector<double>> cuts(Milliseconds limit, const StopFlag& stop) const;
  // PNG of the times asked for (as in look()), none wider or higher than `most` pixels.
  Result<std::vector<std::string>> frames(const std::vector<double>& times, int most,
                                          Milliseconds limit, const StopFlag& stop) const;
  // `times`: ascending, at least a tenth of a second apart, at most kMaxFrames.
  Result<FilmSight> look(const std::vector<double>& times, const FilmLimits& limits,
                         Milliseconds limit, const StopFlag& stop) const;

 private:
  Film(TempDir directory, bool unsafe) : directory_(std::move(directory)), unsafe_(unsafe) {}
  TempDir directory_;
  bool unsafe_;
  FilmProbe probe_;
};

// One scene: a picture that stands while a bar at its bottom moves on, so that a film of such
// scenes never stands still.
struct ScenePicture {
  std::string png;
  int width = 0, height = 0;  // even
  std::string bar;            // its colour, "#rrggbb"
  double seconds = 0;
  std::string source = {};  // what the picture was drawn from; goes with the film, as its comment
};
inline constexpr int kFrameRate = 25;
// MP4; the same scene gives the same bytes. There is at least one caption.
Result<std::string> film_of(const ScenePicture& picture, const Sound& sound,
                            const std::vector<Caption>& captions, const Place& place,
                            Milliseconds limit, const StopFlag& stop);

struct ScenePart {
  std::string film;   // as film_of() makes it
  std::string title;  // of its chapter
};
struct JoinedFilm {
  std::string mp4;  // a chapter a scene
  std::string srt;  // its captions
};
Result<JoinedFilm> joined_film(const std::vector<ScenePart>& parts, const Place& place,
                               Milliseconds limit, const StopFlag& stop);

std::string srt_of(const std::vector<Caption>& captions);
// Of any bytes; cues that are none are left out.
std::vector<Caption> captions_of_srt(std::string_view srt);

}  // namespace lathe::loop
