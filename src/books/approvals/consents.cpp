// Asked, kept, decided: consents in the table of approvals, their bytes beside it.
#include "books/approvals/consents.h"

#include <algorithm>
#include <set>

#include "ground/base/clock.h"
#include "ground/base/hash.h"
#include "ground/base/secrets.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::ptrdiff_t kMaxOpen = 500;  // questions that nobody has answered
constexpr std::uint64_t kMaxBody = 64 << 20;
constexpr int kMaxDepth = 64;

void add_secrets(const Json& value, std::set<std::string>& kinds, int depth = 0) {
  if (value.is_string()) {
    for (const FoundSecret& found : find_secrets(value.get_ref<const std::string&>()))
      kinds.emplace(found.kind);
  } else if (value.is_structured() && depth < kMaxDepth) {
    for (const Json& member : value) add_secrets(member, kinds, depth + 1);
  }
}

std::string fact(const Approval& approval, const char* name) {
  const auto found = approval.facts.find(name);
  return found == approval.facts.end() ? std::string() : found->second;
}

// Whether each kind of secret was named by whoever allowed it.
bool named(std::span<const std::string> secrets, std::span<const std::string> secret_ok) {
  return std::ranges::all_of(secrets, [&](const std::string& kind) {
    return std::ranges::find(secret_ok, kind) != secret_ok.end();
  });
}

std::vector<std::string> kinds_in(const std::string& text) {
  return text.empty() ? std::vector<std::string>() : split(text, ';');
}

ConsentSaid said_by(const ConsentQuestion& question, const Approval& standing) {
  using Kind = ConsentSaid::Kind;
  if (!named(question.secrets, kinds_in(fact(standing, "secret_ok")))) return {Kind::kSecret};
  if (standing.decision == Decision::kAllowed) return {Kind::kAllowed, "consent " + standing.id()};
  return {standing.decision == Decision::kRefused ? Kind::kRefused : Kind::kAsked};
}

Status for_owner_alone(const fs::path& path, fs::perms perms) {
  std::error_code error;
  fs::permissions(path, perms, error);
  if (!error) return {};
  return fail(ErrorKind::kUnavailable, "{}: cannot be made readable by you alone: {}",
              path.string(), error.message());
}

}  // namespace

std::vector<std::string> secrets_in_body(std::string_view body) {
  std::set<std::string> kinds;
  for (const FoundSecret& found : find_secrets(body)) kinds.emplace(found.kind);
  if (const auto json = parse_json(body)) add_secrets(*json, kinds);
  return {kinds.begin(), kinds.end()};
}

ConsentQuestion Consents::question(Outgoing outgoing, std::int64_t now_ms) {
  ConsentQuestion question;
  question.secrets = secrets_in_body(outgoing.body);
  Approval& row = question.row;
  row.kind = kConsentKind;
  row.subject = {
      {"sha256", sha256_hex(outgoing.body)},
      {"bytes", std::to_string(outgoing.body.size())},
      {"destination", outgoing.destination},
      {"model", outgoing.model},
      {"tokens",
       fmt::format("about {} in, {} out", outgoing.prompt_tokens,
                   outgoing.answer_tokens < 0 ? "no bound"
                                              : fmt::format("at most {}", outgoing.answer_tokens))},
      {"price",
       outgoing.nano ? "at most " + money_text(*outgoing.nano, outgoing.currency) : "not known"}};
  row.at_ms = now_ms;
  row.facts = outgoing.about;
  if (outgoing.paths) row.facts["files"] = clip_utf8(join(*outgoing.paths, ", "), 2000);
  if (!question.secrets.empty()) {
    row.decision = Decision::kRefused;
    row.facts["secrets"] = join(question.secrets, ";");
  }
  question.outgoing = std::move(outgoing);
  return question;
}

Result<ConsentSaid> Consents::look(const ConsentQuestion& question, std::int64_t now_ms) const {
  LATHE_TRY(const std::vector<Approval> table, table_.all());
  const auto standing = std::ranges::find_if(table, [&](const Approval& each) {
    return each.kind == question.row.kind && each.subject == question.row.subject;
  });
  const bool asked = standing != table.end();
  if (asked && standing->decision != Decision::kAsked) return said_by(question, *standing);
  LATHE_TRY(const auto ruled, by_rule(question, now_ms));
  if (ruled) return *ruled;
  if (asked) return said_by(question, *standing);
  const auto open = std::ranges::count_if(table, [](const Approval& each) {
    return each.kind == kConsentKind && each.decision == Decision::kAsked;
  });
  if (open >= kMaxOpen)
    return fail(ErrorKind::kDenied,
                "{} requests wait for your consent already; `lathe consent list` shows them, "
                "`lathe consent deny` and `forget` clear them",
                open);
  LATHE_TRY_STATUS(keep(question));
  LATHE_TRY(const Approval kept, table_.find_or_put(question.row));
  return said_by(question, kept);
}

