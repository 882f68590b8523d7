// The tests' own main: the decoders that they use are this program, started again.
#include <gmock/gmock.h>

#include "ground/media/decoders.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "media-worker")
    return lathe::run_worker(std::span(args).subspan(1), {lathe::decoder_roles()});
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
