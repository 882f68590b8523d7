// From what ffmpeg, eyes and ears tell of a clip to faults with a time. Pure: the thresholds and
// the arithmetic of the clip judge, without its processes.
#pragma once

#include "loop/senses/film.h"
#include "loop/senses/script_scene.h"

namespace lathe::loop {

struct ClipLimits {
  FilmLimits film;
  double reading = kReadingSpeed;          // characters a second; 0: any
  double longer = 1.5;                     // seconds that a scene may go on after its line
  double lufs_low = -26, lufs_high = -12;  // of the whole sound
  bool captions = true;                    // there must be some
};

// One scene of the clip: what the script says of it (empty where there is none), and what it shows
// and says.
struct ClipScene {
  ScriptScene script;
  Stretch at;
  std::vector<std::string> shown;           // what is to be read in it
  double speech_start = 0, speech_end = 0;  // in the clip; equal: nothing is said
  bool spoken() const { return speech_end > speech_start; }
};

// The part of a sound, and where in it the scene is spoken.
Sound sound_part(const Sound& sound, const Stretch& at);
void find_speech(ClipScene& scene, const Sound& sound);

// "scene 2 @ 3.20-5.00 s"; without the scene where there is only one.
std::string clip_place(std::size_t scene, std::size_t scenes, const Stretch& at);
// A fault of the kind, with fingerprint "clip:KIND:SCENE".
Critique clip_fault(std::string_view kind, std::size_t scene, std::string place, std::string claim,
                    std::string evidence);

// The film as a film: damage, length of sound and picture, loudness.
std::vector<Critique> film_faults(const FilmProbe& probe, const FilmSight& sight, double lufs,
                                  const ClipLimits& limits);
// Scene `index` of them: black, frozen and silent stretches, time to read, time after its line,
// captions.
std::vector<Critique> scene_faults(const std::vector<ClipScene>& scenes, std::size_t index,
                                   const FilmSight& sight, const ClipLimits& limits);

// The captions whose middle lies in the stretch.
std::vector<Caption> captions_in(const std::vector<Caption>& captions, const Stretch& at);
std::string caption_text(const std::vector<Caption>& captions);

// The scenes of a clip: its chapters, else what lies between its cuts; all of it where only one is
// wanted. nullopt: they are not as many as the script's.
std::optional<std::vector<Stretch>> scene_stretches(std::size_t wanted, double seconds,
                                                    const std::vector<Stretch>& chapters,
                                                    const std::vector<double>& cuts);

}  // namespace lathe::loop
