// The clip judge on a clip that is made here: clean it passes, and each fault that is put into it
// is found by its name, in its scene, at its time. And the rules alone.
#include "loop/judges/clip.h"

#include <gmock/gmock.h>

#include "ground/base/text.h"
#include "ground/sys/subprocess.h"
#include "loop/senses/film.h"
#include "loop/senses/media_pool.h"
#include "loop/senses/signal_facts.h"
#include "loop/senses/voice.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const StopFlag kClipGo;
constexpr Milliseconds kClipTime{240'000};
const std::vector<ScriptScene> kClipScript{
    {"Coffee", {"Fresh every morning"}, "The coffee is fresh every morning."},
    {"Records",
     {"Moved in one night"},
     "We moved forty thousand patient records in one night, and nothing went wrong."}};

struct SceneChange {
  std::string heading = {}, line = {};  // "": as the script has it
  int letters = 64;                     // pixels
  double longer = 0;                    // seconds
};

class ClipJudge : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    place_ = new Place;
    place_->program = "/proc/self/exe";
    place_->media = std::make_shared<MediaPool>("/proc/self/exe", 1);
    std::vector<std::string> films;
    for (const ScriptScene& scene : kClipScript) films.push_back(scene_film(scene, {}));
    clean_ = new std::string(join_scenes(films));
    first_ = new std::string(films[0]);
  }
  static void TearDownTestSuite() {
    delete clean_;
    delete first_;
    delete place_;
  }

  static std::string scene_film(const ScriptScene& scene, const SceneChange& change) {
    const std::string line = change.line.empty() ? scene.line : change.line;
    const std::string heading = change.heading.empty() ? scene.heading : change.heading;
    VoiceSetting voice;
    voice.voice = "flite:rms";
    const auto sound = speak_take(*place_->media, line, voice, kClipTime, kClipGo);
    if (!sound) {
      ADD_FAILURE() << sound.error().message;
      return "";
    }
    const std::string text =
        "<text x='320' y='{}' font-family='DejaVu Sans' font-size='{}' text-anchor='middle' "
        "fill='#ffffff'>{}</text>";
    const std::string svg =
        "<svg xmlns='http://www.w3.org/2000/svg' width='640' height='360'><rect width='640' "
        "height='360' fill='#10233f'/>" +
        fmt::format(fmt::runtime(text), 140, change.letters, heading) +
        fmt::format(fmt::runtime(text), 240, change.letters / 2, scene.points[0]) + "</svg>";
    const auto drawn = place_->media->open_picture(svg, kClipTime, kClipGo);
    if (!drawn) {
      ADD_FAILURE() << drawn.error().message;
      return "";
    }
    const SignalFacts speech = signal_facts(*sound);
    ScenePicture picture;
    picture.png = png_bytes(drawn->picture);
    picture.width = 640;
    picture.height = 360;
    picture.bar = "#f2a33a";
    picture.seconds = std::ceil((sound->seconds() + 0.3 + change.longer) * kFrameRate) / kFrameRate;
    const auto film =
        film_of(picture, *sound, {{speech.speech_start, speech.speech_end, scene.line}}, *place_,
                kClipTime, kClipGo);
    if (!film) ADD_FAILURE() << film.error().message;
    return film.value_or("");
  }

  static std::string join_scenes(const std::vector<std::string>& films) {
    std::vector<ScenePart> parts;
    for (std::size_t i = 0; i < films.size(); ++i)
      parts.push_back({films[i], kClipScript[i].heading});
    const auto joined = joined_film(parts, *place_, kClipTime, kClipGo);
    if (!joined) ADD_FAILURE() << joined.error().message;
    return joined ? joined->mp4 : "";
  }

  // The clip as ffmpeg changes it, or with other captions.
  static std::string edited(std::vector<std::string> filters, const std::string& srt = "") {
    const auto dir = TempDir::make("lathe-clip-test");
    EXPECT_TRUE(dir);
    EXPECT_TRUE(write_file_atomic(dir->path() / "in.mp4", *clean_));
    EXPECT_TRUE(write_file_atomic(dir->path() / "in.srt", srt));
    Command command;
    command.env = plain_environment();
    command.cwd = dir->path();
    command.argv = {"ffmpeg", "-nostdin", "-v", "error", "-i", "in.mp4"};
    if (!srt.empty()) command.argv.insert(command.argv.end(), {"-i", "in.srt"});
    command.argv.insert(command.argv.end(), {"-map", "0:v:0", "-map", "0:a:0", "-map",
                                             srt.empty() ? "0:s:0" : "1:s:0", "-c:s", "mov_text"});
    std::ranges::move(filters, std::back_inserter(command.argv));
    command.argv.push_back("out.mp4");
    const auto done = run_command(command, kClipGo);
    EXPECT_TRUE(done && done->ok()) << (done ? done->err : done.error().message);
    return read_file(dir->path() / "out.mp4").value_or("");
  }

  static Judgement judged(std::string_view film, std::size_t scenes = 2,
                          Json given = Json::object()) {
    const Json options = *check_options(given, kClipJudge.options);
    std::vector<Unit> units;
    for (std::size_t i = 0; i < kClipScript.size(); ++i) {
      Unit unit;
      unit.key = fmt::format("P{:03}", i + 1);
      const ScriptScene& scene = kClipScript[i];
      unit.text = "# " + scene.heading + "\n- " + scene.points[0] + "\n" + scene.line;
      units.push_back(std::move(unit));
    }
    JudgeTask task{options};
    task.units = std::span(units).first(scenes);
    task.all_units = units;
    task.candidate = std::string(64, 'a');
    task.bytes = film;
    return judge_closed(kClipJudge, task, {*place_, nullptr, kClipGo, kClipTime});
  }

  static std::string said(const Judgement& judgement) {
    std::string text = std::string(outcome_name(judgement.outcome)) + why_not_judged(judgement);
    for (const Critique& each : judgement.critiques)
      text +=
          fmt::format("\n{} [{}] {} ({})", each.locus, each.fingerprint, each.claim, each.evidence);
    return text;
  }

  // The judgement names the fault, and its place has this in it.
  static void expect_fault(const Judgement& judgement, std::string_view print,
                           std::string_view place) {
    EXPECT_EQ(judgement.outcome, Outcome::kFail) << said(judgement);
    EXPECT_TRUE(std::ranges::any_of(judgement.critiques,
                                    [&](const Critique& each) {
                                      return each.fingerprint.starts_with(print) &&
                                             each.locus.find(place) != std::string::npos;
                                    }))
        << print << "\n"
        << said(judgement);
  }

  static Place* place_;
  static std::string *clean_, *first_;
};
Place* ClipJudge::place_ = nullptr;
std::string* ClipJudge::clean_ = nullptr;
std::string* ClipJudge::first_ = nullptr;

