// The two lines of a join, written and read.
#include "serve/pairing/messages.h"

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "serve/pairing/settings.h"

namespace lathe::serve {
namespace {

constexpr int kJoinFormat = 1;
constexpr std::size_t kLongestReason = 1000;

Result<Json> parse_line(std::string_view text, std::size_t most) {
  JsonLimits limits;
  limits.max_bytes = most;
  limits.max_depth = 4;
  limits.max_values = 100;
  auto json = parse_json(text, limits);
  if (!json || !json->is_object()) return invalid("what came is no message of Lathe's");
  if (const std::int64_t format = json_int(*json, "lathe_join", 0); format != kJoinFormat)
    return invalid("the other side speaks another version ({}) of joining than this one ({})",
                   format, kJoinFormat);
  return json;
}

}  // namespace

std::string to_line(const JoinLine& line) {
  return dump_json({{"lathe_join", kJoinFormat}, {"token", line.token}, {"name", line.name}}) +
         "\n";
}

Result<JoinLine> parse_join_line(std::string_view text) {
  LATHE_TRY(const Json json, parse_line(text, kMostRequestBytes));
  JoinLine line;
  line.token = json_string(json, "token");
  line.name = json_string(json, "name");
  LATHE_TRY_STATUS(check_fleet_name("the name of the machine", line.name));
  return line;
}

std::string to_line(const Welcome& welcome) {
  return dump_json({{"lathe_join", kJoinFormat},
                    {"tier", welcome.tier},
                    {"database", welcome.database},
                    {"password", welcome.password},
                    {"root_certificate", welcome.root_certificate}}) +
         "\n";
}

std::string to_line(const Error& refusal) {
  return dump_json({{"lathe_join", kJoinFormat},
                    {"error", clip_utf8(refusal.message, kLongestReason)},
                    {"code", refusal.code}}) +
         "\n";
}

Result<Welcome> parse_answer_line(std::string_view text) {
  LATHE_TRY(const Json json, parse_line(text, kMostAnswerBytes));
  if (json.contains("error"))
    return std::unexpected(
        Error{ErrorKind::kDenied,
              "the machine that invites refuses: " +
                  clip_utf8(make_valid_utf8(json_string(json, "error")), kLongestReason),
              json_string(json, "code")});
  Welcome welcome;
  welcome.tier = json_string(json, "tier");
  welcome.database = json_string(json, "database");
  welcome.password = json_string(json, "password");
  welcome.root_certificate = json_string(json, "root_certificate");
  LATHE_TRY_STATUS(check_fleet_name("the tier", welcome.tier));
  LATHE_TRY_STATUS(check_database_address(welcome.database));
  if (welcome.password.empty() || welcome.password.size() > 200)
    return invalid("the answer has no password of the database");
  return welcome;
}

}  // namespace lathe::serve
