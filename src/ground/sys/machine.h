// Facts about this machine: processor, memory, accelerators. Reads /proc and /sys below `root`,
// which tests replace; owns nothing and may be called from any thread. A missing fact is absent,
// never 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/file.h"

namespace lathe {

struct Accelerator {
  std::string kind;  // gpu | npu
  std::string name;  // "NVIDIA H200", "amdgpu 1002:1586"
  std::string driver;
  std::optional<std::uint64_t> memory_bytes;  // its own, when it says
};

struct Machine {
  std::string cpu;               // as it names itself; "" when it does not
  std::optional<int> cores;      // physical ones
  std::optional<int> threads;    // logical processors
  std::vector<std::string> isa;  // what the kernels can use: "avx2", "avx512_vnni", "i8mm", …
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> available_bytes;
  std::optional<std::uint64_t> memory_limit_bytes;  // of our control group; absent: none
  std::optional<std::uint64_t> group_left_bytes;    // of that limit, and of those above it
  std::vector<Accelerator> accelerators;

  // What may still be taken: what is available, and never more than our control group has left.
  std::optional<std::uint64_t> memory_left() const;
};

Machine read_machine(const fs::path& root = "/");
// Share of the last ten seconds in which something waited for memory, or for a processor (PSI), in
// [0, 1]; absent where the kernel does not say.
std::optional<double> memory_pressure(const fs::path& root = "/");
std::optional<double> cpu_pressure(const fs::path& root = "/");
// Physical memory that this process holds now; 0 when the system does not say.
std::uint64_t resident_bytes();

}  // namespace lathe
