// Voices by name.
#include "loop/senses/voice.h"

#include <array>

#include "ground/base/text.h"
#include "ground/sys/subprocess.h"
#include "loop/senses/loudness.h"
#include "loop/senses/phones.h"
#include "loop/senses/spoken.h"
#include "loop/senses/word_list.h"

namespace lathe::loop {
namespace {

constexpr std::array<std::string_view, 5> kDefaultVoices{"flite:rms", "flite:slt", "flite:awb",
                                                         "flite:kal16", "espeak-ng:en-us+klatt3"};
constexpr double kPadSeconds = 0.25;
constexpr double kEspeakWordsPerMinute = 220;
constexpr double kEspeakPitch = 50;
constexpr std::size_t kMaxText = 20'000;

// Words with a given pronunciation become phoneme marks. The text is spoken text: it has no
// brackets of its own.
std::string with_phonemes(const std::string& text,
                          const std::map<std::string, std::string>& pronounce) {
  if (pronounce.empty()) return text;
  return replace_words(text, [&](const std::string& word) {
    const auto given = given_phones(pronounce, to_lower_ascii(word));
    return given ? "[[" + espeak_phones(*given) + "]]" : word;
  });
}

Result<Exit> run_espeak(std::vector<std::string> argv, std::string input, Milliseconds limit,
                        const StopFlag& stop) {
  Command command;
  command.argv = std::move(argv);
  command.env = plain_environment();
  command.input = std::move(input);
  command.max_output = kMaxSoundFile;
  command.time_limit = limit;
  LATHE_TRY(Exit exit, run_command(command, stop));
  if (exit.stopped) return fail(ErrorKind::kCancelled, "stopped");
  if (!exit.ok() || exit.output_cut)
    return fail(exit.timed_out ? ErrorKind::kTimeout : ErrorKind::kUnavailable, "espeak-ng: {} {}",
                exit.describe(), clip_utf8(trim(exit.err), 200));
  return exit;
}

Result<Sound> espeak(MediaPool& pool, const std::string& text, const VoiceSetting& setting,
                     Milliseconds limit, const StopFlag& stop) {
  const std::string variant = setting.voice.substr(kEspeakPrefix.size());
  LATHE_TRY(const Exit exit,
            run_espeak({"espeak-ng", "--stdin", "--stdout", "-v", variant, "-s",
                        fmt::format("{:.0f}", kEspeakWordsPerMinute / setting.stretch), "-p",
                        fmt::format("{:.0f}", kEspeakPitch * setting.pitch)},
                       with_phonemes(text, setting.pronounce), limit, stop));
  LATHE_TRY(Decoded decoded, pool.decode(exit.out, limit, stop));
  return std::move(decoded.sound);
}

}  // namespace

std::span<const std::string_view> default_voices() {
  return kDefaultVoices;
}

Status check_voice(std::string_view voice) {
  if (voice.starts_with(kEspeakPrefix)) {
    const std::string_view name = voice.substr(kEspeakPrefix.size());
    const bool plain = !name.empty() && name.size() <= 64 && name[0] != '-' &&
                       name.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789+-_") == name.npos;
    if (plain) return {};
    return invalid("'{}' is no espeak-ng voice; write one like \"espeak-ng:en-us+klatt3\"", voice);
  }
  std::vector<std::string> names;
  for (const std::string_view name : kDefaultVoices) {
    if (name == voice) return {};
    names.emplace_back(name);
  }
  return invalid("there is no voice '{}'{}; there are {}", voice, did_you_mean(voice, names),
                 join(names, ", "));
}

Result<Sound> speak_take(MediaPool& pool, const std::string& text, const VoiceSetting& setting,
                         Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY_STATUS(check_voice(setting.voice));
  if (text.size() > kMaxText)
    return invalid("{} bytes are too much to speak at once (at most {}): split the script",
                   text.size(), kMaxText);
  Sound sound;
  if (setting.voice.starts_with(kEspeakPrefix)) {
    LATHE_TRY(sound, espeak(pool, text, setting, limit, stop));
  } else {
    VoiceSetting flite = setting;
    flite.voice = setting.voice.substr(kFlitePrefix.size());
    LATHE_TRY(sound, pool.speak(text, flite, limit, stop));
  }
  return as_take(sound);
}

Sound as_take(const Sound& sound) {
  return padded(levelled(sound), kPadSeconds);
}

Status speak_text(MediaPool& pool, std::string_view text, VoiceSetting setting, Milliseconds limit,
                  const StopFlag& stop, const std::function<Status(const Sound& sentence)>& take) {
  LATHE_TRY_STATUS(check_voice(setting.voice));
  const std::string spoken = spoken_text(text);
  const std::vector<std::string> sentences = sentences_of(spoken);
  if (sentences.empty())
    return invalid("there is nothing to say in '{}'",
                   clip_utf8(make_valid_utf8(text.substr(0, 400)), 80));
  setting.pronounce.merge(listed_phones(words_of(spoken)));
  for (const std::string& sentence : sentences) {
    LATHE_TRY(const Sound sound, speak_take(pool, sentence, setting, limit, stop));
    LATHE_TRY_STATUS(take(sound));
  }
  return {};
}

Result<std::string> espeak_pronunciation(const std::string& word, const StopFlag& stop) {
  LATHE_TRY(const Exit exit, run_espeak({"espeak-ng", "--stdin", "-q", "-x", "-v", "en-us"}, word,
                                        Milliseconds(10'000), stop));
  const auto phones = cmu_from_espeak(exit.out);
  if (!phones)
    return invalid("espeak-ng says '{}' as {}, which has no CMU phones", word, trim(exit.out));
  return *phones;
}

}  // namespace lathe::loop
