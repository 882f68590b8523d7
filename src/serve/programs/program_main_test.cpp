// The tests' own main: the guards of the programs that they start are this program again.
#include <gmock/gmock.h>

#include "ground/sys/guarded_process.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == lathe::kGuardRole)
    return lathe::guard_main(std::span(args).subspan(1));
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
