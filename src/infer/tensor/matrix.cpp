// Packed matrices and quantized activations, and their products by a team.
#include "infer/tensor/matrix.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>

namespace lathe::infer {
namespace {

// What one task of the loader reads, and what one item of a product walks: large enough to stream,
// small enough to share out.
constexpr std::size_t kReadBytes = std::size_t{4} << 20;
constexpr std::size_t kItemBytes = std::size_t{128} << 10;
// Beyond so many tokens a kernel lays their activations out anew for every item: then items are as
// large as leaves each thread a few.
constexpr std::size_t kWideTokens = 8, kWideItems = 4;

std::size_t row_bytes(const GgufTensor& tensor) {
  const TensorTypeInfo& info = tensor_type_info(tensor.type);
  return static_cast<std::size_t>(tensor.shape[0]) / info.block * info.block_bytes;
}

// A run of panels of one tensor.
struct ReadTask {
  std::size_t load;
  std::size_t expert;
  std::size_t first_panel;
  std::size_t panels;
};

class Loading {
 public:
  Loading(const Gguf& file, std::span<const MatrixLoad> loads, const StopFlag* stop, int threads)
      : file_(file), loads_(loads), stop_(stop), buffers_(static_cast<std::size_t>(threads)) {
    for (std::size_t i = 0; i < loads.size(); ++i) {
      const PackedMatrix& matrix = *loads[i].matrix;
      const std::size_t source = row_bytes(*loads[i].tensor) * kPanelRows;
      const std::size_t run = std::max<std::size_t>(1, kReadBytes / source);
      for (std::size_t e = 0; e < matrix.experts; ++e) {
        for (std::size_t p = 0; p < matrix.panel_count(); p += run) {
          tasks_.push_back({i, e, p, std::min(run, matrix.panel_count() - p)});
        }
      }
    }
  }

  std::size_t tasks() const { return tasks_.size(); }
  std::uint64_t done_bytes() const { return done_.load(std::memory_order_relaxed); }

  void run(std::size_t index, int thread) {
    {
      const std::scoped_lock lock(mutex_);
      if (error_) return;
      if (stop_ != nullptr && stop_->raised()) {
        error_ = Error{ErrorKind::kCancelled, "stopped while loading"};
        return;
      }
    }
    if (auto status = read_and_pack(tasks_[index], buffers_[static_cast<std::size_t>(thread)]);
        !status) {
      const std::scoped_lock lock(mutex_);
      if (!error_) error_ = status.error();
    }
  }

  Status status() const {
    if (error_) return std::unexpected(*error_);
    return {};
  }

 private:
  Status read_and_pack(const ReadTask& task, ReadBuffer& buffer) {
    const GgufTensor& tensor = *loads_[task.load].tensor;
    const PackedMatrix& matrix = *loads_[task.load].matrix;
    const std::size_t stride = row_bytes(tensor);
    const std::size_t first = task.first_panel * kPanelRows;
    const std::size_t rows = std::min(matrix.rows - first, task.panels * kPanelRows);
    const std::size_t from = task.expert * static_cast<std::size_t>(tensor.shape[1]) +
                             loads_[task.load].first_row + first;
    LATHE_TRY(const auto source, file_.read_large(tensor, from * stride, rows * stride, buffer));
    const std::size_t panel = matrix.panel_bytes();
    auto* out = const_cast<std::byte*>(matrix.expert(task.expert)) + task.first_panel * panel;
    for (std::size_t r = 0; r < rows; r += kPanelRows, out += panel) {
      matrix.type->pack(source.data() + r * stride, stride, std::min(kPanelRows, rows - r),
                        matrix.k, out);
    }
    done_.fetch_add(rows * stride, std::memory_order_relaxed);
    return {};
  }

