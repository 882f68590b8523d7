// The judge of clips: ffmpeg's detectors, the eyes on frames of each scene, the ears on its sound,
// their notes as one list of faults with times.
#include "loop/judges/clip.h"

#include <cmath>
#include <set>

#include "ground/base/text.h"
#include "loop/judges/ears.h"
#include "loop/judges/eyes.h"
#include "loop/senses/spoken.h"
#include "loop/senses/word_fault.h"

namespace lathe::loop {
namespace {

constexpr double kFirstFrame = 0.12, kLastFrame = 0.2;  // seconds within a scene's ends
constexpr double kShortScene = 0.6;                     // seconds: one frame of it is enough
constexpr std::size_t kMostViews = 6;
constexpr double kSureReading = 80;  // the eye's confidence

constexpr OptionSpec kClipOptions[] = {
    {"script",
     OptionType::kString,
     {},
     "a file with the scenes (\"# Heading\", \"- point\", the line; blank lines part them); "
     "default: the units' texts. Without any, words are checked against the captions only"},
    {"min_text", OptionType::kNumber, "2", "height of a word, in % of the picture's"},
    {"contrast", OptionType::kNumber, "4.5",
     "WCAG ratio of letters and background; large letters need two thirds of it; 0: any"},
    {"also", OptionType::kStrings, "[]", "words that may be shown besides the script's"},
    {"reading", OptionType::kNumber, "17",
     "characters a second that people can read; 0: text may be shown for any time"},
    {"longer", OptionType::kNumber, "1.5",
     "seconds that a scene may go on after its line, and after its text could be read; 0: any"},
    {"black", OptionType::kNumber, "0.5", "seconds from which a black picture counts; 0: never"},
    {"frozen", OptionType::kNumber, "2", "seconds from which a still picture counts; 0: never"},
    {"silent", OptionType::kNumber, "1.5", "seconds from which silence counts; 0: never"},
    {"lufs_low", OptionType::kNumber, "-26", "the loudness of all of it, at least"},
    {"lufs_high", OptionType::kNumber, "-12", "and at most"},
    {"captions", OptionType::kBool, "true", "what is said must have captions"},
    {"pronounce", OptionType::kTable, "{}",
     "word = \"phones\": how it may be said besides the dictionary", true},
};

ClipLimits clip_limits(const Json& options) {
  ClipLimits limits;
  limits.film.black = option_number(options, "black");
  limits.film.frozen = option_number(options, "frozen");
  limits.film.silent = option_number(options, "silent");
  limits.reading = option_number(options, "reading");
  limits.longer = option_number(options, "longer");
  limits.lufs_low = option_number(options, "lufs_low");
  limits.lufs_high = option_number(options, "lufs_high");
  limits.captions = option_bool(options, "captions");
  return limits;
}

Result<Json> ears_options(const Json& options, const std::string& line) {
  auto made = check_options({{"expect", line}, {"pronounce", json_at(options, "pronounce")}},
                            kEarsJudge.options);
  if (!made) return invalid("{}: {}", made.error().key, made.error().message);
  if (kEarsJudge.check) LATHE_TRY_STATUS(kEarsJudge.check(*made));
  return *std::move(made);
}

Status check_clip(const Json& options) {
  for (const char* key : {"min_text", "contrast", "reading", "longer", "black", "frozen", "silent"})
    if (const double value = option_number(options, key); !(value >= 0 && value <= 600))
      return invalid("{} must lie between 0 and 600", key);
  if (!(option_number(options, "lufs_low") <= option_number(options, "lufs_high")))
    return invalid("lufs_low must not be above lufs_high");
  LATHE_TRY_STATUS(ears_options(options, "a line"));
  return {};
}

// The script's scenes that this clip should have; none where nobody says.
Result<std::vector<ScriptScene>> scripted_scenes(const JudgeTask& task,
                                                 const JudgeContext& context) {
  if (const std::string name = option_string(task.options, "script"); !name.empty()) {
    LATHE_TRY(const std::string text, read_file(context.place.recipe_dir / name, 1 << 20));
    std::vector<ScriptScene> scenes = script_scenes(make_valid_utf8(text));
    if (scenes.empty()) return invalid("{}: there is no scene in it", name);
    if (3 * scenes.size() > kMaxFrames)
      return invalid("{}: {} scenes, of {} at most", name, scenes.size(), kMaxFrames / 3);
    return scenes;
  }
  std::vector<ScriptScene> scenes;
  for (const Unit& unit : task.units)
    if (ScriptScene scene = script_scene(unit.text); !scene.empty())
      scenes.push_back(std::move(scene));
  return scenes;
}

// The lines that may be said in the run: the ear is prepared for all of them at once.
std::vector<Unit> spoken_units(const std::vector<ScriptScene>& script,
                               std::span<const Unit> all_units) {
  std::vector<Unit> lines;
  const auto add = [&](const std::string& line) {
    Unit unit;
    unit.key = fmt::format("L{}", lines.size() + 1);
    unit.text = line;
    if (!line.empty()) lines.push_back(std::move(unit));
  };
  for (const Unit& unit : all_units) add(script_scene(unit.text).line);
  if (lines.empty())
    for (const ScriptScene& scene : script) add(scene.line);
  return lines;
}

std::vector<double> times_of(const Stretch& scene) {
  if (scene.seconds() < kShortScene) return {(scene.start + scene.end) / 2};
  return {scene.start + kFirstFrame, (scene.start + scene.end) / 2, scene.end - kLastFrame};
}

// One look at a clip: what is found is gathered scene by scene.
class ClipLook {
 public:
  ClipLook(const JudgeTask& task, const JudgeContext& context)
      : task_(task),
        context_(context),
        pool_(media_pool(context.place.media, context.place.program)),
        limits_(clip_limits(task.options)) {}

