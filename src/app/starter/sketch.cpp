// The items and idioms that generated functions are made of.
#include "app/starter/sketch.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::app {

// In code and words: $x item, $e what comes in, $k constant, $p the items in words, $n their noun,
// $q the filter in words, $t total.
struct Idiom {
  std::string_view name;
  std::string_view code = {};
  std::vector<std::string_view> words;
  int low = 0, high = -1;  // of $k
  bool adjective = false;  // of a filter: "even numbers", not "numbers even"
  bool whole = false;      // of a filter: names the items itself ("vowels")
  char type = 'i';         // what it makes: int, list, str, bool
  // Of a reduce:
  std::vector<std::string_view> start = {};
  std::vector<std::string_view> step = {};
  std::string_view unless = {};  // a further condition
  std::string_view end = {};
  bool needs_filter = false, takes_map = true, negates = false, open = true;  // open: takes `after`
};

namespace {

const std::vector<Idiom> kIntFilters{
    {"even", "$x%2==0", {"even"}, 0, -1, true},
    {"odd", "$x%2==1", {"odd"}, 0, -1, true},
    {"over", "$x>$k", {"above $k", "over $k", "greater than $k"}, 1, 7},
    {"under", "$x<$k", {"below $k", "under $k", "less than $k"}, 2, 8},
    {"from", "$x>=$k", {"at least $k", "from $k on"}, 2, 8},
    {"but", "$x!=$k", {"other than $k", "not $k"}, 0, 5},
    {"multiple", "$x%$k==0", {"divisible by $k", "that $k divides"}, 3, 5},
    {"negative", "$x<0", {"negative"}, 0, -1, true},
};

const std::vector<Idiom> kTextFilters{
    {"vowel", "$x in 'aeiou'", {"vowels"}, 0, -1, false, true},
    {"digit", "$x.isdigit()", {"digits"}, 0, -1, false, true},
    {"capital", "$x.isupper()", {"capitals"}, 0, -1, false, true},
    {"small", "$x.islower()", {"small letters"}, 0, -1, false, true},
    {"alpha", "$x.isalpha()", {"letters only"}, 0, -1, false, true},
    {"is_a", "$x=='a'", {"letters a"}, 0, -1, false, true},
    {"not_a", "$x!='a'", {"all but a"}, 0, -1, false, true},
};

const std::vector<Idiom> kIntMaps{
    {"times", "$x*$k", {"$p times $k", "$k times $p"}, 2, 5},
    {"plus", "$x+$k", {"$p plus $k", "$p with $k added"}, 1, 9},
    {"minus", "$x-$k", {"$p minus $k", "$p less $k"}, 1, 5},
    {"square", "$x*$x", {"squared $p", "$p squared"}},
    {"size", "abs($x)", {"absolute $p", "$p without sign"}},
    {"negated", "-$x", {"negated $p", "$p negated"}},
    {"rest", "$x%$k", {"$p modulo $k", "rest of $p by $k"}, 2, 5},
    {"part", "$x//$k", {"$p divided by $k"}, 2, 4},
    {"cap", "min($x,$k)", {"$p capped at $k", "$p cut to $k"}, 3, 8},
    {"lift", "max($x,$k)", {"$p raised to $k", "$p lifted to $k"}, 1, 6},
};

const std::vector<Idiom> kTextMaps{
    {"upper", "$x.upper()", {"$p in capitals", "capital $p"}, 0, -1, false, false, 's'},
    {"lower", "$x.lower()", {"$p in small letters", "small $p"}, 0, -1, false, false, 's'},
    {"repeat", "$x*$k", {"$p $k times each", "each of $p $k times"}, 2, 4, false, false, 's'},
    {"dash", "$x+'-'", {"$p with dashes", "dashed $p"}, 0, -1, false, false, 's'},
};

const std::vector<Idiom> kIntReduces{
    {.name = "sum",
     .words = {"sum of $p", "total of $p", "add up $p"},
     .start = {"$t=0"},
     .step = {"$t+=$e"}},
    {.name = "product",
     .words = {"product of $p", "multiply $p"},
     .start = {"$t=1"},
     .step = {"$t*=$e"}},
    {.name = "count",
     .words = {"count $p", "how many $p"},
     .start = {"$t=0"},
     .step = {"$t+=1"},
     .needs_filter = true,
     .takes_map = false},
    {.name = "largest",
     .words = {"largest of $p or 0", "maximum of $p or 0"},
     .start = {"$t=0"},
     .step = {"$t=max($t,$e)"}},
    {.name = "smallest",
     .words = {"smallest of $p or 9", "minimum of $p or 9"},
     .start = {"$t=9"},
     .step = {"$t=min($t,$e)"}},
    {.name = "collect",
     .words = {"list of $p", "collect $p"},
     .type = 'l',
     .start = {"$t=[]"},
     .step = {"$t.append($e)"}},
    {.name = "first",
     .words = {"first of $p or -1"},
     .step = {"return $e"},
     .end = "return -1",
     .needs_filter = true,
     .open = false},
    {.name = "last",
     .words = {"last of $p or -1"},
     .start = {"$t=-1"},
     .step = {"$t=$e"},
     .needs_filter = true},
    {.name = "any",
     .words = {"is any $n $q", "whether some $n are $q"},
     .type = 'b',
     .step = {"return True"},
     .end = "return False",
     .needs_filter = true,
     .takes_map = false,
     .open = false},
    {.name = "all",
     .words = {"are all $n $q", "whether all $n are $q"},
     .type = 'b',
     .step = {"return False"},
     .end = "return True",
     .needs_filter = true,
     .takes_map = false,
     .negates = true,
     .open = false},
    {.name = "running",
     .words = {"running sums of $p", "sums so far of $p"},
     .type = 'l',
     .start = {"$r=[]", "$t=0"},
     .step = {"$t+=$e", "$r.append($t)"}},
    {.name = "distinct",
     .words = {"distinct $p", "$p without repeats"},
     .type = 'l',
     .start = {"$t=[]"},
     .step = {"$t.append($e)"},
     .unless = "$e not in $t"},
};

const std::vector<Idiom> kTextReduces{
    {.name = "concat",
     .words = {"text of $p", "join $p"},
     .type = 's',
     .start = {"$t=''"},
     .step = {"$t+=$e"}},
    {.name = "prepend",
     .words = {"text of $p backwards", "$p in reverse"},
     .type = 's',
     .start = {"$t=''"},
     .step = {"$t=$e+$t"}},
    {.name = "count_text",
     .words = {"count $p", "how many $p"},
     .start = {"$t=0"},
     .step = {"$t+=1"},
     .needs_filter = true,
     .takes_map = false},
    {.name = "collect_text",
     .words = {"list of $p", "collect $p"},
     .type = 'l',
     .start = {"$t=[]"},
     .step = {"$t.append($e)"}},
    {.name = "any_text",
     .words = {"are there $p", "whether there are $p"},
     .type = 'b',
     .step = {"return True"},
     .end = "return False",
     .needs_filter = true,
     .takes_map = false,
     .open = false},
    {.name = "all_text",
     .words = {"are there only $p", "nothing but $p"},
     .type = 'b',
     .step = {"return False"},
     .end = "return True",
     .needs_filter = true,
     .takes_map = false,
     .negates = true,
     .open = false},
    {.name = "distinct_text",
     .words = {"distinct $p", "$p without repeats"},
     .type = 's',
     .start = {"$t=''"},
     .step = {"$t+=$e"},
     .unless = "$e not in $t"},
    {.name = "first_text",
     .words = {"first of $p or ''"},
     .type = 's',
     .step = {"return $e"},
     .end = "return ''",
     .needs_filter = true,
     .open = false},
};

const std::vector<Idiom> kBefores{
    {"reversed", "$e[::-1]", {"from the end", "backwards"}},
    {"skip", "$e[$k:]", {"after the first $k", "without the first $k"}, 1, 3},
    {"take", "$e[:$k]", {"in the first $k", "up to place $k"}, 2, 4},
    {"every", "$e[::2]", {"at every second place"}},
    {"butlast", "$e[:-1]", {"without the last"}},
};

const std::vector<Idiom> kIntAfters{
    {"then_plus", "$e+$k", {"then plus $k", "then add $k"}, 1, 9},
    {"then_times", "$e*$k", {"then times $k"}, 2, 5},
    {"then_rest", "$e%$k", {"then modulo $k"}, 2, 7},
    {"then_negate", "-$e", {"then negated"}},
    {"then_text", "str($e)", {"as text"}, 0, -1, false, false, 's'},
};
const std::vector<Idiom> kListAfters{
    {"then_reverse", "$e[::-1]", {"then reversed"}, 0, -1, false, false, 'l'},
    {"then_sort", "sorted($e)", {"then sorted"}, 0, -1, false, false, 'l'},
    {"then_take", "$e[:$k]", {"then the first $k"}, 1, 3, false, false, 'l'},
    {"then_len", "len($e)", {"then how many"}},
    {"then_sum", "sum($e)", {"then added up"}},
};
const std::vector<Idiom> kTextAfters{
    {"then_upper", "$e.upper()", {"then in capitals"}, 0, -1, false, false, 's'},
    {"then_turn", "$e[::-1]", {"then turned round"}, 0, -1, false, false, 's'},
    {"then_length", "len($e)", {"then its length"}},
    {"then_mark", "$e+'!'", {"then with !"}, 0, -1, false, false, 's'},
};

constexpr std::array<std::string_view, kSources> kSourceNames{
    "list", "gaps", "pair_sums", "weighted", "digits", "range", "text", "branch"};
constexpr std::array<std::string_view, kSources> kNouns{
    "numbers", "gaps", "neighbour sums", "numbers by place", "digits", "1 to n", "letters", ""};

bool is_text(const Sketch& sketch) {
  return sketch.source == Source::kText;
}

const std::vector<Idiom>& after(char type) {
  static const std::vector<Idiom> none;
  return type == 'i' ? kIntAfters : type == 'l' ? kListAfters : type == 's' ? kTextAfters : none;
}

const std::vector<Idiom>& table(const Sketch& sketch, std::size_t place) {
  static const std::vector<Idiom> none;
  const bool sliced = sketch.source == Source::kList || is_text(sketch);
  switch (place) {
    case kBefore:
      return sliced ? kBefores : none;
    case kFilter:
      return is_text(sketch) ? kTextFilters : kIntFilters;
    case kMap:
      return is_text(sketch) ? kTextMaps : kIntMaps;
    case kReduce:
      return is_text(sketch) ? kTextReduces : kIntReduces;
    default: {
      const Idiom* reduce = sketch.idioms[kReduce];
      return reduce && reduce->open ? after(reduce->type) : none;
    }
  }
}

void draw_constant(Sketch& sketch, std::size_t place, const Idiom& idiom, Random& random) {
  if (idiom.high >= idiom.low) sketch.constants[place] = random.between(idiom.low, idiom.high);
}

void draw_place(Sketch& sketch, std::size_t place, Random& random) {
  const std::vector<Idiom>& all = table(sketch, place);
  if (all.empty()) return;
  sketch.idioms[place] = &random.pick(all);
  draw_constant(sketch, place, *sketch.idioms[place], random);
}

bool sound(const Sketch& sketch) {
  const Idiom* reduce = sketch.idioms[kReduce];
  if (sketch.source == Source::kBranch) return sketch.idioms[kFilter] && sketch.idioms[kMap];
  if (!reduce) return false;
  if (reduce->needs_filter && !sketch.idioms[kFilter]) return false;
  if (!reduce->takes_map && sketch.idioms[kMap]) return false;
  return !sketch.idioms[kAfter] ||
         std::ranges::find(table(sketch, kAfter), sketch.idioms[kAfter]->name, &Idiom::name) !=
             table(sketch, kAfter).end();
}

bool is_indexed(const Sketch& sketch) {
  return sketch.source == Source::kGaps || sketch.source == Source::kPairSums ||
         sketch.source == Source::kWeighted;
}

void draw_names(Sketch& sketch, Random& random) {
  constexpr std::string_view kFunctions[] = {"f", "g", "h", "go", "run"};
  constexpr std::string_view kLists[] = {"xs", "a", "nums", "v"};
  constexpr std::string_view kTexts[] = {"s", "text", "w"};
  constexpr std::string_view kItems[] = {"x", "e", "i"};
  constexpr std::string_view kCharacters[] = {"c", "x", "ch"};
  constexpr std::string_view kTotals[] = {"t", "r", "out"};
  sketch.function = random.pick(kFunctions);
  const bool number = sketch.source == Source::kDigits || sketch.source == Source::kRange ||
                      sketch.source == Source::kBranch;
  sketch.parameter = number ? "n" : is_text(sketch) ? random.pick(kTexts) : random.pick(kLists);
  sketch.second = "k";
  sketch.item = is_text(sketch) ? random.pick(kCharacters) : random.pick(kItems);
  if (sketch.source == Source::kBranch) sketch.item = "n";
  if (sketch.item == "i" && is_indexed(sketch)) sketch.item = "x";
  sketch.total = random.pick(kTotals);
  sketch.words = random.next();
}

std::string filled(std::string_view form, std::string_view what, std::string_view with) {
  return replace_all(form, what, with);
}

std::string constant(const Sketch& sketch, std::size_t place, bool in_words) {
  if (sketch.by_parameter == static_cast<int>(place)) return sketch.second;
  if (in_words && sketch.no_constants) return "some";
  return fmt::format("{}", sketch.constants[place]);
}

std::string code(const Sketch& sketch, std::size_t place, const Idiom* idiom, std::string_view in) {
  if (!idiom) return std::string(in);
  const std::string with = filled(filled(idiom->code, "$x", in), "$e", in);
  return filled(with, "$k", constant(sketch, place, false));
}

std::string words(const Sketch& sketch, std::size_t place, const Idiom& idiom) {
  const std::size_t choice = (sketch.words >> (place * 4)) % idiom.words.size();
  return filled(idiom.words[choice], "$k", constant(sketch, place, true));
}

std::string branch_body(const Sketch& sketch) {
  return fmt::format(" if {}:\n  return {}\n return {}\n",
                     code(sketch, kFilter, sketch.idioms[kFilter], sketch.parameter),
                     code(sketch, kMap, sketch.idioms[kMap], sketch.parameter),
                     code(sketch, kPlaces, sketch.otherwise, sketch.parameter));
}

// The loop's header, and the lines with which its body begins.
std::vector<std::string> loop_of(const Sketch& sketch) {
  const std::string &p = sketch.parameter, &x = sketch.item;
  switch (sketch.source) {
    case Source::kGaps:
      return {fmt::format(" for i in range(1,len({})):", p),
              fmt::format("  {}={}[i]-{}[i-1]", x, p, p)};
    case Source::kPairSums:
      return {fmt::format(" for i in range(1,len({})):", p),
              fmt::format("  {}={}[i]+{}[i-1]", x, p, p)};
    case Source::kWeighted:
      return {fmt::format(" for i in range(len({})):", p), fmt::format("  {}=i*{}[i]", x, p)};
    case Source::kDigits:
      return {fmt::format(" while {}>0:", p), fmt::format("  {}={}%10", x, p),
              fmt::format("  {}//=10", p)};
    case Source::kRange:
      return {fmt::format(" for {} in range(1,{}+1):", x, p)};
    default:
      return {fmt::format(" for {} in {}:", x, code(sketch, kBefore, sketch.idioms[kBefore], p))};
  }
}

std::string branch_words(const Sketch& sketch) {
  const auto told = [&](std::size_t place, const Idiom* idiom) {
    if (!idiom) return sketch.parameter;
    return sketch.untold == static_cast<int>(place)
               ? std::string("something")
               : filled(words(sketch, place, *idiom), "$p", sketch.parameter);
  };
  const std::string condition =
      sketch.untold == kFilter ? "special" : words(sketch, kFilter, *sketch.idioms[kFilter]);
  return fmt::format("{} if {} is {} else {}", told(kMap, sketch.idioms[kMap]), sketch.parameter,
                     condition, told(kPlaces, sketch.otherwise));
}

}  // namespace

