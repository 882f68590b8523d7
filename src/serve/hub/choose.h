// Which files of a repository are the model that was asked for. Pure.
#pragma once

#include "serve/hub/listing.h"
#include "serve/hub/source.h"

namespace lathe::serve {

struct ChosenModel {
  std::string name;             // the file's, without ".gguf" and the number of its part
  std::vector<RepoFile> files;  // of a split model all parts, in order
  bool by_default = false;      // nobody named it: the choice is worth a word
};

// `wanted` is a quantization ("Q4_K_M", any case), a file, or "": then the middle way, Q4_K_M,
// where there is one, else what the repository has. Errors list what there is.
Result<ChosenModel> choose_model(const RepoListing& listing, const ModelSource& source);

// "a/m-00002-of-00003.gguf" is part 2 of 3 of "a/m"; what is not split is part 1 of 1.
struct ModelPart {
  std::string model;  // the path without number and suffix
  std::size_t number = 1, count = 1;
};
ModelPart model_part(std::string_view path);  // of a path that is_model_file()
// Encoders of pictures and matrices of importance are GGUF files and no models.
bool is_model_file(std::string_view path);

// The name below which a file is kept here; "": it is no name for a file here.
std::string kept_name(std::string_view path);

}  // namespace lathe::serve
