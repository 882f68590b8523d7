// A server's stream: the events don't depend on how the bytes were cut, and no stream crashes the
// reader of replies of any API.
#include <cstdlib>

#include "serve/net/api_dialect.h"
#include "serve/net/sse.h"

namespace {

std::vector<std::string> events_of(std::string_view bytes, std::size_t step) {
  std::vector<std::string> events;
  lathe::serve::SseReader reader(
      [&](std::string_view data) {
        events.emplace_back(data);
        return lathe::Status();
      },
      1 << 20);
  for (std::size_t i = 0; i < bytes.size(); i += step)
    if (!reader.feed(bytes.substr(i, step))) break;
  return events;
}

// Whether the deltas together are the reply, where there is one.
bool is_one_text(const lathe::serve::ApiDialect& api, const std::vector<std::string>& events) {
  std::string streamed;
  const auto stream = api.stream([&](const lathe::Delta& delta) { streamed += delta.text; });
  for (const std::string& event : events)
    if (!stream->event(event)) return true;
  const auto reply = stream->finish();
  return !reply || reply->text == streamed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 100'000) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<std::string> events = events_of(bytes, 1 + data[0] % 16);
  if (events != events_of(bytes, bytes.size() + 1)) std::abort();
  for (const lathe::serve::ApiDialect* api : lathe::serve::api_dialects())
    if (!is_one_text(*api, events)) std::abort();
  return 0;
}
