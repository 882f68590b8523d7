// The niceness of one thread: on Linux each has its own.
#include "ground/sys/priority.h"

#include <sys/resource.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

namespace lathe {

void give_way_to_others() {
#ifdef __linux__
  constexpr int kNice = 10;  // a weight of 110 beside 1024
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice));
#endif
}

}  // namespace lathe
