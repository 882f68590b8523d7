// The file of contacts: lines are appended whole, read back and put together.
#include "serve/net/contact_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "ground/base/clock.h"
#include "ground/base/json.h"

namespace lathe::serve {
namespace {

constexpr std::array kKinds{ContactKind::kLookup, ContactKind::kOut, ContactKind::kIn};

Json begin_json(const std::string& id, std::int64_t now, const Contact& contact) {
  Json labels = Json::object();
  for (const auto& [name, value] : contact.labels) labels[name] = value;
  return {{"id", id},
          {"event", "begun"},
          {"unix_ms", now},
          {"kind", contact_kind_name(contact.kind)},
          {"address", contact.address},
          {"port", contact.port},
          {"host", contact.host},
          {"reach", reach_name(contact.reach)},
          {"allowed_by", contact.allowed_by},
          {"what", contact.what},
          {"labels", std::move(labels)}};
}

std::optional<ContactRow> row_of(const Json& line) {
  const auto kind = std::ranges::find(kKinds, json_string(line, "kind"), contact_kind_name);
  if (kind == kKinds.end()) return std::nullopt;
  ContactRow row;
  row.id = json_string(line, "id");
  row.begun_ms = json_int(line, "unix_ms", 0);
  row.kind = *kind;
  row.address = json_string(line, "address");
  row.port = static_cast<std::uint16_t>(json_int(line, "port", 0));
  row.host = json_string(line, "host");
  row.reach = parse_reach(json_string(line, "reach")).value_or(Reach::kAny);
  row.allowed_by = json_string(line, "allowed_by");
  row.what = json_string(line, "what");
  if (const Json& labels = json_at(line, "labels"); labels.is_object())
    for (const auto& [name, value] : labels.items())
      if (value.is_string()) row.labels[name] = value.get<std::string>();
  return row;
}

ContactEnd end_of(const Json& line) {
  return {.sent = static_cast<std::uint64_t>(std::max<std::int64_t>(0, json_int(line, "sent", 0))),
          .received =
              static_cast<std::uint64_t>(std::max<std::int64_t>(0, json_int(line, "received", 0))),
          .sha256 = json_string(line, "sha256"),
          .outcome = json_string(line, "outcome")};
}

}  // namespace

std::string_view contact_kind_name(ContactKind kind) {
  switch (kind) {
    case ContactKind::kLookup:
      return "lookup";
    case ContactKind::kOut:
      return "out";
    case ContactKind::kIn:
      return "in";
  }
  return "";
}

ContactLog::~ContactLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status ContactLog::append(const Json& line) {
  const std::string bytes = dump_json(line) + "\n";
  const std::lock_guard lock(mutex_);
  if (descriptor_ < 0 && file_.has_parent_path())
    LATHE_TRY_STATUS(make_directories(file_.parent_path()));
  if (descriptor_ < 0)
    descriptor_ = ::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  // One write() a line: another process's lines stand before it or behind it, never within.
  if (descriptor_ < 0 ||
      ::write(descriptor_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::fdatasync(descriptor_) != 0)
    return fail(ErrorKind::kUnavailable,
                "{}: the record of what leaves this machine cannot be written ({}), so nothing may "
                "leave; make room, or give another directory with --journal",
                file_.string(), std::strerror(errno));
  return {};
}

Result<std::string> ContactLog::begin(const Contact& contact) {
  const std::int64_t now = system_clock().unix_ms();
  std::string id;
  {
    const std::lock_guard lock(mutex_);
    id = fmt::format("{:x}-{:x}-{:x}", now, ::getpid(), ++count_);
  }
  const Status written = append(begin_json(id, now, contact));
  if (!written && problem_) problem_(written.error().message);
  if (!written) return std::unexpected(written.error());
  return id;
}

void ContactLog::end(const std::string& id, const ContactEnd& end) {
  (void)append({{"id", id},
                {"event", "ended"},
                {"unix_ms", system_clock().unix_ms()},
                {"sent", end.sent},
                {"received", end.received},
                {"sha256", end.sha256},
                {"outcome", end.outcome}});
}

Result<ContactRows> ContactLog::read(const fs::path& file) {
  ContactRows found;
  std::error_code error;
  if (!fs::exists(file, error)) return found;
  std::ifstream in(file, std::ios::binary);
  std::map<std::string, std::size_t> begun;  // id → row
  std::string text;
  for (std::size_t number = 1; std::getline(in, text); ++number) {
    const auto line = parse_json(text);
    const std::string id = line ? json_string(*line, "id") : "";
    const std::string event = line ? json_string(*line, "event") : "";
    const auto known = begun.find(id);
    auto row = event == "begun" ? row_of(*line) : std::nullopt;
    if (row && known == begun.end()) {
      begun[id] = found.rows.size();
      found.rows.push_back(std::move(*row));
    } else if (event == "ended" && known != begun.end()) {
      found.rows[known->second].end = end_of(*line);
      found.rows[known->second].ended_ms = json_int(*line, "unix_ms", 0);
    } else {
      found.broken.push_back(number);
    }
  }
  if (in.bad() || !in.eof())
    return fail(ErrorKind::kUnavailable, "{}: cannot be read", file.string());
  return found;
}

}  // namespace lathe::serve
