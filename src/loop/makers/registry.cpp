// The table of makers. To add one: a file, and a row here.
#include "loop/makers/maker.h"

namespace lathe::loop {

// One line per maker, in the order in which they are listed to people.

extern const MakerKind kAgentMaker;
extern const MakerKind kCodeMaker;
extern const MakerKind kCommandMaker;
extern const MakerKind kMiniMaker;
extern const MakerKind kGivenMaker;
extern const MakerKind kDrawnSceneMaker;
extern const MakerKind kPictureMaker;
extern const MakerKind kPosterMaker;
extern const MakerKind kHtmlMaker;
extern const MakerKind kReplyMaker;
extern const MakerKind kSceneMaker;
extern const MakerKind kSvgMaker;
extern const MakerKind kTextMaker;
extern const MakerKind kVoiceMaker;

namespace {
const std::vector<const MakerKind*>& kinds() {
  static const std::vector<const MakerKind*> all{
      &kCodeMaker,       &kAgentMaker,   &kCommandMaker, &kVoiceMaker, &kTextMaker,
      &kPosterMaker,     &kPictureMaker, &kSvgMaker,     &kHtmlMaker,  &kSceneMaker,
      &kDrawnSceneMaker, &kMiniMaker,    &kReplyMaker,   &kGivenMaker};
  return all;
}
}  // namespace

std::span<const MakerKind* const> maker_kinds() {
  return kinds();
}

const MakerKind* find_maker(std::string_view name) {
  for (const MakerKind* kind : maker_kinds())
    if (kind->name == name) return kind;
  return nullptr;
}

}  // namespace lathe::loop
