// From what was seen to faults and a score.
#include "loop/judges/eyes_score.h"

#include <array>
#include <cmath>
#include <map>
#include <set>

#include "ground/base/text.h"
#include "loop/senses/box_text.h"

namespace lathe::loop {
namespace {

constexpr int kEdge = 2;                 // pixels: nearer to the edge is cut off
constexpr int kLargeText = 24;           // pixels of a word's box
constexpr double kLargeShare = 2.0 / 3;  // of the contrast that small text needs
constexpr double kLookAlike = 0.5;
constexpr double kNumberAlike = 0.3;    // one number stands where another should
constexpr double kGuess = 40;           // confidence below which a word stands for nothing
constexpr double kSureWord = 80;        // confidence of a word that nobody asked for
constexpr double kVariant = 0.6;        // likeness of a word that was written wrong, …
constexpr double kSureVariant = 90;     // … confidence with which it was read, …
constexpr int kSureHeight = 32;         // … and pixels: of smaller ones letters get lost
constexpr std::size_t kLeastExtra = 3;  // letters of one
constexpr double kBlank = 0.002;
constexpr double kOffAcross = 0.08, kOffDown = 0.15;
constexpr double kOnSubject = 0.12;  // of a word's surroundings
constexpr double kCovered = 0.2;     // of the smaller one's box
constexpr double kTouched = 0.02;    // of a word's surroundings, where the boxes meet that far
constexpr double kAspectSlack = 0.01;
constexpr int kCutLetters = 3;
constexpr int kLeastSide = 24;

struct KindName {
  FlawKind kind;
  std::string_view name;
};
constexpr std::array<KindName, 25> kNames{{{FlawKind::kMissing, "missing"},
                                           {FlawKind::kWrong, "wrong"},
                                           {FlawKind::kExtra, "extra"},
                                           {FlawKind::kClipped, "clipped"},
                                           {FlawKind::kContrast, "contrast"},
                                           {FlawKind::kTooSmall, "too_small"},
                                           {FlawKind::kNoSubject, "no_subject"},
                                           {FlawKind::kOffCenter, "off_center"},
                                           {FlawKind::kSubjectCut, "subject_cut"},
                                           {FlawKind::kOverlap, "overlap"},
                                           {FlawKind::kBlank, "blank"},
                                           {FlawKind::kSize, "size"},
                                           {FlawKind::kCode, "code"},
                                           {FlawKind::kOutside, "outside"},
                                           {FlawKind::kUnreadable, "unreadable"},
                                           {FlawKind::kUnfinished, "unfinished"},
                                           {FlawKind::kScript, "script"},
                                           {FlawKind::kIntrusion, "intrusion"},
                                           {FlawKind::kOverflow, "overflow"},
                                           {FlawKind::kBeyond, "out_of_view"},
                                           {FlawKind::kCut, "cut_text"},
                                           {FlawKind::kLink, "link"},
                                           {FlawKind::kImage, "image"},
                                           {FlawKind::kClaim, "claim"},
                                           {FlawKind::kDifferent, "different"}}};
constexpr std::string_view kFingerprint = "eyes:";

struct Expected {
  std::string word;
  std::size_t phrase = 0;
  std::optional<Box> box;  // where it was read, or something much like it
  bool read = false;
};

// Which edge a box lies at, or "".
std::string_view edge_near(const Box& box, const Picture& picture, int within) {
  if (box.x <= within) return "left";
  if (picture.width - box.right() <= within) return "right";
  if (box.y <= within) return "top";
  if (picture.height - box.bottom() <= within) return "bottom";
  return "";
}

std::string clip_remedy(std::string_view edge) {
  return edge == "left" || edge == "right"
             ? "make it smaller or wrap it, and keep it away from the edge"
             : "move it into the picture";
}

Flaw clipped_flaw(const std::string& words, std::string_view edge, const Box& box) {
  return {FlawKind::kClipped,
          box,
          words,
          fmt::format("'{}' is cut off at the {} edge: {}", words, edge, clip_remedy(edge)),
          0,
          static_cast<double>(kEdge)};
}

// A word of which one end is missing: "Festiv" of "Festival" at the right edge.
std::string_view cut_edge(const SeenWord& seen, const std::string& word, const Picture& picture) {
  const std::string part = folded(seen.text), whole = folded(word);
  const int near = std::max(kEdge, seen.box.h);
  if (part.size() >= 2 && part.size() < whole.size() && 3 * part.size() >= whole.size()) {
    if (whole.starts_with(part) && picture.width - seen.box.right() <= near) return "right";
    if (whole.ends_with(part) && seen.box.x <= near) return "left";
  }
  const std::string_view edge = edge_near(seen.box, picture, kEdge);
  return !edge.empty() && likeness(seen.text, word) >= 0.4 ? edge : "";
}

double least_likeness(std::string_view seen, std::string_view word) {
  constexpr std::string_view kDigits = "0123456789";
  const bool numbers =
      seen.find_first_of(kDigits) != seen.npos && word.find_first_of(kDigits) != word.npos;
  return numbers ? kNumberAlike : kLookAlike;
}

double contrast_bar(const Wanted& wanted, const Box& box) {
  return box.h >= kLargeText * wanted.sharpness ? wanted.contrast * kLargeShare : wanted.contrast;
}

Flaw contrast_flaw(const Picture& picture, const std::string& words, const Box& box, double value,
                   double bar) {
  double around = 0;
  const Box ring = common(grown(box, 4), picture.box());
  for (int x = ring.x; x < ring.right(); ++x)
    around += luminance(picture.at(x, ring.y)) / std::max(1, ring.w);
  return {FlawKind::kContrast,
          box,
          words,
          fmt::format("'{}' stands out too little from what is behind it: {}", words,
                      around > 0.35 ? "make the letters darker or the background lighter"
                                    : "make the letters lighter or the background darker"),
          value,
          bar};
}

class TextCheck {
 public:
  TextCheck(const OpenedPicture& opened, const Sight& sight, const Scene& scene,
            const Wanted& wanted, Verdict& verdict)
      : opened_(opened),
        picture_(opened.picture),
        sight_(sight),
        scene_(scene),
        wanted_(wanted),
        verdict_(verdict) {
    for (std::size_t i = 0; i < wanted.phrases.size(); ++i)
      for (const std::string& word : words_in(wanted.phrases[i]))
        expected_.push_back({word, i, {}, false});
    tick_off_words();
  }

