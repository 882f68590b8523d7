// Two threads' wire: a queue of bytes each way.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>

#include "infer/link/link.h"

namespace lathe::infer {
namespace {

struct Lane {
  std::mutex mutex;
  std::condition_variable came;
  std::deque<std::byte> bytes;
  bool closed = false;

  void close() {
    const std::lock_guard lock(mutex);
    closed = true;
    came.notify_all();
  }
};

class PairWire final : public Wire {
 public:
  PairWire(std::shared_ptr<Lane> out, std::shared_ptr<Lane> in)
      : out_(std::move(out)), in_(std::move(in)) {}
  ~PairWire() override { close_both(); }

  Status write(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(out_->mutex);
    if (out_->closed) return fail(ErrorKind::kUnavailable, "the other end of the link is gone");
    out_->bytes.insert(out_->bytes.end(), bytes.begin(), bytes.end());
    out_->came.notify_all();
    return {};
  }

  Status read(std::span<std::byte> out, Milliseconds silence) override {
    std::unique_lock lock(in_->mutex);
    while (!out.empty()) {
      const auto ready = [&] { return !in_->bytes.empty() || in_->closed; };
      if (silence.count() == 0)
        in_->came.wait(lock, ready);
      else if (!in_->came.wait_for(lock, silence, ready))
        return fail(ErrorKind::kTimeout, "the other end of the link has been silent for {} ms",
                    silence.count());
      if (in_->bytes.empty())
        return fail(ErrorKind::kUnavailable, "the other end of the link is gone");
      const std::size_t count = std::min(out.size(), in_->bytes.size());
      const auto end = in_->bytes.begin() + static_cast<std::ptrdiff_t>(count);
      std::copy(in_->bytes.begin(), end, out.begin());
      in_->bytes.erase(in_->bytes.begin(), end);
      out = out.subspan(count);
    }
    return {};
  }

  // The other lane takes everything.
  Result<std::size_t> exchange(std::span<const std::byte> out, std::span<std::byte> in,
                               Milliseconds silence) override {
    LATHE_TRY_STATUS(write(out));
    LATHE_TRY_STATUS(read(in, silence));
    return out.size();
  }

  void close() override { close_both(); }

 private:
  void close_both() {
    out_->close();
    in_->close();
  }
  std::shared_ptr<Lane> out_, in_;
};

}  // namespace

std::pair<std::unique_ptr<Wire>, std::unique_ptr<Wire>> make_wire_pair() {
  auto there = std::make_shared<Lane>(), back = std::make_shared<Lane>();
  return {std::make_unique<PairWire>(there, back), std::make_unique<PairWire>(back, there)};
}

}  // namespace lathe::infer
