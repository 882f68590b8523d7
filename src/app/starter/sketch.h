// What the generator's functions are made of: a source of items, and idioms that work on them
// (what to leave out, what to make of an item, how to bring all together …), each with its code
// and its words. A sketch is one composition; it is written down as a body in Mini-Python and as a
// line of English. Pure.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/starter/random.h"

namespace lathe::app {

// In a sketch's order. A place without an idiom is left out.
enum SketchPlace { kBefore, kFilter, kMap, kReduce, kAfter, kPlaces };

enum class Source { kList, kGaps, kPairSums, kWeighted, kDigits, kRange, kText, kBranch };
constexpr std::size_t kSources = 8;

struct Idiom;

struct Sketch {
  Source source = Source::kList;
  std::array<const Idiom*, kPlaces> idioms{};
  const Idiom* otherwise = nullptr;          // of a branch: the other map
  std::array<int, kPlaces + 1> constants{};  // of each place, and of the other map
  int by_parameter = -1;                     // the place whose constant is a second parameter
  // Names, and the choice of words.
  std::string function, parameter, second, item, total;
  std::uint64_t words = 0;
  int untold = -1;            // the place that the description leaves out; -1: none
  bool no_constants = false;  // … or that it does not name the constants
};

Sketch draw_sketch(Random& random, int depth);
// The number of idioms: what makes it hard.
int depth_of(const Sketch& sketch);
// The names of its idioms, in order; a list, a text and the like are no idiom.
std::vector<std::string_view> idiom_names(const Sketch& sketch);
// Whether one of its pairs of idioms is among those that training never sees.
bool has_held_out_pair(const Sketch& sketch);

std::vector<std::string> parameters_of(const Sketch& sketch);
std::string body_of(const Sketch& sketch);
std::string description_of(const Sketch& sketch);
// The same with one idiom or constant changed, dropped or added, or nothing.
std::optional<Sketch> near_miss(const Sketch& sketch, Random& random);
// The constants that an idiom is drawn with, both included.
std::pair<int, int> constant_range(const Idiom& idiom);
// How many idioms there are, all in all.
std::size_t idiom_count();

}  // namespace lathe::app