  void run() {
    if (wanted_.phrases.empty() || wanted_.any_text) expect_what_was_read();
    source_texts();
    for (Expected& each : expected_)
      if (each.read)
        look_at(each);
      else
        explain_missing(each);
    for (const Expected* each : unseen_) explain_unseen(*each);
    if (!wanted_.any_text && !wanted_.phrases.empty()) find_extra();
    std::vector<std::string> missing;
    for (const Expected& each : expected_)
      if (!each.read) missing.push_back(each.word);
    verdict_.facts["words_read"] = expected_.size() - missing.size();
    verdict_.facts["words_expected"] = expected_.size();
  }

 private:
  void tick_off_words() {
    std::vector<std::string> words;
    for (const Expected& each : expected_) words.push_back(each.word);
    const auto places = places_of(words, sight_, &spare_);
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (!places[i]) continue;
      expected_[i].read = true;
      expected_[i].box = places[i];
      letters_.push_back(*places[i]);
    }
  }

  // Nobody said what should be read: what is surely read is looked at.
  void expect_what_was_read() {
    for (const SeenWord& word : spare_)
      if (word.pass == 0 && word.confidence >= kSureWord && folded(word.text).size() >= 2) {
        expected_.push_back({word.text, 0, word.box, true});
        letters_.push_back(word.box);
      }
  }

  // A drawing's own word on where its texts end.
  void source_texts() {
    for (const SvgText& text : opened_.texts) {
      if (text.ink.empty()) continue;
      const int slack = std::max(kEdge, text.ink.h / 50);
      const Box inside = common(text.ink, picture_.box());
      const std::string words = clip_utf8(text.text, 80);
      const int over[] = {-text.ink.y, text.ink.right() - picture_.width,
                          text.ink.bottom() - picture_.height, -text.ink.x};
      constexpr std::string_view kEdges[] = {"top", "right", "bottom", "left"};
      for (std::size_t i = 0; i < 4; ++i) {
        if (over[i] <= slack) continue;
        Flaw flaw = clipped_flaw(words, kEdges[i], inside);
        flaw.claim += fmt::format("; by its source it ends {} px beyond", over[i]);
        flaw.value = over[i];
        verdict_.flaws.push_back(std::move(flaw));
        for (const std::string& word : words_in(text.text)) explained_.insert(folded(word));
        break;
      }
    }
  }

