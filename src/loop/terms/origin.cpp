// Origins as labels, and back.
#include "loop/terms/origin.h"

#include <charconv>

namespace lathe::loop {

std::map<std::string, std::string> labels_of(const Origin& origin) {
  return {{"purpose", origin.purpose},
          {"lap", std::to_string(origin.lap)},
          {"n", std::to_string(origin.n)},
          {"attempt", std::to_string(origin.attempt)}};
}

Origin origin_of(const Request& request) {
  const auto text = [&](const char* label) {
    const auto found = request.labels.find(label);
    return found == request.labels.end() ? std::string() : found->second;
  };
  const auto number = [&](const char* label) {
    const std::string digits = text(label);
    int value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  };
  return {text("purpose"), number("lap"), number("n"), number("attempt")};
}

}  // namespace lathe::loop
