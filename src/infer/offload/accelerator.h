// A device that computes products for executors, as far as it is trusted, and the processor
// wherever it is not: the same bits, so a device that is lost in the middle of an answer changes
// nothing of it. Several executors share one; each has a multiplier of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "infer/offload/products.h"
#include "infer/offload/trust.h"
#include "infer/tensor/chain.h"

namespace lathe::infer {

struct AcceleratorOptions {
  // Opens the device, and opens it again after it was lost.
  std::function<Result<std::unique_ptr<Device>>()> open;
  // What it was trusted with; made by check_trust().
  Trust trust;
  // A submission with fewer multiplications costs more than it saves.
  double least_work = 4e6;
  // After so many losses it is left alone: something is wrong with it.
  std::size_t most_losses = 3;
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  std::function<void(const std::string&)> tell;  // what happened to it; may be empty
};

// Any thread.
class Accelerator {
 public:
  // With the device opened already.
  Accelerator(std::unique_ptr<Device> device, AcceleratorOptions options);
  ~Accelerator();

  // For one executor, which it must be gone before.
  std::unique_ptr<Multiplier> multiplier();

  struct State {
    DeviceFacts facts;
    bool lost = false;
    std::size_t losses = 0;
    std::uint64_t runs = 0;        // times that it was given something
    std::uint64_t dispatches = 0;  // of kernels, in all of these
    std::uint64_t bytes = 0;       // that it holds for itself
  };
  State state() const;

 private:
  friend class DeviceMultiplier;
  // Another one after each loss; nullptr: none, now.
  std::shared_ptr<Device> ready();
  void tell(const std::string& what) const;
  bool run(Device& device, std::span<const Dispatch> work);

  mutable std::mutex mutex_;
  AcceleratorOptions options_;
  DeviceFacts facts_;
  std::shared_ptr<Device> device_;
  std::size_t losses_ = 0;
  std::uint64_t runs_ = 0, dispatches_ = 0;
  std::chrono::steady_clock::time_point again_ = {};  // not to be opened before
};

}  // namespace lathe::infer