  Result<Judgement> judge() {
    LATHE_TRY(const std::vector<ScriptScene> script, scripted_scenes(task_, context_));
    auto film = Film::open(task_.bytes, context_.place, context_.time_limit, context_.stop);
    if (!film && film.error().kind == ErrorKind::kInvalid) return unreadable(film.error().message);
    if (!film) return std::unexpected(film.error());
    LATHE_TRY_STATUS(lay_out(*film, script));
    lines_ = spoken_units(script, task_.all_units);
    if (scenes_.empty()) return concluded();
    std::vector<double> times;
    for (const ClipScene& scene : scenes_)
      for (const double at : times_of(scene.at)) times.push_back(at);
    auto sight = film->look(times, limits_.film, context_.time_limit, context_.stop);
    if (!sight && sight.error().kind == ErrorKind::kInvalid)
      return unreadable(sight.error().message);
    if (!sight) return std::unexpected(sight.error());
    sight_ = *std::move(sight);
    LATHE_TRY_STATUS(hear_levels(film->probe()));
    std::size_t frame = 0;
    for (std::size_t i = 0; i < scenes_.size(); ++i) {
      if (context_.progress)
        context_.progress(fmt::format("scene {} of {}", i + 1, scenes_.size()));
      LATHE_TRY_STATUS(see(i, times, frame));
      frame += times_of(scenes_[i].at).size();
      std::ranges::move(scene_faults(scenes_, i, sight_, limits_), std::back_inserter(faults_));
      LATHE_TRY_STATUS(hear(i));
    }
    if (film->probe().captions >= 0 && !film->probe().text_captions)
      not_verified_.insert("captions that are pictures");
    return concluded();
  }

 private:
  Judgement unreadable(const std::string& why) {
    faults_.push_back(
        clip_fault("unreadable", 0, "", "the file cannot be read as a film: " + why, ""));
    return concluded();
  }

