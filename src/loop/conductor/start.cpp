// How a run begins: everything it needs is copied into the journal, so that it can go on without
// the original files.
#include <random>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "ground/base/version.h"
#include "ground/schema/json_schema.h"
#include "loop/conductor/account.h"
#include "loop/conductor/conductor.h"
#include "loop/conductor/tree.h"
#include "loop/conductor/units.h"
#include "loop/judges/tests.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kUnitsPerRecord = 500;

void collect_strings(const Json& value, std::vector<std::string>& strings) {
  if (value.is_string()) strings.push_back(value.get<std::string>());
  if (value.is_structured())
    for (const Json& member : value) collect_strings(member, strings);
}

// The files that a table of options names, each with its key. "" is none.
void collect_files(const Json& options, std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [key, value] : options.items()) {
    const bool one = key.ends_with("_file") || key == "reference" || key == "calibration";
    const bool many = key == "files" || key == "references";
    if (one && value.is_string() && !value.get_ref<const std::string&>().empty())
      files.emplace_back(key, value.get<std::string>());
    if (many && value.is_array())
      for (const Json& each : value) files.emplace_back(key, each.get<std::string>());
  }
}

// So that a resumed run sees the bytes that the first one saw.
Result<std::vector<RunBegun::File>> keep_named_files(const books::Journal& journal,
                                                     const Recipe& recipe,
                                                     const fs::path& recipe_dir) {
  std::vector<RunBegun::File> files;
  LATHE_TRY(const auto named, named_files(recipe, recipe_dir));
  for (const auto& [name, bytes] : named) {
    LATHE_TRY(std::string blob, journal.put_blob(bytes));
    files.push_back({name, std::move(blob)});
  }
  return files;
}

// What tool servers say of their tools, as it is agreed to now.
Result<std::vector<RunBegun::Tools>> keep_definitions(const books::Journal& journal,
                                                      const Recipe& recipe, const Bench& bench) {
  std::vector<RunBegun::Tools> kept;
  LATHE_TRY(const auto tools, open_tools(recipe, bench, bench.stop));
  if (!tools) return kept;
  for (const auto& [server, said] : tools->definitions()) {
    LATHE_TRY(std::string blob, journal.put_blob(said));
    kept.push_back({server, std::move(blob)});
  }
  return kept;
}

struct Begin {
  std::vector<Unit> units;
  RunBegun header;
};

// Takes the snapshot of the source tree and lets the tests say which of them fail.
Status begin_with_tree(const books::Journal& journal, const NewRun& request, const Bench& bench,
                       Begin& begin) {
  const Recipe& recipe = request.recipe;
  const fs::path root = recipe.from_tests() && !request.input.empty()
                            ? request.input
                            : request.recipe_dir / recipe.tree;
  LATHE_TRY(const TreeSnapshot snapshot, snapshot_tree(journal, root, recipe.exclude));
  std::error_code ignored;
  const std::string place_of_tree = fs::absolute(root, ignored).lexically_normal().string();
  begin.header.tree = SourceTree{snapshot.manifest, place_of_tree, snapshot.left_out};
  begin.header.title = place_of_tree;
  if (!recipe.from_tests()) return {};
  Place place;
  place.program = bench.program;
  place.recipe_dir = request.recipe_dir;
  place.checkout = [&](const fs::path& directory) {
    return lay_out_tree(journal, snapshot.manifest, directory);
  };
  place.tree_root = place_of_tree;
  place.unsafe_no_sandbox = bench.unsafe_no_sandbox;
  JudgeContext context{
      .place = place, .stop = bench.stop, .time_limit = Milliseconds(recipe.stop.call_ms)};
  if (bench.observer && bench.observer->wants_output())
    context.output = [&](std::string_view text) { bench.observer->on_output(nullptr, text); };
  LATHE_TRY(Discovery discovery, discover_failing_tests(recipe.unit_options, context));
  begin.units = std::move(discovery.units);
  begin.header.discovered = std::move(discovery.discovered);
  return {};
}

// What the recipe's [context] and [memory] have for each unit goes with it from here on.
Status inform(const books::Journal& journal, const NewRun& request, std::vector<Unit>& units) {
  if (request.recipe.context && !request.look_up)
    return invalid("the recipe has a [context], and nothing is looked up here");
  if (request.recipe.memory && !request.recall)
    return invalid("the recipe has a [memory], and nothing is remembered here");
  for (Unit& unit : units) {
    const std::string question = unit.text + "\n" + json_string(unit.data, "message");
    if (request.recipe.context) {
      LATHE_TRY(const std::vector<Passage> passages, request.look_up(question));
      put_passages(passages, unit);
    }
    if (!request.recipe.memory) continue;
    LATHE_TRY(const std::vector<Recalled> facts, request.recall(question));
    std::vector<RecalledBlob> blobs;
    for (const Recalled& fact : facts) {
      LATHE_TRY(std::string blob, journal.put_blob(fact.text));
      blobs.push_back({fact.id, std::move(blob)});
    }
    put_recalled(blobs, unit);
  }
  return {};
}

