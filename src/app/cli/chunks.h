// A prompt of texts and media from two files, for checks against other engines.
#pragma once

#include "ground/base/file.h"
#include "infer/executor/prompt.h"

namespace lathe::app {

// `description` is JSON: {"chunks": [...]} of
//   {"type": "text", "ids": [1, 2]}
//   {"type": "image" (or "audio"), "n_tokens": 12, "non_causal": 0 or 1 (RowShape::mutual),
//    "pos_t_y_x": [[4, 4, 4], [4, 4, 5], …]}   the last one where the rows are a grid.
// `embeddings` are the rows of all media, one behind the other, float32 little endian. What
// positions the file names ("pos0", "n_pos", "pos_t_y_x") must be those that follow from the rest.
Result<infer::Prompt> read_chunks(const fs::path& description, const fs::path& embeddings);

}  // namespace lathe::app