Sketch draw_sketch(Random& random, int depth) {
  for (;;) {
    Sketch sketch;
    // Lists are what most functions work on.
    constexpr Source kDraw[] = {Source::kList,   Source::kList,     Source::kList,
                                Source::kList,   Source::kText,     Source::kText,
                                Source::kDigits, Source::kRange,    Source::kBranch,
                                Source::kGaps,   Source::kPairSums, Source::kWeighted};
    sketch.source = random.pick(kDraw);
    if (sketch.source == Source::kBranch) {
      draw_place(sketch, kFilter, random);
      draw_place(sketch, kMap, random);
      if (depth > 2) {
        sketch.otherwise = &random.pick(kIntMaps);
        draw_constant(sketch, kPlaces, *sketch.otherwise, random);
      }
    } else {
      draw_place(sketch, kReduce, random);
      for (const std::size_t place : {kBefore, kFilter, kMap, kAfter})
        if (random.chance(40)) draw_place(sketch, place, random);
    }
    if (!sound(sketch) || depth_of(sketch) != depth) continue;
    std::vector<int> with_constant;
    for (std::size_t place = 0; place < kPlaces; ++place)
      if (sketch.idioms[place] && sketch.idioms[place]->high >= sketch.idioms[place]->low)
        with_constant.push_back(static_cast<int>(place));
    if (!with_constant.empty() && random.chance(15))
      sketch.by_parameter = random.pick(with_constant);
    draw_names(sketch, random);
    const int vague = random.between(0, 99);
    sketch.no_constants = vague < 35;
    if (vague >= 85)
      sketch.untold =
          static_cast<int>(random.pick(std::array<std::size_t, 4>{kBefore, kFilter, kMap, kAfter}));
    return sketch;
  }
}

