// Sentences from lists of words.
#include "app/bench/corpus.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "ground/base/random.h"

namespace lathe::app {
namespace {

using Words = std::array<std::string_view, 16>;

constexpr Words kWho{"the baker",     "a young pilot",   "our neighbour", "the old teacher",
                     "a gardener",    "the night nurse", "my brother",    "the engineer",
                     "a shy student", "the librarian",   "her aunt",      "the postman",
                     "a fisherman",   "the new doctor",  "their guide",   "an apprentice"};
constexpr Words kDid{"repaired", "carried",  "found",     "painted", "measured", "remembered",
                     "hid",      "sold",     "described", "cleaned", "borrowed", "returned",
                     "counted",  "sketched", "wrapped",   "labelled"};
constexpr Words kWhat{"the wooden boat", "three heavy boxes", "a broken clock", "the village map",
                      "an open letter",  "the copper kettle", "a box of seeds", "the tall ladder",
                      "two bicycles",    "the winter coats",  "a small engine", "the garden gate",
                      "a row of lamps",  "the glass jars",    "an empty frame", "the long bench"};
constexpr Words kWhere{
    "near the harbour",   "behind the school", "in the upper room", "beside the river",
    "at the market",      "under the bridge",  "on the north road", "in the workshop",
    "by the station",     "across the valley", "in the cellar",     "outside the mill",
    "along the old wall", "next to the well",  "in a quiet corner", "close to the forest"};
constexpr Words kWhen{
    "before the rain came",    "early that morning",     "while the others slept",
    "after a long winter",     "as soon as it was dark", "on the last day of May",
    "without saying a word",   "for the second time",    "because nobody else would",
    "when the bell had rung",  "in less than an hour",   "although it was late",
    "as the letter had asked", "until the light failed", "with great care",
    "to everyone's surprise"};

}  // namespace

std::string corpus_text(std::uint64_t seed, std::size_t words) {
  // The first words are the seed's own.
  std::string text = fmt::format("{:08x}:", mix64(seed) & 0xffffffffu);
  std::size_t count = 1;
  for (std::uint64_t place = 0; count < words; place += 5) {
    const auto pick = [&](const Words& list, std::uint64_t which) {
      return list[random_at(seed, which, place) % list.size()];
    };
    const std::string sentence = fmt::format(" {} {} {} {} {}.", pick(kWho, 0), pick(kDid, 1),
                                             pick(kWhat, 2), pick(kWhere, 3), pick(kWhen, 4));
    for (std::size_t at = 0; at < sentence.size() && count < words;) {
      const std::size_t end = std::min(sentence.find(' ', at + 1), sentence.size());
      text += sentence.substr(at, end - at);
      ++count;
      at = end;
    }
  }
  return text;
}

std::vector<infer::TokenId> corpus_tokens(const infer::Tokenizer& tokenizer, std::uint64_t seed,
                                          std::size_t size) {
  std::vector<infer::TokenId> ids;
  for (std::size_t words = size; ids.size() < size; words *= 2)
    ids = tokenizer.encode(corpus_text(seed, words + 8), true, false);
  ids.resize(size);
  return ids;
}

}  // namespace lathe::app
