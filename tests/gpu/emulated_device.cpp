// Workgroups of fibers: one at a time, in an order that no kernel may depend on.
#include "gpu/emulated_device.h"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <random>

#include "gpu/emulated_kernels.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kStack = std::size_t{64} * 1024;

class Workgroup {
 public:
  explicit Workgroup(bool shuffled) : shuffled_(shuffled) {}

  void run(const gpu::EmulatedKernel& kernel, const void* args, std::uint32_t x, std::uint32_t y) {
    kernel_ = &kernel;
    args_ = args;
    x_ = x;
    y_ = y;
    grow(kernel.lanes);
    std::vector<std::uint32_t> order(kernel.lanes);
    std::iota(order.begin(), order.end(), 0u);
    std::fill(ended_.begin(), ended_.end(), false);
    std::fill(begun_.begin(), begun_.end(), false);
    // Each round is what lies between two barriers.
    while (std::any_of(order.begin(), order.end(), [&](std::uint32_t i) { return !ended_[i]; })) {
      if (shuffled_) std::shuffle(order.begin(), order.end(), random_);
      for (const std::uint32_t lane : order)
        if (!ended_[lane]) resume(lane);
    }
  }
  void barrier() { leave(fibers_[lane_], back_); }

  static Workgroup* current;

 private:
  void grow(std::uint32_t lanes) {
    while (stacks_.size() < lanes) stacks_.push_back(std::make_unique<std::byte[]>(kStack));
    fibers_.resize(std::max<std::size_t>(fibers_.size(), lanes));
    ended_.resize(fibers_.size());
    begun_.resize(fibers_.size());
  }
  void resume(std::uint32_t lane) {
    lane_ = lane;
    if (begun_[lane]) return leave(back_, fibers_[lane]);
    begun_[lane] = true;
    ucontext_t& fiber = fibers_[lane].context;
    getcontext(&fiber);
    fiber.uc_stack = {.ss_sp = stacks_[lane].get(), .ss_flags = 0, .ss_size = kStack};
    fiber.uc_link = nullptr;
    makecontext(&fiber, enter, 0);
    begin(back_, fibers_[lane]);
  }
  static void enter() {
    Workgroup& group = *current;
    const std::uint32_t lane = group.lane_;
    group.kernel_->run(group.args_, lane, group.x_, group.y_);
    group.ended_[lane] = true;
    go_on(group.back_);
  }

  // Where a fiber goes on. ucontext asks the kernel for signals at each turn, which takes longer
  // than what most lanes do between two; sanitizers know no other way.
  struct Place {
    ucontext_t context{};
    std::array<void*, 5> buffer{};
  };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static void leave(Place& from, Place& to) {
    swapcontext(&from.context, &to.context);
  }
  static void begin(Place& from, Place& to) {
    swapcontext(&from.context, &to.context);
  }
  static void go_on(Place& to) {
    setcontext(&to.context);
  }
#else
  [[gnu::noinline]] static void leave(Place& from, Place& to) {
    if (__builtin_setjmp(from.buffer.data()) == 0) go_on(to);
  }
  [[gnu::noinline]] static void begin(Place& from, Place& to) {
    if (__builtin_setjmp(from.buffer.data()) == 0) setcontext(&to.context);
  }
  [[gnu::noinline]] static void go_on(Place& to) {
    __builtin_longjmp(to.buffer.data(), 1);
  }
#endif

  bool shuffled_;
  std::mt19937 random_{7};
  const gpu::EmulatedKernel* kernel_ = nullptr;
  const void* args_ = nullptr;
  std::uint32_t x_ = 0, y_ = 0, lane_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> stacks_;
  std::vector<Place> fibers_;
  std::vector<bool> ended_, begun_;
  Place back_;
};
Workgroup* Workgroup::current = nullptr;

int ulps_off = 0;

class HostMemory final : public SharedMemory {
 public:
  explicit HostMemory(std::span<std::byte> pages) : pages_(pages) {}
  std::uint64_t address(const void* at, std::size_t bytes) const override {
    const auto* from = static_cast<const std::byte*>(at);
    if (from < pages_.data() || from + bytes > pages_.data() + pages_.size()) return 0;
    return reinterpret_cast<std::uint64_t>(at);
  }

 private:
  std::span<std::byte> pages_;
};

}  // namespace

namespace gpu {

void emulated_barrier() {
  Workgroup::current->barrier();
}

float perturbed(float exact) {
  if (ulps_off == 0) return exact;
  const auto bits = std::bit_cast<std::uint32_t>(exact);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x00800010u || magnitude >= 0x7f7ffff0u) return exact;
  // By the value, so that no two runs differ.
  const auto off = static_cast<int>(bits * 2654435761u >> 16) % (2 * ulps_off + 1) - ulps_off;
  return std::bit_cast<float>(bits + static_cast<std::uint32_t>(off));
}

}  // namespace gpu

EmulatedDevice::EmulatedDevice(const EmulatedOptions& options)
    : facts_{.name = "emulated",
             .driver = "C++",
             .id = "emulated",
             .kind = DeviceKind::kSoftware,
             .memory = std::uint64_t{1} << 40,
             .piece_bytes = std::uint64_t{1} << 40,
             .missing = {}},
      options_(options) {}

Result<std::unique_ptr<SharedMemory>> EmulatedDevice::share(std::span<std::byte> pages) {
  return std::make_unique<HostMemory>(pages);
}

Status EmulatedDevice::prepare(const GpuKernel& kernel) {
  for (const gpu::EmulatedKernel& known : gpu::emulated_kernels())
    if (known.name == kernel.name) return {};
  return fail(ErrorKind::kNotFound, "there is no kernel {}", kernel.name);
}

Status EmulatedDevice::run(std::span<const Dispatch> work) {
  if (lost_) return fail(ErrorKind::kUnavailable, "the device is lost");
  ulps_off = options_.ulps;
  Workgroup group(options_.shuffled);
  Workgroup::current = &group;
  for (const Dispatch& dispatch : work) {
    const auto kernels = gpu::emulated_kernels();
    const auto kernel = std::find_if(kernels.begin(), kernels.end(), [&](const auto& known) {
      return known.name == dispatch.kernel->name;
    });
    if (kernel == kernels.end())
      return fail(ErrorKind::kNotFound, "there is no kernel {}", dispatch.kernel->name);
    lost_ = dispatches_++ == options_.loses_after;
    const std::uint32_t width = lost_ ? dispatch.groups[0] / 2 : dispatch.groups[0];
    for (std::uint32_t y = 0; y < dispatch.groups[1]; ++y)
      for (std::uint32_t x = 0; x < width; ++x) group.run(*kernel, dispatch.arguments.data(), x, y);
    if (lost_) return fail(ErrorKind::kUnavailable, "the device is lost");
  }
  ++runs_;
  return {};
}

}  // namespace lathe::infer
