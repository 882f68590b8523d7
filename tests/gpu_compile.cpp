// Compiles every kernel on the first device of the drivers that the environment names, and runs
// none: for tests that read what a driver says of it (tests/gpu_code_test.py).
//   usage: lathe_gpu_compile            the driver's words go to the error output, between
//                                       "kernel NAME" and "kernel end"
//          lathe_gpu_compile DIRECTORY  writes NAME.spv of every kernel there
#include <cstdio>
#include <fstream>

#include "infer/device/vulkan.h"
#include "infer/kernels/gpu/spirv.h"

namespace {

int complain(const lathe::Error& error) {
  fmt::print(stderr, "{}\n", error.message);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lathe::infer;
  if (argc > 1) {
    for (const std::string_view name : gpu_spirv_names()) {
      const auto words = gpu_spirv(name);
      std::ofstream(fmt::format("{}/{}.spv", argv[1], name), std::ios::binary)
          .write(reinterpret_cast<const char*>(words.data()),
                 static_cast<std::streamsize>(words.size_bytes()));
    }
    return 0;
  }
  VulkanOptions options;
  options.incomplete = true;
  const auto devices = vulkan_devices(options);
  if (!devices) return complain(devices.error());
  const auto device = open_vulkan(devices->front(), options);
  if (!device) return complain(device.error());
  fmt::print("{}, {}\n", (*device)->facts().name, (*device)->facts().driver);
  for (const std::string_view name : gpu_spirv_names()) {
    if (name.ends_with(kByDoubles)) continue;  // no GPU is given these
    fmt::print(stderr, "\nkernel {}\n", name);
    std::fflush(stderr);
    const GpuKernel kernel = {name, 0, 0, gpu_spirv(name)};
    if (const auto prepared = (*device)->prepare(kernel); !prepared)
      return complain(prepared.error());
  }
  fmt::print(stderr, "\nkernel end\n");
  return 0;
}