  bool is_settled(const Box& box) const {
    return std::ranges::any_of(wanted_.settled, [&](const Box& word) {
      return 2 * common(word, box).area() > std::min(box.area(), word.area());
    });
  }

  void look_at(const Expected& each) {
    const Box& box = *each.box;
    if (const auto edge = edge_near(box, picture_, kEdge);
        !edge.empty() && !explained_.contains(folded(each.word)))
      add(clipped_flaw(each.word, edge, box));
    const double bar = contrast_bar(wanted_, box);
    if (!is_settled(box))
      if (const double contrast = word_contrast(picture_, box, letters_); contrast < bar)
        add(contrast_flaw(picture_, each.word, box, contrast, bar));
    if (box.h < wanted_.least_text * wanted_.sharpness)
      add({FlawKind::kTooSmall, box, each.word,
           fmt::format("'{}' is too small to read: make its letters at least {:.0f} px high",
                       each.word, wanted_.least_text),
           static_cast<double>(box.h) / wanted_.sharpness, wanted_.least_text});
  }

  // Of what was read but not asked for, the likest to the word; earlier passes count more.
  const SeenWord* look_alike(const std::string& word) const {
    const SeenWord* best = nullptr;
    double best_score = 0;
    for (const SeenWord& seen : spare_) {
      if (seen.confidence < kGuess) continue;
      const bool cut = !cut_edge(seen, word, picture_).empty();
      const double alike = likeness(seen.text, word);
      if (alike < least_likeness(seen.text, word) && !cut) continue;
      const double score = alike + (cut ? 0.3 : 0) + 0.002 * seen.confidence - 0.01 * seen.pass;
      if (score > best_score) {
        best_score = score;
        best = &seen;
      }
    }
    return best;
  }

  void explain_missing(Expected& each) {
    const SeenWord* seen = look_alike(each.word);
    if (seen) each.box = seen->box;
    if (explained_.contains(folded(each.word))) return;
    if (!seen) return unseen_.push_back(&each);
    if (const auto edge = cut_edge(*seen, each.word, picture_); !edge.empty()) {
      cut_phrases_.insert(each.phrase);
      return add(clipped_flaw(each.word, edge, seen->box));
    }
    const double bar = contrast_bar(wanted_, seen->box);
    if (const double contrast = word_contrast(picture_, seen->box, letters_); contrast < bar)
      return add(contrast_flaw(picture_, each.word, seen->box, contrast, bar));
    if (seen->box.h < wanted_.least_text * wanted_.sharpness)
      return add({FlawKind::kTooSmall, seen->box, each.word,
                  fmt::format("'{}' is too small to read: make its letters at least {:.0f} px high",
                              each.word, wanted_.least_text),
                  static_cast<double>(seen->box.h) / wanted_.sharpness, wanted_.least_text});
    add({FlawKind::kWrong, seen->box, each.word,
         fmt::format("reads '{}' where '{}' is expected: write '{}'", seen->text, each.word,
                     each.word),
         likeness(seen->text, each.word), 1});
  }

  // Nothing like the word was read anywhere. Of a line that runs over the edge it is the part
  // beyond.
  void explain_unseen(const Expected& each) {
    if (cut_phrases_.contains(each.phrase)) return;
    constexpr std::string_view kEdges[] = {"top", "right", "bottom", "left"};
    for (std::size_t side : {std::size_t{0}, std::size_t{2}, std::size_t{1}, std::size_t{3}}) {
      if (scene_.cut_pieces[side] < kCutLetters) continue;
      constexpr int kStrip = 24;
      const int w = picture_.width, h = picture_.height;
      const Box boxes[] = {{0, 0, w, kStrip},
                           {w - kStrip, 0, kStrip, h},
                           {0, h - kStrip, w, kStrip},
                           {0, 0, kStrip, h}};
      return add(clipped_flaw(each.word, kEdges[side], common(boxes[side], picture_.box())));
    }
    const auto source = std::ranges::find_if(opened_.texts, [&](const SvgText& text) {
      return std::ranges::any_of(words_in(text.text), [&](const std::string& word) {
        return folded(word) == folded(each.word);
      });
    });
    const bool in_source = source != opened_.texts.end();
    if (const Box ink = in_source ? common(source->ink, picture_.box()) : Box{}; !ink.empty()) {
      const double bar = contrast_bar(wanted_, ink);
      const double contrast = word_contrast(picture_, ink, letters_);
      if (contrast < bar) return add(contrast_flaw(picture_, each.word, ink, contrast, bar));
    }
    add({FlawKind::kMissing,
         {},
         each.word,
         in_source
             ? fmt::format("'{}' is in the source but cannot be read in the picture: it is "
                           "covered, too faint or too small",
                           each.word)
             : fmt::format("'{}' cannot be read anywhere: write it, large and clear", each.word),
         0,
         1});
  }