int depth_of(const Sketch& sketch) {
  return static_cast<int>(idiom_names(sketch).size());
}

std::vector<std::string_view> idiom_names(const Sketch& sketch) {
  std::vector<std::string_view> names;
  if (is_indexed(sketch)) names.push_back(kSourceNames[static_cast<std::size_t>(sketch.source)]);
  for (const Idiom* idiom : sketch.idioms)
    if (idiom) names.push_back(idiom->name);
  if (sketch.otherwise) names.push_back(sketch.otherwise->name);
  return names;
}

bool has_held_out_pair(const Sketch& sketch) {
  const std::vector<std::string_view> names = idiom_names(sketch);
  for (std::size_t i = 0; i < names.size(); ++i)
    for (std::size_t j = i + 1; j < names.size(); ++j)
      if (Random(hash_text(names[j], hash_text(names[i]))).below(100) < 15) return true;
  return false;
}

std::vector<std::string> parameters_of(const Sketch& sketch) {
  if (sketch.by_parameter < 0) return {sketch.parameter};
  return {sketch.parameter, sketch.second};
}

std::string body_of(const Sketch& sketch) {
  if (sketch.source == Source::kBranch) return branch_body(sketch);
  const Idiom& reduce = *sketch.idioms[kReduce];
  const std::string& x = sketch.item;
  const std::string made = code(sketch, kMap, sketch.idioms[kMap], x);
  const std::string list = sketch.total == "r" ? "t" : "r";  // beside the total
  const auto written = [&](std::string_view form) {
    return filled(filled(filled(form, "$e", made), "$t", sketch.total), "$r", list);
  };
  std::string condition;
  if (sketch.idioms[kFilter]) condition = code(sketch, kFilter, sketch.idioms[kFilter], x);
  if (reduce.negates) condition = "not " + condition;
  if (!reduce.unless.empty())
    condition += (condition.empty() ? "" : " and ") + written(reduce.unless);

  std::string out;
  for (const std::string_view line : reduce.start) out += " " + written(line) + "\n";
  for (const std::string& line : loop_of(sketch)) out += line + "\n";
  if (!condition.empty()) out += "  if " + condition + ":\n";
  for (const std::string_view line : reduce.step)
    out += (condition.empty() ? "  " : "   ") + written(line) + "\n";
  if (!reduce.end.empty()) return out + fmt::format(" {}\n", reduce.end);
  const std::string& total = reduce.start.size() == 2 ? list : sketch.total;
  return out + fmt::format(" return {}\n", code(sketch, kAfter, sketch.idioms[kAfter], total));
}