  // Where the scenes are.
  Status lay_out(const Film& film, const std::vector<ScriptScene>& script) {
    const FilmProbe& probe = film.probe();
    std::vector<double> cuts;
    if (script.size() != 1 && probe.chapters.empty()) {
      LATHE_TRY(cuts, film.cuts(context_.time_limit, context_.stop));
    }
    auto stretches = scene_stretches(script.size(), probe.picture_seconds, probe.chapters, cuts);
    if (!stretches) {
      faults_.push_back(
          clip_fault("scenes", 0, "", "the clip does not have the script's scenes",
                     fmt::format("{} in the script, {} by its {}", script.size(),
                                 probe.chapters.empty() ? cuts.size() + 1 : probe.chapters.size(),
                                 probe.chapters.empty() ? "cuts" : "chapters")));
      return {};
    }
    if (3 * stretches->size() > kMaxFrames) stretches->resize(kMaxFrames / 3);
    for (std::size_t i = 0; i < stretches->size(); ++i) {
      ClipScene scene;
      scene.at = (*stretches)[i];
      if (i < script.size()) scene.script = script[i];
      scene.shown = scene.script.phrases();
      scenes_.push_back(std::move(scene));
    }
    if (script.empty()) not_verified_.insert("that the words shown are right: there is no script");
    return {};
  }

  Status hear_levels(const FilmProbe& probe) {
    double lufs = 0;
    if (probe.sound >= 0) {
      LATHE_TRY(const Decoded decoded,
                pool_->decode(sight_.wav, context_.time_limit, context_.stop));
      sound_ = decoded.sound;
      lufs = loudness_of(sound_).lufs;
      evidence_["lufs"] = std::round(lufs * 10) / 10;
    }
    evidence_["film"] = {{"seconds", sight_.picture_end},
                         {"sound_seconds", sight_.sound_end},
                         {"width", probe.width},
                         {"height", probe.height},
                         {"captions", sight_.captions.size()}};
    std::ranges::move(film_faults(probe, sight_, lufs, limits_), std::back_inserter(faults_));
    for (ClipScene& scene : scenes_) find_speech(scene, sound_);
    return {};
  }

  // The eyes, on the scene's frames; the same fault in several of them counts once.
  Status see(std::size_t index, const std::vector<double>& times, std::size_t first) {
    ClipScene& scene = scenes_[index];
    std::set<std::string> found;
    for (std::size_t i = first; i < first + times_of(scene.at).size(); ++i) {
      if (i >= sight_.frames.size()) {
        faults_.push_back(clip_fault("no_frame", index, clip_place(index, scenes_.size(), scene.at),
                                     "there is no picture at a time of the scene", ""));
        return {};
      }
      const bool black = std::ranges::any_of(sight_.black, [&](const Stretch& dark) {
        return times[i] >= dark.start && times[i] < dark.end;
      });
      if (black) continue;  // a fault of its own
      LATHE_TRY(const OpenedPicture opened,
                pool_->open_picture(sight_.frames[i], context_.time_limit, context_.stop));
      Wanted wanted;
      wanted.phrases = scene.script.phrases();
      wanted.also = option_strings(task_.options, "also");
      wanted.any_text = scene.script.empty();
      wanted.contrast = option_number(task_.options, "contrast");
      wanted.least_text = option_number(task_.options, "min_text") / 100 * opened.picture.height;
      LATHE_TRY(const Sight sight,
                pool_->look(opened.picture, {expected_words(wanted), false, wanted.languages},
                            context_.time_limit, context_.stop));
      if (scene.script.empty() && scene.shown.empty()) {
        for (const SeenWord& word : sight.words)
          if (word.pass == 0 && word.confidence >= kSureReading) scene.shown.push_back(word.text);
      }
      note_flaws(index, times[i], opened.picture, judge_sight(opened, sight, wanted), found);
    }
    return {};
  }

  void note_flaws(std::size_t index, double at, const Picture& picture, const Verdict& verdict,
                  std::set<std::string>& found) {
    std::vector<Box> boxes;
    for (const Flaw& flaw : verdict.flaws) {
      Critique fault = to_critique(flaw);
      if (!found.insert(fault.fingerprint).second) continue;
      fault.locus = clip_place(index, scenes_.size(), {at, at}) +
                    (fault.locus.empty() ? "" : ", " + fault.locus);
      boxes.push_back(flaw.box);
      faults_.push_back(std::move(fault));
    }
    unsure_.insert(verdict.unsure.begin(), verdict.unsure.end());
    if (!boxes.empty() && views_.size() < kMostViews)
      views_.push_back(
          view_json(fmt::format("scene {} at {:.2f} s", index + 1, at), picture, boxes));
  }

