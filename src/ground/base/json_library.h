// The library of JSON without its literals: `""_json`, which nobody here writes, has every file
// that includes the library compile a parser of objects that are not ours, half a second each.
#pragma once

// Takes the literal's body away: what comes of it is a template that is never used.
#define _json(...)       \
  _json(__VA_ARGS__);    \
  template <class Never> \
  nlohmann::json literal_left_out(Never s, Never n)
#include <nlohmann/json.hpp>
#undef _json
