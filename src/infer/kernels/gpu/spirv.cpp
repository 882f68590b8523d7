// Programs of a GPU, put into this one by the assembler. LATHE_GPU_DIR is the directory where the
// build has compiled them, LATHE_GPU_LIST their names; without these there are none.
#include "infer/kernels/gpu/spirv.h"

#ifdef LATHE_GPU_LIST
// Two symbols around the words of a program.
#define LATHE_GPU_KERNEL(name)                            \
  asm(".section .rodata\n"                                \
      ".balign 16\n"                                      \
      ".global lathe_gpu_" #name "\nlathe_gpu_" #name     \
      ":\n"                                               \
      ".incbin \"" LATHE_GPU_DIR "/" #name                \
      ".spv\"\n"                                          \
      ".global lathe_gpu_" #name "_end\nlathe_gpu_" #name \
      "_end:\n"                                           \
      ".byte 0\n.previous\n");                            \
  extern "C" const std::uint32_t lathe_gpu_##name[], lathe_gpu_##name##_end[];
#include LATHE_GPU_LIST
#undef LATHE_GPU_KERNEL
#endif

namespace lathe::infer {

namespace {

struct Program {
  std::string_view name;
  std::span<const std::uint32_t> words;
};

std::span<const Program> programs() {
#ifdef LATHE_GPU_LIST
#define LATHE_GPU_KERNEL(name) {#name, {lathe_gpu_##name, lathe_gpu_##name##_end}},
  static const Program kPrograms[] = {
#include LATHE_GPU_LIST
  };
  return kPrograms;
#else
  return {};
#endif
}

}  // namespace

std::span<const std::uint32_t> gpu_spirv(std::string_view name) {
  for (const Program& program : programs())
    if (program.name == name) return program.words;
  return {};
}

std::vector<std::string_view> gpu_spirv_names() {
  std::vector<std::string_view> names;
  for (const Program& program : programs()) names.push_back(program.name);
  return names;
}

}  // namespace lathe::infer