  void find_extra() {
    std::set<std::string> welcome;
    for (const std::string& also : wanted_.also)
      for (const std::string& word : words_in(also)) welcome.insert(folded(word));
    for (const SeenWord& seen : spare_) {
      const std::string word = folded(seen.text);
      if (seen.pass != 0 || seen.confidence < kSureWord || word.size() < kLeastExtra ||
          welcome.contains(word))
        continue;
      const bool stands_for_another = std::ranges::any_of(expected_, [&](const Expected& each) {
        const std::string whole = folded(each.word);
        return (!each.read &&
                (likeness(seen.text, each.word) >= least_likeness(seen.text, each.word) ||
                 whole.find(word) != whole.npos)) ||
               (each.box && !common(*each.box, seen.box).empty());
      });
      if (stands_for_another) continue;
      const bool twice = std::ranges::any_of(
          expected_, [&](const Expected& each) { return folded(each.word) == word; });
      add({FlawKind::kExtra, seen.box, seen.text,
           twice ? fmt::format("'{}' stands there once too often: take it out", seen.text)
                 : fmt::format("'{}' was not asked for: take it out", seen.text),
           seen.confidence, kSureWord});
    }
  }

  // The same fault of words on one line is one flaw.
  void add(Flaw flaw) {
    for (Flaw& other : verdict_.flaws) {
      const bool same_line =
          !flaw.box.empty() && !other.box.empty() &&
          std::min(flaw.box.bottom(), other.box.bottom()) - std::max(flaw.box.y, other.box.y) >
              std::min(flaw.box.h, other.box.h) / 2;
      const bool nowhere = flaw.box.empty() && other.box.empty();
      const bool mergeable = flaw.kind == FlawKind::kContrast || flaw.kind == FlawKind::kMissing ||
                             flaw.kind == FlawKind::kTooSmall || flaw.kind == FlawKind::kClipped ||
                             flaw.kind == FlawKind::kExtra;
      if (other.kind != flaw.kind || !mergeable || !(same_line || nowhere)) continue;
      other.claim = replace_all(other.claim, "'" + other.about + "'",
                                "'" + other.about + " " + flaw.about + "'");
      other.about += " " + flaw.about;
      other.box = united(other.box, flaw.box);
      if (flaw.kind != FlawKind::kExtra) other.value = std::min(other.value, flaw.value);
      return;
    }
    verdict_.flaws.push_back(std::move(flaw));
  }

