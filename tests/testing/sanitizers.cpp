// How the sanitizers of the presets `asan`, `tsan` and `fuzz` behave, compiled into each program:
// the confined workers are started with an empty environment, so no *_OPTIONS variable would reach
// them.
//
// A finding ends the program with exit code 99, which nothing of ours uses.
#if defined(__clang__)
#define LATHE_SANITIZER_DEFAULT \
  extern "C" __attribute__((visibility("default"), no_sanitize("all")))
#else
#define LATHE_SANITIZER_DEFAULT extern "C" __attribute__((visibility("default")))
#endif

// The address-space limit of confine() cannot hold over a shadow memory of terabytes; that no block
// of more than 4 GiB is given stands in for it.
LATHE_SANITIZER_DEFAULT const char* __asan_default_options() {
  return "exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:check_initialization_order=1:"
         "strict_init_order=1:max_allocation_size_mb=4096:allocator_may_return_null=1";
}

// What Mesa's software device keeps of itself.
LATHE_SANITIZER_DEFAULT const char* __lsan_default_suppressions() {
  return "leak:libvulkan_lvp.so\nleak:libLLVM\n";
}

LATHE_SANITIZER_DEFAULT const char* __ubsan_default_options() {
  return "exitcode=99:print_stacktrace=1";
}

LATHE_SANITIZER_DEFAULT const char* __tsan_default_options() {
  return "exitcode=99:second_deadlock_stack=1:max_allocation_size_mb=4096:"
         "allocator_may_return_null=1";
}
