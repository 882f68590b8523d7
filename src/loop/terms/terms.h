// The words of the loop that makers, judges and the conductor share. Plain values;
// to_json/from_json are the journal's form.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe::loop {

// The smallest thing judged alone: a line, a file, a failing test.
struct Unit {
  std::string key;  // stable over runs: "L03", "tests/parse.cpp::empty", …
  std::string
      text;   // what the maker starts from: the line as written, the document, the test's name
  Json data;  // what the splitter knows besides: {"line": 3}, {"message": "expected 3, got 4"}
};
Json to_json(const Unit& unit);
Unit unit_from_json(const Json& json);
// What a unit says of its own making: by this entry of the ladder alone, its data's "worker" (""
// any), and from this seed, its data's "seed".
std::string own_worker(const Unit& unit);
std::optional<std::int64_t> own_seed(const Unit& unit);

enum class Move { kSample, kRepair, kResample, kEscalate, kAsk };
std::string_view move_name(Move move);
std::optional<Move> parse_move(std::string_view name);

// What is wrong, and where. Judges write it, the next lap's prompt and the report show it.
struct Critique {
  std::string locus;  // file:line | word + time code | JSON pointer; "" when it is about the whole
  std::string severity;     // must | should
  std::string claim;        // one sentence: what is wrong
  std::string evidence;     // what was seen: output, heard words, numbers; bounded by the judge
  std::string fingerprint;  // the same fault on the next lap has the same fingerprint; "" = hash of
                            // locus and claim
};
Json to_json(const Critique& critique);
Critique critique_from_json(const Json& json);
std::string fingerprint_of(const Critique& critique);

enum class Outcome { kPass, kFail, kAbstain, kError };
std::string_view outcome_name(Outcome outcome);
std::optional<Outcome> parse_outcome(std::string_view name);

// The stages of judging, cheap first.
enum class Stage { kGate, kMeasure, kRubric, kHuman };
std::string_view stage_name(Stage stage);
std::optional<Stage> parse_stage(std::string_view name);

// A set of whole files laid over a source tree: what the code maker makes. Serialised as canonical
// JSON, so equal changes have equal hashes. Paths are safe relative ones; a file without text is
// removed.
inline constexpr std::string_view kChangesMediaType = "application/vnd.lathe.changes+json";
struct Changes {
  std::map<std::string, std::optional<std::string>> files;
};
std::string serialise(const Changes& changes);
Result<Changes> parse_changes(std::string_view bytes);
// Into a tree that the engine laid out itself. A file that is overwritten keeps its mode.
Status apply_changes(const Changes& changes, const fs::path& directory);

// Lays the run's snapshot of the source tree into an empty directory: the engine's copy, never the
// worker's.
using Checkout = std::function<Status(const fs::path& directory)>;

class MediaPool;  // of loop/senses

// Where effects happen: the same for every call of a run.
struct Place {
  fs::path program;         // lathe's own executable, started again for confined worker processes
  fs::path recipe_dir;      // relative file names in options are relative to this
  Checkout checkout;        // empty when the recipe has no source tree
  fs::path tree_root = {};  // where that was taken from
  bool unsafe_no_sandbox = false;
  std::shared_ptr<MediaPool> media;  // voices and ears, shared; null: a call that needs them starts
                                     // its own
};

// Copies files named in options, relative to the recipe, into a scratch directory under the same
// names. A program keeps its right to be run.
Status lay_recipe_files(const Place& place, std::span<const std::string> files,
                        const fs::path& directory);

}  // namespace lathe::loop
