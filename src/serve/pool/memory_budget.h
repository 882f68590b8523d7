// One account of the bytes of all models: what is booked, by model, by what for and by device.
// Booked before it is allocated. One thread.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "ground/base/device_bytes.h"

namespace lathe::serve {

struct BookedBytes {
  DeviceBytes weights, scratch, media, program;
  DeviceBytes all() const { return weights + scratch + media + program; }
};

class MemoryBudget {
 public:
  explicit MemoryBudget(DeviceBytes limit) : limit_(std::move(limit)) {}

  const DeviceBytes& limit() const { return limit_; }
  // Without KV, whose blocks are booked in the KvBudget.
  DeviceBytes booked() const {
    DeviceBytes sum;
    for (const auto& [name, bytes] : models_) sum += bytes.all();
    return sum;
  }
  DeviceBytes left() const { return limit_.less(booked()); }
  BookedBytes of(const std::string& model) const {
    const auto found = models_.find(model);
    return found == models_.end() ? BookedBytes{} : found->second;
  }
  void book(const std::string& model, BookedBytes bytes) { models_[model] = std::move(bytes); }
  void release(const std::string& model) { models_.erase(model); }

 private:
  DeviceBytes limit_;
  std::map<std::string, BookedBytes> models_;
};

}  // namespace lathe::serve
