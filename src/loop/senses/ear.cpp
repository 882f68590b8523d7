// Hears: speech to words with times and confidence.
#include "loop/senses/ear.h"

#include <pocketsphinx.h>
#include <sphinxbase/err.h>
#include <sphinxbase/fsg_model.h>
#include <sphinxbase/ngram_model.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <random>
#include <set>

#include "ground/base/file.h"
#include "loop/senses/phones.h"
#include "loop/senses/script_lm.h"

namespace lathe::loop {
namespace {

constexpr const char* kModelDirectory = "/usr/share/pocketsphinx/model/en-us";
constexpr double kFrameSeconds = 0.01;
// Without a margin and a breath of noise the ear errs four times as often on clean voices.
constexpr double kMarginSeconds = 0.3;
constexpr double kNoise = 0.0005 * 32768;
constexpr int kQuiet = 100;  // −50 dB: what is below at either end is margin, not speech
constexpr float kScriptWeight = 0.5F;
constexpr std::size_t kMaxWords = 20'000;
constexpr float kSilence = 0.01F;
constexpr std::size_t kMaxAlternatives = 8;

struct Free {
  void operator()(ps_decoder_t* p) const { ps_free(p); }
  void operator()(cmd_ln_t* p) const { cmd_ln_free_r(p); }
  void operator()(ngram_model_t* p) const { ngram_model_free(p); }
  void operator()(fsg_model_t* p) const { fsg_model_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Segment {
  std::string word;  // "<sil>", "[NOISE]", "word" or "word(2)"
  int first = 0, last = 0;
  double acoustic = 0;
  double posterior = 0;
};

bool is_filler(std::string_view word) {
  return word.empty() || word[0] == '<' || word[0] == '[' || word[0] == '+' || word == "(NULL)";
}

std::string base_of(std::string_view word) {
  const auto bracket = word.find('(');
  return std::string(word.substr(0, bracket == 0 ? word.npos : bracket));
}

// The sound with the same margin before and after it, whatever it came with.
struct Prepared {
  std::vector<std::int16_t> pcm;
  double offset = 0;  // seconds to take off its times
};

Prepared prepared(const Sound& sound) {
  const auto is_sound = [](std::int16_t sample) { return std::abs(int{sample}) > kQuiet; };
  const auto first = std::ranges::find_if(sound.samples, is_sound);
  const auto last = std::find_if(sound.samples.rbegin(), sound.samples.rend(), is_sound).base();
  const auto lead = first - sound.samples.begin();
  Sound core;
  if (first < last) core.samples.assign(first, last);
  core = padded(core, kMarginSeconds);
  // A sum of uniforms is normal enough, and the same on every machine.
  std::minstd_rand random(1);
  for (std::int16_t& sample : core.samples) {
    double sum = 0;
    for (int i = 0; i < 12; ++i)
      sum += static_cast<double>(random()) / static_cast<double>(std::minstd_rand::max());
    const double value = sample + (sum - 6) * kNoise;
    sample = static_cast<std::int16_t>(std::clamp(std::lround(value), -32768L, 32767L));
  }
  return {std::move(core.samples),
          kMarginSeconds - static_cast<double>(first < last ? lead : 0) / kSoundRate};
}

}  // namespace

struct Ear::Models {
  Owned<cmd_ln_t> config;
  Owned<ps_decoder_t> decoder;
  FliteVoices flite;
  std::set<std::string> guessed;  // words whose pronunciation rests on rules

  std::string lookup(const std::string& word) const {
    char* phones = ps_lookup_word(decoder.get(), word.c_str());
    std::string out = phones ? phones : "";
    free(phones);
    return out;
  }

  // The pronunciation of a word that the dictionary lacks: a possessive or plural of one that it
  // has, else by the voice's rules.
  std::string guess(const std::string& word) const {
    if (word.ends_with("'s")) {
      const std::string stem = lookup(word.substr(0, word.size() - 2));
      if (!stem.empty()) return possessive_phones(stem);
    }
    std::string letters;
    for (const char c : word)
      if (c != '\'') letters += c;
    return flite.pronunciation(letters);
  }

  void add_word(const std::string& word) {
    if (!lookup(word).empty()) return;
    const std::string phones = guess(word);
    if (phones.empty()) return;
    ps_add_word(decoder.get(), word.c_str(), phones.c_str(), FALSE);
    guessed.insert(word);
  }

  std::vector<std::string> pronunciations(const std::string& word) const {
    std::vector<std::string> out;
    for (std::size_t i = 1; i <= kMaxAlternatives; ++i) {
      std::string phones = lookup(i == 1 ? word : fmt::format("{}({})", word, i));
      if (phones.empty()) break;
      out.push_back(std::move(phones));
    }
    return out;
  }

