// Functions in source files, as universal-ctags sees them.
#include "loop/makers/code_functions.h"

#include <algorithm>
#include <array>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "ground/sys/sandbox.h"
#include "loop/makers/code_patch.h"
#include "loop/terms/terms.h"

namespace lathe::loop {
namespace {

constexpr Milliseconds kTimeLimit{20'000};
constexpr std::size_t kMaxOutput = std::size_t{32} << 20;

// What the file is called in the sandbox: all that ctags needs of its name.
std::string plain_name(std::string_view path) {
  const std::string_view base = path.substr(path.rfind('/') + 1);
  const auto dot = base.rfind('.');
  std::string name = dot == base.npos ? "" : "source.";
  for (const char c : dot == base.npos ? base : base.substr(dot + 1))
    name += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '+' || c == '_'
                ? c
                : '_';
  return name;
}

// Languages name their functions in different kinds; an arrow function is a constant.
bool is_function(const Json& tag) {
  static constexpr std::array<std::string_view, 9> kKinds{
      "function",    "method",          "func",     "procedure", "subroutine", "macro",
      "constructor", "singletonMethod", "predicate"};
  const std::string kind = json_string(tag, "kind"), language = json_string(tag, "language");
  if (std::ranges::find(kKinds, kind) != kKinds.end())
    return !json_string(tag, "name").starts_with("__anon");
  if (language == "Python") return kind == "member";
  if (language == "JavaScript" || language == "TypeScript") {
    const std::string line = json_string(tag, "pattern");
    return line.contains("=>") || line.contains("function");
  }
  return false;
}

std::string full_name(const Json& tag) {
  std::string name = json_string(tag, "name");
  if (name.starts_with("operator ")) name = "operator" + name.substr(9);
  const std::string scope = json_string(tag, "scope");
  if (scope.empty()) return name;
  const std::string language = json_string(tag, "language");
  const bool colons = language == "C++" || language == "Rust" || language == "C";
  return scope + (colons ? "::" : ".") + name;
}

std::vector<std::string> parts_of(std::string_view name) {
  return split(replace_all(name, "::", "."), '.');
}

std::string last_part(std::string_view name) {
  return parts_of(name).back();
}

bool ends_with_parts(std::string_view name, std::string_view wanted) {
  const auto all = parts_of(name), end = parts_of(wanted);
  return end.size() <= all.size() && std::equal(end.rbegin(), end.rend(), all.rbegin());
}

std::string_view indent_of(std::string_view line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

// "def next(self, x) -> int:", "next() (lines 3 to 9)", "next:12": the name in it, plainer each
// time.
std::vector<std::string> plain_names(std::string_view raw) {
  std::vector<std::string> names{std::string(raw)};
  const auto add = [&](std::string_view name) {
    const auto begin = name.find_first_not_of("*`\"' \t");
    if (begin == name.npos) return;
    name = name.substr(begin, name.find_last_not_of("*`\"':;, \t") - begin + 1);
    if (std::ranges::find(names, name) == names.end()) names.emplace_back(name);
  };
  add(raw);
  if (!raw.contains("operator()")) add(raw.substr(0, raw.find('(', 1)));
  for (const std::string& name : std::vector<std::string>(names)) {
    add(std::string_view(name).substr(0, name.find(" line")));
    add(std::string_view(name).substr(0, name.find(" [")));
    if (const auto colon = name.rfind(':');
        colon != name.npos && colon > 0 && name[colon - 1] != ':' &&
        name.find_first_not_of("0123456789-", colon + 1) == name.npos)
      add(std::string_view(name).substr(0, colon));
  }
  for (const std::string& name : std::vector<std::string>(names))
    if (!name.contains("operator")) add(std::string_view(name).substr(name.rfind(' ') + 1));
  return names;
}

// What may stand right above a function and belong to it.
std::string_view head_kind(std::string_view line) {
  line = trim(line);
  for (const std::string_view begin : {"@", "#[", "[[", "template", "//", "/*", "*", "#"})
    if (line.starts_with(begin)) return begin == "/*" || begin == "*" ? "//" : begin;
  return {};
}

// How many lines above `first` the new head, `heads`, takes the place of: those that it repeats,
// decorators and the like of its kinds, and of a comment the rest too, once half of that is
// repeated. Comments that it does not repeat stay.
std::size_t lines_above(const std::vector<std::string_view>& lines, std::size_t first,
                        std::span<const std::string_view> heads) {
  const auto indent = indent_of(lines[first - 1]).size();
  std::size_t taken = 0, comments = 0, repeated = 0;
  for (std::size_t up = 1; up < first; ++up) {
    const std::string_view line = lines[first - 1 - up], bare = trim(line), kind = head_kind(line);
    if (bare.empty()) break;
    const bool comment = kind == "//" || kind == "#";
    const bool same =
        std::ranges::any_of(heads, [&](std::string_view head) { return trim(head) == bare; });
    const bool known = same || (!comment && !kind.empty() &&
                                std::ranges::any_of(heads, [&](std::string_view head) {
                                  return head_kind(head) == kind;
                                }));
    comments += comment;
    repeated += comment && same;
    if (known || (comment && repeated > 0 && 2 * repeated >= comments)) taken = up;
    const bool inside =
        indent_of(line).size() > indent || bare.find_first_not_of(")]},;") == bare.npos;
    if (!known && !comment && !inside) break;
  }
  return taken;
}

// For languages of which ctags tells no ends: the first line that closes what is open, laid out as
// formatters do it, below the function's first letter. 0 when anything speaks against it: braces
// that do not match (one may stand in a text) or a text over several lines.
std::size_t end_by_layout(const std::vector<std::string_view>& lines, std::size_t first) {
  const std::string_view indent = indent_of(lines[first - 1]);
  std::ptrdiff_t open = 0, braces = 0, brackets = 0, ticks = 0;
  for (std::size_t number = first; number <= lines.size(); ++number) {
    const std::string_view line = lines[number - 1];
    braces += std::ranges::count(line, '{');
    open += std::ranges::count(line, '{') - std::ranges::count(line, '}');
    brackets += std::ranges::count(line, '(') - std::ranges::count(line, ')');
    ticks += std::ranges::count(line, '`');
    const bool brace_follows = number < lines.size() && trim(lines[number]).starts_with('{');
    const bool complete = open == 0 && brackets == 0 && !brace_follows;
    // A statement without a body ends before any brace.
    if (complete && braces == 0) return 0;
    const bool closes = indent_of(line) == indent && trim(line).starts_with('}');
    if (!closes && !(complete && number == first)) continue;
    return complete && ticks % 2 == 0 ? number : 0;
  }
  return 0;
}

Result<Function> function_with_end(const std::vector<Function>& functions, std::string_view path,
                                   std::string_view text, std::string_view name) {
  LATHE_TRY(const Function found, function_named(functions, path, text, name));
  if (found.last == 0)
    return invalid(
        "where '{}' ends in {} is not known; send the lines that change as a SEARCH/REPLACE block",
        clip_utf8(found.name, 100), path);
  return found;
}

}  // namespace

Result<std::vector<Function>> FunctionFinder::of(std::string_view path, std::string_view text) {
  const std::string name = plain_name(path);
  const std::string key = fmt::format("{}\n{}", name, text);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  if (auto ctags = find_program("ctags"); !ctags)
    return fail(ErrorKind::kUnavailable, "{}", ctags.error().message);
  LATHE_TRY(const TempDir tree, TempDir::make("lathe-functions"));
  // Without a newline at the end ctags does not see where the last function ends.
  const std::string whole = std::string(text) + (text.ends_with('\n') ? "" : "\n");
  LATHE_TRY_STATUS(apply_changes({{{name, whole}}}, tree.path()));
  Sandbox sandbox;
  sandbox.tree = tree.path();
  sandbox.unsafe_none = unsafe_no_sandbox_;
  Command command;
  command.argv = {"ctags",
                  "--quiet",
                  "--options=NONE",
                  "--output-format=json",
                  "--fields=+neKslP",
                  "--sort=no",
                  "--map-JavaScript=+.jsx",
                  "--map-JavaScript=+.mjs",
                  "--map-JavaScript=+.cjs",
                  "--map-TypeScript=+.tsx",
                  "--map-TypeScript=+.mts",
                  "--map-TypeScript=+.cts",
                  "--map-C++=+.cu",
                  "-f",
                  "-",
                  name};
  command.max_output = kMaxOutput;
  command.time_limit = kTimeLimit;
  LATHE_TRY(const SandboxedExit run, run_sandboxed(sandbox, command, stop_));
  if (run.exit.stopped) return fail(ErrorKind::kCancelled, "code: stopped");
  if (!run.exit.ok() || run.exit.output_cut || !run.contained.empty())
    return fail(ErrorKind::kUnavailable, "ctags: cannot read {} ({}{}): {}", path,
                run.exit.describe(), run.contained.empty() ? "" : ", " + run.contained,
                clip_utf8(make_valid_utf8(trim(run.exit.err)), 300));
  std::vector<Function> functions;
  const std::vector<std::string_view> lines = split_lines(text);
  const std::size_t count = lines.size();
  for (const std::string_view line : split_lines(run.exit.out)) {
    const auto tag = parse_json(make_valid_utf8(line));
    if (!tag || json_string(*tag, "_type") != "tag" || !is_function(*tag)) continue;
    const auto first = json_int(*tag, "line", 0), last = json_int(*tag, "end", 0);
    if (first < 1 || first > static_cast<std::int64_t>(count)) continue;
    const bool sound = last >= first && last <= static_cast<std::int64_t>(count);
    functions.push_back({full_name(*tag), static_cast<std::size_t>(first),
                         sound ? static_cast<std::size_t>(last)
                               : end_by_layout(lines, static_cast<std::size_t>(first))});
  }
  std::ranges::stable_sort(functions, {}, &Function::first);
  return known_[key] = std::move(functions);
}

std::optional<Function> function_at(const std::vector<Function>& functions, std::size_t line) {
  std::optional<Function> found;
  for (const Function& each : functions)
    if (each.first <= line && line <= each.last && (!found || each.first >= found->first))
      found = each;
  return found;
}

std::string lines_of(std::string_view text, std::size_t first, std::size_t last) {
  std::string result;
  const std::vector<std::string_view> lines = split_lines(text);
  for (std::size_t i = first; i <= last && i <= lines.size(); ++i)
    result.append(lines[i - 1]).append("\n");
  return result;
}

Result<Function> function_named(const std::vector<Function>& functions, std::string_view path,
                                std::string_view text, std::string_view name) {
  const std::vector<std::string> names = plain_names(name);
  for (const std::string& wanted : names) {
    std::vector<Function> found;
    for (const Function& each : functions)
      if (each.name == wanted) found.push_back(each);
    if (found.empty())
      for (const Function& each : functions)
        if (ends_with_parts(each.name, wanted)) found.push_back(each);
    if (found.empty()) continue;
    if (found.size() == 1) return found.front();
    std::vector<std::string> places;
    for (const Function& each : found)
      places.push_back(fmt::format("{} in line {}", each.name, each.first));
    return invalid(
        "{} has {} functions '{}': {}; send the lines that change as a SEARCH/REPLACE block", path,
        found.size(), clip_utf8(name, 100), join(places, ", "));
  }
  std::vector<Function> all = functions;
  const std::string wanted = last_part(names.back()).substr(0, 100);
  std::ranges::stable_sort(all, {}, [&](const Function& each) {
    return edit_distance(last_part(each.name).substr(0, 100), wanted);
  });
  std::string nearest;
  for (std::size_t i = 0; i < all.size() && i < 3; ++i)
    nearest += fmt::format("\n  line {}: {}", all[i].first,
                           trim(lines_of(text, all[i].first, all[i].first)));
  return invalid("{} has no function '{}'; {}{}", path, clip_utf8(name, 100),
                 nearest.empty()
                     ? "no functions are recognised in it: send the lines that change as a "
                       "SEARCH/REPLACE block"
                     : "the nearest real lines are:",
                 nearest);
}

Result<std::string> splice_function(FunctionFinder& finder, std::string_view path,
                                    std::string_view text, std::string_view name,
                                    std::string_view code) {
  LATHE_TRY(const std::vector<Function> functions, finder.of(path, text));
  LATHE_TRY(const Function target, function_with_end(functions, path, text, name));
  const std::vector<std::string_view> lines = split_lines(text);
  std::vector<std::string_view> fresh = split_lines(code);
  while (!fresh.empty() && trim(fresh.front()).empty()) fresh.erase(fresh.begin());
  while (!fresh.empty() && trim(fresh.back()).empty()) fresh.pop_back();
  // Models often write a method without the indentation that its class gives it.
  const std::string_view indent = indent_of(lines[target.first - 1]);
  const bool shift = !fresh.empty() && indent_of(fresh.front()).empty();
  std::string shifted;
  for (const std::string_view line : fresh)
    shifted.append(shift && !line.empty() ? indent : "").append(line).append("\n");

  // First below what stands above it; then, when it turns out to bring that along, in its place.
  for (std::size_t above = 0;;) {
    std::string result = replace_range(text, target.first - above, target.last, shifted);
    LATHE_TRY(const std::vector<Function> now, finder.of(path, result));
    const std::size_t begin = target.first - above;
    const auto same = std::ranges::find_if(now, [&](const Function& each) {
      return each.name == target.name && each.first >= begin && each.first < begin + fresh.size();
    });
    if (same == now.end())
      return invalid("the code for {} in {} does not define {}; send that whole function",
                     clip_utf8(name, 100), path, last_part(target.name));
    const auto head = std::span(fresh).first(same->first - begin);
    if (above > 0 || (above = lines_above(lines, target.first, head)) == 0) return result;
  }
}

Result<std::string> remove_function(FunctionFinder& finder, std::string_view path,
                                    std::string_view text, std::string_view name) {
  LATHE_TRY(const std::vector<Function> functions, finder.of(path, text));
  LATHE_TRY(const Function target, function_with_end(functions, path, text, name));
  const std::vector<std::string_view> lines = split_lines(text);
  const std::size_t above = lines_above(
      lines, target.first, std::array<std::string_view, 4>{"@", "template", "#[", "[["});
  return replace_range(text, target.first - above, target.last, "");
}

std::vector<std::string> functions_gone(const std::vector<Function>& before,
                                        const std::vector<Function>& after) {
  std::map<std::string, std::ptrdiff_t> left;
  for (const Function& each : before) ++left[each.name];
  for (const Function& each : after) --left[each.name];
  std::vector<std::string> gone;
  for (const auto& [name, count] : left)
    if (count > 0) gone.push_back(name);
  return gone;
}

Result<std::vector<FunctionText>> functions_between(FunctionFinder& finder, std::string_view path,
                                                    std::string_view before,
                                                    std::string_view after) {
  LATHE_TRY(const std::vector<Function> old, finder.of(path, before));
  LATHE_TRY(const std::vector<Function> fresh, finder.of(path, after));
  std::vector<FunctionText> changed;
  std::string text(before);
  std::size_t inside = 0;  // the last line of what is exchanged: functions in it go with it
  for (const Function& each : old) {
    const auto same = function_named(fresh, path, after, each.name);
    if (!same || same->last == 0 || each.last == 0 || each.first <= inside) continue;
    std::string code = lines_of(after, same->first, same->last);
    if (code == lines_of(before, each.first, each.last)) continue;
    auto next = splice_function(finder, path, text, each.name, code);
    if (!next) return std::vector<FunctionText>();
    text = *std::move(next);
    changed.push_back({each.name, std::move(code)});
    inside = each.last;
  }
  if (text != after) changed.clear();
  return changed;
}

}  // namespace lathe::loop
