// The programs of this directory as SPIR-V, put into the program by the assembler
// (cmake/gpu.cmake, kernels.cmake).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace lathe::infer {

// By the name that kernels.cmake gives it; empty where there is none, or no compiler for any.
std::span<const std::uint32_t> gpu_spirv(std::string_view name);

// The end of a name: of a program for devices whose fma rounds twice.
inline constexpr const char* kByDoubles = "_by_doubles";

std::vector<std::string_view> gpu_spirv_names();

}  // namespace lathe::infer