  const OpenedPicture& opened_;
  const Picture& picture_;
  const Sight& sight_;
  const Scene& scene_;
  const Wanted& wanted_;
  Verdict& verdict_;
  std::vector<Expected> expected_;
  std::vector<SeenWord> spare_;      // read, but none of the expected words
  std::vector<Box> letters_;         // of the expected words that were read
  std::set<std::string> explained_;  // by the source
  std::set<std::size_t> cut_phrases_;
  std::vector<const Expected*> unseen_;
};

// Labels, bands and frames hold text or decorate; the subject is what is left.
bool is_furniture(const Thing& thing, const Picture& picture) {
  const double across = static_cast<double>(thing.box.w) / picture.width;
  const double down = static_cast<double>(thing.box.h) / picture.height;
  const bool band = (across >= 0.97 && down < 0.6) || (down >= 0.97 && across < 0.6);
  const bool frame = across >= 0.85 && down >= 0.85 && thing.filled < 0.4;
  bool holds_text = false;
  for (const double share : thing.on_share) holds_text = holds_text || share >= 0.85;
  const bool label = thing.plain && thing.filled >= 0.88 && holds_text;
  return band || frame || label;
}

struct Subject {
  Box box;
  std::vector<std::pair<Box, double>> on;
};

std::optional<Subject> subject_of(const Scene& scene, const Picture& picture) {
  std::optional<Subject> subject;
  double largest = 0;
  for (const Thing& thing : scene.things) {
    if (is_furniture(thing, picture)) continue;
    if (!subject) {
      subject.emplace();
      largest = thing.share;
    } else if (thing.share < largest / 5 ||
               common(grown(thing.box, picture.width / 25), subject->box).empty()) {
      continue;  // something else, or a speck
    }
    subject->box = united(subject->box, thing.box);
    for (std::size_t i = 0; i < thing.on.size(); ++i)
      subject->on.emplace_back(thing.on[i], thing.on_share[i]);
  }
  return subject;
}

void judge_place(const Subject& subject, const Picture& picture, const Wanted& wanted,
                 Verdict& verdict) {
  const Box& box = subject.box;
  const double across = (box.x + box.w / 2.0) / picture.width - 0.5;
  const double down = (box.y + box.h / 2.0) / picture.height - 0.5;
  const auto off = [&](double by, double limit, std::string_view towards, std::string_view back,
                       int side) {
    verdict.flaws.push_back(
        {FlawKind::kOffCenter, box, "subject",
         fmt::format(
             "the subject is {:.0f} % of the picture's {} too far to the {}: move it {:.0f} "
             "px to the {}",
             100 * std::abs(by), side == picture.width ? "width" : "height", towards,
             std::abs(by) * side, back),
         std::abs(by), limit});
  };
  if (wanted.subject == "center") {
    if (std::abs(across) > kOffAcross)
      off(across, kOffAcross, across > 0 ? "right" : "left", across > 0 ? "left" : "right",
          picture.width);
    else if (std::abs(down) > kOffDown)
      off(down, kOffDown, down > 0 ? "bottom" : "top", down > 0 ? "top" : "bottom", picture.height);
  } else if (wanted.subject == "left" && across > -0.05) {
    off(across + 0.25, 0.2, "right", "left", picture.width);
  } else if (wanted.subject == "right" && across < 0.05) {
    off(across - 0.25, 0.2, "left", "right", picture.width);
  }
}

void judge_subject(const Scene& scene, const Picture& picture, const std::vector<Box>& letters,
                   const Wanted& wanted, Verdict& verdict) {
  if (!scene.ground_known) {
    verdict.unsure.push_back(
        "where the subject is: the background is too busy to tell it from the subject");
    return;
  }
  const auto subject = subject_of(scene, picture);
  Flaw overlap{FlawKind::kOverlap,
               {},
               "subject",
               "text lies over the subject: move one of them, or make the subject smaller",
               0,
               kOnSubject};
  if (!subject) {
    // Hidden behind text, of which it shows around the edges?
    for (std::size_t i = 0; i < scene.rims.size(); ++i)
      if (scene.rims[i] > kOnSubject && scene.rims[i] < 0.8) {
        overlap.box = united(overlap.box, letters[i]);
        overlap.value = std::max(overlap.value, scene.rims[i]);
      }
    if (!overlap.box.empty()) return verdict.flaws.push_back(std::move(overlap));
    verdict.flaws.push_back({FlawKind::kNoSubject,
                             {},
                             "subject",
                             "no subject can be made out besides the text: show it larger or with "
                             "more contrast to the background",
                             0,
                             1});
    return;
  }
  verdict.facts["subject"] = to_json(subject->box);
  if (const auto edge = edge_near(subject->box, picture, picture.width / 256); !edge.empty())
    verdict.flaws.push_back({FlawKind::kSubjectCut, subject->box, "subject",
                             fmt::format("the subject is cut off at the {} edge: move it inwards "
                                         "or make it smaller",
                                         edge),
                             0, static_cast<double>(kEdge)});
  judge_place(*subject, picture, wanted, verdict);
  for (const auto& [word, share] : subject->on) {
    const double covered = static_cast<double>(common(word, subject->box).area()) /
                           static_cast<double>(std::min(word.area(), subject->box.area()));
    if (share <= kOnSubject && (covered <= kCovered || share <= kTouched)) continue;
    overlap.box = united(overlap.box, word);
    overlap.value = std::max(overlap.value, share);
  }
  if (!overlap.box.empty()) verdict.flaws.push_back(std::move(overlap));
}

void judge_size(const Picture& picture, const Wanted& wanted, Verdict& verdict) {
  const auto off = [&](std::string claim, double value, double bar) {
    verdict.flaws.push_back({FlawKind::kSize, picture.box(), "size", std::move(claim), value, bar});
  };
  if (wanted.width > 0 && (picture.width != wanted.width || picture.height != wanted.height))
    off(fmt::format("the picture is {}x{} pixels, but must be {}x{}", picture.width, picture.height,
                    wanted.width, wanted.height),
        picture.width, wanted.width);
  const double aspect = static_cast<double>(picture.width) / picture.height;
  if (wanted.aspect > 0 && std::abs(aspect / wanted.aspect - 1) > kAspectSlack)
    off(fmt::format("width to height is {:.3f}, but must be {:.3f}", aspect, wanted.aspect), aspect,
        wanted.aspect);
}

void judge_code(const Picture& picture, const Sight& sight, const Wanted& wanted,
                Verdict& verdict) {
  const SeenCode* other = nullptr;
  for (const SeenCode& code : sight.codes) {
    if (wanted.code == "*" || code.text == wanted.code) return;
    other = &code;
  }
  verdict.flaws.push_back(
      {FlawKind::kCode, other ? other->box : common(Box{}, picture.box()), "code",
       other
           ? fmt::format("the QR code says '{}', but must say '{}'", clip_utf8(other->text, 200),
                         clip_utf8(wanted.code, 200))
           : "no QR code can be read: draw it whole and sharp, dark on light, with a quiet margin",
       0, 1});
}

bool reads_any(const std::vector<std::string>& words, const Sight& sight) {
  return std::ranges::any_of(sight.words, [&](const SeenWord& seen) {
    return (seen.pass == 0 && seen.confidence >= kSureWord) ||
           (folded(seen.text).size() > 2 &&
            std::ranges::any_of(
                words, [&](const std::string& word) { return folded(word) == folded(seen.text); }));
  });
}

}  // namespace

