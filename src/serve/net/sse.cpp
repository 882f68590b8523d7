// Server-sent events, read in any pieces.
#include "serve/net/sse.h"

namespace lathe::serve {

Status SseReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    // "\r\n", "\n" and "\r" all end a line, and a cut may fall between the two of the first.
    if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const auto end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + data_.size() + part.size() > max_event_bytes_)
      return invalid("an event of the stream is larger than {} bytes", max_event_bytes_);
    line_ += part;
    if (end == bytes.npos) return {};
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    LATHE_TRY_STATUS(line());
  }
  return {};
}

Status SseReader::line() {
  std::string text = std::exchange(line_, {});
  std::string_view rest = text;
  if (std::exchange(first_line_, false) && rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  if (rest.empty()) {
    if (!std::exchange(has_data_, false)) return {};
    const std::string data = std::exchange(data_, {});
    return on_data_(data);
  }
  const auto colon = rest.find(':');
  if (rest.substr(0, colon) != "data") return {};  // comments, event names, ids, retry times
  std::string_view value = colon == rest.npos ? std::string_view() : rest.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (std::exchange(has_data_, true)) data_ += '\n';
  data_ += value;
  return {};
}

}  // namespace lathe::serve
