// The system calls that a sandboxed program may not make, as a BPF program.
#include "ground/sys/seccomp_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "ground/sys/process.h"

namespace lathe {
namespace {

// Denied with EPERM. ptrace and process_vm_* are not here: leak checkers use them, and the PID
// namespace already bounds whom they reach.
constexpr std::array kDenied{
    // other namespaces, other roots, mounts
    SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(mount), SCMP_SYS(umount), SCMP_SYS(umount2),
    SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
    SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr), SCMP_SYS(name_to_handle_at), SCMP_SYS(open_by_handle_at),
    // the machine
    SCMP_SYS(reboot), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(swapon), SCMP_SYS(swapoff),
    SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd), SCMP_SYS(syslog), SCMP_SYS(iopl),
    SCMP_SYS(ioperm), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex), SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(vhangup),
    // large doors into the kernel that tests do not need
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(fanotify_init), SCMP_SYS(kcmp),
    SCMP_SYS(lookup_dcookie)};

// Denied with ENOSYS, so that libraries take their older way: clone3 hides its flags from a filter,
// io_uring does its work behind one, and the others hold memory that no process is seen to have.
constexpr std::array kMissing{SCMP_SYS(clone3),         SCMP_SYS(io_uring_setup),
                              SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
                              SCMP_SYS(memfd_create),   SCMP_SYS(memfd_secret),
                              SCMP_SYS(shmget),         SCMP_SYS(msgget),
                              SCMP_SYS(semget),         SCMP_SYS(vmsplice)};

// Larger buffers for a socket: asked for in vain, so that what sockets hold has a known bound.
constexpr std::array kBufferSizes{SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE};

constexpr std::array kNamespaceFlags{CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                     CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

constexpr std::array kFamilies{AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
constexpr int kHighestFamily = AF_NETLINK;

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

// 0 or a negative errno, as libseccomp reports.
int add_rules(scmp_filter_ctx filter) {
  int error = 0;
  const auto deny = [&](std::uint32_t action, int call, auto... conditions) {
    if (error == 0)
      error = seccomp_rule_add(filter, action, call, sizeof...(conditions), conditions...);
  };
  for (const int call : kDenied) deny(SCMP_ACT_ERRNO(EPERM), call);
  for (const int call : kMissing) deny(SCMP_ACT_ERRNO(ENOSYS), call);
  for (const int flag : kNamespaceFlags) {
    const auto bit = static_cast<scmp_datum_t>(static_cast<unsigned>(flag));
    deny(SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit));
  }
  // vsock and its like know no network namespace. Everything above the highest allowed family is
  // refused, so bits that the kernel would ignore open no way round.
  const std::uint32_t no_family = SCMP_ACT_ERRNO(EAFNOSUPPORT);
  for (int family = 0; family <= kHighestFamily; ++family)
    if (std::ranges::find(kFamilies, family) == kFamilies.end())
      deny(no_family, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family), 0));
  deny(no_family, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_GT, kHighestFamily, 0));
  for (const int option : kBufferSizes)
    deny(SCMP_ACT_ERRNO(0), SCMP_SYS(setsockopt),
         SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, SOL_SOCKET),
         SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffffU, static_cast<scmp_datum_t>(option)));
  deny(SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl),
       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, F_SETPIPE_SZ));
  // Huge pages are nobody's resident memory.
  deny(SCMP_ACT_ERRNO(ENOMEM), SCMP_SYS(mmap),
       SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_HUGETLB, MAP_HUGETLB));
  // Typing into the terminal of whoever started us.
  for (const unsigned request : {static_cast<unsigned>(TIOCSTI), static_cast<unsigned>(TIOCLINUX)})
    deny(SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, request));
  return error;
}

}  // namespace

Result<std::string> sandbox_filter() {
  const auto failed = [](int error) {
    return fail(ErrorKind::kUnavailable, "sandbox: cannot build its system call filter: {}",
                errno_text(-error));
  };
  // Calls of another architecture (32-bit ones, x32) are killed: libseccomp's default.
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release);
  if (!filter) return failed(-ENOMEM);
  if (const int error = add_rules(filter.get()); error < 0) return failed(error);
  LATHE_TRY(const UniqueFd file, file_of_bytes("", "sandbox"));
  if (const int error = seccomp_export_bpf(filter.get(), file.get()); error < 0)
    return failed(error);
  std::string program(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
  if (::pread(file.get(), program.data(), program.size(), 0) !=
      static_cast<ssize_t>(program.size()))
    return failed(-EIO);
  return program;
}

}  // namespace lathe
