// Standing consents: as rows, and what they hold for. Pure.
#include <algorithm>
#include <charconv>

#include "books/approvals/consents.h"
#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

std::optional<std::int64_t> whole_number(const std::map<std::string, std::string>& texts,
                                         const char* name) {
  const auto found = texts.find(name);
  if (found == texts.end()) return std::nullopt;
  std::int64_t value = 0;
  const char* end = found->second.data() + found->second.size();
  const auto read = std::from_chars(found->second.data(), end, value);
  return read.ec == std::errc() && read.ptr == end ? std::optional(value) : std::nullopt;
}

std::string text_of(const std::map<std::string, std::string>& texts, const char* name) {
  const auto found = texts.find(name);
  return found == texts.end() ? std::string() : found->second;
}

bool leads_to(std::string_view rule, std::string_view destination) {
  if (!destination.starts_with(rule)) return false;
  return destination.size() == rule.size() || rule.ends_with('/') ||
         destination[rule.size()] == '/';
}

}  // namespace

std::string money_text(std::int64_t nano, std::string_view currency) {
  return fmt::format("{:.4f} {}", static_cast<double>(nano) / 1e9, currency);
}

std::int64_t spent_of(const Approval& rule, std::int64_t now_ms) {
  if (text_of(rule.facts, "day") != format_day(now_ms)) return 0;
  return std::max<std::int64_t>(0, whole_number(rule.facts, "spent_nano").value_or(0));
}

Approval ConsentRule::row() const {
  Approval row;
  row.kind = kConsentRuleKind;
  row.subject = {{"destination", destination},
                 {"paths", dump_json(Json(paths))},
                 {"unknown_paths", unknown_paths ? "yes" : "no"},
                 {"nano_a_day", std::to_string(nano_a_day)},
                 {"currency", currency},
                 {"until", format_utc(until_ms)}};
  row.decision = Decision::kAllowed;
  return row;
}

Result<ConsentRule> ConsentRule::of(const Approval& row) {
  ConsentRule rule;
  rule.destination = text_of(row.subject, "destination");
  rule.unknown_paths = text_of(row.subject, "unknown_paths") == "yes";
  rule.currency = text_of(row.subject, "currency");
  const auto money = whole_number(row.subject, "nano_a_day");
  const auto until = parse_utc(text_of(row.subject, "until"));
  const auto paths = parse_json(text_of(row.subject, "paths"));
  if (rule.destination.empty() || !money || !until || !paths || !paths->is_array())
    return invalid("the rule {} cannot be read; `lathe consent rule remove {}` takes it away",
                   row.id(), row.id());
  for (const Json& path : *paths)
    if (path.is_string()) rule.paths.push_back(path.get<std::string>());
  rule.nano_a_day = *money;
  rule.until_ms = *until;
  return rule;
}

std::string ConsentRule::refuses(const Outgoing& outgoing, std::int64_t spent,
                                 std::int64_t now_ms) const {
  if (!leads_to(destination, outgoing.destination)) return "it is for another place";
  if (now_ms >= until_ms) return fmt::format("it ended at {}", format_utc(until_ms));
  if (!outgoing.paths) {
    if (!unknown_paths) return "the request does not say which files it holds";
  } else {
    for (const std::string& path : *outgoing.paths)
      if (std::ranges::none_of(paths,
                               [&](const std::string& glob) { return glob_match(glob, path); }))
        return fmt::format("'{}' is none of its files", clip_utf8(path, 200));
  }
  if (!outgoing.nano) return "no price of the model is known";
  if (outgoing.currency != currency) return fmt::format("its money is in {}", currency);
  if (*outgoing.nano > nano_a_day - std::min(spent, nano_a_day))
    return fmt::format("{} of its {} a day are used, and this may cost {}",
                       money_text(spent, currency), money_text(nano_a_day, currency),
                       money_text(*outgoing.nano, currency));
  return {};
}

}  // namespace lathe::books