  // The ears, on the scene's sound: the script's line, else what its captions say.
  Status hear(std::size_t index) {
    const ClipScene& scene = scenes_[index];
    std::string line = scene.script.line;
    if (scene.script.empty()) line = caption_text(captions_in(sight_.captions, scene.at));
    if (!scene.spoken()) {
      const bool noted = std::ranges::any_of(faults_, [&](const Critique& fault) {
        return fault.fingerprint == fmt::format("clip:silent:{}", index + 1);
      });
      if (!line.empty() && !noted)
        faults_.push_back(clip_fault("silent", index, clip_place(index, scenes_.size(), scene.at),
                                     "nothing is heard: the narration is missing here", ""));
      return {};
    }
    if (words_of(spoken_text(line)).empty()) {
      not_verified_.insert("what is said: there is neither a script nor captions");
      return {};
    }
    LATHE_TRY(const Json options, ears_options(task_.options, line));
    const std::string wav = wav_bytes(sound_part(sound_, scene.at));
    JudgeTask take{options};
    take.bytes = wav;
    take.all_units = lines_;
    take.candidate = task_.candidate;
    LATHE_TRY(const Judgement heard, kEarsJudge.judge(take, context_));
    if (heard.outcome == Outcome::kError) unsure_.insert(why_not_judged(heard));
    for (const std::string& word : unverified_words(heard))
      not_verified_.insert(fmt::format("how '{}' is said", word));
    for (Json word : json_at(heard.evidence, "words")) {
      for (const char* key : {"start", "end"})
        word[key] = std::round(100 * (json_number(word, key, 0) + scene.at.start)) / 100;
      words_.push_back(std::move(word));
    }
    for (const Critique& critique : heard.critiques) note_heard(index, critique);
    return {};
  }

  // The fault at its time in the clip. A word keeps the form in which makers read it back.
  void note_heard(std::size_t index, Critique fault) {
    const double start = scenes_[index].at.start;
    if (auto word = parse_fault(fault.locus, fault.evidence)) {
      word->start += start;
      word->end += start;
      fault.locus = fault_locus(*word);
    } else {
      fault.locus = clip_place(index, scenes_.size(), scenes_[index].at);
    }
    if (scenes_.size() > 1) {
      fault.fingerprint += fmt::format(":{}", index + 1);
      if (!fault.locus.starts_with("scene "))
        fault.claim = fmt::format("scene {}: {}", index + 1, fault.claim);
    }
    faults_.push_back(std::move(fault));
  }

  Judgement concluded() {
    Judgement judgement;
    judgement.candidate = task_.candidate;
    const bool shows = !scenes_.empty() && !sight_.frames.empty();
    judgement.outcome = !faults_.empty()   ? Outcome::kFail
                        : !unsure_.empty() ? Outcome::kAbstain
                                           : Outcome::kPass;
    judgement.score = judgement.outcome == Outcome::kPass ? 1
                      : !shows                            ? 0
                               : 0.95 / (1 + 0.25 * static_cast<double>(faults_.size()));
    judgement.critiques = faults_;
    Json scenes = Json::array();
    for (const ClipScene& scene : scenes_)
      scenes.push_back({{"start", scene.at.start},
                        {"end", scene.at.end},
                        {"said", {scene.speech_start, scene.speech_end}},
                        {"shown", join(scene.shown, " | ")}});
    evidence_["scenes"] = std::move(scenes);
    if (!words_.empty()) evidence_["words"] = words_;
    if (!views_.empty()) evidence_["views"] = views_;
    if (!unsure_.empty()) evidence_["unsure"] = Json(unsure_);
    if (!not_verified_.empty())
      evidence_["caveat"] =
          "not verified: " +
          join(std::vector<std::string>(not_verified_.begin(), not_verified_.end()), "; ");
    judgement.evidence = std::move(evidence_);
    return judgement;
  }

