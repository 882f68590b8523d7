// Writing GGUF v3: metadata in the order it was added, tensors consecutive and aligned to 32 bytes,
// so that every reader takes them. Two steps: declare everything, then stream the data in the
// declared order. The file is written beside its target and renamed by finish(): a reader never
// sees a half one. One thread.
#pragma once

#include <functional>
#include <memory>

#include "infer/formats/gguf.h"

namespace lathe::infer {

class GgufWriter {
 public:
  static Result<GgufWriter> create(const fs::path& path);
  GgufWriter(GgufWriter&&) noexcept;
  GgufWriter& operator=(GgufWriter&&) noexcept;
  ~GgufWriter();  // an unfinished file is removed

  // Integers are written as u32 where they fit, else u64 / i32 / i64; reals as f32; real arrays as
  // f32.
  void add(std::string_view key, GgufValue value);
  void add_tensor(std::string_view name, TensorType type, std::span<const std::uint64_t> shape);
  Status begin_data();  // writes the header; no more declarations
  Status write(
      std::span<const std::byte> data);  // the next bytes of the current tensor, in any pieces
  // Checks that every tensor is complete, has `check` look at the whole file where there is one,
  // syncs, renames.
  Status finish(const std::function<Status(const fs::path&)>& check = {});

 private:
  struct State;
  explicit GgufWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lathe::infer
