// The tensors that the parts of an encoder need, as the parts ask for them one after the other:
// what is missing or has another shape is told by check(), what they take by bytes(), and load()
// fills them in. The header alone is enough for all but load(). One thread; a part stays where it
// is once it has asked.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "infer/tensor/matrix.h"

namespace lathe::infer {

struct WeightLoading {
  const KernelTable* kernels = nullptr;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // bytes; may be empty
  const StopFlag* stop = nullptr;
};

class WeightList {
 public:
  explicit WeightList(const Gguf& file) : file_(&file) {}

  bool has(std::string_view name) const { return file_->find_tensor(name) != nullptr; }
  // Rows of a matrix, dimension `axis` of a table: what the file has, 0 where it is not there.
  std::size_t dimension(std::string_view name, std::size_t axis) const;

  // W (rows, k); of a kernel of convolution (rows, …) k is the product of the rest, of several
  // tables (…, k) rows is.
  void matrix(const std::string& name, std::size_t k, std::size_t rows, PackedMatrix* to) {
    part_of_matrix(name, k, rows, 0, rows, to);
  }
  // Rows [first, first + count) of such a matrix.
  void part_of_matrix(const std::string& name, std::size_t k, std::size_t rows, std::size_t first,
                      std::size_t count, PackedMatrix* to);
  // `count` numbers in whatever shape.
  void numbers(const std::string& name, std::size_t count, std::vector<float>* to);
  // Of those, [first, first + used).
  void part_of_numbers(const std::string& name, std::size_t count, std::size_t first,
                       std::size_t used, std::vector<float>* to);

  // The first thing that is wrong. Also what stands in a layer ("`prefix`N.") that some part asked
  // for tensors of, and nobody asked for: what it would do is unknown.
  Status check(std::string_view prefix) const;
  std::uint64_t bytes(const KernelTable& kernels) const;
  // The packed matrices' memory, which they point into. check() first.
  Result<Pages> load(ThreadTeam& team, const WeightLoading& loading);

  // Of all matrices.
  std::size_t max_k() const { return max_k_; }
  std::size_t max_rows() const { return max_rows_; }

 private:
  const GgufTensor* find(const std::string& name);
  void refuse(const GgufTensor& tensor, const std::string& needed);

  struct Numbers {
    const GgufTensor* tensor;
    std::size_t first, used;
    std::vector<float>* to;
  };
  const Gguf* file_;
  std::deque<GgufTensor> flat_;  // as matrices, whatever their shape in the file
  std::vector<MatrixLoad> matrices_;
  std::vector<Numbers> numbers_;
  std::set<std::string, std::less<>> asked_;
  std::size_t max_k_ = 0, max_rows_ = 0;
  std::string error_;  // the first; "": none
};

}  // namespace lathe::infer
