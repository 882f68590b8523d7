// The main of tests whose media workers are the tests' program, started again.
#pragma once

#include <gmock/gmock.h>

#include "loop/senses/media_worker.h"

namespace lathe::testing {

inline int media_main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "media-worker")
    return loop::media_worker_main(std::span(args).subspan(1));
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace lathe::testing