TEST_F(ClipJudge, PassesACleanClipAndScene) {
  const Judgement clip = judged(*clean_);
  EXPECT_EQ(clip.outcome, Outcome::kPass) << said(clip);
  const Judgement scene = judged(*first_, 1);
  EXPECT_EQ(scene.outcome, Outcome::kPass) << said(scene);
  // Without a script it judges what needs none, and says what it did not.
  const Judgement alone = judged(*clean_, 0);
  EXPECT_EQ(alone.outcome, Outcome::kPass) << said(alone);
  EXPECT_THAT(caveat_of(alone), HasSubstr("there is no script"));
}

TEST_F(ClipJudge, MakesTheSameBytesTwice) {
  EXPECT_EQ(scene_film(kClipScript[0], {}), *first_);
}

TEST_F(ClipJudge, FindsWhatThePictureShowsWrong) {
  const Judgement misspelt = judged(scene_film(kClipScript[0], {.heading = "Cofeft"}), 1);
  expect_fault(misspelt, "eyes:wrong:Coffee", "@ 0.12");
  const Judgement small = judged(scene_film(kClipScript[0], {.letters = 13}), 1);
  EXPECT_TRUE(std::ranges::any_of(small.critiques, [](const Critique& each) {
    return each.fingerprint.starts_with("eyes:too_small") ||
           each.fingerprint.starts_with("eyes:missing");
  })) << said(small);
  EXPECT_EQ(small.outcome, Outcome::kFail);
}

