// The reader of answers that change source files, and its inverse.
#include "loop/makers/code_reply.h"

#include <algorithm>
#include <optional>

#include "ground/base/fence.h"
#include "ground/base/text.h"
#include "loop/makers/answer.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxEdits = 200;
using Known = std::span<const std::string>;

// "**FILE: `src/a.cpp`**" is what models make of "FILE: src/a.cpp". A name may begin with '_', a
// line does not.
std::string_view bare(std::string_view line, std::string_view decoration = "*` \t") {
  const auto begin = line.find_first_not_of(decoration);
  if (begin == line.npos) return {};
  return line.substr(begin, line.find_last_not_of("*` \t") - begin + 1);
}

struct Announced {
  Edit edit;
  std::string_view line;  // as it was written
};

// A path and a function's name: the path is the longest beginning that is known.
Status read_names(std::string_view rest, Known known, Edit& edit) {
  const auto is_file = [&](std::string_view head) {
    const auto path = meant_path(head, known);
    return path && std::ranges::find(known, *path) != known.end() ? *path : std::string();
  };
  for (auto space = rest.find(' '); space != rest.npos; space = rest.find(' ', space + 1))
    if (const std::string path = is_file(rest.substr(0, space));
        !path.empty() && !bare(rest.substr(space)).empty()) {
      edit.path = path;
      edit.function = bare(rest.substr(space));
      return {};
    }
  const auto space = rest.find(' ');
  LATHE_TRY(edit.path, meant_path(rest.substr(0, space), known));
  edit.function = space == rest.npos ? "" : bare(rest.substr(space));
  return {};
}

// "FILE: src/a.cpp" and its kin; nothing when the line is other text.
Result<std::optional<Announced>> announcement(std::string_view raw, Known known) {
  const std::string_view line = bare(raw, "#*`_ \t");
  Announced found{{}, line};
  Edit& edit = found.edit;
  if (line.starts_with("FILE:")) {
    LATHE_TRY(edit.path, meant_path(bare(line.substr(5), "*` \t"), known));
  } else if (line.starts_with("FUNCTION:")) {
    edit.kind = Edit::Kind::kFunction;
    LATHE_TRY_STATUS(read_names(bare(line.substr(9)), known, edit));
    if (edit.function.empty())
      return invalid("'{}' names no function: write FUNCTION: path name", clip_utf8(line, 200));
  } else if (line.starts_with("DELETE:")) {
    edit.kind = Edit::Kind::kDelete;
    const std::string_view rest = bare(line.substr(7));
    // All of it may be a name with blanks.
    if (const auto path = meant_path(rest, known);
        path && (!rest.contains(' ') || std::ranges::find(known, rest) != known.end()))
      edit.path = *path;
    else
      LATHE_TRY_STATUS(read_names(rest, known, edit));
  } else {
    return std::nullopt;
  }
  return found;
}

// A line of its own right before a block that names its file: "### `src/a.py`", "File: src/a.py:".
std::optional<std::string> heading_path(std::string_view line, Known known) {
  const bool marked = line.find_first_of("#*`") != line.npos;
  std::string_view name = bare(line, "#*` \t");
  bool said = false;
  const std::string lower = to_lower_ascii(name);
  for (const std::string_view word : {"file path:", "filename:", "file name:", "filepath:", "file:",
                                      "path:", "updated file:", "new file:", "file "})
    if (lower.starts_with(word)) {
      name = bare(name.substr(word.size()), "*` \t");
      said = true;
      break;
    }
  const auto path = meant_path(name, known);
  if (!path) return std::nullopt;
  if (std::ranges::find(known, *path) != known.end()) {
    // A sentence may begin with a file's name.
    const auto begin = name.find(*path);
    const std::string_view behind =
        begin == name.npos ? "" : bare(name.substr(begin + path->size()), "*`: \t");
    if (said || behind.empty() || behind.front() == '(' || behind.front() == '[') return *path;
    return std::nullopt;
  }
  const bool plain = !path->contains(' ') && path->contains('.');
  return plain && (said || (marked && path->contains('/'))) ? path.value()
                                                            : std::optional<std::string>();
}

// "```python src/a.py", "```python:src/a.py", "```js title="src/a.js"": only known files.
std::optional<std::string> fence_path(std::string_view info, Known known) {
  for (const std::string_view cut : {" ", ":", "title=", "filename=", "file=", "path="})
    for (auto found = info.find(cut); found != info.npos; found = info.find(cut, found + 1))
      if (const auto path = meant_path(info.substr(found + cut.size()), known);
          path && std::ranges::find(known, *path) != known.end())
        return *path;
  if (std::ranges::find(known, info) != known.end()) return std::string(info);
  return std::nullopt;
}

bool is_prose(std::string_view path) {
  for (const std::string_view end : {".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc"})
    if (to_lower_ascii(path).ends_with(end)) return true;
  return false;
}