  Result<std::vector<Segment>> decode(const char* search, const std::vector<std::int16_t>& pcm) {
    ps_decoder_t* ps = decoder.get();
    if (ps_set_search(ps, search) != 0 || ps_start_stream(ps) != 0 || ps_start_utt(ps) != 0)
      return fail(ErrorKind::kUnavailable, "the ear could not start its search '{}'", search);
    ps_process_raw(ps, pcm.data(), pcm.size(), FALSE, TRUE);
    ps_end_utt(ps);
    std::vector<Segment> segments;
    int32 score = 0;
    if (!ps_get_hyp(ps, &score)) return segments;
    for (ps_seg_t* seg = ps_seg_iter(ps); seg; seg = ps_seg_next(seg)) {
      Segment one;
      one.word = ps_seg_word(seg);
      ps_seg_frames(seg, &one.first, &one.last);
      int32 acoustic = 0, language = 0, back_off = 0;
      const int32 probability = ps_seg_prob(seg, &acoustic, &language, &back_off);
      one.acoustic = acoustic;
      one.posterior = std::clamp(logmath_exp(ps_get_logmath(ps), probability), 0.0, 1.0);
      segments.push_back(std::move(one));
    }
    return segments;
  }

  Status set_line(const std::vector<std::string>& words);
  Status set_phone_loop();
};

// A line of the words, one after the other, each in any of its pronunciations.
Status Ear::Models::set_line(const std::vector<std::string>& words) {
  const auto states = static_cast<int32>(words.size()) + 1;
  const Owned<fsg_model_t> line(
      fsg_model_init("line", ps_get_logmath(decoder.get()), 1.0F, states));
  line->start_state = 0;
  line->final_state = states - 1;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const int id = fsg_model_word_add(line.get(), words[i].c_str());
    const auto from = static_cast<int32>(i);
    fsg_model_trans_add(line.get(), from, from + 1, 0, id);
    seen.insert(words[i]);
  }
  fsg_model_add_silence(line.get(), "<sil>", -1, kSilence);
  for (const std::string& word : seen) {
    const std::size_t count = pronunciations(word).size();
    for (std::size_t i = 2; i <= count; ++i)
      fsg_model_add_alt(line.get(), word.c_str(), fmt::format("{}({})", word, i).c_str());
  }
  if (ps_set_fsg(decoder.get(), "line", line.get()) != 0)
    return fail(ErrorKind::kUnavailable, "the ear could not build the line's alignment");
  return {};
}

Status Ear::Models::set_phone_loop() {
  constexpr std::string_view kAll =
      "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V "
      "W Y Z ZH";
  const Owned<fsg_model_t> loop(fsg_model_init("phones", ps_get_logmath(decoder.get()), 1.0F, 1));
  loop->start_state = 0;
  loop->final_state = 0;
  for (std::size_t start = 0; start < kAll.size();) {
    const auto end = std::min(kAll.find(' ', start), kAll.size());
    const std::string phone(kAll.substr(start, end - start));
    const std::string word = "_" + phone;
    ps_add_word(decoder.get(), word.c_str(), phone.c_str(), FALSE);
    fsg_model_trans_add(loop.get(), 0, 0, 0, fsg_model_word_add(loop.get(), word.c_str()));
    start = end + 1;
  }
  fsg_model_add_silence(loop.get(), "<sil>", -1, kSilence);
  if (ps_set_fsg(decoder.get(), "phones", loop.get()) != 0)
    return fail(ErrorKind::kUnavailable, "the ear could not build its phone loop");
  return {};
}

Ear::Ear(std::unique_ptr<Models> models) : models_(std::move(models)) {}
Ear::~Ear() = default;

Result<std::unique_ptr<Ear>> Ear::make(const EarScript& script) {
  if (std::ranges::all_of(script.lines, [](const auto& line) { return line.empty(); }))
    return invalid("the ear needs a script with at least one word");
  err_set_logfp(nullptr);
  const std::string directory = kModelDirectory;
  if (!fs::exists(directory + "/en-us/mdef"))
    return fail(ErrorKind::kUnavailable,
                "no acoustic model at {}; install the Debian package pocketsphinx-en-us",
                directory);
  auto models = std::make_unique<Models>();
  models->config.reset(cmd_ln_init(nullptr, ps_args(), TRUE, "-hmm", (directory + "/en-us").c_str(),
                                   "-dict", (directory + "/cmudict-en-us.dict").c_str(), "-fwdflat",
                                   "no", "-compallsen", "yes", nullptr));
  if (models->config) models->decoder.reset(ps_init(models->config.get()));
  if (!models->decoder)
    return fail(ErrorKind::kUnavailable, "the ear could not load its models from {}", directory);
  ps_decoder_t* ps = models->decoder.get();

  for (const auto& [word, phones] : script.pronounce)
    if (const auto cmu = cmu_phones(phones)) {
      // A word that the dictionary knows gets the given pronunciation as one more way to say it.
      const std::size_t known = models->pronunciations(word).size();
      const std::string entry = known == 0 ? word : fmt::format("{}({})", word, known + 1);
      ps_add_word(ps, entry.c_str(), cmu->c_str(), FALSE);
    }
  for (const auto& line : script.lines)
    for (const std::string& word : line) models->add_word(word);

  // PocketSphinx reads models from files only; this one never touches a disk.
  const std::string arpa = script_language_model(script.lines);
  const int fd = ::memfd_create("script-lm", MFD_CLOEXEC);
  if (fd < 0 || ::write(fd, arpa.data(), arpa.size()) != static_cast<ssize_t>(arpa.size()))
    return fail(ErrorKind::kUnavailable, "no memory for the script's language model");
  ngram_model_t* own =
      ngram_model_read(models->config.get(), fmt::format("/proc/self/fd/{}", fd).c_str(),
                       NGRAM_ARPA, ps_get_logmath(ps));
  ::close(fd);
  ngram_model_t* general = ngram_model_read(
      models->config.get(), (directory + "/en-us.lm.bin").c_str(), NGRAM_AUTO, ps_get_logmath(ps));
  if (!own || !general)
    return fail(ErrorKind::kUnavailable, "the ear could not load its language models");
  std::array<ngram_model_t*, 2> both{general, own};
  std::array<char, 8> general_name{"general"}, script_name{"script"};
  std::array<char*, 2> names{general_name.data(), script_name.data()};
  const std::array<float32, 2> weights{1 - kScriptWeight, kScriptWeight};
  const Owned<ngram_model_t> mixed(
      ngram_model_set_init(models->config.get(), both.data(), names.data(), weights.data(), 2));
  if (!mixed || ps_set_lm(ps, "script", mixed.get()) != 0)
    return fail(ErrorKind::kUnavailable, "the ear could not mix its language models");
  LATHE_TRY_STATUS(models->set_phone_loop());
  return std::unique_ptr<Ear>(new Ear(std::move(models)));
}

Result<Hearing> Ear::hear(const Sound& sound, const std::vector<std::string>& expected) {
  if (expected.size() > kMaxWords)
    return invalid("{} words at once are too many for the ear", expected.size());
  const Prepared ready = prepared(sound);
  const std::vector<std::int16_t>& pcm = ready.pcm;
  const auto seconds = [&](int frame) {
    return std::clamp(frame * kFrameSeconds - ready.offset, 0.0, sound.seconds());
  };
  Hearing hearing;
  LATHE_TRY(const auto heard, models_->decode("script", pcm));
  for (const Segment& segment : heard) {
    if (is_filler(segment.word)) continue;
    hearing.heard.push_back({base_of(segment.word), models_->lookup(segment.word),
                             seconds(segment.first), seconds(segment.last + 1), segment.posterior});
  }
  for (const std::string& word : expected) {
    ExpectedWord one;
    one.word = word;
    models_->add_word(word);
    one.in_dictionary = !models_->guessed.contains(word);
    one.pronunciations = models_->pronunciations(word);
    one.voice_says = models_->flite.pronunciation(word);
    if (one.pronunciations.empty())
      return invalid("no pronunciation for '{}': give one in the option pronounce", word);
    hearing.expected.push_back(std::move(one));
  }
  if (expected.empty()) return hearing;

  // How much worse the words fit than any phones at all: each word's score per frame, less that of
  // a free phone loop over the same frames.
  LATHE_TRY_STATUS(models_->set_line(expected));
  LATHE_TRY(const auto line, models_->decode("line", pcm));
  LATHE_TRY(const auto loop, models_->decode("phones", pcm));
  std::vector<double> free_score(pcm.size() / 160 + 16, 0);
  for (const Segment& segment : loop)
    for (int f = segment.first; f <= segment.last; ++f)
      if (static_cast<std::size_t>(f) < free_score.size())
        free_score[static_cast<std::size_t>(f)] =
            segment.acoustic / (segment.last - segment.first + 1);
  std::size_t word = 0;
  for (const Segment& segment : line) {
    if (is_filler(segment.word) || word == hearing.expected.size()) continue;
    ExpectedWord& one = hearing.expected[word++];
    double score = segment.acoustic;
    for (int f = segment.first; f <= segment.last; ++f)
      if (static_cast<std::size_t>(f) < free_score.size())
        score -= free_score[static_cast<std::size_t>(f)];
    one.acoustic = score / (segment.last - segment.first + 1);
    one.start = seconds(segment.first);
    one.end = seconds(segment.last + 1);
  }
  hearing.aligned = word == hearing.expected.size();
  return hearing;
}

}  // namespace lathe::loop
