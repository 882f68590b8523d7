// A pool of the models in a directory of its own: for tests of what it does beside answers.
#pragma once

#include <gtest/gtest.h>
#include <testing/raw_client.h>

#include "serve/pool/pool.h"

namespace lathe::serve {

class PoolFixture : public ::testing::Test {
 protected:
  void start(std::uint64_t memory = std::uint64_t{512} << 20) {
    PoolOptions options;
    options.memory = memory;
    options.threads = 2;
    options.program = "/proc/self/exe";
    options.pressure = [] { return std::optional<double>(0); };
    pool = std::make_unique<Pool>(*Catalog::read(dir.path()), std::move(options));
  }
  // What others may know is told now and then.
  static void eventually(const std::function<bool()>& what) {
    ASSERT_TRUE(testing::eventually(what)) << "it did not happen";
  }
  ModelInfo model(const std::string& name) {
    const HostStatus status = pool->status();
    return *std::ranges::find(status.models, name, &ModelInfo::name);
  }

  const TempDir dir = *TempDir::make();
  std::unique_ptr<Pool> pool;
};

}  // namespace lathe::serve
