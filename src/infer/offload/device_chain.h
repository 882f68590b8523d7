// A chain of operations as what a device is given. The engine's thread only.
#pragma once

#include <unordered_map>

#include "infer/offload/device_memory.h"
#include "infer/offload/operations.h"
#include "infer/offload/trust.h"

namespace lathe::infer {

class DeviceChain final : public Chain {
 public:
  // What it needs of whoever owns the device: that there is one and that it sees the memory; that
  // work is done by it.
  struct Owner {
    std::function<bool()> ready;
    std::function<bool(std::span<const Dispatch>)> run;
  };
  // Both must outlive it.
  DeviceChain(DeviceMemory& memory, const Trust& trust, Owner owner);

  bool begin() override;
  void* stage(std::size_t bytes) override;
  std::uint64_t address(const void* at, std::size_t bytes) override {
    return memory_.address(at, bytes);
  }
  bool multiply(std::span<const Product> products) override;
  bool add_norm(const AddNormOp& op) override;
  bool heads(const HeadsOp& op) override;
  bool attend(const AttendOp& op) override;
  bool activate(const ActivateOp& op) override;
  std::size_t length() const override { return work_.size(); }
  void rewind(std::size_t length) override { work_.resize(length); }
  bool run() override;

  std::uint64_t bytes() const;  // of the host's memory

 private:
  // Memory that is taken and never given back, one piece behind the other.
  struct Room {
    std::vector<Pages> pages;
    std::size_t page = 0, used = 0;  // where there is room
  };
  void* take(Room& room, std::size_t bytes);
  std::uint64_t constant(Constant constant);
  const ProductKernels* kernels_of(const PackedMatrix& matrix) const;
  bool trusts(const GpuKernel* kernel) const;
  bool append_turns(const AttendOp& op);

  DeviceMemory& memory_;
  const Trust& trust_;
  std::vector<const ProductKernels*> products_;  // by type; nullptr: none that is trusted
  Owner owner_;
  Room staged_, kept_;
  std::unordered_map<const float*, const float*> constants_;  // where they were → where they are
  // Of attention, for all operations of a chain: one is computed at a time.
  std::span<float> partials_, tops_;
  Places places_;
  std::vector<Dispatch> work_;
};

}  // namespace lathe::infer
