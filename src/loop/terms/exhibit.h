// What a judge shows of a candidate: for the report, the terminal and programs, none of which knows
// the judge. Plain values.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "ground/base/json.h"

namespace lathe::loop {

// A part of a picture, in its pixels.
struct MarkedBox {
  int x = 0, y = 0, w = 0, h = 0;
  bool empty() const { return w <= 0 || h <= 0; }
};

// How far each part of a picture is off, row by row, in [0,1].
struct HeatMap {
  int columns = 0, rows = 0;
  std::vector<double> values;
};

// A picture with a box around each finding. Findings keep their numbers: one without a place has an
// empty box.
struct PictureExhibit {
  std::string title = {};
  std::string base64 = {};       // a PNG; "": the candidate itself
  double width = 0, height = 0;  // that the boxes are measured in; 0: not known
  std::vector<MarkedBox> boxes = {};
  HeatMap heat = {};

  bool of_candidate() const { return base64.empty(); }
};

// The candidate as it was heard, word by word.
struct SoundExhibit {
  struct Word {
    std::string expected, heard;  // "": none
    std::string match;            // right, or what is wrong with it
    double start = 0, end = 0;    // seconds
  };
  std::vector<Word> words;
};

using Exhibit = std::variant<PictureExhibit, SoundExhibit>;
Json to_json(const Exhibit& exhibit);

}  // namespace lathe::loop