TEST_F(ClipJudge, HearsOtherWords) {
  const Judgement other =
      judged(scene_film(kClipScript[0], {.line = "The coffee is cold every morning."}), 1);
  expect_fault(other, "word:", "fresh @ ");
}

TEST_F(ClipJudge, FindsASceneThatOutlastsItsLine) {
  expect_fault(judged(scene_film(kClipScript[0], {.longer = 4}), 1), "clip:longer", "@ ");
}

TEST_F(ClipJudge, FindsBlackFrozenAndSilentStretches) {
  const auto film = Film::open(*clean_, *place_, kClipTime, kClipGo);
  ASSERT_TRUE(film) << film.error().message;
  ASSERT_EQ(film->probe().chapters.size(), 2U);
  const double from = film->probe().chapters[1].start + 0.5;
  const std::string between = fmt::format("between(t,{:.2f},{:.2f})", from, from + 2.6);
  const std::string place = fmt::format("scene 2 @ {:.1f}", from);
  expect_fault(judged(edited({"-vf", "drawbox=c=black:t=fill:enable='" + between + "'"})),
               "clip:black:2", place);
  expect_fault(judged(edited({"-vf", "select='not(" + between + ")',fps=25"})), "clip:frozen:2",
               "scene 2 @ ");
  expect_fault(judged(edited({"-af", "volume=0:enable='" + between + "'"})), "clip:silent:2",
               "scene 2 @ ");
}

TEST_F(ClipJudge, FindsWrongAndMissingCaptions) {
  const std::vector<std::string> copy{"-c:v", "copy", "-c:a", "copy"};
  const Caption first{0.25, 2.2, kClipScript[0].line};
  expect_fault(judged(edited(copy, srt_of({first}))), "clip:caption_missing:2", "scene 2 @ ");
  expect_fault(judged(edited(copy, srt_of({first, {3.2, 6.5, "We lost the records."}}))),
               "clip:caption_text:2", "scene 2 @ ");
}

TEST_F(ClipJudge, RefusesWhatIsNoFilm) {
  for (const std::string_view bytes : {std::string_view(""), std::string_view("These are words.\n"),
                                       std::string_view(*clean_).substr(clean_->size() / 2)}) {
    const Judgement judgement = judged(bytes);
    EXPECT_EQ(judgement.outcome, Outcome::kFail) << said(judgement);
    ASSERT_EQ(judgement.critiques.size(), 1U) << said(judgement);
    EXPECT_THAT(judgement.critiques[0].fingerprint, StartsWith("clip:unreadable"));
  }
  // Its index is at the front: half a clip opens, and its other half is missed.
  expect_fault(judged(std::string_view(*clean_).substr(0, clean_->size() / 2)), "clip:damaged",
               "@ ");
}

TEST_F(ClipJudge, ChecksItsOptions) {
  for (const Json& wrong : {Json{{"frozen", -1}}, Json{{"lufs_low", 0}},
                            Json{{"pronounce", {{"Fourier", "nonsense"}}}}})
    EXPECT_FALSE(kClipJudge.check(*check_options(wrong, kClipJudge.options))) << dump_json(wrong);
}

ClipScene ruled_scene(double seconds) {
  ClipScene scene;
  scene.at = {0, seconds};
  scene.script.line = "one two three";
  scene.speech_start = 0.3;
  scene.speech_end = 2;
  return scene;
}

std::vector<std::string> ruled(const ClipScene& scene, const FilmSight& sight) {
  std::vector<std::string> prints;
  for (const Critique& fault : scene_faults({scene}, 0, sight, {}))
    prints.push_back(fault.fingerprint);
  return prints;
}