// No rule lets a secret go.
Result<std::optional<ConsentSaid>> Consents::by_rule(const ConsentQuestion& question,
                                                     std::int64_t now_ms) const {
  using Said = std::optional<ConsentSaid>;
  if (!question.secrets.empty()) return Said();
  LATHE_TRY(const std::vector<Approval> table, rules());
  for (const Approval& each : table) {
    const auto rule = ConsentRule::of(each);
    if (!rule || each.decision != Decision::kAllowed ||
        !rule->refuses(question.outgoing, spent_of(each, now_ms), now_ms).empty())
      continue;
    // Another process may have charged it since.
    bool charged = false;
    const Status written = table_.update(each.id(), [&](Approval& row) -> Status {
      const std::int64_t spent = spent_of(row, now_ms);
      charged = row.decision == Decision::kAllowed &&
                rule->refuses(question.outgoing, spent, now_ms).empty();
      if (!charged) return {};
      row.facts["day"] = format_day(now_ms);
      row.facts["spent_nano"] = std::to_string(spent + *question.outgoing.nano);
      return {};
    });
    if (!written && written.error().kind != ErrorKind::kNotFound)
      return std::unexpected(written.error());
    if (written && charged)
      return Said(ConsentSaid{ConsentSaid::Kind::kAllowed, "rule " + each.id()});
  }
  return Said();
}

Status Consents::keep(const ConsentQuestion& question) const {
  LATHE_TRY_STATUS(make_directories(bodies_));
  LATHE_TRY_STATUS(for_owner_alone(bodies_, fs::perms::owner_all));
  const fs::path file = bodies_ / question.row.id();
  LATHE_TRY_STATUS(write_file_atomic(file, question.outgoing.body));
  return for_owner_alone(file, fs::perms::owner_read | fs::perms::owner_write);
}

Result<std::vector<Approval>> Consents::all() const {
  LATHE_TRY(std::vector<Approval> table, table_.all());
  std::erase_if(table, [](const Approval& each) { return each.kind != kConsentKind; });
  return table;
}

Result<std::vector<Approval>> Consents::rules() const {
  LATHE_TRY(std::vector<Approval> table, table_.all());
  std::erase_if(table, [](const Approval& each) { return each.kind != kConsentRuleKind; });
  return table;
}

Result<Approval> Consents::find(const std::string& id) const {
  LATHE_TRY(std::vector<Approval> table, all());
  const auto found = std::ranges::find(table, id, &Approval::id);
  if (found != table.end()) return std::move(*found);
  return fail(ErrorKind::kNotFound,
              "nobody was asked for consent '{}'; `lathe consent list` shows what was asked for",
              clip_utf8(make_valid_utf8(id), 40));
}

Result<std::string> Consents::body(const Approval& consent) const {
  LATHE_TRY(std::string bytes, read_file(bodies_ / consent.id(), kMaxBody));
  const auto hash = consent.subject.find("sha256");
  if (hash == consent.subject.end() || sha256_hex(bytes) != hash->second)
    return invalid(
        "{}: is not what consent was asked for; `lathe consent forget {}` has it asked "
        "for again",
        (bodies_ / consent.id()).string(), consent.id());
  return bytes;
}

Status Consents::decide(const std::string& id, Decision decision,
                        std::span<const std::string> secret_ok, std::int64_t now_ms) const {
  LATHE_TRY_STATUS(find(id));
  return table_.update(id, [&](Approval& row) -> Status {
    const std::string secrets = fact(row, "secrets");
    if (decision == Decision::kAllowed && !named(kinds_in(secrets), secret_ok))
      return fail(ErrorKind::kDenied,
                  "{} holds what looks like a secret: {}; it may go only if each is named, as in "
                  "`lathe consent approve {} --secret-ok \"{}\"`",
                  id, join(kinds_in(secrets), ", "), id, kinds_in(secrets).front());
    row.decision = decision;
    row.at_ms = now_ms;
    row.facts.erase("secret_ok");
    if (decision == Decision::kAllowed && !secrets.empty()) row.facts["secret_ok"] = secrets;
    return {};
  });
}

Status Consents::forget(const std::string& id) const {
  LATHE_TRY_STATUS(find(id));
  LATHE_TRY_STATUS(table_.forget(id));
  std::error_code ignored;
  fs::remove(bodies_ / id, ignored);
  return {};
}

Result<std::size_t> Consents::forget_runs(std::span<const std::string> runs) const {
  LATHE_TRY(const std::vector<Approval> table, all());
  std::size_t forgotten = 0;
  for (const Approval& each : table) {
    if (std::ranges::find(runs, fact(each, "run")) == runs.end()) continue;
    LATHE_TRY_STATUS(forget(each.id()));
    ++forgotten;
  }
  return forgotten;
}

Status Consents::add(const ConsentRule& rule, std::int64_t now_ms) const {
  Approval row = rule.row();
  row.at_ms = now_ms;
  LATHE_TRY(const Approval standing, table_.find_or_put(row));
  if (standing.decision == Decision::kAllowed) return {};
  return table_.update(standing.id(), [](Approval& refused) -> Status {
    refused.decision = Decision::kAllowed;
    return {};
  });
}

Status Consents::remove_rule(const std::string& id) const {
  LATHE_TRY(const std::vector<Approval> table, rules());
  if (std::ranges::find(table, id, &Approval::id) != table.end()) return table_.forget(id);
  return fail(ErrorKind::kNotFound, "there is no rule '{}'; `lathe consent rule list` shows them",
              clip_utf8(make_valid_utf8(id), 40));
}

}  // namespace lathe::books
