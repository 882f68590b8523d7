// Books the KV blocks of several models in one number of bytes.
#include "infer/cache/kv_budget.h"

#include <algorithm>

namespace lathe::infer {

std::uint64_t KvBudget::share_of(const Member& member) const {
  std::uint64_t bound = 0;
  for (const Member* other : members_) bound += other == &member ? 0 : other->bound_bytes();
  return limit_ - std::min(limit_, bound);
}

void KvBudget::make_room(std::uint64_t bytes, const Member* asking) {
  const auto fits = [&] { return held_ <= limit_ && limit_ - held_ >= bytes; };
  if (fits()) return;
  for (Member* member : members_) {
    if (member != asking) member->trim();
  }
  while (!fits()) {
    Member* victim = nullptr;
    std::optional<std::uint64_t> oldest;
    for (Member* member : members_) {
      const auto used = member->oldest();
      if (!used || (oldest && *oldest <= *used)) continue;
      oldest = used;
      victim = member;
    }
    if (victim == nullptr) return;
    victim->drop_oldest();
    // A block of its own is as good as room to whoever asks.
    if (victim == asking) return;
    victim->trim();
  }
}

}  // namespace lathe::infer
