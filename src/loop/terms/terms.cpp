// The loop's words as JSON, and changes of files.
#include "loop/terms/terms.h"

#include <array>
#include <fstream>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

template <class Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<Move, 5> kMoves{{{Move::kSample, "sample"},
                                 {Move::kRepair, "repair"},
                                 {Move::kResample, "resample"},
                                 {Move::kEscalate, "escalate"},
                                 {Move::kAsk, "ask"}}};
constexpr Names<Outcome, 4> kOutcomes{{{Outcome::kPass, "pass"},
                                       {Outcome::kFail, "fail"},
                                       {Outcome::kAbstain, "abstain"},
                                       {Outcome::kError, "error"}}};
constexpr Names<Stage, 4> kStages{{{Stage::kGate, "gate"},
                                   {Stage::kMeasure, "measure"},
                                   {Stage::kRubric, "rubric"},
                                   {Stage::kHuman, "human"}}};

template <class Enum, std::size_t N>
std::string_view name_of(const Names<Enum, N>& names, Enum value) {
  for (const auto& [each, name] : names)
    if (each == value) return name;
  return "";
}

template <class Enum, std::size_t N>
std::optional<Enum> find(const Names<Enum, N>& names, std::string_view name) {
  for (const auto& [value, each] : names)
    if (each == name) return value;
  return std::nullopt;
}

}  // namespace

std::string_view move_name(Move move) {
  return name_of(kMoves, move);
}
std::optional<Move> parse_move(std::string_view name) {
  return find(kMoves, name);
}
std::string_view outcome_name(Outcome outcome) {
  return name_of(kOutcomes, outcome);
}
std::optional<Outcome> parse_outcome(std::string_view name) {
  return find(kOutcomes, name);
}
std::string_view stage_name(Stage stage) {
  return name_of(kStages, stage);
}
std::optional<Stage> parse_stage(std::string_view name) {
  return find(kStages, name);
}

Json to_json(const Unit& unit) {
  return {{"key", unit.key}, {"text", unit.text}, {"data", unit.data}};
}

Unit unit_from_json(const Json& json) {
  return {json_string(json, "key"), json_string(json, "text"), json_at(json, "data")};
}

std::string own_worker(const Unit& unit) {
  return json_string(unit.data, "worker");
}

std::optional<std::int64_t> own_seed(const Unit& unit) {
  const Json& seed = json_at(unit.data, "seed");
  return seed.is_number_integer() ? std::optional(seed.get<std::int64_t>()) : std::nullopt;
}

Json to_json(const Critique& critique) {
  return {{"locus", critique.locus},
          {"severity", critique.severity},
          {"claim", critique.claim},
          {"evidence", critique.evidence},
          {"fingerprint", fingerprint_of(critique)}};
}

Critique critique_from_json(const Json& json) {
  return {json_string(json, "locus"), json_string(json, "severity"), json_string(json, "claim"),
          json_string(json, "evidence"), json_string(json, "fingerprint")};
}

std::string fingerprint_of(const Critique& critique) {
  if (!critique.fingerprint.empty()) return critique.fingerprint;
  return sha256_hex(critique.locus + '\n' + critique.claim).substr(0, 12);
}

std::string serialise(const Changes& changes) {
  Json files = Json::object();
  for (const auto& [path, text] : changes.files) files[path] = text ? Json(*text) : Json();
  return canonical_json({{"files", std::move(files)}});
}

Result<Changes> parse_changes(std::string_view bytes) {
  LATHE_TRY(const Json json, parse_json(bytes));
  const Json& files = json_at(json, "files");
  if (!files.is_object()) return invalid("changes: no object \"files\"");
  Changes changes;
  for (const auto& [path, text] : files.items()) {
    if (!is_safe_relative(path))
      return invalid("changes: '{}' is not a path inside the tree", clip_utf8(path, 200));
    if (text.is_null())
      changes.files[path] = std::nullopt;
    else if (text.is_string())
      changes.files[path] = text.get<std::string>();
    else
      return invalid("changes: the text of '{}' is not a string", path);
  }
  return changes;
}

Status apply_changes(const Changes& changes, const fs::path& directory) {
  for (const auto& [path, text] : changes.files) {
    if (!is_safe_relative(path))
      return invalid("changes: '{}' is not a path inside the tree", clip_utf8(path, 200));
    const fs::path target = directory / path;
    std::error_code error;
    if (!text) {
      fs::remove(target, error);
    } else {
      LATHE_TRY_STATUS(make_directories(target.parent_path()));
      // Not durable on purpose: this is a scratch copy.
      std::ofstream out(target, std::ios::binary);
      out << *text;
      out.close();
      if (!out) error = std::make_error_code(std::errc::io_error);
    }
    if (error)
      return fail(ErrorKind::kUnavailable, "changes: cannot {} '{}': {}", text ? "write" : "remove",
                  path, fs::is_directory(target) ? "it is a directory" : error.message());
  }
  return {};
}

Status lay_recipe_files(const Place& place, std::span<const std::string> files,
                        const fs::path& directory) {
  for (const std::string& file : files) {
    if (!is_safe_relative(file))
      return invalid("files: '{}' is not a path below the recipe", clip_utf8(file, 200));
    LATHE_TRY(std::string bytes, read_file(place.recipe_dir / file));
    LATHE_TRY_STATUS(apply_changes({{{file, std::move(bytes)}}}, directory));
    std::error_code ignored;
    const fs::perms mode = fs::status(place.recipe_dir / file, ignored).permissions();
    if ((mode & fs::perms::owner_exec) != fs::perms::none)
      fs::permissions(directory / file, fs::perms::owner_exec | fs::perms::others_exec,
                      fs::perm_options::add, ignored);
  }
  return {};
}

}  // namespace lathe::loop