std::string description_of(const Sketch& sketch) {
  if (sketch.source == Source::kBranch) return branch_words(sketch);
  const auto told = [&](std::size_t place) {
    return sketch.idioms[place] && sketch.untold != static_cast<int>(place);
  };
  const std::string noun(kNouns[static_cast<std::size_t>(sketch.source)]);
  std::string items = noun, quality = "special";
  if (told(kFilter)) {
    const Idiom& filter = *sketch.idioms[kFilter];
    quality = words(sketch, kFilter, filter);
    items = filter.whole ? quality : filter.adjective ? quality + " " + noun : noun + " " + quality;
  } else if (sketch.idioms[kFilter]) {
    items = "some " + noun;
  }
  if (told(kMap)) items = filled(words(sketch, kMap, *sketch.idioms[kMap]), "$p", items);
  std::string text = words(sketch, kReduce, *sketch.idioms[kReduce]);
  text = filled(filled(filled(text, "$p", items), "$n", noun), "$q", quality);
  if (told(kBefore)) text += " " + words(sketch, kBefore, *sketch.idioms[kBefore]);
  if (told(kAfter)) text += ", " + words(sketch, kAfter, *sketch.idioms[kAfter]);
  return text;
}

std::optional<Sketch> near_miss(const Sketch& sketch, Random& random) {
  Sketch out = sketch;
  const std::size_t place = random.below(kPlaces);
  const int what = random.between(0, 3);
  if (what == 0 && place != kReduce) {
    out.idioms[place] = nullptr;
    if (out.by_parameter == static_cast<int>(place)) return std::nullopt;
  } else if (what == 1 && out.idioms[place]) {
    draw_constant(out, place, *out.idioms[place], random);
  } else if (what == 2 || out.idioms[place]) {
    if (out.source == Source::kBranch && place != kFilter && place != kMap) return std::nullopt;
    draw_place(out, place, random);
  }
  if (!sound(out)) return std::nullopt;
  return out;
}

std::pair<int, int> constant_range(const Idiom& idiom) {
  return {idiom.low, idiom.high};
}

std::size_t idiom_count() {
  return kIntFilters.size() + kTextFilters.size() + kIntMaps.size() + kTextMaps.size() +
         kIntReduces.size() + kTextReduces.size() + kBefores.size() + kIntAfters.size() +
         kListAfters.size() + kTextAfters.size() + 4;  // three indexed sources and the branch
}

}  // namespace lathe::app