std::string_view flaw_name(FlawKind kind) {
  for (const KindName& each : kNames)
    if (each.kind == kind) return each.name;
  return "";
}

std::optional<FlawKind> parse_flaw(std::string_view name) {
  for (const KindName& each : kNames)
    if (each.name == name) return each.kind;
  return std::nullopt;
}

Critique to_critique(const Flaw& flaw) {
  Critique critique;
  critique.locus = flaw.box.empty() ? "" : to_text(flaw.box);
  critique.severity = "must";
  critique.claim = flaw.claim;
  critique.evidence =
      fmt::format("{}: {:.3g}, bar {:.3g}", flaw_name(flaw.kind), flaw.value, flaw.bar);
  critique.fingerprint =
      fmt::format("{}{}:{}", kFingerprint, flaw_name(flaw.kind), clip_utf8(flaw.about, 200));
  return critique;
}

std::optional<FlawKind> flaw_of(const Critique& critique) {
  std::string_view print = critique.fingerprint;
  if (!print.starts_with(kFingerprint)) return std::nullopt;
  print.remove_prefix(kFingerprint.size());
  return parse_flaw(print.substr(0, print.find(':')));
}

Json to_json(const Flaw& flaw) {
  return {{"kind", flaw_name(flaw.kind)}, {"box", to_json(flaw.box)}, {"about", flaw.about},
          {"claim", flaw.claim},          {"value", flaw.value},      {"bar", flaw.bar}};
}

std::vector<std::string> expected_words(const Wanted& wanted) {
  std::vector<std::string> words;
  for (const std::string& phrase : wanted.phrases)
    for (std::string& word : words_in(phrase)) words.push_back(std::move(word));
  return words;
}

std::vector<std::string> foreign_words(const std::vector<std::string>& words) {
  std::vector<std::string> foreign;
  for (const std::string& word : words)
    if (std::ranges::any_of(folded(word), [](char c) { return (c & 0x80) != 0; }))
      foreign.push_back(word);
  return foreign;
}

