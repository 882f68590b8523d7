// The tests' own main: the media workers that they use are this program, started again.
#include <gmock/gmock.h>

#include "loop/senses/media_worker.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "media-worker")
    return lathe::loop::media_worker_main(std::span(args).subspan(1));
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