bool is_diff_line(std::string_view line) {
  for (const std::string_view begin :
       {" ", "+", "-", "@@", "\\", "diff ", "index ", "new file ", "deleted file ", "old mode ",
        "new mode ", "similarity ", "rename ", "*** "})
    if (line.starts_with(begin)) return true;
  return line.empty();
}

// What git says of a file before its hunks.
bool is_diff_fact(std::string_view line) {
  for (const std::string_view begin : {"index ", "new file mode ", "deleted file mode ",
                                       "old mode ", "new mode ", "similarity index "})
    if (line.starts_with(begin)) return true;
  return false;
}

std::string_view first_line(std::string_view text) {
  for (const std::string_view line : split_lines(text))
    if (!trim(line).empty()) return line;
  return {};
}

std::string_view without_first_line(std::string_view text) {
  const std::string_view first = first_line(text);
  const auto end = text.find('\n', static_cast<std::size_t>(first.data() - text.data()));
  return end == text.npos ? std::string_view() : text.substr(end + 1);
}

class Reader {
 public:
  explicit Reader(Known known) : known_(known) {}

  Status read(std::string_view reply) {
    const std::vector<std::string_view> lines = split_lines(reply);
    for (std::size_t i = 0; i < lines.size(); ++i) LATHE_TRY_STATUS(step(lines, i));
    if (!fence_.empty())
      return invalid(
          "the last fenced block has no end: the answer was cut off, or the file holds fences "
          "itself and must stand between longer ones (````)");
    return nothing_announced();
  }

  Result<std::vector<Edit>> take() {
    if (edits_.empty())
      return invalid(
          "the answer holds no edit: write a line FILE: path, then the whole file or "
          "SEARCH/REPLACE blocks in a fenced block");
    return std::move(edits_);
  }

 private:
  Status nothing_announced() const {
    if (!announced_) return {};
    return invalid("no fenced block follows the line that announces '{}'", announced_->edit.path);
  }

  Status step(const std::vector<std::string_view>& lines, std::size_t& i) {
    const std::string_view line = lines[i];
    if (!fence_.empty()) return inside(line);
    if (const std::string_view fence = fence_of(line); !fence.empty()) return open(line, fence);
    if (trim(line).empty()) return {};
    if (opens_search(line) || starts_diff(lines, i)) return loose(lines, i);
    LATHE_TRY(std::optional<Announced> next, announcement(line, known_));
    if (!next) {
      heading_ = line;
      return {};
    }
    LATHE_TRY_STATUS(nothing_announced());
    prose_.clear();
    heading_ = {};
    if (next->edit.kind == Edit::Kind::kDelete) return add(std::move(next->edit));
    announced_ = std::move(next);
    return {};
  }

  Status open(std::string_view line, std::string_view fence) {
    const std::string_view info = trim(line.substr(fence.size()));
    info_ = to_lower_ascii(info.substr(0, info.find_first_of(" :{")));
    if (!announced_) {
      std::optional<std::string> path;
      if (!heading_.empty()) path = heading_path(heading_, known_);
      if (!path) path = fence_path(info, known_);
      if (path) {
        prose_.clear();
        announced_ = Announced{{Edit::Kind::kFile, *path}, line};
      }
    }
    if (!announced_ && !prose_.empty())
      return invalid(
          "the text of '{}' seems to hold fenced blocks itself: write it between longer fences "
          "(````)",
          prose_);
    heading_ = {};
    fence_ = fence;
    nested_ = 0;
    code_.clear();
    return {};
  }

  // A block in the block, like the examples in a README, has a language behind its first fence.
  Status inside(std::string_view line) {
    const bool closes = closes_fence(line, fence_);
    if (closes && nested_ == 0) {
      fence_ = {};
      return use(std::move(code_));
    }
    const std::string_view inner = fence_of(line);
    if (closes)
      --nested_;
    else if (inner.size() >= fence_.size() && inner.front() == fence_.front())
      ++nested_;
    code_.append(line).append("\n");
    return {};
  }

  bool starts_diff(const std::vector<std::string_view>& lines, std::size_t i) const {
    if (lines[i].starts_with("diff --git ") || lines[i].starts_with("*** Begin Patch")) return true;
    if (lines[i].starts_with("@@ -") && announced_) return true;
    return lines[i].starts_with("--- ") && i + 1 < lines.size() && lines[i + 1].starts_with("+++ ");
  }

