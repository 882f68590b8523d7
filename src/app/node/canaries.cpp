// The thread that makes a node's canaries.
#include "app/node/canaries.h"

namespace lathe::app {

Canaries::Canaries(Options options) : options_(std::move(options)), thread_([this] { work(); }) {}

Canaries::~Canaries() {
  {
    const std::scoped_lock lock(mutex_);
    ending_.raise();
  }
  ended_.notify_all();
  thread_.join();
}

Json Canaries::said() const {
  const std::scoped_lock lock(mutex_);
  Json said = Json::object();
  for (const auto& [model, canary] : said_) said[model] = canary;
  return said;
}

void Canaries::work() {
  while (!ending_.raised()) {
    for (const std::string& model : options_.models()) {
      if (ending_.raised()) return;
      const auto canary = options_.make(model, ending_);
      if (ending_.raised()) return;
      if (!canary) options_.log(model + " has no canary: " + canary.error().message);
      const std::scoped_lock lock(mutex_);
      if (canary)
        said_[model] = *canary;
      else
        said_.erase(model);
    }
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, options_.every, [this] { return ending_.raised(); });
  }
}

}  // namespace lathe::app
