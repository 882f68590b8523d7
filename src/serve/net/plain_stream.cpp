// A reply that grows by events.
#include "serve/net/plain_stream.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxGrown = std::size_t{32} << 20;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;

}  // namespace

std::int64_t PlainStream::count_in(const Json& usage, std::string_view key) {
  return std::clamp<std::int64_t>(json_int(usage, key, 0), 0, kMaxCount);
}

Error PlainStream::broken_off(std::string_view why) const {
  return {ErrorKind::kUnavailable,
          fmt::format("the server broke off its answer: {}", clip_utf8(make_valid_utf8(why), 500))};
}

Status PlainStream::event(std::string_view data) {
  if (done_) return {};
  const auto json = parse_json(data, {.max_bytes = kMaxGrown});
  if (!json)
    return fail(ErrorKind::kUnavailable, "an event of the answer is wrong: {}",
                json.error().message);
  return take(*json);
}

Status PlainStream::grow(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= kMaxGrown) return {};
  refused_ = true;
  return invalid("the reply is larger than {} bytes", kMaxGrown);
}

Status PlainStream::say(std::string text, std::string reasoning) {
  LATHE_TRY_STATUS(grow(text.size() + reasoning.size()));
  reply_.text += text;
  reply_.reasoning += reasoning;
  if (!on_delta_ || (text.empty() && reasoning.empty())) return {};
  heard_ = true;
  on_delta_({.text = std::move(text), .reasoning = std::move(reasoning)});
  return {};
}

void PlainStream::end(FinishReason finish) {
  reply_.finish = finish;
  ended_ = true;
}

Result<Reply> PlainStream::finish() {
  if (!ended_)
    return fail(ErrorKind::kUnavailable,
                "the reply was cut off: the stream ended after {} bytes of text without saying why",
                reply_.text.size());
  if (on_delta_ && !reply_.calls.empty())
    on_delta_({.text = "", .reasoning = "", .calls = reply_.calls});
  return std::move(reply_);
}

}  // namespace lathe::serve
