// The canaries of a node's models, made one after the other when it begins and each hour.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "app/node/canary.h"

namespace lathe::app {

class Canaries {
 public:
  struct Options {
    std::function<std::vector<std::string>()> models;  // asked each time
    std::function<Result<std::string>(const std::string& model, const StopFlag& stop)> make;
    std::function<void(const std::string& line)> log;
    Milliseconds every = kCanaryEvery;
  };
  explicit Canaries(Options options);
  ~Canaries();
  Canaries(const Canaries&) = delete;
  Canaries& operator=(const Canaries&) = delete;

  Json said() const;  // {MODEL: canary}

 private:
  void work();

  Options options_;
  StopFlag ending_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::map<std::string, std::string> said_;
  std::thread thread_;
};

}  // namespace lathe::app
