// The maker of source code: a model writes whole files or single functions, the engine puts them
// in place. Its artifact is the sum of all changes against the run's snapshot of the tree.
#include <algorithm>
#include <array>
#include <set>

#include "ground/base/text.h"
#include "loop/makers/ask.h"
#include "loop/makers/code_cut.h"
#include "loop/makers/code_reply.h"
#include "loop/makers/maker.h"
#include "loop/terms/write_rule.h"

namespace lathe {
namespace {

constexpr std::size_t kWholeFileLines = 250;  // longer files are edited by function
constexpr std::size_t kMaxContextBytes = 400'000;
constexpr std::size_t kMaxUnitsShown = 50;
constexpr std::size_t kMaxUnitBytes = 1500;

constexpr OptionSpec kOptions[] = {
    {"may_write", OptionType::kStrings, kRequired,
     "globs of files that may be changed or made; dot files and what decides how tests and tools "
     "run only where a glob spells the name out"},
    {"protect", OptionType::kStrings, "[]", "globs of files that may not, whatever may_write says"},
    {"edits", OptionType::kString, "\"auto\"",
     "auto: files up to 250 lines as a whole, else by function | file | function"},
    {"context",
     OptionType::kStrings,
     {},
     "globs of files that the model is shown; default: may_write"},
    {"task", OptionType::kString, "\"\"", "what is wanted, besides that the units pass"},
    {"task_file", OptionType::kString, "\"\"", "the same from a file, relative to the recipe"},
    {"system", OptionType::kString, "\"\"", "instead of the built-in opening of the prompt"},
    {"max_tokens", OptionType::kInteger, "8192", "of one answer"},
    {"temperature", OptionType::kNumber, {}, "default: 0.2, and 0.8 for fresh samples"},
};

constexpr std::string_view kSystem =
    "You repair source code. Find the cause of the failures below and correct it with the smallest "
    "change that is right in general. Do not special-case the tests.";

constexpr std::string_view kFormat =
    R"(Answer with edits only, each announced by a line of its own. A whole file (new, or of up to 250 lines):

FILE: path/to/file
```
the complete new text of the file
```

One function of a longer file, named as it is in the file:

FUNCTION: path/to/file name
```
the complete new text of that function
```

A file that is to go: a line DELETE: path/to/file
)";

bool matches_any(const std::vector<std::string>& globs, std::string_view path) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, path); });
}

std::size_t line_count(std::string_view text) {
  return split_lines(text).size();
}

Status check(const Json& options, std::span<const std::string>) {
  const std::string edits = option_string(options, "edits");
  if (edits != "auto" && edits != "file" && edits != "function")
    return invalid("edits '{}' is not auto, file or function", clip_utf8(edits, 40));
  if (option_strings(options, "may_write").empty())
    return invalid("may_write is empty: name at least one glob, like may_write = [\"src/**\"]");
  if (const auto tokens = option_int(options, "max_tokens"); tokens < 16 || tokens > 1'000'000)
    return invalid("max_tokens is {}, but must be from 16 to 1000000", tokens);
  return {};
}

// A clean copy of the tree, as the run's snapshot has it.
Result<TempDir> clean_tree(const Place& place) {
  if (!place.checkout)
    return invalid("code: there is no source tree to work on; set unit.tree in the recipe");
  LATHE_TRY(TempDir tree, TempDir::make("lathe-code"));
  LATHE_TRY_STATUS(place.checkout(tree.path()));
  return tree;
}

std::string file_block(std::string_view path, std::string_view text) {
  return fmt::format("FILE: {} ({} lines)\n{}\n", path, line_count(text), fenced(text));
}

std::string failing_units(std::span<const Unit> units) {
  std::string text;
  for (std::size_t i = 0; i < units.size() && i < kMaxUnitsShown; ++i) {
    const Unit& unit = units[i];
    const std::string locus = json_string(unit.data, "locus");
    text += fmt::format("- {}{}\n", unit.text, locus.empty() ? "" : fmt::format(" ({})", locus));
    if (const std::string message = json_string(unit.data, "message"); !trim(message).empty())
      text +=
          fmt::format("  {}\n", replace_all(clip_utf8(trim(message), kMaxUnitBytes), "\n", "\n  "));
  }
  if (units.size() > kMaxUnitsShown)
    text += fmt::format("- and {} more\n", units.size() - kMaxUnitsShown);
  return text;
}

