// The maker of what is there already: runs that judge a take of somebody else's have it.
#include "loop/makers/maker.h"

namespace lathe::loop {
namespace {

// Its candidate came with the run; a recipe that names this maker has none.
Result<Made> make(const MakeTask&, const MakeContext&) {
  return fail(ErrorKind::kDenied,
              "given: makes nothing; it stands in runs that judge what somebody else made");
}

std::optional<Proposal> propose(const ProposeTask& task) {
  if (!task.attempts.empty()) return std::nullopt;
  return Proposal{.setting = Json::object(), .reason = "made by somebody else"};
}

}  // namespace

extern const MakerKind kGivenMaker;
const MakerKind kGivenMaker{
    .name = "given",
    .summary = "makes nothing: runs that judge what somebody else made have it",
    .repeat = "pure",
    .propose = propose,
    .make = make,
};

}  // namespace lathe::loop