TEST(ClipRules, HoldTextUntilItCanBeReadAndNoLonger) {
  FilmSight sight;
  sight.captions = {{0.3, 2, "One, two, three."}};
  ClipScene scene = ruled_scene(3);
  EXPECT_THAT(ruled(scene, sight), ::testing::IsEmpty());
  scene.shown = {std::string(60, 'x')};  // 3.5 s at 17 a second
  EXPECT_THAT(ruled(scene, sight), ::testing::ElementsAre("clip:reading:1"));
  scene.at.end = 3.6;
  EXPECT_THAT(ruled(scene, sight), ::testing::IsEmpty());
  scene.at.end = 6.5;
  EXPECT_THAT(ruled(scene, sight), ::testing::ElementsAre("clip:longer:1"));
}

TEST(ClipRules, WantCaptionsWhileTheirLineIsSaid) {
  FilmSight sight;
  const ClipScene scene = ruled_scene(3);
  EXPECT_THAT(ruled(scene, sight), ::testing::ElementsAre("clip:caption_missing:1"));
  sight.captions = {{1.5, 2, "one two three"}};
  EXPECT_THAT(ruled(scene, sight), ::testing::ElementsAre("clip:caption_time:1"));
  sight.captions = {{0.3, 1, "one two"}, {1, 2, "four"}};
  EXPECT_THAT(ruled(scene, sight), ::testing::ElementsAre("clip:caption_text:1"));
}

TEST(ClipRules, CountSilenceBeforeTheLineEndsAndBlackOnce) {
  FilmSight sight;
  sight.captions = {{0.3, 2, "one two three"}};
  sight.silent = {{2, 3.5}};
  EXPECT_THAT(ruled(ruled_scene(3.5), sight), ::testing::IsEmpty());
  sight.silent = {{0.4, 1.9}};
  EXPECT_THAT(ruled(ruled_scene(3.5), sight), ::testing::ElementsAre("clip:silent:1"));
  // Captions that go on tell that the line breaks off; its length says nothing then.
  sight.captions = {{0.3, 4, "one two three"}};
  sight.silent = {{2, 4.4}};
  EXPECT_THAT(ruled(ruled_scene(4.4), sight), ::testing::Contains("clip:silent:1"));
  EXPECT_THAT(ruled(ruled_scene(4.4), sight), ::testing::Not(::testing::Contains("clip:longer:1")));
  // A line whose beginning is silent has the captions it should have.
  ClipScene late = ruled_scene(4.4);
  late.speech_start = 2.3;
  late.speech_end = 4;
  sight.silent = {{0, 2.3}};
  EXPECT_THAT(ruled(late, sight), ::testing::ElementsAre("clip:silent:1"));
  sight.captions = {{0.3, 2, "one two three"}};
  sight.silent = {};
  sight.black = sight.frozen = {{0.5, 3}};
  EXPECT_THAT(ruled(ruled_scene(3.5), sight), ::testing::ElementsAre("clip:black:1"));
}

TEST(ClipRules, TakeScenesFromChaptersElseFromCuts) {
  EXPECT_EQ(scene_stretches(1, 9, {{0, 4}, {4, 9}}, {})->size(), 1U);
  EXPECT_EQ(scene_stretches(2, 9, {{0, 4}, {4, 9}}, {})->at(1).start, 4);
  EXPECT_EQ(scene_stretches(2, 9, {}, {5})->at(1).start, 5);
  EXPECT_EQ(scene_stretches(0, 9, {}, {3, 3.1, 6})->size(), 3U);
  EXPECT_FALSE(scene_stretches(3, 9, {{0, 4}, {4, 9}}, {}));
}

TEST(Film, IsSampledOnceASecondAsFarAsPicturesGo) {
  EXPECT_THAT(sample_times(3, 16), ::testing::ElementsAre(0.5, 1.5, 2.5));
  EXPECT_THAT(sample_times(0.2, 16), ::testing::ElementsAre(0.1));
  EXPECT_THAT(sample_times(100, 4), ::testing::ElementsAre(12.5, 37.5, 62.5, 87.5));
  EXPECT_EQ(sample_times(600, 16).size(), 16u);
}

}  // namespace
}  // namespace lathe::loop