// That what the units say fits the recipe: the workers they name, and what judges look for in them.
Status check_units(std::span<const Unit> units, const Recipe& recipe, const std::string& name) {
  LATHE_TRY_STATUS(check_own_workers(units, recipe.ladder, name));
  for (const Unit& unit : units)
    for (const JudgeSpec& judge : recipe.judges)
      if (judge.kind->check_unit)
        if (auto fine = judge.kind->check_unit(unit); !fine)
          return at(fmt::format("{}:{}", name, json_int(unit.data, "line", 0)), fine.error());
  return {};
}

Status begin_with_file(const books::Journal& journal, const NewRun& request, Begin& begin) {
  const Recipe& recipe = request.recipe;
  const fs::path path = !request.input.empty() ? request.input : request.recipe_dir / recipe.from;
  auto text = read_file(path);
  if (!text && text.error().kind == ErrorKind::kNotFound && request.input.empty())
    return fail(ErrorKind::kNotFound, "{}; give the text to work on with --input FILE",
                text.error().message);
  if (!text) return std::unexpected(text.error());
  LATHE_TRY(begin.units, split_units(*text, recipe.split, path.string()));
  LATHE_TRY_STATUS(inform(journal, request, begin.units));
  LATHE_TRY_STATUS(check_units(begin.units, recipe, path.string()));
  if (recipe.seeds > 0) {
    LATHE_TRY(begin.units, grid_cells(begin.units, recipe.ladder, recipe.seeds, path.string()));
  }
  LATHE_TRY(std::string blob, journal.put_blob(*text));
  begin.header.inputs.push_back({path.string(), text->size(), std::move(blob)});
  begin.header.title = path.string();
  return {};
}

// As whoever begins the run has put it together.
Status begin_prepared(const books::Journal& journal, const NewRun& request, Begin& begin) {
  begin.units = request.prepared->units;
  begin.header.tree = request.prepared->tree;
  begin.header.title = request.prepared->title;
  LATHE_TRY_STATUS(inform(journal, request, begin.units));
  return check_units(begin.units, request.recipe, begin.header.title);
}

// What is to be done, from the recipe's files.
Status begin_from_files(const books::Journal& journal, const NewRun& request, const Bench& bench,
                        Begin& begin) {
  if (!request.recipe.tree.empty())
    LATHE_TRY_STATUS(begin_with_tree(journal, request, bench, begin));
  if (request.recipe.from_tests()) return inform(journal, request, begin.units);
  return begin_with_file(journal, request, begin);
}

}  // namespace

