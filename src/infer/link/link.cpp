// Frames over a wire.
#include "infer/link/link.h"

#include <bit>
#include <cstring>

namespace lathe::infer {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr Milliseconds kWithinFrame{5000};    // silence of who has begun one
constexpr std::uint32_t kMagic = 0x4b4e4c4c;  // "LLNK"

struct FrameHead {
  std::uint32_t magic;
  std::uint16_t version, kind;
  std::uint64_t size, model, sum;
};
static_assert(sizeof(FrameHead) == 32);

// Tells damage, not intent.
class Sum {
 public:
  void add(std::span<const std::byte> bytes) {
    while (bytes.size() >= sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof word);
      mix(word);
      bytes = bytes.subspan(sizeof word);
    }
    for (const std::byte each : bytes) mix(std::to_integer<std::uint64_t>(each));
  }
  std::uint64_t value() const { return sum_; }

 private:
  void mix(std::uint64_t word) {
    sum_ = (sum_ ^ word) * 0x9e3779b97f4a7c15u;
    sum_ ^= sum_ >> 29;
  }
  std::uint64_t sum_ = 0;
};

std::uint64_t sum_of(std::span<const std::byte> head, std::span<const std::byte> body) {
  Sum sum;
  sum.add(head);
  sum.add(body);
  return sum.value();
}

}  // namespace

Link::Link(std::unique_ptr<Wire> wire, std::uint64_t model)
    : wire_(std::move(wire)), model_(model) {}

Status Link::send(FrameKind kind, std::span<const std::byte> head,
                  std::span<const std::byte> body) {
  // What is summed in one piece there must be so here.
  const bool whole = head.size() % sizeof(std::uint64_t) == 0 || body.empty();
  LATHE_CHECK(whole);
  const FrameHead frame{.magic = kMagic,
                        .version = kLinkVersion,
                        .kind = static_cast<std::uint16_t>(kind),
                        .size = head.size() + body.size(),
                        .model = model_,
                        .sum = sum_of(head, body)};
  const std::lock_guard lock(sending_);
  LATHE_TRY_STATUS(wire_->write(std::as_bytes(std::span(&frame, 1))));
  if (!head.empty()) LATHE_TRY_STATUS(wire_->write(head));
  if (!body.empty()) LATHE_TRY_STATUS(wire_->write(body));
  return {};
}

Result<Frame> Link::receive(std::size_t most, Milliseconds silence) {
  FrameHead head{};
  LATHE_TRY_STATUS(wire_->read(std::as_writable_bytes(std::span(&head, 1)), silence));
  if (head.magic != kMagic)
    return invalid("what came over the link is no frame; does lathe answer at the other end?");
  if (head.version != kLinkVersion)
    return invalid(
        "the other end of the link speaks version {} and this one {}; both need the same lathe",
        head.version, kLinkVersion);
  if (head.kind < static_cast<std::uint16_t>(FrameKind::kHello) ||
      head.kind > static_cast<std::uint16_t>(FrameKind::kRefused))
    return invalid("a frame of the link is of kind {}, which there is not", head.kind);
  Frame frame{.kind = static_cast<FrameKind>(head.kind), .bytes = {}};
  if (head.model != model_ && frame.kind != FrameKind::kRefused)
    return invalid("the other end of the link has another model file; both need the same");
  if (head.size > most)
    return invalid("a frame of the link has {} bytes; at most {} were expected", head.size, most);
  frame.bytes.resize(static_cast<std::size_t>(head.size));
  LATHE_TRY_STATUS(wire_->read(frame.bytes, silence.count() == 0 ? kWithinFrame : silence));
  if (sum_of(frame.bytes, {}) != head.sum)
    return invalid("a frame of the link is damaged: the sum over its bytes is another");
  return frame;
}

}  // namespace lathe::infer