Result<std::string> prefix(const Json& options, std::span<const Unit> units, const Place& place) {
  LATHE_TRY(const TempDir tree, clean_tree(place));
  const std::string own = option_string(options, "system");
  std::string text = own.empty() ? std::string(kSystem) : own;
  text += "\n\n";
  std::string task = option_string(options, "task");
  if (const std::string file = option_string(options, "task_file"); !file.empty()) {
    LATHE_TRY(const std::string more, read_file(place.recipe_dir / file, 1 << 20));
    task += (task.empty() ? "" : "\n") + more;
  }
  if (!trim(task).empty()) text += fmt::format("Task:\n{}\n\n", trim(task));
  text += "Failing now:\n" + failing_units(units) + "\nThe source files:\n\n";
  std::vector<std::string> globs = option_strings(options, "context");
  if (globs.empty()) globs = option_strings(options, "may_write");
  LATHE_TRY(const std::vector<std::string> files, list_files(tree.path()));
  for (const std::string& file : files) {
    if (!matches_any(globs, file)) continue;
    LATHE_TRY(const std::string content, read_file(tree.path() / file));
    if (content.find('\0') != content.npos || find_invalid_utf8(content) != content.npos) continue;
    text += file_block(file, content);
    if (text.size() > kMaxContextBytes)
      return invalid(
          "code: the prompt is over {} bytes with '{}' ({} bytes); name fewer files in "
          "make.context",
          kMaxContextBytes, file, content.size());
  }
  return text;
}

// Applies edits to the best tree so far; what it holds is the sum.
class Editor {
 public:
  Editor(const Json& options, const fs::path& clean, Changes best)
      : edits_(option_string(options, "edits")),
        rule_(WriteRule::of(options)),
        clean_(clean),
        changes_(std::move(best)) {}

  // All of them or none: on an error the sum is as it was.
  Status apply(const std::vector<Edit>& edits) {
    Changes sum = changes_;
    for (const Edit& edit : edits) LATHE_TRY_STATUS(apply_one(edit, sum));
    changes_ = std::move(sum);
    return {};
  }

  // Only what differs from the clean tree.
  Result<Changes> difference() const {
    Changes result;
    for (const auto& [path, text] : changes_.files) {
      LATHE_TRY(const std::optional<std::string> original, text_in(Changes{}, path));
      if (original != text) result.files[path] = text;
    }
    return result;
  }

  Result<std::optional<std::string>> current(const std::string& path) const {
    return text_in(changes_, path);
  }

  // The edits that make a file what it is in `wanted`, in the form that the prompt asks for: the
  // whole file where that is taken, else functions of it.
  Result<std::vector<Edit>> edits_to(const std::string& path, const Changes& wanted) const {
    LATHE_TRY(const std::optional<std::string> before, text_in(changes_, path));
    LATHE_TRY(const std::optional<std::string> after, text_in(wanted, path));
    if (before == after) return std::vector<Edit>();
    std::vector<Edit> whole{
        {after ? Edit::Kind::kFile : Edit::Kind::kDelete, path, "", after.value_or("")}};
    std::vector<Edit> functions;
    if (before && after)
      for (FunctionText& each : functions_between(path, *before, *after))
        functions.push_back(
            {Edit::Kind::kFunction, path, std::move(each.name), std::move(each.code)});
    for (std::vector<Edit>& edits : std::array{std::move(whole), std::move(functions)}) {
      // As they are read, which may be otherwise than they are written.
      const auto read = parse_code_reply(write_code_reply(edits));
      Editor trial = *this;
      if (!read || !trial.apply(*read)) continue;
      if (const auto made = trial.current(path); made && *made == after) return std::move(edits);
    }
    return invalid("no edit makes '{}' what it was in the end", clip_utf8(path, 200));
  }

