// The maker of source code: a model writes whole files or single functions, the engine puts them
// in place. Its artifact is the sum of all changes against the run's snapshot of the tree.
#include <algorithm>
#include <set>

#include "ground/base/text.h"
#include "loop/makers/ask.h"
#include "loop/makers/code_check.h"
#include "loop/makers/code_functions.h"
#include "loop/makers/code_patch.h"
#include "loop/makers/code_reply.h"
#include "loop/makers/maker.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kWholeFileLines = 250;  // longer files are edited by function
constexpr std::size_t kMaxContextBytes = 400'000;
constexpr std::size_t kMaxUnitsShown = 50;
constexpr std::size_t kMaxUnitBytes = 1500;

constexpr OptionSpec kOptions[] = {
    {"may_write", OptionType::kStrings, kMustBeGiven,
     "globs of files that may be changed or made; dot files and what decides how tests and tools "
     "run only where a glob spells the name out"},
    {"protect", OptionType::kStrings, "[]", "globs of files that may not, whatever may_write says"},
    {"edits", OptionType::kString, "\"auto\"",
     "auto: files up to 250 lines as a whole, else by lines or functions | file | function"},
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
    R"(Answer with edits only, each announced by a line of its own. A whole file (new, or of up to 250 lines), with nothing left out:

FILE: path/to/file
```
the complete new text of the file
```

Lines of a file of any length, where SEARCH repeats whole lines of it exactly and enough of them to stand only once:

FILE: path/to/file
```
<<<<<<< SEARCH
the lines that are to go
=======
the lines in their place
>>>>>>> REPLACE
```

One function of a file, named as it is in the file:

FUNCTION: path/to/file name
```
the complete new text of that function
```

A file that is to go: a line DELETE: path/to/file
A function that a whole file leaves out: also a line DELETE: path/to/file name
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
  return fmt::format("FILE: {}\n{}\n", path, fenced(shown_text(text)));
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

// Those whose text a prompt may hold, a line each: of the tree and of the best version so far.
Result<std::string> shown_files(const Json& options, const fs::path& tree, const Changes& best) {
  std::vector<std::string> globs = option_strings(options, "context");
  if (globs.empty()) globs = option_strings(options, "may_write");
  LATHE_TRY(const std::vector<std::string> files, list_files(tree));
  std::set<std::string> shown;
  for (const std::string& file : files)
    if (matches_any(globs, file)) shown.insert(file);
  for (const auto& [file, text] : best.files) shown.insert(file);
  return join(std::vector<std::string>(shown.begin(), shown.end()), "\n");
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
  text += units_heading(units) + failing_units(units) + "\nThe source files:\n\n";
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
  Editor(const Json& options, const fs::path& clean, Changes best, FunctionFinder& finder)
      : edits_(option_string(options, "edits")),
        rule_(WriteRule::of(options)),
        clean_(clean),
        changes_(std::move(best)),
        finder_(&finder) {}

  // All of them or none: on an error the sum is as it was.
  Status apply(const std::vector<Edit>& edits) {
    Changes sum = changes_;
    for (const Edit& edit : edits) LATHE_TRY_STATUS(apply_one(edit, edits, sum));
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

  // Every file that an answer may speak of: of the tree and of the best version so far.
  std::vector<std::string> files() const {
    std::vector<std::string> files = list_files(clean_).value_or(std::vector<std::string>());
    for (const auto& [path, text] : changes_.files)
      if (std::ranges::find(files, path) == files.end()) files.push_back(path);
    return files;
  }

  // The edits that make a file what it is in `wanted`, in the form that the prompt asks for: the
  // whole file where that is taken, else functions of it, else its lines.
  Result<std::vector<Edit>> edits_to(const std::string& path, const Changes& wanted) const {
    LATHE_TRY(const std::optional<std::string> before, text_in(changes_, path));
    LATHE_TRY(const std::optional<std::string> after, text_in(wanted, path));
    if (before == after) return std::vector<Edit>();
    for (const auto form : {&Editor::as_whole, &Editor::as_functions, &Editor::as_lines}) {
      LATHE_TRY(std::vector<Edit> edits, (this->*form)(path, before, after));
      // As they are read, which may be otherwise than they are written.
      const auto read = parse_code_reply(write_code_reply(edits), files());
      Editor trial = *this;
      if (!read || !trial.apply(*read)) continue;
      if (const auto made = trial.current(path); made && *made == after) return edits;
    }
    return invalid("no edit makes '{}' what it was in the end", clip_utf8(path, 200));
  }

 private:
  using Text = std::optional<std::string>;

  Result<std::vector<Edit>> as_whole(const std::string& path, const Text& before,
                                     const Text& after) const {
    std::vector<Edit> edits;
    if (!after) return std::vector<Edit>{{Edit::Kind::kDelete, path}};
    edits.push_back({Edit::Kind::kFile, path, "", shown_text(*after)});
    if (!before) return edits;
    LATHE_TRY(const std::vector<Function> old, finder_->of(path, *before));
    LATHE_TRY(const std::vector<Function> fresh, finder_->of(path, *after));
    for (std::string& name : functions_gone(old, fresh))
      edits.push_back({Edit::Kind::kDelete, path, std::move(name)});
    return edits;
  }

  Result<std::vector<Edit>> as_functions(const std::string& path, const Text& before,
                                         const Text& after) const {
    std::vector<Edit> edits;
    if (!before || !after) return edits;
    LATHE_TRY(std::vector<FunctionText> changed,
              functions_between(*finder_, path, *before, *after));
    for (FunctionText& each : changed)
      edits.push_back({Edit::Kind::kFunction, path, std::move(each.name), std::move(each.code)});
    return edits;
  }

  Result<std::vector<Edit>> as_lines(const std::string& path, const Text& before,
                                     const Text& after) const {
    std::vector<Edit> edits;
    if (!before || !after) return edits;
    if (auto lines = replacement_between(*before, *after))
      edits.push_back({Edit::Kind::kReplace, path, "", "", {*std::move(lines)}});
    return edits;
  }

  Result<Text> text_in(const Changes& changes, const std::string& path) const {
    if (const auto found = changes.files.find(path); found != changes.files.end())
      return found->second;
    std::error_code ignored;
    if (fs::is_directory(clean_ / path, ignored)) return std::nullopt;
    auto bytes = read_file(clean_ / path);
    if (bytes) return std::move(*bytes);
    if (bytes.error().kind == ErrorKind::kNotFound) return std::nullopt;
    return invalid("'{}' cannot be edited: {}", path, bytes.error().message);
  }

  // A file cannot be where others have a directory, nor the other way round.
  Status fits_the_tree(const std::string& path, const Changes& sum) const {
    for (fs::path parent = fs::path(path).parent_path(); !parent.empty();
         parent = parent.parent_path()) {
      LATHE_TRY(const Text file, text_in(sum, parent.generic_string()));
      if (file) return invalid("'{}' cannot be made: {} is a file", path, parent.generic_string());
    }
    return {};
  }

  Status apply_one(const Edit& edit, const std::vector<Edit>& all, Changes& sum) const {
    LATHE_TRY_STATUS(rule_.allows(edit.path));
    LATHE_TRY_STATUS(outside_repositories(clean_, edit.path));
    LATHE_TRY_STATUS(fits_the_tree(edit.path, sum));
    std::error_code ignored;
    if (fs::is_directory(clean_ / edit.path, ignored))
      return invalid("'{}' is a directory, not a file", edit.path);
    LATHE_TRY(const Text before, text_in(sum, edit.path));
    if (!before && edit.kind != Edit::Kind::kFile)
      return invalid("there is no file '{}'{}", edit.path, did_you_mean(edit.path, known_files()));
    if (edit.kind == Edit::Kind::kDelete && edit.function.empty()) {
      sum.files[edit.path] = std::nullopt;
      return {};
    }
    const bool whole = std::ranges::any_of(all, [&](const Edit& each) {
      return each.path == edit.path && each.kind == Edit::Kind::kFile;
    });
    if (edit.kind == Edit::Kind::kDelete && whole) return {};  // said of the whole file
    LATHE_TRY(std::string after, edited(edit, before));
    LATHE_TRY_STATUS(no_leftovers(edit.path, before.value_or(""), after));
    if (before) LATHE_TRY_STATUS(nothing_vanishes(edit, all, *before, after));
    sum.files[edit.path] = std::move(after);
    return {};
  }

  Result<std::string> edited(const Edit& edit, const Text& before) const {
    switch (edit.kind) {
      case Edit::Kind::kFile:
        LATHE_TRY_STATUS(whole_file_fits(edit, before));
        return before ? replace_all_lines(*before, edit.code) : edit.code;
      case Edit::Kind::kReplace:
        if (edits_ == "file") break;
        return replace_lines(edit.path, *before, edit.replacements);
      case Edit::Kind::kFunction:
        if (edits_ == "file") break;
        return splice_function(*finder_, edit.path, *before, edit.function, edit.code);
      case Edit::Kind::kDelete:
        return remove_function(*finder_, edit.path, *before, edit.function);
    }
    return invalid("'{}': send the whole file, not a part of it", edit.path);
  }

  Status whole_file_fits(const Edit& edit, const Text& before) const {
    if (!before) return {};
    if (trim(edit.code).empty())
      return invalid("the new text of '{}' is empty; a file that is to go is named by DELETE",
                     edit.path);
    const bool long_file = edits_ == "auto" && line_count(*before) > kWholeFileLines;
    if (edits_ == "function" || long_file)
      return invalid(
          "'{}' has {} lines: send only the lines that change as SEARCH/REPLACE blocks, or the "
          "functions, as FUNCTION: {} name",
          edit.path, line_count(*before), edit.path);
    return {};
  }

  // An edit of lines says what it takes away; of the others no function may be lost that the answer
  // does not name.
  Status nothing_vanishes(const Edit& edit, const std::vector<Edit>& all, const std::string& before,
                          const std::string& after) const {
    if (edit.kind == Edit::Kind::kReplace || before == after) return {};
    LATHE_TRY(const std::vector<Function> old, finder_->of(edit.path, before));
    LATHE_TRY(const std::vector<Function> fresh, finder_->of(edit.path, after));
    std::vector<std::string> gone = functions_gone(old, fresh);
    for (const Edit& each : all) {
      if (each.path != edit.path || each.function.empty()) continue;
      const auto target = function_named(old, edit.path, before, each.function);
      if (!target) continue;
      // What stands in a function goes with it.
      std::erase_if(gone, [&](const std::string& name) {
        return name.starts_with(target->name + ".") || name.starts_with(target->name + "::") ||
               (each.kind == Edit::Kind::kDelete && name == target->name);
      });
    }
    if (gone.empty()) return {};
    const std::size_t count = gone.size();
    gone.resize(std::min<std::size_t>(count, 8));
    return invalid(
        "the edit of '{}' leaves out {}{}: send what stays, too; for what is to go write a line "
        "DELETE: {} name",
        edit.path, join(gone, ", "), count > 8 ? ", …" : "", edit.path);
  }

  std::vector<std::string> known_files() const {
    std::vector<std::string> known = files();
    std::erase_if(known, [&](const std::string& file) { return !rule_.allows(file); });
    return known;
  }

  std::string edits_;
  WriteRule rule_;
  fs::path clean_;
  Changes changes_;
  FunctionFinder* finder_;
};

// The functions around the places that the critiques and the units name, as they are now.
Result<std::string> named_functions(const MakeTask& task, const Editor& editor,
                                    FunctionFinder& finder) {
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
    LATHE_TRY(const std::vector<Function> functions, finder.of(path, **current));
    const auto function = function_at(functions, line);
    if (!function || !shown.emplace(path, function->name).second) continue;
    text += fmt::format("FUNCTION: {} {} (lines {} to {})\n{}\n", path, function->name,
                        function->first, function->last,
                        fenced(shown_text(lines_of(**current, function->first, function->last))));
  }
  if (!text.empty()) text = "The functions at the places named:\n\n" + text;
  return text;
}

Result<Changes> best_changes(const MakeTask& task) {
  return task.best ? parse_changes(*task.best) : Changes();
}

Result<std::string> user_message(const MakeTask& task, const Changes& best, const Editor& editor,
                                 FunctionFinder& finder) {
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
  LATHE_TRY(const std::string functions, named_functions(task, editor, finder));
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

std::string_view kind_word(Edit::Kind kind) {
  switch (kind) {
    case Edit::Kind::kFile:
      return "file";
    case Edit::Kind::kFunction:
      return "function";
    case Edit::Kind::kReplace:
      return "lines";
    case Edit::Kind::kDelete:
      break;
  }
  return "delete";
}

Json applied_edits(const std::vector<Edit>& edits) {
  Json list = Json::array();
  for (const Edit& edit : edits)
    list.push_back(
        {{"path", edit.path}, {"kind", kind_word(edit.kind)}, {"function", edit.function}});
  return list;
}

Result<std::vector<Edit>> use_reply(const Reply& reply, Editor& editor) {
  if (reply.finish == FinishReason::kLength)
    return invalid(
        "the answer was cut off at the token limit; send less, or raise make.max_tokens");
  LATHE_TRY(std::vector<Edit> edits, parse_code_reply(reply.text, editor.files()));
  LATHE_TRY_STATUS(editor.apply(edits));
  return edits;
}

Result<std::string> answer(const MakeTask& task, const Place& place, const std::string& take) {
  LATHE_TRY(const TempDir tree, clean_tree(place));
  LATHE_TRY(const Changes best, best_changes(task));
  LATHE_TRY(const Changes wanted, parse_changes(take));
  Changes touched = best;
  touched.files.insert(wanted.files.begin(), wanted.files.end());
  const StopFlag go;
  FunctionFinder finder(place.unsafe_no_sandbox, go);
  Editor editor(task.options, tree.path(), best, finder);
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
  FunctionFinder finder(context.place.unsafe_no_sandbox, context.stop);
  Editor editor(task.options, tree.path(), best, finder);
  Request request = request_of(task, context);
  LATHE_TRY(const std::string message, user_message(task, best, editor, finder));
  request.ask = Talk{{{"system", task.prefix}, {"user", message}}};
  LATHE_TRY(request.labels["files"], shown_files(task.options, tree.path(), best));
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

}  // namespace lathe::loop
