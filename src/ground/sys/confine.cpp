// Gives up, for good, what a decoder does not need: files, network, most system calls.
#include "ground/sys/confine.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "ground/sys/process.h"

namespace lathe {
namespace {

Status limit(int resource, std::uint64_t value, const char* name) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &now) == 0)
    value = std::min<std::uint64_t>(value, now.rlim_max);
  const rlimit set{value, value};
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &set) != 0)
    return fail(ErrorKind::kUnavailable, "cannot set the limit {}: {}", name, std::strerror(errno));
  return {};
}

// Of processor time besides what is used already: a busy machine makes nobody break it.
Status limit_processor(std::uint64_t seconds) {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  seconds += static_cast<std::uint64_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1;
  const rlimit set{seconds, seconds + 5};
  if (::setrlimit(RLIMIT_CPU, &set) != 0)
    return fail(ErrorKind::kUnavailable, "cannot set the limit processor time: {}",
                std::strerror(errno));
  return {};
}

}  // namespace

Status confine(const ConfineLimits& limits) {
  if (limits.cpu_seconds > 0) LATHE_TRY_STATUS(limit_processor(limits.cpu_seconds));
  // A sanitizer's shadow memory is terabytes of address space, and its report may go to a file.
  if (!kSanitized) {
    LATHE_TRY_STATUS(limit(RLIMIT_AS, limits.memory_bytes, "memory"));
    LATHE_TRY_STATUS(limit(RLIMIT_FSIZE, 0, "file size"));
  }
  // It counts threads as well, and those of all our processes together.
  if (!limits.draws_text) LATHE_TRY_STATUS(limit(RLIMIT_NPROC, 0, "processes"));
  LATHE_TRY_STATUS(limit(RLIMIT_NOFILE, 16, "open files"));
  LATHE_TRY_STATUS(limit(RLIMIT_CORE, 0, "core dumps"));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(ErrorKind::kUnavailable, "cannot give up new privileges: {}", std::strerror(errno));

  constexpr std::array kAllowed{SCMP_SYS(read),
                                SCMP_SYS(readv),
                                SCMP_SYS(write),
                                SCMP_SYS(writev),
                                SCMP_SYS(close),
                                SCMP_SYS(lseek),
                                SCMP_SYS(fstat),
                                SCMP_SYS(newfstatat),
                                SCMP_SYS(poll),
                                SCMP_SYS(ppoll),
                                SCMP_SYS(brk),
                                SCMP_SYS(mmap),
                                SCMP_SYS(munmap),
                                SCMP_SYS(mremap),
                                SCMP_SYS(mprotect),
                                SCMP_SYS(madvise),
                                SCMP_SYS(futex),
                                SCMP_SYS(sched_yield),
                                SCMP_SYS(restart_syscall),
                                SCMP_SYS(clock_gettime),
                                SCMP_SYS(clock_nanosleep),
                                SCMP_SYS(nanosleep),
                                SCMP_SYS(gettimeofday),
                                SCMP_SYS(getpid),
                                SCMP_SYS(gettid),
                                SCMP_SYS(getrandom),
                                SCMP_SYS(getrusage),
                                SCMP_SYS(rt_sigaction),
                                SCMP_SYS(rt_sigprocmask),
                                SCMP_SYS(rt_sigreturn),
                                SCMP_SYS(sigaltstack),
                                SCMP_SYS(exit),
                                SCMP_SYS(exit_group)};
  // TSan's own thread may still be starting; UBSan tries an address by writing from it into a pipe;
  // all of them look at /proc/self and at the terminal before they say what they have found. (The C
  // library opens files by openat, so what reaches outside ends the process in such a build too.)
  constexpr std::array kForSanitizers{SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(pipe2),
                                      SCMP_SYS(open), SCMP_SYS(readlink),        SCMP_SYS(ioctl)};
  constexpr std::array kForThreads{SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(prctl),
                                   SCMP_SYS(sched_getaffinity)};
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(
      seccomp_init(SCMP_ACT_KILL_PROCESS), &seccomp_release);
  if (!filter) return fail(ErrorKind::kUnavailable, "seccomp is not available here");
  int failed = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  for (const int call : kAllowed)
    if (failed == 0) failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  if (kSanitized)
    for (const int call : kForSanitizers)
      if (failed == 0) failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  if (limits.finds_no_files && failed == 0)
    failed = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(openat), 0);
  if (limits.draws_text) {
    for (const int call : kForThreads)
      if (failed == 0) failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
    for (const int call : {SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2)})
      if (failed == 0) failed = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(0), call, 0);
    // clone3 hides its flags from a filter: without it the C library takes clone, which does not.
    if (failed == 0)
      failed = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (failed == 0)
      failed = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  }
  if (failed == 0) failed = seccomp_load(filter.get());
  if (failed != 0)
    return fail(ErrorKind::kUnavailable, "cannot install the system call filter: {}",
                std::strerror(-failed));
  return {};
}

}  // namespace lathe
