// The table of approvals: JSON in a file that is written whole, under a lock.
#include "books/approvals/approvals.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::uint64_t kMaxFile = 16 << 20;
constexpr std::size_t kIdDigits = 12;

constexpr std::array<std::pair<Decision, std::string_view>, 3> kDecisions{
    {{Decision::kAsked, "asked"},
     {Decision::kAllowed, "allowed"},
     {Decision::kRefused, "refused"}}};

std::optional<Decision> parse_decision(std::string_view name) {
  for (const auto& [decision, each] : kDecisions)
    if (each == name) return decision;
  return std::nullopt;
}

Json json_of(const std::map<std::string, std::string>& members) {
  Json json = Json::object();
  for (const auto& [name, value] : members) json[name] = value;
  return json;
}

Result<std::map<std::string, std::string>> texts_in(const Json& json) {
  std::map<std::string, std::string> members;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) return invalid("'{}' must be a text", name);
    members[name] = value.get<std::string>();
  }
  return members;
}

bool same_subject(const Approval& a, const Approval& b) {
  return a.kind == b.kind && a.subject == b.subject;
}

// Of whoever changes the table, until it is done.
class Lock {
 public:
  static Result<Lock> take(const fs::path& file) {
    LATHE_TRY_STATUS(make_directories(file.parent_path()));
    const std::string path = file.string() + ".lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ::flock(fd, LOCK_EX) != 0) {
      if (fd >= 0) ::close(fd);
      return fail(ErrorKind::kUnavailable, "{}: cannot be locked", path);
    }
    return Lock(fd);
  }
  Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace

std::string_view decision_name(Decision decision) {
  return kDecisions[static_cast<std::size_t>(decision)].second;
}

std::string Approval::id() const {
  Json key = {{"kind", kind}};
  for (const auto& [name, value] : subject) key["subject"][name] = value;
  return sha256_hex(canonical_json(key)).substr(0, kIdDigits);
}

std::string approvals_text(const std::vector<Approval>& table) {
  Json list = Json::array();
  for (const Approval& each : table) {
    Json& row = list.emplace_back(Json{{"kind", each.kind},
                                       {"subject", json_of(each.subject)},
                                       {"decision", decision_name(each.decision)},
                                       {"at_ms", each.at_ms}});
    if (!each.facts.empty()) row["facts"] = json_of(each.facts);
  }
  return dump_json({{"version", 1}, {"approvals", std::move(list)}}, 2) + "\n";
}

Result<std::vector<Approval>> parse_approvals(std::string_view text, const std::string& place) {
  const auto json = parse_json(text);
  if (!json) return at(place, json.error());
  const Json& list = json_at(*json, "approvals");
  if (json_int(*json, "version", 0) != 1 || !list.is_array())
    return invalid("{}: is no table of approvals that this lathe reads", place);
  std::vector<Approval> table;
  for (const Json& each : list) {
    const auto decision = parse_decision(json_string(each, "decision"));
    const Json& subject = json_at(each, "subject");
    if (!decision || !subject.is_object())
      return invalid("{}: approval {} cannot be read; take the file away to begin anew", place,
                     table.size() + 1);
    Approval approval;
    approval.kind = json_string(each, "kind");
    auto texts = texts_in(subject);
    auto facts = each.contains("facts") ? texts_in(each["facts"]) : texts_in(Json::object());
    if (!texts || !facts)
      return at(fmt::format("{}: approval {}", place, table.size() + 1),
                texts ? facts.error() : texts.error());
    approval.subject = *std::move(texts);
    approval.facts = *std::move(facts);
    approval.decision = *decision;
    approval.at_ms = json_int(each, "at_ms", 0);
    table.push_back(std::move(approval));
  }
  return table;
}

Result<std::vector<Approval>> Approvals::all() const {
  const auto text = read_file(file_, kMaxFile);
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::vector<Approval>();
  if (!text) return std::unexpected(text.error());
  return parse_approvals(*text, file_.string());
}

Result<std::optional<Decision>> Approvals::find(const Approval& subject) const {
  LATHE_TRY(const std::vector<Approval> table, all());
  for (const Approval& each : table)
    if (same_subject(each, subject)) return std::optional(each.decision);
  return std::optional<Decision>();
}

template <class Change>
Status Approvals::change(const Change& change) const {
  LATHE_TRY(const Lock lock, Lock::take(file_));
  LATHE_TRY(std::vector<Approval> table, all());
  LATHE_TRY_STATUS(change(table));
  LATHE_TRY_STATUS(write_file_atomic(file_, approvals_text(table)));
  std::error_code error;
  fs::permissions(file_, fs::perms::owner_read | fs::perms::owner_write, error);
  if (error)
    return fail(ErrorKind::kUnavailable, "{}: cannot be made readable by you alone: {}",
                file_.string(), error.message());
  return {};
}

Status Approvals::put(const Approval& approval) const {
  return change([&](std::vector<Approval>& table) -> Status {
    const auto found = std::ranges::find_if(
        table, [&](const Approval& each) { return same_subject(each, approval); });
    if (found == table.end())
      table.push_back(approval);
    else
      *found = approval;
    return {};
  });
}

Result<Approval> Approvals::find_or_put(const Approval& fresh) const {
  Approval standing = fresh;
  LATHE_TRY_STATUS(change([&](std::vector<Approval>& table) -> Status {
    const auto found = std::ranges::find_if(
        table, [&](const Approval& each) { return same_subject(each, fresh); });
    if (found == table.end())
      table.push_back(fresh);
    else
      standing = *found;
    return {};
  }));
  return standing;
}

Status Approvals::update(const std::string& id,
                         const std::function<Status(Approval&)>& change_one) const {
  return change([&](std::vector<Approval>& table) -> Status {
    const auto found = std::ranges::find(table, id, &Approval::id);
    if (found != table.end()) return change_one(*found);
    return fail(ErrorKind::kNotFound,
                "nobody was asked for '{}'; `lathe approvals list` shows what was asked for",
                clip_utf8(id, 40));
  });
}

Status Approvals::forget(const std::string& id) const {
  return change([&](std::vector<Approval>& table) -> Status {
    if (std::erase_if(table, [&](const Approval& each) { return each.id() == id; }) > 0) return {};
    return fail(ErrorKind::kNotFound,
                "there is no approval '{}'; `lathe approvals list` shows them", clip_utf8(id, 40));
  });
}

}  // namespace lathe::books
