// Whether a device's bits are the processor's: every kernel on seeded cases against the table that
// will stand in for it. What differs is not used, and named.
#pragma once

#include <string>
#include <vector>

#include "ground/base/stop.h"
#include "infer/device/device.h"
#include "infer/kernels/kernels.h"
#include "infer/offload/gpu_kernels.h"

namespace lathe::infer {

struct Trust {
  std::vector<const ProductKernels*> products;  // that it computes right
  std::vector<const GpuKernel*> steps;          // the same, of what stands between them
  struct Refusal {
    std::string kernel;
    std::string why;  // "3 of 1,024 values differ"
    bool operator==(const Refusal&) const = default;
  };
  std::vector<Refusal> refused;
  std::size_t values = 0;  // that were compared

  const ProductKernels* find(TensorType type) const;  // nullptr: not trusted with it
};

struct TrustCases {
  std::size_t rounds = 1;  // more: other seeds
};
// `table` must keep weights in the panels of packed.h (all but the scalar one). An error: the
// device went away, or was stopped.
Result<Trust> check_trust(Device& device, const KernelTable& table, const TrustCases& cases,
                          const StopFlag* stop = nullptr);

// Whether its weights lie as the kernels read them.
bool has_gpu_panels(const KernelTable& table);

}  // namespace lathe::infer
