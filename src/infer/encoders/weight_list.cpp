// Tensors by their names: found, checked, counted, loaded.
#include "infer/encoders/weight_list.h"

#include <algorithm>

namespace lathe::infer {
namespace {

std::string shape_of(const GgufTensor& tensor) {
  std::string text;
  for (int i = 0; i < tensor.dimensions; ++i)
    text += fmt::format("{}{}", i == 0 ? "" : " × ", tensor.shape[static_cast<std::size_t>(i)]);
  return text;
}

}  // namespace

std::size_t WeightList::dimension(std::string_view name, std::size_t axis) const {
  const GgufTensor* tensor = file_->find_tensor(name);
  return tensor == nullptr ? 0 : static_cast<std::size_t>(tensor->shape[axis]);
}

const GgufTensor* WeightList::find(const std::string& name) {
  asked_.insert(name);
  const GgufTensor* tensor = file_->find_tensor(name);
  if (tensor == nullptr && error_.empty())
    error_ = fmt::format(
        "{}: tensor {} is missing; the file is incomplete, or of another kind "
        "than its clip.projector_type says",
        file_->path().string(), name);
  return tensor;
}

void WeightList::refuse(const GgufTensor& tensor, const std::string& needed) {
  if (error_.empty())
    error_ = fmt::format("{}: tensor {} is {}; its header asks for {}", file_->path().string(),
                         tensor.name, shape_of(tensor), needed);
}

void WeightList::part_of_matrix(const std::string& name, std::size_t k, std::size_t rows,
                                std::size_t first, std::size_t count, PackedMatrix* to) {
  const GgufTensor* tensor = find(name);
  if (tensor == nullptr) return;
  // Of a kernel of convolution the last dimension counts rows; of tables that lie one behind the
  // other the first one is a row's.
  const auto last = static_cast<std::size_t>(std::max(tensor->dimensions, 2) - 1);
  const bool kernel = tensor->shape[last] == rows && tensor->elements() / rows == k;
  const bool tables = tensor->shape[0] == k && tensor->rows() == rows;
  if (!kernel && !tables) return refuse(*tensor, fmt::format("{} rows of {}", rows, k));
  GgufTensor& flat = flat_.emplace_back(*tensor);
  flat.shape = {k, rows, 1, 1};
  flat.dimensions = 2;
  MatrixLoad load;
  load.tensor = &flat;
  load.matrix = to;
  load.first_row = first;
  load.rows = count;
  matrices_.push_back(std::move(load));
  max_k_ = std::max(max_k_, k);
  max_rows_ = std::max(max_rows_, count);
}

void WeightList::numbers(const std::string& name, std::size_t count, std::vector<float>* to) {
  part_of_numbers(name, count, 0, count, to);
}

void WeightList::part_of_numbers(const std::string& name, std::size_t count, std::size_t first,
                                 std::size_t used, std::vector<float>* to) {
  const GgufTensor* tensor = find(name);
  if (tensor == nullptr) return;
  if (tensor->elements() != count) return refuse(*tensor, fmt::format("{} numbers", count));
  numbers_.push_back({tensor, first, used, to});
}

Status WeightList::check(std::string_view prefix) const {
  if (!error_.empty()) return invalid("{}", error_);
  for (const GgufTensor& tensor : file_->tensors()) {
    if (!tensor.name.starts_with(prefix) || asked_.contains(tensor.name)) continue;
    const std::string layer = tensor.name.substr(0, tensor.name.find('.', prefix.size()) + 1);
    const auto neighbour = asked_.lower_bound(layer);
    if (neighbour != asked_.end() && neighbour->starts_with(layer))
      return invalid(
          "{}: tensor {} is none that Lathe knows of this projector; without it the embeddings "
          "would be wrong",
          file_->path().string(), tensor.name);
  }
  return {};
}

std::uint64_t WeightList::bytes(const KernelTable& kernels) const {
  std::uint64_t matrices = 0, numbers = 0;
  for (const MatrixLoad& load : matrices_)
    matrices += packed_bytes(kernels, *load.tensor, load.rows);
  for (const Numbers& each : numbers_) numbers += each.used * sizeof(float);
  return Pages::rounded(matrices) + numbers;
}

Result<Pages> WeightList::load(ThreadTeam& team, const WeightLoading& loading) {
  LATHE_CHECK(error_.empty());
  for (const Numbers& each : numbers_) {
    LATHE_TRY(const std::vector<float> all, load_floats(*file_, *each.tensor));
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(each.first);
    each.to->assign(begin, begin + static_cast<std::ptrdiff_t>(each.used));
  }
  std::uint64_t total = 0;
  for (const MatrixLoad& load : matrices_)
    total += load.tensor->bytes / load.tensor->shape[1] * load.rows;
  return load_matrices(
      *file_, matrices_, *loading.kernels, team,
      [&](std::uint64_t done) {
        if (loading.progress) loading.progress(done, total);
      },
      loading.stop);
}

}  // namespace lathe::infer
