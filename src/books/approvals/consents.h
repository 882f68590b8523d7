// What may leave for a cloud: a person's word on exactly these bytes to exactly this place, or a
// rule of theirs that covers them. Rows of the table of approvals; the bytes that are asked about
// lie beside it, one file each, for their owner alone. Several processes may use both at once.
#pragma once

#include <span>

#include "books/approvals/approvals.h"

namespace lathe::books {

// Bytes that want to leave.
struct Outgoing {
  std::string_view body;
  std::string destination;  // scheme://host:port/path
  std::string model;
  std::int64_t prompt_tokens = 0, answer_tokens = 0;  // estimated; at most. -1: no bound
  std::optional<std::int64_t> nano = {};  // of money, at most; absent: no price is known
  std::string currency = {};
  // The files whose text may be in it, relative to their tree; absent: not known.
  std::optional<std::vector<std::string>> paths = {};
  std::map<std::string, std::string> about = {};  // "run", "call", "worker": for people
};

// A standing consent. What it was charged on its last day stands in its row.
struct ConsentRule {
  std::string destination;         // as in Outgoing, or the beginning of it up to a '/'
  std::vector<std::string> paths;  // globs: each file of the request is one of these
  bool unknown_paths = false;      // requests that do not say which files they hold, too
  std::int64_t nano_a_day = 0;     // what the requests of a day (UTC) may cost at most, in all
  std::string currency;
  std::int64_t until_ms = 0;  // UTC

  Approval row() const;
  static Result<ConsentRule> of(const Approval& row);
  // Why it does not hold for this; "": it does. `spent`: of that day so far.
  std::string refuses(const Outgoing& outgoing, std::int64_t spent, std::int64_t now_ms) const;
};

inline constexpr std::string_view kConsentKind = "consent", kConsentRuleKind = "consent-rule";

// A question as it is kept: the row, and what has to be known to look again.
struct ConsentQuestion {
  Outgoing outgoing;
  Approval row;
  std::vector<std::string> secrets;  // the kinds of what looks like one, each once
};

struct ConsentSaid {
  enum class Kind { kAllowed, kRefused, kSecret, kAsked };
  Kind kind = Kind::kAsked;
  std::string by = {};  // kAllowed: "consent 0123456789ab", "rule 0123456789ab"
};

class Consents {
 public:
  // `bodies`: a directory for the bytes.
  Consents(Approvals table, fs::path bodies)
      : table_(std::move(table)), bodies_(std::move(bodies)) {}

  static ConsentQuestion question(Outgoing outgoing, std::int64_t now_ms);
  // What stands; asks where nobody was asked. A rule that holds is charged with what it costs.
  // Errors: what cannot be written or read, and too many questions that nobody has answered.
  Result<ConsentSaid> look(const ConsentQuestion& question, std::int64_t now_ms) const;

  // Those of kConsentKind, the oldest first.
  Result<std::vector<Approval>> all() const;
  Result<Approval> find(const std::string& id) const;
  // The exact bytes; refused where they are not those that were asked about.
  Result<std::string> body(const Approval& consent) const;
  // `secret_ok`: the kinds of secrets that may go all the same; each that it holds must be named.
  Status decide(const std::string& id, Decision decision, std::span<const std::string> secret_ok,
                std::int64_t now_ms) const;
  Status forget(const std::string& id) const;  // and its bytes
  // All that these runs asked for, with the bytes: the same question is asked anew. How many.
  Result<std::size_t> forget_runs(std::span<const std::string> runs) const;

  Status add(const ConsentRule& rule, std::int64_t now_ms) const;
  Result<std::vector<Approval>> rules() const;
  Status remove_rule(const std::string& id) const;

 private:
  Result<std::optional<ConsentSaid>> by_rule(const ConsentQuestion& question,
                                             std::int64_t now_ms) const;
  Status keep(const ConsentQuestion& question) const;

  Approvals table_;
  fs::path bodies_;
};

// What the finder of secrets sees in a body: in its bytes, and in the texts of its JSON. Kinds,
// each once.
std::vector<std::string> secrets_in_body(std::string_view body);
// Of a rule's row: what it was charged on that day.
std::int64_t spent_of(const Approval& rule, std::int64_t now_ms);
// "0.0123 USD"
std::string money_text(std::int64_t nano, std::string_view currency);

}  // namespace lathe::books
