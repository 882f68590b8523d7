// From what the eye read and what the pixels tell to flaws with reasons. Pure: the thresholds and
// the rules of the eyes judge, without its processes.
#pragma once

#include "loop/senses/picture_codec.h"
#include "loop/senses/scene.h"
#include "loop/terms/terms.h"

namespace lathe::loop {

enum class FlawKind {
  // Of text: a word is not there, another stands there, nobody asked for it, it runs over the edge,
  // stands out too little, is too small.
  kMissing,
  kWrong,
  kExtra,
  kClipped,
  kContrast,
  kTooSmall,
  // Of the subject; the last: text lies over it.
  kNoSubject,
  kOffCenter,
  kSubjectCut,
  kOverlap,
  // Of the picture: nothing on it, size or aspect, its QR code, what it asks for beyond itself, no
  // readable file.
  kBlank,
  kSize,
  kCode,
  kOutside,
  kUnreadable,
  // Of a page: it never stops loading, its scripts fail, it opens windows, is wider than the
  // window, has elements out of view, text that its box cuts off, links to nowhere, images that do
  // not show; a claim of the recipe does not hold; it differs from the reference.
  kUnfinished,
  kScript,
  kIntrusion,
  kOverflow,
  kBeyond,
  kCut,
  kLink,
  kImage,
  kClaim,
  kDifferent,
};
std::string_view flaw_name(FlawKind kind);
std::optional<FlawKind> parse_flaw(std::string_view name);

struct Flaw {
  FlawKind kind = FlawKind::kMissing;
  Box box;            // empty when it is nowhere
  std::string about;  // the words, or "subject": part of the fingerprint
  std::string claim;  // one sentence, with what to do
  double value = 0, bar = 0;
};
// The critique's locus is the box, its fingerprint "eyes:KIND:about".
Critique to_critique(const Flaw& flaw);
std::optional<FlawKind> flaw_of(const Critique& critique);
Json to_json(const Flaw& flaw);

struct Wanted {
  std::vector<std::string> phrases;  // that must be read
  std::vector<std::string> also;     // words that may be there besides
  bool any_text = false;             // other words are welcome
  double contrast = 4.5;             // of letters below 24 px; larger ones need two thirds of it
  double least_text = 7;             // pixels of height
  std::vector<Box> settled;          // words whose contrast is told by another witness
  int sharpness = 1;                 // the picture has that many pixels for each of these
  std::string subject;               // "" | center | left | right | whole
  int width = 0, height = 0;         // 0: any
  double aspect = 0;                 // width / height; 0: any
  std::string languages = "eng";     // to read in
  std::string code;                  // what a QR code must say; "*": anything; "": none is wanted
};

struct Verdict {
  std::vector<Flaw> flaws;
  std::vector<std::string> unsure;  // what could not be told; without flaws this is no pass
  Json facts = Json::object();
};

// Where each of the words was read, whichever look it was; an earlier one's box counts. `spare`:
// what was read besides.
std::vector<std::optional<Box>> places_of(const std::vector<std::string>& words, const Sight& sight,
                                          std::vector<SeenWord>* spare = nullptr);
std::vector<std::string> expected_words(const Wanted& wanted);
// Words that the eye's model cannot read: letters of other scripts.
std::vector<std::string> foreign_words(const std::vector<std::string>& words);

// Nothing stands out from the background, as far as pixels tell.
bool is_empty(const Picture& picture);

Verdict judge_sight(const OpenedPicture& opened, const Sight& sight, const Wanted& wanted);

// Only the text part: for pages, whose subject is their text.
void judge_text(const OpenedPicture& opened, const Sight& sight, const Scene& scene,
                const Wanted& wanted, Verdict& verdict);

}  // namespace lathe::loop
