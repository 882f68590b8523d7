// The bytes that the KV blocks of several models share. Every block that has memory is booked here
// by its pool; what a running sequence may still take is promised to it, so that no two models are
// promised the same bytes. What nobody runs on (free blocks that have kept their memory, prefixes
// remembered from earlier work) goes to whoever needs it: the least recently used first, of
// whichever model. One thread: the loop that runs the engines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace lathe::infer {

class KvBudget {
 public:
  explicit KvBudget(std::uint64_t limit) : limit_(limit) {}
  KvBudget(const KvBudget&) = delete;
  KvBudget& operator=(const KvBudget&) = delete;

  // One model's cache.
  class Member {
   public:
    virtual ~Member() = default;
    // What it cannot give back: blocks in use, promises to running sequences, kept prefixes.
    virtual std::uint64_t bound_bytes() const = 0;
    virtual void trim() = 0;  // gives the memory of free blocks back
    // When its least recently used prefix block was used (a tick()); nullopt: it has none to give.
    virtual std::optional<std::uint64_t> oldest() const = 0;
    virtual void drop_oldest() = 0;  // its block is free then, and keeps its memory
  };
  void join(Member& member) { members_.push_back(&member); }
  void leave(Member& member) { std::erase(members_, &member); }

  std::uint64_t limit() const { return limit_; }
  // A lower limit than what is held takes effect as memory is given back: see shrink().
  void set_limit(std::uint64_t bytes) { limit_ = bytes; }
  std::uint64_t held() const { return held_; }
  std::uint64_t free() const { return limit_ - std::min(limit_, held_); }
  void take(std::uint64_t bytes) { held_ += bytes; }
  void give(std::uint64_t bytes) { held_ -= bytes; }

  // Uses, in order, over all members.
  std::uint64_t tick() { return ++now_; }
  // All that `member` may be bound to while the others keep what they are bound to.
  std::uint64_t share_of(const Member& member) const;
  // Takes prefixes away, oldest first, until `bytes` are free or there are none. `asking` keeps the
  // memory of its free blocks, since it is about to use it: the call ends once it has one more.
  void make_room(std::uint64_t bytes, const Member* asking);
  // The same down to the limit.
  void shrink() { make_room(0, nullptr); }

 private:
  std::uint64_t limit_, held_ = 0, now_ = 0;
  std::vector<Member*> members_;
};

}  // namespace lathe::infer
