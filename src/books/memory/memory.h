// What is remembered from run to run: facts that models propose and that people, or judges, accept.
// One SQLite file; what is forgotten is in no byte of it. One thread; any number of processes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "books/sqlite/database.h"

namespace lathe::books {

inline constexpr std::size_t kMaxFactBytes = 500;
inline constexpr std::size_t kRecalledBytes = 1536;  // of one prompt: about 512 tokens

enum class FactState { kProposed, kAccepted, kRetired, kForgotten };
std::string_view fact_state_name(FactState state);  // "proposed" …

struct Fact {
  std::int64_t id = 0;
  std::string scope;  // "user" | "project:DIR" | "recipe:NAME"
  std::string text;   // "" where it is forgotten
  // Where it comes from: a run, the record of the answer that proposed it, and its blob.
  std::string run = {}, blob = {};
  std::int64_t seq = 0;
  FactState state = FactState::kProposed;
  std::string by = {};  // who accepted or retired it: "person", "the judges of RUN", "fact 7"
  std::int64_t made_ms = 0;
  std::optional<std::int64_t> expires_ms = {};
  std::int64_t uses = 0;  // in prompts
  std::optional<std::int64_t> last_used_ms = {};

  // What it is about, of "the port: 8080" what stands before the colon; "": it does not say.
  std::string subject() const;
};

class Memory {
 public:
  // Made in this directory where there is none.
  static Result<Memory> open(const fs::path& directory);

  // Once for each record and text: a run that is gone over again proposes nothing twice. nullopt:
  // it is there already. Errors: no text, too much of it.
  Result<std::optional<std::int64_t>> propose(const Fact& fact);
  // Retires those of the same scope and subject that say something else; → these.
  Result<std::vector<Fact>> accept(std::int64_t id, const std::string& by,
                                   std::optional<std::int64_t> expires_ms);
  Status retire(std::int64_t id, const std::string& by);
  // Takes its text out of every page; the number stays. → the fact as it was.
  Result<Fact> forget(std::int64_t id);

  Result<Fact> fact(std::int64_t id) const;
  Result<std::vector<Fact>> facts() const;  // by number
  // Accepted ones of these scopes that fit a question best, as far as kRecalledBytes go. Each use
  // is counted.
  Result<std::vector<Fact>> recall(std::string_view question, std::span<const std::string> scopes,
                                   std::int64_t now_ms);

 private:
  explicit Memory(Database db) : db_(std::move(db)) {}
  Status change(std::int64_t id, FactState state, const std::string& by) const;
  Database db_;
};

}  // namespace lathe::books
