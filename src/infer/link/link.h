// What two machines with one model between them say to each other, in frames: who sends a frame
// says its version, its kind, its model and its size, and a sum over its bytes. A frame that is
// broken, larger than was asked for, of another version or another model is refused. What carries
// the bytes is a Wire.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/units.h"

namespace lathe::infer {

// Carries bytes both ways, in order. One thread writes at a time, and one reads.
class Wire {
 public:
  virtual ~Wire() = default;
  // All of them, or an error: the other side takes none or is gone.
  virtual Status write(std::span<const std::byte> bytes) = 0;
  // Fills `out`. kTimeout: nothing came for so long; 0: that never is.
  virtual Status read(std::span<std::byte> out, Milliseconds silence) = 0;
  // Fills `in`, and writes meanwhile what the other side takes of `out`, so that two who do the
  // same never wait for each other. Returns how much of `out` that was.
  virtual Result<std::size_t> exchange(std::span<const std::byte> out, std::span<std::byte> in,
                                       Milliseconds silence) = 0;
  virtual void close() = 0;  // any thread: both sides' calls fail from now on
};

// Two ends in one process.
std::pair<std::unique_ptr<Wire>, std::unique_ptr<Wire>> make_wire_pair();

inline constexpr std::uint16_t kLinkVersion = 2;

enum class FrameKind : std::uint16_t {
  kHello = 1,  // of the one who leads: what the other is to do
  kReady,      // its answer, once its part of the model is in memory
  kMemory,     // how many blocks of each group there are
  kBlocks,     // what became of blocks since the last step
  kStep,       // the tokens of a step, and what they begin with, or what the first layers made
  kRows,       // what the last layers made of that
  kPart,       // the rows of products that are computed there
  kEcho,       // before a greeting: it is sent back
  kBusy,       // the other is at work
  kRefused,    // … or why it is not
};

struct Frame {
  FrameKind kind = {};
  std::vector<std::byte> bytes;
};

inline constexpr std::size_t kFrameHead = 32;        // bytes in front of a frame's own
inline constexpr std::size_t kSmallFrame = 1 << 16;  // one without tokens and rows is no larger
inline constexpr std::size_t kMostEcho = 1 << 20;

// What the other side's kRefused says.
std::unexpected<Error> refused_by_other(std::string_view why);

class Link {
 public:
  // `model`: of both sides' file.
  Link(std::unique_ptr<Wire> wire, std::uint64_t model);

  // Any thread. `body` follows `head`.
  Status send(FrameKind kind, std::span<const std::byte> head,
              std::span<const std::byte> body = {});
  // Of at most so many bytes.
  Result<Frame> receive(std::size_t most, Milliseconds silence);
  // A frame each way at once, of one kind. In `out` its bytes stand behind kFrameHead free ones,
  // the other side's fill `in`; an empty one: nothing goes that way.
  Status exchange(FrameKind kind, std::span<std::byte> out, std::span<std::byte> in,
                  Milliseconds silence);
  // kBusy, unless something is being sent, which says as much. Any thread; it does not wait.
  Status send_beat();
  void close() { wire_->close(); }

 private:
  struct Head;
  Head head_of(FrameKind kind, std::span<const std::byte> head,
               std::span<const std::byte> body) const;
  Status check(const Head& head, std::size_t most) const;
  Status write(FrameKind kind, std::span<const std::byte> head, std::span<const std::byte> body);
  std::unique_ptr<Wire> wire_;
  std::uint64_t model_;
  std::mutex sending_;
};

}  // namespace lathe::infer
