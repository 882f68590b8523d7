// What goes through TLS when a machine joins: a line of JSON each way.
#pragma once

#include "serve/pairing/invite.h"

namespace lathe::serve {

inline constexpr std::size_t kMostRequestBytes = 4096;
inline constexpr std::size_t kMostAnswerBytes = 96 * 1024;
inline constexpr std::size_t kMostRootCertificateBytes = 64 * 1024;

struct JoinLine {
  std::string token, name;
};
std::string to_line(const JoinLine& line);
Result<JoinLine> parse_join_line(std::string_view text);

std::string to_line(const Welcome& welcome);
std::string to_line(const Error& refusal);
// The welcome, or the refusal as an error.
Result<Welcome> parse_answer_line(std::string_view text);

}  // namespace lathe::serve