std::vector<std::optional<Box>> places_of(const std::vector<std::string>& words, const Sight& sight,
                                          std::vector<SeenWord>* spare) {
  std::map<int, std::vector<SeenWord>> passes;
  for (const SeenWord& word : sight.words) passes[word.pass].push_back(word);
  std::vector<std::optional<Box>> places(words.size());
  std::vector<SeenWord> others;  // words that were surely read and nobody asked for, by pass
  // Changed pictures are read by what words usually are: of "Cofee" they make "Coffee". What two
  // ways of looking had read there before stands.
  const auto contradicted = [&](const std::string& word, const Box& box) {
    const auto there = [&](const SeenWord& other) {
      return likeness(other.text, word) >= kVariant &&
             2 * common(other.box, box).area() > std::min(other.box.area(), box.area());
    };
    const auto first = std::ranges::find_if(others, there);
    if (first == others.end() || first->pass != 0 || first->confidence < kSureVariant ||
        first->box.h < kSureHeight)
      return false;
    return std::any_of(first + 1, others.end(), [&](const SeenWord& again) {
      return again.pass > 0 && there(again) && folded(again.text) == folded(first->text);
    });
  };
  for (const auto& [pass, seen] : passes) {
    std::vector<bool> used;
    const auto boxes = tick_off(words, seen, &used);
    for (std::size_t i = 0; i < places.size(); ++i)
      if (!places[i] && boxes[i] && !contradicted(words[i], *boxes[i])) places[i] = boxes[i];
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (used[i]) continue;
      if (pass >= 0 && seen[i].confidence >= kSureWord) others.push_back(seen[i]);
      if (spare) spare->push_back(seen[i]);
    }
  }
  return places;
}

void judge_text(const OpenedPicture& opened, const Sight& sight, const Scene& scene,
                const Wanted& wanted, Verdict& verdict) {
  TextCheck(opened, sight, scene, wanted, verdict).run();
}

bool is_empty(const Picture& picture) {
  const Scene scene = scene_of(picture, {});
  return scene.ground_known && scene.ink_share < kBlank;
}

Verdict judge_sight(const OpenedPicture& opened, const Sight& sight, const Wanted& wanted) {
  const Picture& picture = opened.picture;
  Verdict verdict;
  verdict.facts["picture"] = {{"width", picture.width}, {"height", picture.height}};
  verdict.facts["looks"] = sight.passes;
  judge_size(picture, wanted, verdict);
  for (const std::string& what : opened.outside)
    verdict.flaws.push_back(
        {FlawKind::kOutside,
         {},
         what,
         fmt::format("the file asks for something beyond itself ({}): a picture "
                     "must hold all that it shows",
                     what),
         0,
         0});
  const std::vector<std::string> words = expected_words(wanted);
  if (const auto foreign = foreign_words(words);
      !foreign.empty() && in_latin_letters(wanted.languages))
    verdict.unsure.push_back(
        fmt::format("'{}': with lang = \"{}\" the eye reads Latin letters only", join(foreign, " "),
                    wanted.languages));
  if (std::min(picture.width, picture.height) < kLeastSide)
    verdict.unsure.push_back(
        fmt::format("anything at {}x{} pixels", picture.width, picture.height));

  // Letters: the expected words where they were read, and what else was surely read.
  std::vector<Box> letters;
  std::string read;
  for (const SeenWord& word : sight.words) {
    const bool expected = std::ranges::any_of(
        words, [&](const std::string& each) { return likeness(each, word.text) >= 0.6; });
    if (expected || (word.pass == 0 && word.confidence >= kSureWord && word.text.size() > 2))
      letters.push_back(word.box);
    if (word.pass == 0) read += (read.empty() ? "" : " ") + word.text;
  }
  for (const SeenCode& code : sight.codes) letters.push_back(grown(code.box, code.box.w / 12));
  verdict.facts["read"] = clip_utf8(read, 500);
  const Scene scene = scene_of(picture, letters);
  if (scene.ground_known && scene.ink_share < kBlank && !reads_any(words, sight)) {
    verdict.flaws.push_back({FlawKind::kBlank, picture.box(), "blank",
                             "the picture is blank: nothing stands out from its background",
                             scene.ink_share, kBlank});
    return verdict;
  }
  judge_text(opened, sight, scene, wanted, verdict);
  if (!wanted.subject.empty()) judge_subject(scene, picture, letters, wanted, verdict);
  if (!wanted.code.empty()) judge_code(picture, sight, wanted, verdict);
  return verdict;
}

}  // namespace lathe::loop
