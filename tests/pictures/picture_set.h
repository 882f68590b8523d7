// Posters drawn by chance: good ones, and ones with a known fault. The same seed gives the same
// pictures (given the same fonts). For the eyes judge's test and its measuring program.
#pragma once

#include "loop/judges/eyes_score.h"

namespace lathe {

struct SetPicture {
  std::string kind;  // "good", or the fault
  std::string name;  // "contrast-3"
  std::string file;  // the bytes: PNG, JPEG or WebP
  std::string extension;
  loop::Wanted wanted;
  std::vector<loop::FlawKind> right;  // any of these is the right reason; empty: must pass
  Box where;                          // of the fault; empty: anywhere
  std::string look;                   // font, palette, background: for people
};

std::span<const std::string_view> fault_kinds();

// `kind`: "good" or one of fault_kinds(). Pure but for the fonts of the machine.
SetPicture set_picture(std::string_view kind, unsigned seed, unsigned index);

// Was it judged as it should be?
bool judged_right(const SetPicture& picture, const loop::Verdict& verdict);

}  // namespace lathe
