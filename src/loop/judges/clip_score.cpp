// The rules of the clip judge.
#include "loop/judges/clip_score.h"

#include <cmath>

#include "ground/base/text.h"
#include "loop/senses/signal_facts.h"
#include "loop/senses/spoken.h"

namespace lathe::loop {
namespace {

constexpr double kLengthsApart = 0.25;  // seconds that sound and picture may differ by
constexpr double kLost = 0.5;           // seconds of the declared length that may not be decoded
constexpr double kCaptionEarly = 0.5, kCaptionLate = 1.0;  // beside the speech
constexpr double kEdge = 0.1;      // seconds: captions and cuts are not exact
constexpr double kShortest = 0.2;  // a scene between cuts is at least so long

std::string range_text(const Stretch& at) {
  return fmt::format("{:.2f}-{:.2f} s", at.start, at.end);
}

// What a scene needs for its text to be read.
double reading_seconds(const ClipScene& scene, const ClipLimits& limits) {
  return limits.reading > 0 ? static_cast<double>(reading_length(scene.shown)) / limits.reading : 0;
}

void stretch_faults(const std::vector<ClipScene>& scenes, std::size_t index,
                    const std::vector<Stretch>& stretches, std::string_view kind,
                    std::string_view claim, double least, std::vector<Critique>& faults) {
  for (const Stretch& stretch : stretches) {
    const Stretch in = common(stretch, scenes[index].at);
    // A stretch over two scenes counts where most of it lies, and where it is long by itself.
    if (in.seconds() < std::min(least, stretch.seconds() / 2) || in.seconds() <= 0) continue;
    faults.push_back(clip_fault(kind, index, clip_place(index, scenes.size(), in),
                                std::string(claim),
                                fmt::format("{:.2f} s, of {:.2f} s at most", in.seconds(), least)));
  }
}

void silence_faults(const std::vector<ClipScene>& scenes, std::size_t index, const FilmSight& sight,
                    const ClipLimits& limits, std::vector<Critique>& faults) {
  const ClipScene& scene = scenes[index];
  // Captions tell of a line that breaks off. What is silent after it is a matter of the scene's
  // length.
  const std::vector<Caption> captions = captions_in(sight.captions, scene.at);
  const double line_end =
      captions.empty() ? scene.speech_end : std::max(scene.speech_end, captions.back().end);
  std::vector<Stretch> inside;
  for (const Stretch& silent : sight.silent) {
    Stretch in = common(silent, scene.at);
    if (scene.spoken() && silent.start >= scene.speech_end - kEdge)
      in.end = std::min(in.end, line_end);
    if (in.seconds() >= limits.film.silent - kEdge) inside.push_back(in);
  }
  stretch_faults(scenes, index, inside, "silent", "nothing is heard: the narration is missing here",
                 limits.film.silent - kEdge, faults);
}

void length_faults(const std::vector<ClipScene>& scenes, std::size_t index,
                   const ClipLimits& limits, bool silenced, std::vector<Critique>& faults) {
  const ClipScene& scene = scenes[index];
  const std::string place = clip_place(index, scenes.size(), scene.at);
  const double shown = scene.at.seconds(), needed = reading_seconds(scene, limits);
  if (shown < needed)
    faults.push_back(clip_fault("reading", index, place,
                                "its text is shown too short to be read: hold the scene longer",
                                fmt::format("{} characters in {:.1f} s, {:.1f} s are needed",
                                            reading_length(scene.shown), shown, needed)));
  const double line = scene.speech_end - scene.at.start;
  const double most = std::max(line, 1.25 * needed) + limits.longer;
  if (scene.spoken() && !silenced && limits.longer > 0 && shown > most + kEdge)
    faults.push_back(clip_fault("longer", index,
                                clip_place(index, scenes.size(), {scene.speech_end, scene.at.end}),
                                "the scene goes on after its line: end it",
                                fmt::format("{:.1f} s after the line, in all {:.1f} s of {:.1f} s",
                                            scene.at.end - scene.speech_end, shown, most)));
}

void caption_faults(const std::vector<ClipScene>& scenes, std::size_t index, const FilmSight& sight,
                    const ClipLimits& limits, bool silenced, std::vector<Critique>& faults) {
  const ClipScene& scene = scenes[index];
  const std::vector<Caption> captions = captions_in(sight.captions, scene.at);
  const auto fault = [&](std::string_view kind, const Stretch& at, std::string claim,
                         std::string evidence) {
    faults.push_back(clip_fault(kind, index, clip_place(index, scenes.size(), at), std::move(claim),
                                std::move(evidence)));
  };
  if (captions.empty()) {
    if (limits.captions && (scene.spoken() || !scene.script.line.empty()))
      fault("caption_missing", scene.at, "what is said has no caption", "");
    return;
  }
  const Stretch span{captions.front().start, captions.back().end};
  const std::string text = caption_text(captions);
  if (!scene.script.line.empty() &&
      words_of(spoken_text(text)) != words_of(spoken_text(scene.script.line)))
    fault("caption_text", span, "the captions say something else than the line",
          fmt::format("'{}' for '{}'", clip_utf8(text, 200), clip_utf8(scene.script.line, 200)));
  if (span.start < scene.at.start - kEdge || span.end > scene.at.end + kEdge)
    fault("caption_time", span, "the captions do not lie within their scene",
          fmt::format("the scene is {}", range_text(scene.at)));
  else if (scene.spoken() && !silenced &&
           (std::abs(span.start - scene.speech_start) > kCaptionEarly ||
            span.end < scene.speech_end - kCaptionEarly ||
            span.end > scene.speech_end + kCaptionLate))
    fault("caption_time", span, "the captions are not there while their line is said",
          fmt::format("it is said {}", range_text({scene.speech_start, scene.speech_end})));
}

}  // namespace

Sound sound_part(const Sound& sound, const Stretch& at) {
  const auto sample = [&](double seconds) {
    return std::min(sound.samples.size(),
                    static_cast<std::size_t>(std::max(0.0, seconds) * kSoundRate));
  };
  const std::size_t from = sample(at.start), to = std::max(from, sample(at.end));
  Sound part;
  part.samples.assign(sound.samples.begin() + static_cast<std::ptrdiff_t>(from),
                      sound.samples.begin() + static_cast<std::ptrdiff_t>(to));
  return part;
}

void find_speech(ClipScene& scene, const Sound& sound) {
  const SignalFacts facts = signal_facts(sound_part(sound, scene.at));
  if (facts.silent) return;
  scene.speech_start = scene.at.start + facts.speech_start;
  scene.speech_end = scene.at.start + facts.speech_end;
}

std::string clip_place(std::size_t scene, std::size_t scenes, const Stretch& at) {
  const std::string time = "@ " + range_text(at);
  return scenes > 1 ? fmt::format("scene {} {}", scene + 1, time) : time;
}

Critique clip_fault(std::string_view kind, std::size_t scene, std::string place, std::string claim,
                    std::string evidence) {
  Critique fault;
  fault.locus = std::move(place);
  fault.severity = "must";
  fault.claim = std::move(claim);
  fault.evidence = std::move(evidence);
  fault.fingerprint = fmt::format("clip:{}:{}", kind, scene + 1);
  return fault;
}

std::vector<Critique> film_faults(const FilmProbe& probe, const FilmSight& sight, double lufs,
                                  const ClipLimits& limits) {
  std::vector<Critique> faults;
  const auto fault = [&](std::string_view kind, std::string place, std::string claim,
                         std::string evidence) {
    faults.push_back(clip_fault(kind, 0, std::move(place), std::move(claim), std::move(evidence)));
  };
  const bool cut = sight.picture_end < probe.picture_seconds - kLost ||
                   (probe.sound >= 0 && sight.sound_end < probe.sound_seconds - kLost);
  if (!sight.damage.empty() || cut)
    fault("damaged", fmt::format("@ {:.2f} s", std::min(sight.picture_end, probe.picture_seconds)),
          "the file is damaged or cut off",
          !sight.damage.empty() ? "ffmpeg: " + sight.damage
                                : fmt::format("{:.2f} s of {:.2f} s can be played",
                                              sight.picture_end, probe.picture_seconds));
  if (probe.sound < 0) {
    fault("no_sound", "", "the clip has no sound", "");
    return faults;
  }
  if (!cut && std::abs(sight.picture_end - sight.sound_end) > kLengthsApart)
    fault("lengths",
          fmt::format("@ {}", range_text({std::min(sight.picture_end, sight.sound_end),
                                          std::max(sight.picture_end, sight.sound_end)})),
          "sound and picture are not equally long",
          fmt::format("picture {:.2f} s, sound {:.2f} s", sight.picture_end, sight.sound_end));
  if (lufs < limits.lufs_low || lufs > limits.lufs_high)
    fault("loudness", "", "the loudness is outside its limits",
          fmt::format("{:.1f} LUFS, wanted {} to {}", lufs, limits.lufs_low, limits.lufs_high));
  return faults;
}

std::vector<Critique> scene_faults(const std::vector<ClipScene>& scenes, std::size_t index,
                                   const FilmSight& sight, const ClipLimits& limits) {
  std::vector<Critique> faults;
  stretch_faults(scenes, index, sight.black, "black", "the picture is black", limits.film.black,
                 faults);
  // What is black stands still too.
  std::vector<Stretch> frozen = sight.frozen;
  std::erase_if(frozen, [&](const Stretch& still) {
    return std::ranges::any_of(sight.black, [&](const Stretch& black) {
      return 2 * common(still, black).seconds() > still.seconds();
    });
  });
  stretch_faults(scenes, index, frozen, "frozen", "the picture stands still", limits.film.frozen,
                 faults);
  // Where a part of the line is silent, nothing tells when it begins and ends.
  const std::size_t before = faults.size();
  if (limits.film.silent > 0) silence_faults(scenes, index, sight, limits, faults);
  const bool silenced = faults.size() > before;
  length_faults(scenes, index, limits, silenced, faults);
  caption_faults(scenes, index, sight, limits, silenced, faults);
  return faults;
}

std::vector<Caption> captions_in(const std::vector<Caption>& captions, const Stretch& at) {
  std::vector<Caption> in;
  for (const Caption& caption : captions)
    if (const double middle = (caption.start + caption.end) / 2;
        middle >= at.start && middle < at.end)
      in.push_back(caption);
  return in;
}

std::string caption_text(const std::vector<Caption>& captions) {
  std::string text;
  for (const Caption& caption : captions) text += (text.empty() ? "" : " ") + caption.text;
  return text;
}

std::optional<std::vector<Stretch>> scene_stretches(std::size_t wanted, double seconds,
                                                    const std::vector<Stretch>& chapters,
                                                    const std::vector<double>& cuts) {
  if (wanted == 1) return std::vector<Stretch>{{0, seconds}};
  std::vector<Stretch> scenes = chapters;
  if (scenes.empty()) {
    double from = 0;
    for (const double cut : cuts)
      if (cut > from + kShortest && cut < seconds - kShortest) {
        scenes.push_back({from, cut});
        from = cut;
      }
    scenes.push_back({from, seconds});
  }
  scenes.back().end = std::min(scenes.back().end, seconds);
  if (wanted > 0 && scenes.size() != wanted) return std::nullopt;
  return scenes;
}

}  // namespace lathe::loop
