// What is loaded of a file.
#include "infer/cpu/model.h"

#include <gtest/gtest.h>

#include "infer/models/tiny_model_test.h"

namespace lathe::infer {
namespace {

// A file may hold what the model has no use for: it is not loaded, and not foretold.
TEST(Model, WhatNobodyReadsIsNotBooked) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "tiny.gguf";
  write_tiny_model(path, {.layers = 3});
  const auto file = *Gguf::open(path);
  Blueprint blueprint = *read_blueprint(file);
  const std::uint64_t all = weight_bytes(file, blueprint, best_kernel_table());
  blueprint.layers.pop_back();
  std::uint64_t less = all;
  for (const GgufTensor& tensor : file.tensors())
    if (tensor.name.starts_with("blk.2.") && tensor.dimensions == 1)
      less -= tensor.elements() * sizeof(float);
  EXPECT_LT(weight_bytes(file, blueprint, best_kernel_table()), less);
}

}  // namespace
}  // namespace lathe::infer
