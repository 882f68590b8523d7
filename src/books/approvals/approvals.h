// What a person has allowed or refused, and what they have been asked for and not yet answered: one
// table, one file, for whatever leaves it to a person. Several processes may use the file at once.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"

namespace lathe::books {

enum class Decision { kAsked, kAllowed, kRefused };
std::string_view decision_name(Decision decision);  // "asked" | "allowed" | "refused"

// What is decided on: all of it, so that another subject is another decision.
struct Approval {
  std::string kind;  // "tool": calls of a tool of another program; "consent", "consent-rule"
  std::map<std::string, std::string> subject;  // "server", "tool", …
  Decision decision = Decision::kAsked;
  std::int64_t at_ms = 0;  // UTC
  // What else is known of it: for people, and for whoever put it there. It tells no two subjects
  // apart.
  std::map<std::string, std::string> facts = {};

  std::string id() const;  // the same for the same kind and subject: 12 hexadecimal digits
};

// Pure: a table to its text and back. Errors name the place.
std::string approvals_text(const std::vector<Approval>& table);
Result<std::vector<Approval>> parse_approvals(std::string_view text, const std::string& place);

// The table in a file; where there is none yet, it is empty.
class Approvals {
 public:
  explicit Approvals(fs::path file) : file_(std::move(file)) {}

  Result<std::vector<Approval>> all() const;
  // nullopt: nobody was asked yet.
  Result<std::optional<Decision>> find(const Approval& subject) const;
  // In place of what stands for the same subject; the file is for its owner alone.
  Status put(const Approval& approval) const;
  // What stands for this subject; where nothing does, `fresh` does from now on.
  Result<Approval> find_or_put(const Approval& fresh) const;
  // Changes one while nobody else does; what `change` refuses is left as it was. kNotFound: there
  // is none of this id.
  Status update(const std::string& id, const std::function<Status(Approval&)>& change) const;
  // That anybody was ever asked; kNotFound: nobody was.
  Status forget(const std::string& id) const;

 private:
  template <class Change>
  Status change(const Change& change) const;

  fs::path file_;
};

}  // namespace lathe::books