std::string new_run_id(const std::string& recipe, const Clock& clock) {
  std::string name;
  for (const char c : to_lower_ascii(recipe))
    name += (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
  const std::string utc = format_utc(clock.unix_ms());  // 2026-01-31T12:00:00Z
  std::random_device random;
  return fmt::format("{}{}{}-{}{}{}-{}-{:06x}", utc.substr(0, 4), utc.substr(5, 2),
                     utc.substr(8, 2), utc.substr(11, 2), utc.substr(14, 2), utc.substr(17, 2),
                     name.substr(0, 40), random() & 0xFFFFFFU);
}

// Whatever string is the relative path of a file that exists.
Result<std::map<std::string, std::string>> named_files(const Recipe& recipe,
                                                       const fs::path& recipe_dir) {
  if (const auto missing = missing_files(recipe, recipe_dir); !missing.empty())
    return fail(ErrorKind::kNotFound, "{}", missing.front());
  std::vector<std::string> strings;
  collect_strings(recipe.make_options, strings);
  for (const JudgeSpec& judge : recipe.judges) collect_strings(judge.options, strings);
  std::map<std::string, std::string> files;
  for (const std::string& name : strings) {
    std::error_code ignored;
    if (name.size() > 1000 || !is_safe_relative(name) || files.contains(name) ||
        !fs::is_regular_file(recipe_dir / name, ignored))
      continue;
    LATHE_TRY(files[name], read_file(recipe_dir / name, std::uint64_t{64} << 20));
  }
  return files;
}

std::vector<std::string> missing_files(const Recipe& recipe, const fs::path& recipe_dir) {
  std::vector<std::pair<std::string, std::string>> files;
  collect_files(recipe.make_options, files);
  for (const JudgeSpec& judge : recipe.judges) collect_files(judge.options, files);
  std::vector<std::string> missing;
  for (const auto& [key, name] : files) {
    std::error_code ignored;
    std::string line = fmt::format(
        "{}: there is no such file; the recipe's {} names it, relative "
        "to the recipe",
        (recipe_dir / name).string(), key);
    if (!fs::is_regular_file(recipe_dir / name, ignored) &&
        std::ranges::find(missing, line) == missing.end())
      missing.push_back(std::move(line));
  }
  return missing;
}

// A prompt goes to makers, and what they make of it to judges.
Status check_reach(const Recipe& recipe,
                   const std::function<Worker*(const std::string& name)>& worker) {
  if (!worker) return {};
  std::vector<std::string> names = worker_rungs(recipe);
  for (const JudgeSpec& judge : recipe.judges)
    if (judge.kind->needs_worker) names.push_back(option_string(judge.options, "worker"));
  std::vector<std::pair<std::string_view, Reach>> tables;
  if (recipe.context) tables.emplace_back("context", recipe.context->privacy);
  if (recipe.memory) tables.emplace_back("memory", recipe.memory->privacy);
  for (const auto& [table, privacy] : tables)
    for (const std::string& name : names) {
      const Worker* asked = worker(name);
      if (!asked || asked->info().reach <= privacy) continue;
      return fail(
          ErrorKind::kDenied,
          "the worker '{}' is beyond what [{}] allows: it reaches '{}', and what that table "
          "shows may go as far as '{}'; take a worker of this machine, or set {}.privacy",
          name, table, reach_name(asked->info().reach), reach_name(privacy), table);
    }
  return {};
}

// Schemas that are there and cannot be used: better known now than at the first judgement.
Status check_schema_files(const Recipe& recipe, const fs::path& recipe_dir) {
  for (const JudgeSpec& judge : recipe.judges) {
    const std::string name = option_string(judge.options, "schema_file");
    if (name.empty()) continue;
    LATHE_TRY(const std::string text, read_file(recipe_dir / name));
    auto schema = parse_json(text);
    if (!schema) return at((recipe_dir / name).string(), std::move(schema).error());
    if (auto fine = JsonSchema::compile(*std::move(schema), option_bool(judge.options, "formats"));
        !fine)
      return at((recipe_dir / name).string(), std::move(fine).error());
  }
  return {};
}

Result<std::unique_ptr<ForeignTools>> open_tools(const Recipe& recipe, const Bench& bench,
                                                 const StopFlag& stop) {
  if (recipe.tools.empty()) return std::unique_ptr<ForeignTools>();
  if (!bench.tools)
    return fail(ErrorKind::kUnavailable,
                "the recipe has [[tool]], whose servers cannot be started "
                "here");
  return bench.tools(recipe.tools, stop);
}

Result<Run> Run::start(books::Journal& journal, const NewRun& asked, const Bench& bench) {
  NewRun request = asked;
  LATHE_TRY(request.recipe, with_rungs_here(asked.recipe, [&](const std::string& name) {
              const auto call = CallId::make(0, 1, 0);
              return (bench.worker && bench.worker(name)) ||
                     (bench.elsewhere && bench.elsewhere->takes(asked.recipe, call));
            }));
  const Recipe& recipe = request.recipe;
  LATHE_TRY_STATUS(check_elsewhere(recipe, bench.elsewhere));
  if (const auto missing = missing_files(recipe, request.recipe_dir); !missing.empty())
    return fail(ErrorKind::kNotFound, "{}", missing.front());
  LATHE_TRY_STATUS(check_schema_files(recipe, request.recipe_dir));
  Begin begin;
  LATHE_TRY_STATUS(check_reach(recipe, bench.worker));
  LATHE_TRY_STATUS(request.prepared ? begin_prepared(journal, request, begin)
                                    : begin_from_files(journal, request, bench, begin));

  if (bench.worker)
    for (const std::string& rung : worker_rungs(recipe))
      if (const Worker* worker = bench.worker(rung)) {
        const WorkerInfo info = worker->info();
        begin.header.workers.push_back(
            {rung, info.model, info.where, std::string(reach_name(info.reach))});
      }
  LATHE_TRY(begin.header.files, keep_named_files(journal, recipe, request.recipe_dir));
  LATHE_TRY(begin.header.tools, keep_definitions(journal, recipe, bench));
  begin.header.extra = request.extra;
  return create(journal, recipe, std::move(begin.header), begin.units, bench);
}

Result<Run> Run::start_again(books::Journal& journal, const RunState& old, const Recipe& recipe,
                             const Json& extra, const Bench& bench) {
  RunBegun header = old.header;
  header.extra = extra;
  header.made_before.reset();
  return create(journal, recipe, std::move(header), old.units, bench);
}

Result<Run> Run::start_rejudge(books::Journal& journal, const std::string& old_id,
                               std::span<const Entry> old, const Recipe& recipe,
                               const fs::path& recipe_dir, const Bench& bench) {
  LATHE_TRY(const RunState state, fold(old));
  std::vector<std::vector<TakenLap>> tracks(state.tracks.size());
  for (const Entry& entry : old) {
    if (const auto* lap = std::get_if<LapOpened>(&entry.event)) {
      tracks[lap->track].push_back({*lap, {}});
    } else if (const auto* made = std::get_if<CandidateMade>(&entry.event)) {
      auto& taken = tracks[made->call.track][static_cast<std::size_t>(made->call.lap - 1)].made;
      const auto same = std::ranges::find(taken, made->call.n,
                                          [](const CandidateMade& each) { return each.call.n; });
      if (same == taken.end())
        taken.push_back(*made);
      else
        *same = *made;
    }
  }
  RunBegun header = state.header;
  header.extra = {{"rejudge_of", old_id}};
  header.title = fmt::format("judged again: {}", old_id);
  header.made_before = std::move(tracks);
  if (!recipe_dir.empty()) {
    LATHE_TRY(const auto files, keep_named_files(journal, recipe, recipe_dir));
    header.files.insert(header.files.end(), files.begin(), files.end());
  }
  return create(journal, recipe, std::move(header), state.units, bench);
}

Result<Run> Run::start_given(books::Journal& journal, const Recipe& recipe, const GivenTake& take,
                             const Json& extra, const Bench& bench) {
  for (const JudgeSpec& judge : recipe.judges)
    if (judge.kind->check_unit) LATHE_TRY_STATUS(judge.kind->check_unit(take.unit));
  LATHE_TRY(std::string blob, journal.put_blob(take.bytes));
  CandidateMade made;
  made.call = CallId::make(0, 1, 0);
  made.worker = "";
  made.answer =
      Artifact{std::move(blob), take.bytes.size(), take.media_type, take.extension, Json::object()};
  LapOpened lap;
  lap.lap = 1;
  lap.n = 1;
  lap.setting = Json::object();
  lap.rule = Rule::kFirstLap;
  lap.reason = "made by somebody else";
  RunBegun header;
  header.title = take.title;
  header.tree = take.tree;
  header.discovered = take.discovered;
  header.extra = extra;
  header.made_before.emplace().push_back({{lap, {made}}});
  for (const auto& [name, bytes] : take.beside) {
    LATHE_TRY(std::string beside, journal.put_blob(bytes));
    header.files.push_back({name, std::move(beside)});
  }
  const std::vector<Unit> units{take.unit};
  return create(journal, recipe, std::move(header), units, bench);
}

Result<Run> Run::create(books::Journal& journal, const Recipe& recipe, RunBegun header,
                        std::span<const Unit> all_units, const Bench& bench) {
  LATHE_TRY_STATUS(check_reach(recipe, bench.worker));
  LATHE_TRY_STATUS(check_elsewhere(recipe, bench.elsewhere));
  header.format = 1;
  header.recipe = recipe.canonical;
  header.recipe_sha256 = recipe.sha256;
  header.build = bench.build;
  header.numerics = kNumerics;
  header.created_ms = bench.clock.unix_ms();
  header.parallel = bench.parallel;
  header.energy = bench.energy;
  LATHE_TRY(header.prices, prices_of(recipe, bench.prices, bench.worker));
  for (const books::PriceTable& table : bench.prices)
    if (std::ranges::any_of(header.prices,
                            [&](const auto& each) { return each.price.table == table.hash; }))
      LATHE_TRY_STATUS(journal.book({.tables = {table.text}}));
  const std::string title = header.title;
  std::vector<Entry> first{{0, 0, std::nullopt, std::move(header)}};
  for (std::size_t from = 0; from == 0 || from < all_units.size(); from += kUnitsPerRecord) {
    const std::size_t to = std::min(all_units.size(), from + kUnitsPerRecord);
    const auto some = all_units.subspan(from, to - from);
    first.push_back({std::ssize(first), 0, std::nullopt,
                     UnitsNamed{{some.begin(), some.end()}, to == all_units.size()}});
  }
  LATHE_TRY(RunState state, fold(first));
  std::vector<books::Record> records;
  for (const Entry& entry : first) records.push_back(to_record(entry));
  const std::string id = new_run_id(recipe.name, bench.clock);
  LATHE_TRY(books::Lease lease,
            journal.create_run({id, recipe.name, title, bench.clock.unix_ms()}, records));
  return Run(journal, std::move(lease), std::move(state), bench);
}

}  // namespace lathe::loop