 private:
  Result<std::optional<std::string>> text_in(const Changes& changes,
                                             const std::string& path) const {
    if (const auto found = changes.files.find(path); found != changes.files.end())
      return found->second;
    std::error_code ignored;
    if (fs::is_directory(clean_ / path, ignored) && !changes.files.contains(path))
      return std::nullopt;
    auto bytes = read_file(clean_ / path);
    if (bytes) return std::move(*bytes);
    if (bytes.error().kind == ErrorKind::kNotFound) return std::nullopt;
    return invalid("'{}' cannot be edited: {}", path, bytes.error().message);
  }

  // A file cannot be where others have a directory, nor the other way round.
  Status fits_the_tree(const std::string& path, const Changes& sum) const {
    for (fs::path parent = fs::path(path).parent_path(); !parent.empty();
         parent = parent.parent_path()) {
      LATHE_TRY(const std::optional<std::string> file, text_in(sum, parent.generic_string()));
      if (file) return invalid("'{}' cannot be made: {} is a file", path, parent.generic_string());
    }
    return {};
  }

  Status apply_one(const Edit& edit, Changes& sum) const {
    LATHE_TRY_STATUS(rule_.allows(edit.path));
    LATHE_TRY_STATUS(outside_repositories(clean_, edit.path));
    LATHE_TRY_STATUS(fits_the_tree(edit.path, sum));
    std::error_code ignored;
    if (fs::is_directory(clean_ / edit.path, ignored))
      return invalid("'{}' is a directory, not a file", edit.path);
    LATHE_TRY(const std::optional<std::string> before, text_in(sum, edit.path));
    if (!before && edit.kind != Edit::Kind::kFile)
      return invalid("there is no file '{}'{}", edit.path, did_you_mean(edit.path, known_files()));
    if (edit.kind == Edit::Kind::kDelete) {
      sum.files[edit.path] = std::nullopt;
    } else if (edit.kind == Edit::Kind::kFunction) {
      if (edits_ == "file")
        return invalid("'{}': send the whole file, not a function of it", edit.path);
      LATHE_TRY(sum.files[edit.path],
                splice_function(edit.path, *before, edit.function, edit.code));
    } else {
      LATHE_TRY_STATUS(whole_file_fits(edit, before));
      sum.files[edit.path] = edit.code;
    }
    return {};
  }

  Status whole_file_fits(const Edit& edit, const std::optional<std::string>& before) const {
    if (!before) return {};
    if (trim(edit.code).empty())
      return invalid("the new text of '{}' is empty; a file that is to go is named by DELETE",
                     edit.path);
    const bool long_file = edits_ == "auto" && line_count(*before) > kWholeFileLines &&
                           !functions_of(edit.path, *before).empty();
    if (edits_ == "function" || long_file)
      return invalid("'{}' has {} lines: send only the functions that change, as FUNCTION: {} name",
                     edit.path, line_count(*before), edit.path);
    return {};
  }

  std::vector<std::string> known_files() const {
    std::vector<std::string> files = list_files(clean_).value_or(std::vector<std::string>());
    std::erase_if(files, [&](const std::string& file) { return !rule_.allows(file); });
    return files;
  }

  std::string edits_;
  WriteRule rule_;
  fs::path clean_;
  Changes changes_;
};

// The functions around the places that the critiques and the units name, as they are now.
Result<std::string> named_functions(const MakeTask& task, const Editor& editor) {
  std::vector<std::string> places;
  for (const Critique& critique : task.critiques) places.push_back(critique.locus);
  if (task.critiques.empty())
    for (const Unit& unit : task.units) places.push_back(json_string(unit.data, "locus"));
  std::string text;
  std::set<std::pair<std::string, std::string>> shown;
  for (const std::string& place : places) {
    const auto colon = place.rfind(':');
    if (colon == place.npos || shown.size() >= 8) continue;
    const std::string path = place.substr(0, colon);
    const auto line = static_cast<std::size_t>(std::atol(place.c_str() + colon + 1));
    if (!is_safe_relative(path)) continue;
    const auto current = editor.current(path);
    if (!current || !*current || line_count(**current) <= kWholeFileLines) continue;
    const auto function = function_at(path, **current, line);
    if (!function || !shown.emplace(path, function->name).second) continue;
    text +=
        fmt::format("FUNCTION: {} {} (lines {} to {})\n{}\n", path, function->name, function->first,
                    function->last, fenced(lines_of(**current, function->first, function->last)));
  }
  if (!text.empty()) text = "The functions at the places named:\n\n" + text;
  return text;
}

