// Which file a model means by the name that it writes.
#include <algorithm>
#include <optional>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "loop/makers/code_reply.h"

namespace lathe::loop {
namespace {

using Known = std::span<const std::string>;

bool is_known(Known known, std::string_view path) {
  return std::ranges::find(known, path) != known.end();
}

// The name between decorations that open and close it, or as it is.
std::string_view undecorated(std::string_view name) {
  constexpr std::string_view kPairs[] = {"**", "*", "`", "\"", "'", "\u201c\u201d", "\u2018\u2019"};
  name = trim(name);
  for (const std::string_view pair : kPairs) {
    const std::string_view open = pair.size() == 6 ? pair.substr(0, 3) : pair;
    const std::string_view close = pair.size() == 6 ? pair.substr(3) : pair;
    if (name.starts_with(open)) name = trim(name.substr(open.size()));
    if (name.ends_with(close)) name = trim(name.substr(0, name.size() - close.size()));
  }
  return name;
}

// One step plainer, or the same.
std::string plainer(const std::string& name) {
  if (const std::string_view bare = undecorated(name); bare != name) return std::string(bare);
  if (name.starts_with('[')) {  // a link
    const auto middle = name.find("](");
    if (middle != name.npos && name.ends_with(')')) return name.substr(1, middle - 1);
  }
  if (name.starts_with("./")) return name.substr(2);
  if (name.contains('\\')) return replace_all(name, "\\", "/");
  if (!name.empty() && std::string_view(":,;").find(name.back()) != std::string_view::npos)
    return name.substr(0, name.size() - 1);
  if (name.ends_with(')') || name.ends_with(']')) {  // "(updated)", "[new]"
    const auto open = name.rfind(name.back() == ')' ? '(' : '[');
    if (open != name.npos && open > 0 && std::string_view(" \t*`\"").contains(name[open - 1]))
      return std::string(trim(std::string_view(name).substr(0, open)));
  }
  for (const std::string_view cut : {" - ", " \u2013 ", " \u2014 ", " # ", " // ", " <!--", " => "})
    if (const auto found = name.find(cut); found != name.npos) return name.substr(0, found);
  return name;
}

// Where only the spelling differs: "SRC/My-File.py" and "src/my_file.py".
std::string spelling(std::string_view path) {
  return replace_all(to_lower_ascii(path), "-", "_");
}

// A known file that a new name can hardly be meant beside; "": none.
std::string too_near(std::string_view name, Known known) {
  std::vector<std::string> near;
  const std::string tail = "/" + std::string(name);
  for (const std::string& each : known)
    if (spelling(each) == spelling(name) || each.ends_with(tail) || name.ends_with("/" + each))
      near.push_back(each);
  // Names like __init__.py stand in many directories.
  return near.size() == 1 ? near.front() : std::string();
}

bool is_plain_new_name(std::string_view name) {
  if (name.empty() || name.find_first_of("\"'`*<>|?:;,\\\t") != name.npos) return false;
  if (name.ends_with('.') || name.ends_with('/')) return false;
  const auto space = name.find(' ');
  if (space == name.npos) return true;
  // A blank belongs to it only where the ending comes behind it.
  const auto slash = name.rfind('/', space);
  const std::string_view before = name.substr(slash == name.npos ? 0 : slash + 1, space);
  const std::string_view first = before.substr(0, before.find(' '));
  const auto dot = name.rfind('.');
  return !first.contains('.') && dot != name.npos && dot > name.rfind(' ') &&
         name.find_first_of("()[]") == name.npos;
}

}  // namespace

Result<std::string> meant_path(std::string_view written, Known known) {
  std::string name(trim(written));
  for (;;) {
    if (is_known(known, name)) return name;
    std::string next = plainer(name);
    if (next == name) break;
    name = std::move(next);
  }
  // A known name with more behind it.
  for (auto space = name.rfind(' '); space != name.npos && space > 0;
       space = name.rfind(' ', space - 1))
    if (const std::string_view head = undecorated(std::string_view(name).substr(0, space));
        is_known(known, head))
      return std::string(head);
  const std::string shown = clip_utf8(trim(written), 200);
  if (!is_safe_relative(name)) return invalid("'{}' is not a path inside the project", shown);
  if (!is_plain_new_name(name))
    return invalid("'{}' is no file here{}; write the path alone", shown,
                   did_you_mean(name, known));
  if (const std::string near = too_near(name, known); !near.empty())
    return invalid("there is no file '{}'; did you mean '{}'?", name, near);
  return name;
}

}  // namespace lathe::loop
