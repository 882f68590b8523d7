// The voice maker: speaks a line, by a voice of this program or a worker, and says it another way
// when the ear did not understand it. The order of the repairs is the measured one: the
// dictionary's pronunciation of the wrong words, which no worker can be told, so that it is asked
// again with another seed; another voice; a comma before them.
#include "loop/makers/voice.h"

#include <set>

#include "ground/base/text.h"
#include "ground/media/decoders.h"
#include "loop/hook/hook.h"
#include "loop/makers/ask.h"
#include "loop/senses/phones.h"
#include "loop/senses/spoken.h"
#include "loop/senses/word_fault.h"
#include "loop/senses/word_list.h"

namespace lathe::loop {

extern const MakerKind kVoiceMaker;

namespace {

constexpr double kLeastFactor = 0.5, kMostFactor = 2;

// What the candidates of one lap differ in.
struct Variation {
  double stretch, pitch;
};
constexpr std::array<Variation, 6> kVariations{
    {{1, 1}, {1.08, 1}, {1, 0.92}, {0.94, 1}, {1.08, 0.92}, {1, 1.08}}};

std::vector<std::string> voices_of(std::span<const std::string> ladder) {
  if (!ladder.empty()) return {ladder.begin(), ladder.end()};
  const auto voices = default_voices();
  return {voices.begin(), voices.end()};
}

std::map<std::string, std::string> pronounce_of(const Json& table) {
  std::map<std::string, std::string> out;
  if (!table.is_object()) return out;
  for (const auto& [word, phones] : table.items())
    if (phones.is_string())
      for (const std::string& spoken : words_of(word)) out[spoken] = phones.get<std::string>();
  return out;
}

// What the attempts so far teach about a line.
struct Lesson {
  Json pronounce = Json::object();  // dictionary pronunciations of words that went wrong
  std::vector<std::string> wrong;   // words of the last attempt
  std::string heard;                // for the reason
};

Lesson lesson_of(std::span<const Attempt> attempts) {
  Lesson lesson;
  for (const Attempt& attempt : attempts) {
    lesson.wrong.clear();
    lesson.heard.clear();
    for (const Critique& critique : attempt.critiques) {
      const auto fault = parse_fault(critique.locus, critique.evidence);
      if (!fault) continue;
      lesson.wrong.push_back(fault->word);
      if (lesson.heard.empty())
        lesson.heard = fault->heard.empty() ? fmt::format("'{}' is missing", fault->word)
                       : fault->heard == fault->word
                           ? fmt::format("'{}' does not sound right", fault->word)
                           : fmt::format("heard '{}' for '{}'", fault->heard, fault->word);
      if (!fault->dictionary.empty()) lesson.pronounce[fault->word] = fault->dictionary;
    }
  }
  return lesson;
}

Proposal proposal_of(const ProposeTask& task, Move move, int rung, Json pronounce, Json commas,
                     std::string reason) {
  Proposal proposal;
  proposal.move = move;
  proposal.rung = rung;
  proposal.n = task.best_of;
  const std::string voice = voices_of(task.ladder)[static_cast<std::size_t>(rung)];
  proposal.setting = {
      {"voice", voice}, {"pronounce", std::move(pronounce)}, {"comma_before", std::move(commas)}};
  if (!is_own_voice(voice)) {
    const int lap = task.attempts.empty() ? 1 : task.attempts.back().lap + 1;
    const auto own = task.units.empty() ? std::nullopt : own_seed(task.units.front());
    proposal.setting["seed"] = own ? *own + (lap - 1) * 1000 : lap * 1000;
  }
  proposal.reason = std::move(reason);
  return proposal;
}

std::string with_commas(const std::string& text, const Json& before) {
  std::set<std::string> words;
  if (before.is_array())
    for (const Json& word : before)
      if (word.is_string()) words.insert(word.get<std::string>());
  if (words.empty()) return text;
  std::string out;
  for (const std::string& token : split(text, ' ')) {
    const std::vector<std::string> said = words_of(token);
    const bool wanted = !said.empty() && words.contains(said[0]);
    const bool paused =
        out.empty() || std::string_view(",.?!").find(out.back()) != std::string_view::npos;
    if (!out.empty()) out += wanted && !paused ? ", " : " ";
    out += token;
  }
  return out;
}

// An error: the line may not be spoken.
Status pass_hook(const MakeTask& task, const MakeContext& context, const std::string& line) {
  LATHE_TRY(Hook hook, parse_hook(option_strings(task.options, "hook"), context.place.recipe_dir));
  hook.budget = Milliseconds(option_duration_ms(task.options, "hook_time"));
  const HookAnswer answer = ask_hook(hook, line, {.place = context.place, .stop = context.stop});
  if (context.usage) *context.usage += answer.usage;
  if (answer.passed) return {};
  return fail(ErrorKind::kDenied, "the hook '{}' holds the line back: {}", answer.by, answer.why);
}

}  // namespace

bool is_own_voice(std::string_view rung) {
  return rung.contains(':');
}

Status check_voice_options(const Json& options, std::span<const std::string> voices) {
  for (const std::string& voice : voices)
    if (is_own_voice(voice)) LATHE_TRY_STATUS(check_voice(voice));
  for (const auto& [worker, voice] : json_at(options, "voices").items()) {
    if (!voice.is_string())
      return invalid("voices.{} must be the name of a voice", clip_utf8(worker, 40));
    if (std::ranges::find(voices, worker) == voices.end())
      return invalid("voices.{}: make.ladder names no such worker", clip_utf8(worker, 40));
  }
  for (const auto& [word, phones] : json_at(options, "pronounce").items())
    if (!phones.is_string() || !cmu_phones(phones.get<std::string>()))
      return invalid(
          "pronounce.{} must be phones of the CMU dictionary, like \"k uw b er n eh t "
          "iy z\"",
          word);
  for (const char* key : {"stretch", "pitch"}) {
    const double factor = option_number(options, key);
    if (!(factor >= kLeastFactor && factor <= kMostFactor))
      return invalid("{} must lie between {} and {}", key, kLeastFactor, kMostFactor);
  }
  return {};
}

std::optional<Proposal> propose_voice(const ProposeTask& task) {
  if (task.attempts.empty())
    return proposal_of(task, Move::kSample, 0, Json::object(), Json::array(), "as written");
  const std::vector<std::string> voices = voices_of(task.ladder);
  const Attempt& last = task.attempts.back();
  const Lesson lesson = lesson_of(task.attempts);
  const std::string because = lesson.heard.empty() ? "" : lesson.heard + ": ";
  const Json& said = json_at(last.setting, "pronounce");
  const Json& commas = json_at(last.setting, "comma_before");
  // A comma is the last resort; after it there is nothing left.
  if (commas.is_array() && !commas.empty()) return std::nullopt;

  const bool by_worker = !is_own_voice(voices[static_cast<std::size_t>(last.rung)]);
  const auto asked = std::ranges::count(task.attempts, last.rung, &Attempt::rung);
  if (by_worker && last.made && asked <= task.repairs)
    return proposal_of(task, Move::kResample, last.rung, lesson.pronounce, Json::array(),
                       because + "say it with another seed");
  if (!by_worker && last.made && lesson.pronounce != said)
    return proposal_of(task, Move::kRepair, last.rung, lesson.pronounce, Json::array(),
                       because + "say it with the dictionary's pronunciation");
  if (last.rung + 1 < std::ssize(voices))
    return proposal_of(task, Move::kEscalate, last.rung + 1, lesson.pronounce, Json::array(),
                       fmt::format("{}another voice, {}", because,
                                   voices[static_cast<std::size_t>(last.rung + 1)]));

  const auto best = std::ranges::max_element(
      task.attempts, {}, [](const Attempt& attempt) { return attempt.made ? attempt.score : -1; });
  Json words = Json::array();
  for (const Critique& critique : best->critiques)
    if (const auto fault = parse_fault(critique.locus, critique.evidence))
      words.push_back(fault->word);
  if (words.empty()) return std::nullopt;
  return proposal_of(task, Move::kRepair, best->rung, lesson.pronounce, std::move(words),
                     "every voice was tried: a comma before the words that went wrong");
}

namespace {

// A worker's file as a take: heard by ears that know no other rate, decoded where it can do no
// harm.
Result<Sound> taken_from(const SpokenFile& file, const MakeContext& context) {
  std::string bytes = file.file;
  if (file.raw_rate != 0)
    bytes.insert(0, wav_head(static_cast<std::uint32_t>(bytes.size()), file.raw_rate));
  LATHE_TRY(Decoded decoded,
            decode_sound_file(context.place.program, bytes, context.time_limit, context.stop));
  if (decoded.sound.samples.empty()) return invalid("it is a sound without samples");
  return std::move(decoded.sound);
}

Result<SpokenLine> ask_to_speak(const std::string& text, const MakeTask& task,
                                const MakeContext& context) {
  if (!context.worker) return invalid("voice: there is no worker '{}'", task.rung);
  SpeechRequest request;
  request.text = text;
  request.voice = json_string(json_at(task.options, "voices"), task.rung);
  request.language = option_string(task.options, "language");
  request.speed = 1 / option_number(task.options, "stretch");
  request.seed = json_int(task.setting, "seed", task.lap * 1000) + task.n_index;
  request.labels = labels_of({"make", task.lap, task.n_index});
  request.time_limit = context.time_limit;
  if (context.progress) context.progress("speaking with " + task.rung);
  const auto file = context.worker->speak(request, context.stop);
  if (!file) return at("voice", file.error());
  if (context.usage) *context.usage += file->usage;
  auto sound = taken_from(*file, context);
  if (!sound) return at("voice: what " + task.rung + " spoke", sound.error());
  SpokenLine spoken;
  spoken.sound = as_take(*sound);
  const std::string voice =
      request.voice.empty() ? task.rung : fmt::format("{} ({})", task.rung, request.voice);
  spoken.facts = {{"voice", voice}, {"worker", task.rung},   {"model", file->model},
                  {"text", text},   {"seed", *request.seed}, {"seconds", spoken.sound.seconds()}};
  return spoken;
}

}  // namespace

Result<SpokenLine> speak_line(const std::string& written, const MakeTask& task,
                              const MakeContext& context) {
  const std::string text = with_commas(spoken_text(written), json_at(task.setting, "comma_before"));
  if (words_of(text).empty())
    return invalid("there is nothing to say in '{}'", clip_utf8(written, 80));

  LATHE_TRY_STATUS(pass_hook(task, context, written));
  if (!task.rung.empty() && !is_own_voice(task.rung)) return ask_to_speak(text, task, context);
  const auto index = static_cast<std::size_t>(std::max(task.n_index, 0)) % kVariations.size();
  const Variation& variation = kVariations[index];
  VoiceSetting setting;
  setting.voice = task.rung.empty() ? json_string(task.setting, "voice") : task.rung;
  setting.stretch = option_number(task.options, "stretch") * variation.stretch;
  setting.pitch = option_number(task.options, "pitch") * variation.pitch;
  setting.pronounce = pronounce_of(json_at(task.options, "pronounce"));
  // A person's word counts more than the dictionary's.
  setting.pronounce.merge(pronounce_of(json_at(task.setting, "pronounce")));
  setting.pronounce.merge(listed_phones(words_of(text)));

  if (context.progress) context.progress("speaking with " + setting.voice);
  const auto pool = media_pool(context.place.media, context.place.program);
  SpokenLine spoken;
  LATHE_TRY(spoken.sound, speak_take(*pool, text, setting, context.time_limit, context.stop));
  spoken.facts = {{"voice", setting.voice},         {"text", text},
                  {"pronounce", setting.pronounce}, {"stretch", setting.stretch},
                  {"pitch", setting.pitch},         {"seconds", spoken.sound.seconds()}};
  return spoken;
}

namespace {

Result<Made> make_voice(const MakeTask& task, const MakeContext& context) {
  std::vector<std::string> lines;
  for (const Unit& unit : task.units) lines.push_back(unit.text);
  LATHE_TRY(SpokenLine spoken, speak_line(join(lines, "\n"), task, context));
  Made made;
  made.bytes = wav_bytes(spoken.sound);
  made.media_type = kWavMediaType;
  made.extension = "wav";
  made.facts = std::move(spoken.facts);
  return made;
}

}  // namespace

const MakerKind kVoiceMaker = {
    .name = "voice",
    .summary =
        "speaks a line, or has a worker speak it; when a word is not understood, says it another "
        "way",
    .options = kVoiceOptions,
    .needs_worker = false,
    .whole_group = false,
    .repeat = "pure",
    .check = check_voice_options,
    .propose = propose_voice,
    .make = make_voice,
    .is_own_rung = is_own_voice,
};

}  // namespace lathe::loop