  const Gguf& file_;
  std::span<const MatrixLoad> loads_;
  const StopFlag* stop_;
  std::vector<ReadTask> tasks_;
  std::vector<ReadBuffer> buffers_;  // one a thread
  std::atomic<std::uint64_t> done_{0};
  std::mutex mutex_;
  std::optional<Error> error_;
};

}  // namespace

void PackedMatrix::row(std::size_t r, float* out) const {
  type->unpack(panels + r / kPanelRows * panel_bytes(), r % kPanelRows, k, out);
}

PackedMatrix PackedMatrix::rows_of(std::size_t first, std::size_t count) const {
  PackedMatrix some = *this;
  some.rows = count;
  some.panels = panels + first / kPanelRows * panel_bytes();
  some.part = {first, rows};
  return some;
}

std::size_t packed_bytes(const KernelTable& table, const GgufTensor& tensor, std::size_t rows) {
  const PackedType& type = packed_type(table, tensor.type);
  if (rows == 0) rows = static_cast<std::size_t>(tensor.shape[1]);
  const auto experts = static_cast<std::size_t>(tensor.shape[2]);
  return experts * ((rows + kPanelRows - 1) / kPanelRows) *
         type.panel_bytes(static_cast<std::size_t>(tensor.shape[0]));
}

Result<Pages> load_matrices(const Gguf& file, std::span<const MatrixLoad> loads,
                            const KernelTable& table, ThreadTeam& team,
                            const std::function<void(std::uint64_t)>& progress,
                            const StopFlag* stop) {
  std::size_t total = 0;
  for (const MatrixLoad& load : loads) total += packed_bytes(table, *load.tensor, load.rows);
  LATHE_TRY(Pages arena, Pages::allocate(total));
  std::byte* next = arena.data();
  for (const MatrixLoad& load : loads) {
    const GgufTensor& tensor = *load.tensor;
    *load.matrix = {.type = &packed_type(table, tensor.type),
                    .experts = static_cast<std::size_t>(tensor.shape[2]),
                    .rows = load.rows != 0 ? load.rows : static_cast<std::size_t>(tensor.shape[1]),
                    .k = static_cast<std::size_t>(tensor.shape[0]),
                    .panels = next,
                    .scales = load.scales,
                    .part = load.part};
    next += packed_bytes(table, tensor, load.rows);
  }
  Loading loading(file, loads, stop, team.size());
  // In slices, so that progress is heard between them.
  const std::size_t slice = static_cast<std::size_t>(team.size()) * 8;
  for (std::size_t first = 0; first < loading.tasks(); first += slice) {
    team.run(std::min(slice, loading.tasks() - first),
             [&](std::size_t i, int thread) { loading.run(first + i, thread); });
    LATHE_TRY_STATUS(loading.status());
    if (progress) progress(loading.done_bytes());
  }
  return arena;
}

Status Activations::reserve(std::size_t tokens, std::size_t max_k) {
  LATHE_TRY_STATUS(f32_.reserve(tokens * max_k));
  LATHE_TRY_STATUS(q_.reserve(tokens * max_k));
  LATHE_TRY_STATUS(scale_.reserve(tokens * max_k / kActivationBlock + tokens));
  LATHE_TRY_STATUS(sum_.reserve(tokens * max_k / 16 + tokens));
  return {};
}

std::uint64_t Activations::bytes_for(std::size_t tokens, std::size_t max_k) {
  const std::size_t elements = tokens * max_k;
  return elements * (sizeof(float) + sizeof(std::int8_t)) +
         (elements / kActivationBlock + tokens) * sizeof(float) +
         (elements / 16 + tokens) * sizeof(std::int16_t);
}

void Activations::quantize(const KernelTable& table, std::size_t t, std::size_t from,
                           std::size_t count) {
  if (k_ % kActivationBlock != 0) return;  // only float matrices have such rows
  const std::size_t at = t * k_ + from;
  table.quantize(f32_.data() + at, count, q_.data() + at, scale_.data() + at / kActivationBlock,
                 sum_.data() + at / 16);
}

void Activations::copy_row(const Activations& source, std::size_t from, std::size_t to) {
  std::memcpy(row(to), source.row(from), k_ * sizeof(float));
  std::memcpy(q_.data() + to * k_, source.q_.data() + from * k_, k_);
  std::memcpy(scale_.data() + to * k_ / kActivationBlock,
              source.scale_.data() + from * k_ / kActivationBlock,
              k_ / kActivationBlock * sizeof(float));
  std::memcpy(sum_.data() + to * k_ / 16, source.sum_.data() + from * k_ / 16,
              k_ / 16 * sizeof(std::int16_t));
}

QuantizedRows Activations::quantized(std::size_t t) const {
  return {q_.data() + t * k_, scale_.data() + t * k_ / kActivationBlock, sum_.data() + t * k_ / 16};
}

void multiply(ThreadTeam& team, std::span<const Product> products) {
  // Item i covers panels [(i - first item) · run, …) of its product.
  struct Share {
    std::size_t first_item;
    std::size_t run;
  };
  const auto threads = static_cast<std::size_t>(team.size());
  std::size_t all_panels = 0;
  for (const Product& product : products) all_panels += product.matrix->panel_count();
  std::vector<Share> shares;
  shares.reserve(products.size());
  std::size_t items = 0;
  for (const Product& product : products) {
    const std::size_t panels = product.matrix->panel_count();
    std::size_t run = product.tokens > kWideTokens
                          ? std::min(panels, all_panels / (threads * kWideItems))
                          : kItemBytes / product.matrix->panel_bytes();
    // A small matrix is still shared by all threads.
    if (product.tokens <= kWideTokens)
      while (run > 4 && panels < run * threads * 2) run /= 2;
    // Whole groups of four panels feed the widest kernels.
    run = std::max<std::size_t>(4, run / 4 * 4);
    shares.push_back({items, run});
    items += (panels + run - 1) / run;
  }
  team.run(items, [&](std::size_t item, int) {
    const auto share =
        std::prev(std::upper_bound(shares.begin(), shares.end(), item,
                                   [](std::size_t i, const Share& s) { return i < s.first_item; }));
    const Product& product = products[static_cast<std::size_t>(share - shares.begin())];
    const PackedMatrix& matrix = *product.matrix;
    const std::size_t panel = (item - share->first_item) * share->run;
    const std::size_t first_row = panel * kPanelRows;
    const std::size_t rows = std::min(matrix.rows - first_row, share->run * kPanelRows);
    float* const to = product.out + matrix.part.first + first_row;
    matrix.type->matmul({.panels = matrix.expert(product.expert) + panel * matrix.panel_bytes(),
                         .rows = rows,
                         .k = matrix.k,
                         .tokens = product.tokens,
                         .x = product.x->quantized(product.first_token),
                         .x_f32 = product.x->row(product.first_token),
                         .out = to,
                         .out_stride = product.stride});
    if (matrix.scales.empty()) return;
    for (std::size_t t = 0; t < product.tokens; ++t) {
      float* out = to + t * product.stride;
      for (std::size_t r = 0; r < rows; ++r) out[r] *= matrix.scales[product.expert];
    }
  });
}

}  // namespace lathe::infer