  // SEARCH/REPLACE blocks and diffs outside of any fence.
  Status loose(const std::vector<std::string_view>& lines, std::size_t& i) {
    const bool search = opens_search(lines[i]);
    std::string text;
    for (; i < lines.size(); ++i) {
      const std::string_view line = lines[i];
      if (!search && (!is_diff_line(line) && !line.starts_with("*** "))) break;
      text.append(line).append("\n");
      if (search && line.starts_with(">>>>>") && !next_opens_search(lines, i)) {
        ++i;
        break;
      }
    }
    --i;
    if (!announced_ && !heading_.empty())
      if (const auto path = heading_path(heading_, known_))
        announced_ = Announced{{Edit::Kind::kFile, *path}, heading_};
    if (!announced_ && search)
      return invalid("a SEARCH/REPLACE block has no file: write FILE: path on the line before it");
    info_ = search ? "" : "diff";
    heading_ = {};
    return use(std::move(text));
  }

  static bool next_opens_search(const std::vector<std::string_view>& lines, std::size_t i) {
    while (++i < lines.size())
      if (!trim(lines[i]).empty()) return opens_search(lines[i]);
    return false;
  }

  // A block that is complete.
  Status use(std::string code) {
    std::optional<Announced> announced = std::exchange(announced_, std::nullopt);
    const std::string_view first = first_line(code);
    const bool of_diff = announced && (announced->edit.path.ends_with(".diff") ||
                                       announced->edit.path.ends_with(".patch"));
    if (!of_diff && (looks_like_diff(code) || ((info_ == "diff" || info_ == "patch") && announced)))
      return use_diff(code, announced ? announced->edit.path : "");
    if (!announced) {
      // The announcement may stand in the block, or the file's name above a SEARCH.
      LATHE_TRY(const std::optional<Announced> inner, announcement(first, known_));
      const std::string_view rest = without_first_line(code);
      if (inner) return use_inner(*inner, code, rest);
      if (const auto path = heading_path(first, known_); path && opens_search(first_line(rest)))
        return use_search(*path, rest);
      return {};  // talk, like an example of how to run it
    }
    if (opens_search(first)) return use_search(announced->edit.path, code);
    if (const auto path = heading_path(first, known_);
        path == announced->edit.path && opens_search(first_line(without_first_line(code))))
      return use_search(*path, without_first_line(code));
    Edit edit = std::move(announced->edit);
    edit.code = is_prose(edit.path) ? std::move(code) : unwrapped(std::move(code));
    if (edit.kind == Edit::Kind::kFile && is_prose(edit.path)) prose_ = edit.path;
    return add(std::move(edit));
  }

  Status use_inner(const Announced& inner, std::string_view code, std::string_view rest) {
    const std::string_view next = first_line(rest);
    if (!fence_of(next).empty() || inner.edit.kind == Edit::Kind::kDelete) {
      // A whole answer in one fence.
      Reader reader(known_);
      LATHE_TRY_STATUS(reader.read(code));
      for (Edit& edit : reader.edits_) LATHE_TRY_STATUS(add(std::move(edit)));
      return {};
    }
    announced_ = inner;
    return use(std::string(rest));
  }

  // A fence right inside the fence is the model's, not the file's.
  static std::string unwrapped(std::string code) {
    const std::vector<std::string_view> lines = split_lines(code);
    std::size_t first = 0, last = lines.size();
    while (first < last && trim(lines[first]).empty()) ++first;
    while (last > first && trim(lines[last - 1]).empty()) --last;
    if (last - first < 2) return code;
    const std::string_view fence = fence_of(lines[first]);
    if (fence.empty() || !closes_fence(lines[last - 1], fence)) return code;
    std::string inner;
    for (std::size_t i = first + 1; i + 1 < last; ++i) {
      if (closes_fence(lines[i], fence)) return code;
      inner.append(lines[i]).append("\n");
    }
    return inner;
  }

  Status use_search(const std::string& path, std::string_view code) {
    LATHE_TRY(std::vector<Replacement> blocks, parse_search_blocks(code));
    // An empty SEARCH is how a new file is written in this form.
    if (blocks.size() == 1 && trim(blocks.front().before).empty() &&
        std::ranges::find(known_, path) == known_.end())
      return add({Edit::Kind::kFile, path, "", std::move(blocks.front().after)});
    return add({Edit::Kind::kReplace, path, "", "", std::move(blocks)});
  }

