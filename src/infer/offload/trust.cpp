// Seeded products, computed by both.
#include "infer/offload/trust.h"

#include <bit>
#include <cmath>
#include <random>

#include "infer/offload/products.h"
#include "infer/offload/trust_steps.h"

namespace lathe::infer {
namespace {

struct Shape {
  std::size_t k, rows, tokens;
  bool bounded;  // scales that are no infinities
};
// Widths of both kernels and their borders; panels that are not full; runs that are not.
constexpr Shape kShapes[] = {
    {256, 16, 1, false}, {768, 40, 3, true},    {2304, 16, 8, true},
    {768, 72, 9, true},  {256, 130, 33, false},
};

// NaN is NaN: its sign and payload are a device's own.
bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

// A matrix of random bytes and some activations, in memory that is shared with the device.
class Case {
 public:
  static Result<Case> make(Device& device, const KernelTable& table, TensorType type,
                           const Shape& shape, std::mt19937& random) {
    Case made;
    made.matrix_ = {.type = &packed_type(table, type),
                    .experts = 1,
                    .rows = shape.rows,
                    .k = shape.k,
                    .panels = nullptr,
                    .scales = {0.75f}};
    const std::size_t bytes = made.matrix_.panel_count() * made.matrix_.panel_bytes();
    LATHE_TRY(made.weights_, Pages::allocate(bytes));
    for (std::size_t i = 0; i < bytes; ++i) {
      auto byte = static_cast<unsigned>(random() & 0xff);
      // Without its uppermost bit no exponent of a f16, bf16 or f32 is that of an infinity.
      if (shape.bounded && i % 2 == 1) byte &= 0xbf;
      made.weights_.data()[i] = static_cast<std::byte>(byte);
    }
    made.matrix_.panels = made.weights_.data();
    made.tokens_ = shape.tokens;
    LATHE_TRY_STATUS(made.x_.reserve(shape.tokens, shape.k));
    made.x_.shape(shape.k);
    std::normal_distribution<float> normal;
    for (std::size_t t = 0; t < shape.tokens; ++t) {
      for (std::size_t i = 0; i < shape.k; ++i) made.x_.row(t)[i] = normal(random);
      made.x_.quantize(table, t, 0, shape.k);
    }
    LATHE_TRY_STATUS(made.out_.reserve(shape.tokens * shape.rows));
    std::vector<std::span<std::byte>> memory = made.x_.memory();
    memory.push_back({made.weights_.data(), made.weights_.size()});
    memory.push_back(made.out_.memory());
    for (const auto pages : memory) {
      LATHE_TRY(auto shared, device.share(pages));
      made.shared_.push_back(std::move(shared));
    }
    return made;
  }

  // How many values differ.
  Result<std::size_t> run(Device& device, const ProductKernels& kernels, ThreadTeam& team) {
    const Product product{.matrix = &matrix_,
                          .x = &x_,
                          .tokens = tokens_,
                          .out = out_.data(),
                          .stride = matrix_.rows};
    multiply(team, {&product, 1});
    const std::vector<float> want(out_.data(), out_.data() + values());
    std::fill_n(out_.data(), values(), -1.5f);
    std::vector<Dispatch> work;
    const auto find = [&](const void* at, std::size_t bytes) -> std::uint64_t {
      for (const auto& shared : shared_)
        if (const std::uint64_t address = shared->address(at, bytes)) return address;
      return 0;
    };
    if (!append_product(product, kernels, find, false, work))
      return fail(ErrorKind::kUnavailable, "the device does not see memory that it was shown");
    LATHE_TRY_STATUS(device.run(work));
    std::size_t differ = 0;
    for (std::size_t i = 0; i < values(); ++i) differ += !same(out_.data()[i], want[i]);
    return differ;
  }
  std::size_t values() const { return tokens_ * matrix_.rows; }

 private:
  PackedMatrix matrix_;
  Pages weights_;
  Activations x_;
  Scratch<float> out_;
  std::size_t tokens_ = 0;
  std::vector<std::unique_ptr<SharedMemory>> shared_;  // goes before what it shares
};

}  // namespace

const ProductKernels* Trust::find(TensorType type) const {
  for (const ProductKernels* kernels : products)
    if (kernels->type == type) return kernels;
  return nullptr;
}

bool has_gpu_panels(const KernelTable& table) {
  return table.name != "scalar";
}

Result<Trust> check_trust(Device& device, const KernelTable& table, const TrustCases& cases,
                          const StopFlag* stop) {
  ThreadTeam team(1);
  Trust trust;
  for (const ProductKernels& kernels : product_kernels()) {
    std::mt19937 random(static_cast<unsigned>(kernels.type) + 1);
    bool right = true;
    for (std::size_t round = 0; round < cases.rounds && right; ++round)
      for (const Shape& shape : kShapes) {
        if (stop != nullptr && stop->raised()) return fail(ErrorKind::kCancelled, "stopped");
        const GpuKernel& kernel = shape.tokens <= kNarrowTokens ? *kernels.narrow : *kernels.wide;
        const auto refuse = [&](std::string why) {
          trust.refused.push_back({std::string(kernel.name), std::move(why)});
          right = false;
        };
        if (const Status ready = device.prepare(kernel); !ready) {
          if (device.lost()) return std::unexpected(ready.error());
          refuse(ready.error().message);
          break;
        }
        LATHE_TRY(Case made, Case::make(device, table, kernels.type, shape, random));
        LATHE_TRY(const std::size_t differ, made.run(device, kernels, team));
        trust.values += made.values();
        if (differ == 0) continue;
        refuse(fmt::format("{} of {} values differ from {}'s", differ, made.values(), table.name));
        break;
      }
    if (right) trust.products.push_back(&kernels);
  }
  for (const GpuKernel* kernel : step_kernels().all()) {
    std::mt19937 random(1);
    Compared all;
    std::string why;
    if (const Status ready = device.prepare(*kernel); !ready) {
      if (device.lost()) return std::unexpected(ready.error());
      why = ready.error().message;
    }
    for (std::size_t round = 0; round < cases.rounds && why.empty() && all.differ == 0; ++round) {
      if (stop != nullptr && stop->raised()) return fail(ErrorKind::kCancelled, "stopped");
      LATHE_TRY(const Compared compared, compare_step(device, *kernel, table, random));
      all.values += compared.values;
      all.differ += compared.differ;
    }
    trust.values += all.values;
    if (all.differ != 0)
      why = fmt::format("{} of {} values differ from {}'s", all.differ, all.values, table.name);
    if (why.empty())
      trust.steps.push_back(kernel);
    else
      trust.refused.push_back({std::string(kernel->name), std::move(why)});
  }
  return trust;
}

}  // namespace lathe::infer