  const JudgeTask& task_;
  const JudgeContext& context_;
  std::shared_ptr<MediaPool> pool_;
  ClipLimits limits_;
  std::vector<ClipScene> scenes_;
  std::vector<Unit> lines_;
  FilmSight sight_;
  Sound sound_;
  std::vector<Critique> faults_;
  std::set<std::string> unsure_, not_verified_;
  Json words_ = Json::array(), views_ = Json::array(), evidence_ = Json::object();
};

// The whole as people get it: joined, and judged as a film. What its scenes show and say has been
// judged scene by scene.
Result<Judgement> judge_joined(const JudgeTask& task, const JudgeContext& context) {
  std::vector<ScenePart> parts;
  std::vector<ClipScene> scenes;
  Judgement judgement;
  judgement.candidate = task.candidate;
  for (const Part& part : task.parts) {
    ClipScene& scene = scenes.emplace_back();
    scene.script = script_scene(part.unit.text);
    scene.shown = scene.script.phrases();
    if (part.bytes.empty() || part.media_type != kFilmMediaType)
      judgement.critiques.push_back(clip_fault("no_scene", scenes.size() - 1, part.unit.key,
                                               "the clip lacks this scene", ""));
    else
      parts.push_back({part.bytes, scene.script.heading});
  }
  if (judgement.critiques.empty()) {
    LATHE_TRY(const JoinedFilm joined,
              joined_film(parts, context.place, context.time_limit, context.stop));
    LATHE_TRY(const Film film,
              Film::open(joined.mp4, context.place, context.time_limit, context.stop));
    const ClipLimits limits = clip_limits(task.options);
    LATHE_TRY(const FilmSight sight, film.look({}, limits.film, context.time_limit, context.stop));
    const auto pool = media_pool(context.place.media, context.place.program);
    LATHE_TRY(const Decoded decoded, pool->decode(sight.wav, context.time_limit, context.stop));
    const double lufs = loudness_of(decoded.sound).lufs;
    judgement.critiques = film_faults(film.probe(), sight, lufs, limits);
    const std::vector<Stretch>& chapters = film.probe().chapters;
    for (std::size_t i = 0; i < scenes.size() && chapters.size() == scenes.size(); ++i) {
      scenes[i].at = chapters[i];
      find_speech(scenes[i], decoded.sound);
      std::ranges::move(scene_faults(scenes, i, sight, limits),
                        std::back_inserter(judgement.critiques));
    }
    if (chapters.size() != scenes.size())
      judgement.critiques.push_back(
          clip_fault("scenes", 0, "", "the joined clip does not have the scenes that it is made of",
                     fmt::format("{} of {}", chapters.size(), scenes.size())));
    judgement.evidence = {{"seconds", sight.picture_end},
                          {"sound_seconds", sight.sound_end},
                          {"lufs", std::round(lufs * 10) / 10},
                          {"captions", sight.captions.size()}};
  }
  judgement.outcome = judgement.critiques.empty() ? Outcome::kPass : Outcome::kFail;
  judgement.score = judgement.critiques.empty()
                        ? 1
                        : 0.95 / (1 + 0.25 * static_cast<double>(judgement.critiques.size()));
  return judgement;
}

Result<Judgement> judge_clip(const JudgeTask& task, const JudgeContext& context) {
  if (task.scope == Scope::kWhole) return judge_joined(task, context);
  return ClipLook(task, context).judge();
}

// The frames with faults, and the words as they were heard.
std::vector<Exhibit> clip_exhibits(Json& evidence) {
  std::vector<Exhibit> exhibits = picture_exhibits(evidence);
  std::erase_if(exhibits, [](const Exhibit& each) {
    const auto* picture = std::get_if<PictureExhibit>(&each);
    return picture && picture->of_candidate();
  });
  std::ranges::move(heard_words(evidence), std::back_inserter(exhibits));
  return exhibits;
}

}  // namespace

const JudgeKind kClipJudge = {
    .name = "clip",
    .summary = "watches a clip: text, speech, captions, lengths, black, frozen, silent stretches",
    .options = kClipOptions,
    .stage = Stage::kGate,
    .can_whole = true,
    .check = check_clip,
    .judge = judge_clip,
    .exhibits = clip_exhibits,
};

}  // namespace lathe::loop
