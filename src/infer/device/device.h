// A device beside the processor that runs the kernels of infer/kernels/gpu. What it is given to
// work on is host memory that it was shown before (one memory, as on the boxes that Lathe is made
// for); it answers when all of it is done. A kernel's bits are those of the processor's table, or
// the device is not trusted (infer/offload). One thread at a time for each device.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "ground/base/result.h"

namespace lathe::infer {

// One program of infer/kernels/gpu, for one kind of device.
struct GpuKernel {
  std::string_view name;             // "matmul_q4_0"
  std::uint32_t lanes = 0;           // of a workgroup
  std::uint32_t argument_bytes = 0;  // at most Dispatch::kArgumentBytes
  std::span<const std::uint32_t> spirv;
  // The same for devices whose fma rounds twice; empty: it has no fma.
  std::span<const std::uint32_t> spirv_by_doubles = {};
};

enum class DeviceKind : std::uint8_t { kIntegrated, kDiscrete, kSoftware, kOther };

struct DeviceFacts {
  std::string name;    // "AMD Radeon 8060S (RADV GFX1151)"
  std::string driver;  // "radv Mesa 25.2.8"
  std::string id;      // hex of the device's and its driver's identity: what a verdict is kept by
  DeviceKind kind = DeviceKind::kOther;
  std::uint64_t memory = 0;       // that it may use, bytes
  std::uint64_t piece_bytes = 0;  // the most of one piece of shared memory
  std::string missing;            // what it cannot do that kernels need; empty: nothing
};

// A kernel, what it is given, and over how many workgroups.
struct Dispatch {
  static constexpr std::size_t kArgumentBytes = 128;
  const GpuKernel* kernel = nullptr;
  std::array<std::byte, kArgumentBytes> arguments = {};
  std::array<std::uint32_t, 3> groups = {1, 1, 1};  // each at most 65,535
  bool beside = false;  // may run beside the dispatch before it, which it reads nothing of
  double work = 0;      // multiplications, for how long it may take

  template <class Args>
  static Dispatch of(const GpuKernel& kernel, const Args& args, std::uint32_t x,
                     std::uint32_t y = 1) {
    static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= kArgumentBytes);
    Dispatch dispatch{.kernel = &kernel, .groups = {x, y, 1}};
    std::memcpy(dispatch.arguments.data(), &args, sizeof(Args));
    return dispatch;
  }
};

// Host memory that a device sees, until this goes. The memory must outlive it.
class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  // Where the device finds `at`, of which it may touch so many bytes; 0: not as one stretch, or
  // not of this memory.
  virtual std::uint64_t address(const void* at, std::size_t bytes) const = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceFacts& facts() const = 0;
  // Whole pages (Pages::data() and size()). No copy is made.
  virtual Result<std::unique_ptr<SharedMemory>> share(std::span<std::byte> pages) = 0;
  // Makes it ready, which may take seconds; once.
  virtual Status prepare(const GpuKernel& kernel) = 0;
  // In order, each seeing what those before it wrote; ends when all have. Kernels that are not
  // prepared are. No submission is longer than 200 ms by what was measured before. An error of
  // kind kUnavailable: the device is lost.
  virtual Status run(std::span<const Dispatch> work) = 0;
  // Since an error of run(): nothing runs on it any more, and it can only be opened anew.
  virtual bool lost() const = 0;
  virtual std::uint64_t bytes() const = 0;  // that it holds for itself
};

}  // namespace lathe::infer
