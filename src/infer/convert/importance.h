// Importance matrices: for the input of each weight matrix, how large its columns are, measured
// over the tokens of some text. Quantizers weigh a weight's error with the mean square of what it
// is multiplied by. Files: llama.cpp's GGUF form (general.type "imatrix", tensors NAME.in_sum2 and
// NAME.counts), and, to be read only, its older form without a header. Files are foreign: sizes are
// checked before anything is allocated, numbers that are negative or not finite are refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "infer/formats/gguf.h"

namespace lathe::infer {

struct Importance {
  std::vector<float> squares;  // (experts, columns): sums of squares of the inputs
  std::vector<float> counts;   // (experts), or one for all: how many inputs
};

struct ImportanceMatrix {
  std::map<std::string, Importance, std::less<>> of;  // by the name of the weights
  std::vector<std::string> datasets;
  std::uint32_t chunks = 0, chunk_tokens = 0;
};

Result<ImportanceMatrix> read_importance(const fs::path& path);
Status write_importance(const ImportanceMatrix& matrix, const fs::path& path);

// Mean squares for each column of each expert of a tensor: (experts, columns). Experts that no
// token went to have ones. Empty: nothing is known of this tensor. An error: what is known is of
// another shape.
Result<std::vector<float>> column_weights(const ImportanceMatrix& matrix, const GgufTensor& tensor);

}  // namespace lathe::infer
