// One account of the bytes of all models: what is booked, by model and by what for. Booked before
// it is allocated. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lathe::serve {

struct BookedBytes {
  std::uint64_t weights = 0, scratch = 0;
  std::uint64_t total() const { return weights + scratch; }
};

class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t limit) : limit_(limit) {}

  std::uint64_t limit() const { return limit_; }
  // Without KV, whose blocks are booked in the KvBudget.
  std::uint64_t booked() const {
    std::uint64_t sum = 0;
    for (const auto& [name, bytes] : models_) sum += bytes.total();
    return sum;
  }
  std::uint64_t left() const { return limit_ - std::min(limit_, booked()); }
  BookedBytes of(const std::string& model) const {
    const auto found = models_.find(model);
    return found == models_.end() ? BookedBytes{} : found->second;
  }
  void book(const std::string& model, BookedBytes bytes) { models_[model] = bytes; }
  void release(const std::string& model) { models_.erase(model); }

 private:
  std::uint64_t limit_;
  std::map<std::string, BookedBytes> models_;
};

}  // namespace lathe::serve