  // A diff of one file or more; those without a header of their own belong to `announced`.
  Status use_diff(std::string_view text, const std::string& announced) {
    const std::vector<std::string_view> lines = split_lines(text);
    std::string path = announced, part;
    bool made = false, gone = false;
    const auto end_part = [&]() -> Status {
      if (gone) {
        LATHE_TRY_STATUS(add({Edit::Kind::kDelete, path}));
      } else if (!trim(part).empty()) {
        if (path.empty()) return invalid("a diff has no file: begin it with --- path and +++ path");
        LATHE_TRY(std::vector<Replacement> hunks, parse_hunks(part));
        if (made && hunks.size() == 1 && hunks.front().before.empty())
          LATHE_TRY_STATUS(add({Edit::Kind::kFile, path, "", std::move(hunks.front().after)}));
        else
          LATHE_TRY_STATUS(add({Edit::Kind::kReplace, path, "", "", std::move(hunks)}));
      }
      part.clear();
      made = gone = false;
      return {};
    };
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string_view line = lines[i];
      const bool header =
          line.starts_with("--- ") && i + 1 < lines.size() && lines[i + 1].starts_with("+++ ");
      if (header) {
        LATHE_TRY_STATUS(end_part());
        made = line.substr(4).starts_with("/dev/null");
        gone = lines[i + 1].substr(4).starts_with("/dev/null");
        LATHE_TRY(path, diff_path(gone ? line.substr(4) : lines[i + 1].substr(4)));
        ++i;
      } else if (line.starts_with("*** Update File: ") || line.starts_with("*** Add File: ") ||
                 line.starts_with("*** Delete File: ")) {
        LATHE_TRY_STATUS(end_part());
        made = line.starts_with("*** Add");
        gone = line.starts_with("*** Delete");
        LATHE_TRY(path, meant_path(line.substr(line.find(':') + 1), known_));
      } else if (line.starts_with("diff --git ")) {
        LATHE_TRY_STATUS(end_part());
      } else if (line.starts_with("rename from ")) {
        return invalid(
            "a diff cannot rename a file here: send the new file and DELETE the old one");
      } else if (trim(part).empty() && is_diff_fact(line)) {
      } else if (!line.starts_with("*** Begin") && !line.starts_with("*** End") && !gone) {
        part.append(line).append("\n");
      }
    }
    return end_part();
  }

  // "a/src/x.c\t2026-01-01" → "src/x.c".
  Result<std::string> diff_path(std::string_view name) const {
    name = trim(name.substr(0, name.find('\t')));
    if (name.starts_with("a/") || name.starts_with("b/"))
      if (const auto path = meant_path(name.substr(2), known_)) return *path;
    return meant_path(name, known_);
  }

  Status add(Edit edit) {
    if (edits_.size() == kMaxEdits) return invalid("the answer has more than {} edits", kMaxEdits);
    const auto whole = [](const Edit& each) {
      return each.kind == Edit::Kind::kFile ||
             (each.kind == Edit::Kind::kDelete && each.function.empty());
    };
    const bool removes = edit.kind == Edit::Kind::kDelete && !edit.function.empty();
    for (const Edit& each : edits_) {
      if (each.path != edit.path) continue;
      if (each.kind == edit.kind && each.function == edit.function && each.code == edit.code &&
          edit.kind != Edit::Kind::kReplace)
        return {};  // said twice
      const bool each_removes = each.kind == Edit::Kind::kDelete && !each.function.empty();
      // The functions that go may be named beside the whole file.
      const bool beside = (removes && each.kind == Edit::Kind::kFile) ||
                          (each_removes && edit.kind == Edit::Kind::kFile);
      const bool same_function = !edit.function.empty() && each.function == edit.function;
      if (((whole(each) || whole(edit)) && !beside) || same_function)
        return invalid("the answer edits '{}' twice", edit.path);
    }
    edits_.push_back(std::move(edit));
    return {};
  }

  Known known_;
  std::vector<Edit> edits_;
  std::optional<Announced> announced_;
  std::string_view heading_;  // the last line of text outside of blocks
  std::string prose_;         // the text file whose block came last
  std::string_view fence_;    // of the open block
  int nested_ = 0;            // blocks in it
  std::string info_, code_;
};

}  // namespace

Result<std::vector<Edit>> parse_code_reply(std::string_view reply, Known known) {
  Reader reader(known);
  LATHE_TRY_STATUS(reader.read(reply));
  return reader.take();
}

std::string write_code_reply(std::span<const Edit> edits) {
  std::string text;
  for (const Edit& edit : edits) {
    if (!text.empty()) text += '\n';
    if (edit.kind == Edit::Kind::kDelete) {
      text += fmt::format("DELETE: {}{}{}\n", edit.path, edit.function.empty() ? "" : " ",
                          edit.function);
    } else if (edit.kind == Edit::Kind::kFunction) {
      text += fmt::format("FUNCTION: {} {}\n{}", edit.path, edit.function, fenced(edit.code));
    } else {
      std::string code = edit.code;
      for (const Replacement& each : edit.replacements)
        code +=
            fmt::format("<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE\n", each.before, each.after);
      text += fmt::format("FILE: {}\n{}", edit.path, fenced(code));
    }
  }
  return text;
}

std::string fenced(std::string_view text) {
  std::string fence = "```";
  while (text.find(fence) != text.npos) fence += '`';
  return fmt::format("{}\n{}{}{}\n", fence, text, text.ends_with('\n') || text.empty() ? "" : "\n",
                     fence);
}

}  // namespace lathe::loop
