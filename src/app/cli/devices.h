// Devices beside the processor: --device, and what they are trusted with (infer/offload), which is
// looked at once for each device, driver, program and instruction set, and kept.
#pragma once

#include "app/cli/app.h"
#include "infer/offload/accelerator.h"

namespace lathe::app {

// Vulkan's, in the order of their numbers. An error says why there are none.
Result<std::vector<infer::DeviceFacts>> devices_here();

// As it was kept, or looked at now, which takes a second or two; `again`: now, and longer.
Result<infer::Trust> trust_of(const App& app, infer::Device& device,
                              const infer::KernelTable& kernels, bool again = false);

// "cpu" (nullptr: the processor alone), "auto": the first GPU whose memory is the processor's and
// that is trusted, else the processor, "vulkan" or "vulkan:N".
Result<std::shared_ptr<infer::Accelerator>> choose_device(const App& app, const std::string& name,
                                                          const infer::KernelTable& kernels);

inline constexpr const char* kDeviceHelp =
    "What computes products beside the processor, to the same bits: cpu (nothing), auto, vulkan or "
    "vulkan:N (lathe device)";

}  // namespace lathe::app