Result<Changes> best_changes(const MakeTask& task) {
  return task.best ? parse_changes(*task.best) : Changes();
}

Result<std::string> user_message(const MakeTask& task, const Changes& best, const Editor& editor) {
  std::string text;
  if (!best.files.empty()) text += "Your best version so far changes these files:\n\n";
  for (const auto& [path, content] : best.files) {
    if (!content) {
      text += fmt::format("DELETE: {}\n\n", path);
      continue;
    }
    text += file_block(path, *content);
    if (text.size() > kMaxContextBytes)
      return invalid("code: the files changed so far are over {} bytes with '{}'; narrow may_write",
                     kMaxContextBytes, path);
  }
  LATHE_TRY(const std::string functions, named_functions(task, editor));
  text += functions;
  text += task.tail;
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  text += kFormat;
  return text;
}

// What the answer will repeat in large parts: the best version, else what the model is shown.
std::string prediction_of(const MakeTask& task, const Changes& best) {
  std::string text;
  for (const auto& [path, content] : best.files)
    if (content) text += file_block(path, *content);
  return text.empty() ? task.prefix : text;
}

Json applied_edits(const std::vector<Edit>& edits) {
  Json list = Json::array();
  for (const Edit& edit : edits)
    list.push_back({{"path", edit.path},
                    {"kind", edit.kind == Edit::Kind::kFile       ? "file"
                             : edit.kind == Edit::Kind::kFunction ? "function"
                                                                  : "delete"},
                    {"function", edit.function}});
  return list;
}

Result<std::vector<Edit>> use_reply(const Reply& reply, Editor& editor) {
  if (reply.finish == FinishReason::kLength)
    return invalid(
        "the answer was cut off at the token limit; send less, or raise make.max_tokens");
  LATHE_TRY(std::vector<Edit> edits, parse_code_reply(reply.text));
  LATHE_TRY_STATUS(editor.apply(edits));
  return edits;
}

Result<std::string> answer(const MakeTask& task, const Place& place, const std::string& take) {
  LATHE_TRY(const TempDir tree, clean_tree(place));
  LATHE_TRY(const Changes best, best_changes(task));
  LATHE_TRY(const Changes wanted, parse_changes(take));
  Changes touched = best;
  touched.files.insert(wanted.files.begin(), wanted.files.end());
  Editor editor(task.options, tree.path(), best);
  std::vector<Edit> edits;
  for (const auto& [path, text] : touched.files) {
    LATHE_TRY(std::vector<Edit> more, editor.edits_to(path, wanted));
    std::ranges::move(more, std::back_inserter(edits));
  }
  return write_code_reply(edits);
}

Result<Made> make(const MakeTask& task, const MakeContext& context) {
  if (!context.worker) return invalid("code: needs a worker; name one in make.ladder");
  LATHE_TRY(const TempDir tree, clean_tree(context.place));
  LATHE_TRY(const Changes best, best_changes(task));
  Editor editor(task.options, tree.path(), best);
  Request request = request_of(task, context);
  LATHE_TRY(const std::string message, user_message(task, best, editor));
  request.messages = {{"system", task.prefix}, {"user", message}};
  request.prediction = prediction_of(task, best);
  LATHE_TRY(const Asked<std::vector<Edit>> asked,
            ask<std::vector<Edit>>("code", std::move(request), context, kFormat,
                                   [&](const Reply& reply) { return use_reply(reply, editor); }));
  LATHE_TRY(const Changes changes, editor.difference());
  Json facts = {{"edits", applied_edits(asked.value)}, {"model", asked.model}};
  if (!asked.refused.empty()) facts["refused"] = asked.refused;
  return Made{serialise(changes), std::string(kChangesMediaType), "json", std::move(facts)};
}

}  // namespace

extern const MakerKind kCodeMaker;
const MakerKind kCodeMaker{
    .name = "code",
    .summary = "a model changes source files until the tests pass",
    .options = kOptions,
    .needs_worker = true,
    .whole_group = true,
    .check = check,
    .propose = propose_by_model,
    .prefix = prefix,
    .make = make,
    .answer = answer,
};

}  // namespace lathe
