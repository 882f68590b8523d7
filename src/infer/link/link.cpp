// Frames over a wire.
#include "infer/link/link.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace lathe::infer {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr Milliseconds kWithinFrame{5000};    // silence of who has begun one
constexpr std::uint32_t kMagic = 0x4b4e4c4c;  // "LLNK"

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

struct Link::Head {
  std::uint32_t magic;
  std::uint16_t version, kind;
  std::uint64_t size, model, sum;
};

Link::Link(std::unique_ptr<Wire> wire, std::uint64_t model)
    : wire_(std::move(wire)), model_(model) {}

Link::Head Link::head_of(FrameKind kind, std::span<const std::byte> head,
                         std::span<const std::byte> body) const {
  static_assert(sizeof(Head) == kFrameHead);
  return {.magic = kMagic,
          .version = kLinkVersion,
          .kind = static_cast<std::uint16_t>(kind),
          .size = head.size() + body.size(),
          .model = model_,
          .sum = sum_of(head, body)};
}

Status Link::write(FrameKind kind, std::span<const std::byte> head,
                   std::span<const std::byte> body) {
  const Head frame = head_of(kind, head, body);
  LATHE_TRY_STATUS(wire_->write(std::as_bytes(std::span(&frame, 1))));
  if (!head.empty()) LATHE_TRY_STATUS(wire_->write(head));
  if (!body.empty()) LATHE_TRY_STATUS(wire_->write(body));
  return {};
}

Status Link::send(FrameKind kind, std::span<const std::byte> head,
                  std::span<const std::byte> body) {
  // What is summed in one piece there must be so here.
  const bool whole = head.size() % sizeof(std::uint64_t) == 0 || body.empty();
  LATHE_CHECK(whole);
  const std::lock_guard lock(sending_);
  return write(kind, head, body);
}

Status Link::send_beat() {
  const std::unique_lock lock(sending_, std::try_to_lock);
  return lock ? write(FrameKind::kBusy, {}, {}) : Status();
}

Status Link::check(const Head& head, std::size_t most) const {
  if (head.magic != kMagic)
    return invalid("what came over the link is no frame; does lathe answer at the other end?");
  if (head.version != kLinkVersion)
    return invalid(
        "the other end of the link speaks version {} and this one {}; both need the same lathe",
        head.version, kLinkVersion);
  if (head.kind < static_cast<std::uint16_t>(FrameKind::kHello) ||
      head.kind > static_cast<std::uint16_t>(FrameKind::kRefused))
    return invalid("a frame of the link is of kind {}, which there is not", head.kind);
  if (head.model != model_ && head.kind != static_cast<std::uint16_t>(FrameKind::kRefused))
    return invalid("the other end of the link has another model file; both need the same");
  if (head.size > most)
    return invalid("a frame of the link has {} bytes; at most {} were expected", head.size, most);
  return {};
}

Result<Frame> Link::receive(std::size_t most, Milliseconds silence) {
  Head head{};
  LATHE_TRY_STATUS(wire_->read(std::as_writable_bytes(std::span(&head, 1)), silence));
  LATHE_TRY_STATUS(check(head, most));
  Frame frame{.kind = static_cast<FrameKind>(head.kind), .bytes = {}};
  frame.bytes.resize(static_cast<std::size_t>(head.size));
  LATHE_TRY_STATUS(wire_->read(frame.bytes, silence.count() == 0 ? kWithinFrame : silence));
  if (sum_of(frame.bytes, {}) != head.sum)
    return invalid("a frame of the link is damaged: the sum over its bytes is another");
  return frame;
}

Status Link::exchange(FrameKind kind, std::span<std::byte> out, std::span<std::byte> in,
                      Milliseconds silence) {
  if (!out.empty()) {
    const Head head = head_of(kind, out.subspan(kFrameHead), {});
    std::memcpy(out.data(), &head, sizeof head);
  }
  const std::lock_guard lock(sending_);
  std::span<const std::byte> left = out;
  const auto fill = [&](std::span<std::byte> bytes) -> Status {
    LATHE_TRY(const std::size_t written, wire_->exchange(left, bytes, silence));
    left = left.subspan(written);
    return {};
  };
  while (!in.empty()) {
    Head head{};
    LATHE_TRY_STATUS(fill(std::as_writable_bytes(std::span(&head, 1))));
    LATHE_TRY_STATUS(check(head, std::max(in.size(), kSmallFrame)));
    const auto came = static_cast<FrameKind>(head.kind);
    if (came == FrameKind::kBusy && head.size == 0) continue;
    if (came == FrameKind::kRefused) {
      std::string why(static_cast<std::size_t>(head.size), '\0');
      LATHE_TRY_STATUS(fill(std::as_writable_bytes(std::span(why))));
      return refused_by_other(why);
    }
    if (came != kind || head.size != in.size())
      return invalid(
          "a frame of the link came that is not its turn: of kind {} with {} bytes, where {} bytes "
          "of kind {} were expected",
          head.kind, head.size, in.size(), static_cast<int>(kind));
    LATHE_TRY_STATUS(fill(in));
    if (sum_of(in, {}) != head.sum)
      return invalid("a frame of the link is damaged: the sum over its bytes is another");
    break;
  }
  return left.empty() ? Status() : wire_->write(left);
}

std::unexpected<Error> refused_by_other(std::string_view why) {
  return fail(ErrorKind::kUnavailable, "the other machine refuses: {}", why.substr(0, kSmallFrame));
}

}  // namespace lathe::infer
