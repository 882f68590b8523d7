// NVIDIA's management library, looked up at run time: the program runs without it. Owns the loaded
// library; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

class Nvml {
 public:
  struct Device {
    std::string name;
    std::optional<std::uint64_t> memory_bytes;
    // Since the driver was loaded; absent on devices that do not count.
    std::optional<double> joules;
  };

  static Result<std::unique_ptr<Nvml>> open(const char* library = "libnvidia-ml.so.1");
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::vector<Device> devices() const;

 private:
  struct Functions;
  explicit Nvml(std::unique_ptr<Functions> functions);
  std::unique_ptr<Functions> functions_;
};

}  // namespace lathe
