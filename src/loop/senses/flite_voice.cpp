// Flite's voices.
#include "loop/senses/flite_voice.h"

#include <dlfcn.h>
#include <flite/flite.h>

#include <array>
#include <cstdlib>

#include "ground/base/text.h"
#include "loop/senses/phones.h"

extern "C" {
cst_lexicon* cmu_lex_init(void);
int us_aswd(const char* word);  // can it be said as a word, or would it be spelled out?
}

namespace lathe::loop {
namespace {

struct Row {
  const char* name;
  float pitch;  // mean of its fundamental, Hz
};
constexpr std::array<Row, 4> kVoices{{{"rms", 100}, {"slt", 170}, {"awb", 130}, {"kal16", 95}}};

// Voices are tables of pointers: linked with the program they would be half of what the dynamic
// loader does at every start. null: it is not installed.
cst_voice* load_voice(const char* name) {
  void* library = ::dlopen(fmt::format("libflite_cmu_us_{}.so.1", name).c_str(), RTLD_NOW);
  if (!library) return nullptr;
  const auto load = reinterpret_cast<cst_voice* (*)(const char* directory)>(
      ::dlsym(library, fmt::format("register_cmu_us_{}", name).c_str()));
  return load ? load(nullptr) : nullptr;
}

// flite reads addenda from a file, once and for good. The list behind it is plain data: put in for
// one utterance, taken out again, so that a worker can go on to the next one.
class Addenda {
 public:
  Addenda(cst_lexicon* lexicon, const std::map<std::string, std::string>& pronounce)
      : lexicon_(lexicon), before_(lexicon->lex_addenda) {
    for (const auto& [word, phones] : pronounce) {
      const std::string entry = fmt::format("\"{}\" : {}", word, flite_phones(phones));
      if (cst_val* value = cst_lex_make_entry(lexicon, entry.c_str())) own_ = cons_val(value, own_);
    }
    if (own_) lexicon_->lex_addenda = own_;
  }
  Addenda(const Addenda&) = delete;
  Addenda& operator=(const Addenda&) = delete;
  ~Addenda() {
    lexicon_->lex_addenda = before_;
    delete_val(own_);
  }

 private:
  cst_lexicon* lexicon_;
  cst_val* before_;
  cst_val* own_ = nullptr;
};

// What stands for the n-th word with a pronunciation: flite takes it for a word whatever it is.
std::string alias(std::size_t n) {
  constexpr std::string_view kConsonants = "bdfgklmnprstvz", kVowels = "aeiou";
  std::string name = "lathe";
  do {
    name += kConsonants[n % kConsonants.size()];
    n /= kConsonants.size();
    name += kVowels[n % kVowels.size()];
    n /= kVowels.size();
  } while (n > 0);
  return name;
}

// The text with an alias for every word whose phones are given, and for every one that flite would
// spell out letter by letter although it has phones. `aliases`: their phones.
std::string with_aliases(const FliteVoices& voices, const std::string& text,
                         const std::map<std::string, std::string>& pronounce,
                         std::map<std::string, std::string>& aliases) {
  std::map<std::string, std::string> known;  // word → alias
  return replace_words(text, [&](const std::string& word) -> std::string {
    const std::string low = to_lower_ascii(word);
    auto phones = given_phones(pronounce, low);
    if (!phones && low.size() > 1 && low.find('\'') == low.npos && us_aswd(low.c_str()) == 0)
      phones = voices.pronunciation(low);
    if (!phones || phones->empty()) return word;
    const auto [name, fresh] = known.try_emplace(low, alias(known.size()));
    if (fresh) aliases[name->second] = *phones;
    return name->second;
  });
}

}  // namespace

struct FliteVoices::Voices {
  std::array<cst_voice*, kVoices.size()> all{};
  std::array<float, kVoices.size()> own_pitch{};  // 0: the voice does not name it
  cst_lexicon* lexicon = nullptr;
};

FliteVoices::FliteVoices() : voices_(std::make_unique<Voices>()) {
  flite_init();
  for (std::size_t i = 0; i < kVoices.size(); ++i) {
    voices_->all[i] = load_voice(kVoices[i].name);
    if (!voices_->all[i]) continue;
    voices_->own_pitch[i] =
        flite_get_param_float(voices_->all[i]->features, "int_f0_target_mean", 0);
  }
  voices_->lexicon = cmu_lex_init();
}

FliteVoices::~FliteVoices() = default;

Result<Sound> FliteVoices::speak(const std::string& text, const VoiceSetting& setting) {
  std::size_t index = 0;
  while (index < kVoices.size() && setting.voice != kVoices[index].name) ++index;
  if (index == kVoices.size())
    return invalid("flite has no voice '{}'; it has rms, slt, awb and kal16", setting.voice);
  cst_voice* voice = voices_->all[index];
  if (!voice)
    return fail(ErrorKind::kUnavailable,
                "the voice '{}' is not installed: its library comes with flite (libflite1)",
                setting.voice);
  feat_set_float(voice->features, "duration_stretch", static_cast<float>(setting.stretch));
  // Left alone a voice has its trained pitch, which is not quite the table's.
  constexpr const char* kPitch = "int_f0_target_mean";
  if (setting.pitch == 1 && voices_->own_pitch[index] == 0) {
    feat_remove(voice->features, kPitch);
  } else {
    const float own =
        voices_->own_pitch[index] > 0 ? voices_->own_pitch[index] : kVoices[index].pitch;
    feat_set_float(voice->features, kPitch, own * static_cast<float>(setting.pitch));
  }
  std::map<std::string, std::string> aliases;
  const std::string said = with_aliases(*this, text, setting.pronounce, aliases);
  const Addenda addenda(val_lexicon(feat_val(voice->features, "lexicon")), aliases);
  // The vocoder's noise comes from rand(): the same take must have the same bits.
  std::srand(1);
  cst_wave* wave = flite_text_to_wave(said.c_str(), voice);
  if (!wave) return invalid("flite could not speak this text");
  std::vector<float> samples(static_cast<std::size_t>(wave->num_samples));
  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i] = static_cast<float>(wave->samples[i]) / 32768.0F;
  const int rate = wave->sample_rate;
  delete_wave(wave);
  return make_sound(samples, 1, rate);
}

std::string FliteVoices::pronunciation(const std::string& word) const {
  cst_val* phones = lex_lookup(voices_->lexicon, word.c_str(), nullptr, nullptr);
  std::string out;
  for (const cst_val* v = phones; v; v = val_cdr(v)) {
    if (!out.empty()) out += ' ';
    out += val_string(val_car(v));
  }
  delete_val(phones);
  return cmu_phones(out).value_or("");
}

}  // namespace lathe::loop
