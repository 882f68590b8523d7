// The small words of some languages, and the count of them.
#include "loop/senses/language.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

struct Language {
  std::string_view name;
  std::string_view words;    // parted by blanks
  std::string_view letters;  // that English lacks
};

constexpr std::string_view kEnglish =
    " the a an and of to in is it you that he was for on are as with his they i at be this have "
    "from or one had by but not what all were we when your can said there use each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more go see no way could people my than first been call who its now "
    "find long down day did get come made may part over new only little work know place year me "
    "back give most very after thing our just name good man think say great where help through "
    "much before line right too any same tell came want show also around three end does another "
    "well must even because here why ask went read need land us move try again off away never "
    "thank thanks please yes hello every let it's don't i'm that's can't ";

constexpr std::array<Language, 9> kLanguages{{
    {"German",
     " der das und ist nicht ein eine einen einem einer ich wir ihr mit auf für von zu zum zur dem "
     "auch wie aber oder wenn nach bei aus über durch noch nur schon sehr kann wird werden haben "
     "sind sein mein meine meinen dein deine unser unsere kein keine diese dieser dieses guten "
     "morgen abend danke bitte herr herren frau damen ja nein heute uns euch sich es ",
     "äöüß"},
    {"French",
     " les une et est dans que qui ne pas je vous nous il elle ils avec sur ce cette ces mon "
     "mes "
     "votre notre du au aux où donc sont bonjour merci oui très être avoir c'est j'ai mais tout ",
     "çœèàùêîôû"},
    {"Spanish",
     " una y que por para su sus como pero muy está hola gracias señor buenos días cómo "
     "usted mi qué es del hay este esta nosotros ",
     "ñ¿¡áíóú"},
    {"Italian",
     " il gli di che non è una sono della del nel alla più ciao grazie buongiorno questo questa "
     "anche perché molto ",
     "èìòàù"},
    {"Portuguese",
     " os um uma e da que não com para por mais obrigado obrigada olá você são está muito bom dia ",
     "ãõáâêç"},
    {"Dutch",
     " het een van en ik je niet dat met voor zijn op te maar ook naar wij goede dank deze wat "
     "heeft ",
     "ëï"},
    {"Polish", " nie jest na się że jak dzień dobry dziękuję proszę tak czy dla ", "ąęłńśźż"},
    {"Swedish", " och att det är jag inte på som för med ett hej tack ska vill ", "åäö"},
    {"Danish or Norwegian", " og det er ikke til af av jeg på som med et hej takk tak ", "æøå"},
}};

std::vector<std::string> letters_in(std::string_view text) {  // of several bytes each
  std::vector<std::string> letters;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
    letters.emplace_back(text.substr(i, end - i));
    i = end;
  }
  return letters;
}

// Lower case, the accented letters of these languages too.
std::vector<std::string> words_in_any(std::string_view text) {
  std::vector<std::string> words(1);
  for (std::string letter : letters_in(to_lower_ascii(replace_all(text, "’", "'")))) {
    const auto first = static_cast<unsigned char>(letter[0]);
    if (letter.size() == 2 && first == 0xC3) {  // U+00C0…U+00DE are the capitals of U+00E0…U+00FE
      const auto second = static_cast<unsigned char>(letter[1]);
      if (second >= 0x80 && second <= 0x9E && second != 0x97)
        letter[1] = static_cast<char>(second + 0x20);
    }
    const bool part = (letter[0] >= 'a' && letter[0] <= 'z') || letter == "'" ||
                      (letter.size() == 2 && first >= 0xC3 && first <= 0xCD) || letter == "¿" ||
                      letter == "¡";
    if (part)
      words.back() += letter;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

bool is_among(std::string_view word, std::string_view list) {
  return list.find(" " + std::string(word) + " ") != list.npos;
}

bool has_letter_of(std::string_view word, std::string_view letters) {
  return std::ranges::any_of(letters_in(letters), [&](const std::string& letter) {
    return word.find(letter) != word.npos;
  });
}

// Greek and beyond, without punctuation, signs and pictures.
bool is_other_script(std::string_view letter) {
  if (letter.size() < 2) return false;
  const auto first = static_cast<unsigned char>(letter[0]);
  if (letter.size() == 2) return first >= 0xCE;
  if (letter.size() == 3)
    return letter >= "\u0800" && !(letter >= "\u2000" && letter < "\u3040") && letter < "\ue000";
  return false;
}

}  // namespace

std::string foreign_language(std::string_view text) {
  std::size_t latin = 0, other = 0;
  for (const std::string& letter : letters_in(text)) {
    latin += (letter[0] >= 'a' && letter[0] <= 'z') || (letter[0] >= 'A' && letter[0] <= 'Z');
    other += is_other_script(letter);
  }
  if (other > latin) return "another script";
  const std::vector<std::string> words = words_in_any(text);
  const auto english = static_cast<double>(std::ranges::count_if(
      words, [](const std::string& word) { return is_among(word, kEnglish); }));
  double most = 0;
  std::string_view likeliest;
  for (const Language& language : kLanguages) {
    double count = 0;
    bool small = false;
    for (const std::string& word : words) {
      const bool known = is_among(word, language.words) && !is_among(word, kEnglish);
      small = small || known;
      count += known ? 1 : has_letter_of(word, language.letters) ? 0.5 : 0;
    }
    if (small && count > most) {
      most = count;
      likeliest = language.name;
    }
  }
  const bool enough = most >= 2 || 2 * most >= static_cast<double>(words.size());
  return most > english && enough ? std::string(likeliest) : std::string();
}

}  // namespace lathe::loop
