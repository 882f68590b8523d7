// Looks at an output before the work that leads to it.
#include "app/cli/output_file.h"

#include <unistd.h>

#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::string_view kMark = ".lathe-out.json";
constexpr std::uint64_t kMostMark = std::uint64_t{64} << 20;

// "model-00002-of-00005.gguf" without its number, so that all parts of a model are alike; other
// names as they are.
std::string without_part(const fs::path& path) {
  std::string name = path.filename().string();
  const auto of = name.rfind("-of-");
  if (of == name.npos || of < 6) return name;
  const std::string_view number = std::string_view(name).substr(of - 5, 5);
  if (number.find_first_not_of("0123456789") != number.npos || name[of - 6] != '-') return name;
  return name.erase(of - 5, 5);
}

bool same_place(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  const fs::path left = fs::weakly_canonical(a, error), right = fs::weakly_canonical(b, error);
  return left == right ||
         (left.parent_path() == right.parent_path() && without_part(left) == without_part(right));
}

}  // namespace

void add_force_flag(CLI::App& command, bool& force) {
  command.add_flag("--force", force, "Write over a file that is there");
}

Status check_output(const fs::path& out, std::initializer_list<fs::path> inputs, bool force) {
  for (const fs::path& input : inputs)
    if (same_place(out, input))
      return invalid("{}: is read by this command, so that it cannot be written; give another name",
                     out.string());
  std::error_code error;
  const fs::file_status there = fs::status(out, error);
  if (fs::exists(there) && !fs::is_regular_file(there))
    return invalid("{}: is there and no file", out.string());
  if (fs::exists(there) && !force)
    return invalid("{}: is there already; give another name, or --force to write over it",
                   out.string());
  const fs::path parent = out.has_parent_path() ? out.parent_path() : fs::path(".");
  if (!fs::is_directory(parent, error))
    return fail(ErrorKind::kNotFound, "{}: there is no directory {}", out.string(),
                parent.string());
  if (::access(parent.c_str(), W_OK) != 0)
    return fail(ErrorKind::kDenied, "{}: no file can be made in {}", out.string(), parent.string());
  return {};
}

Result<OutputDirectory> OutputDirectory::open(fs::path directory, bool force) {
  OutputDirectory out(std::move(directory));
  out.force_ = force;
  std::error_code error;
  const fs::file_status there = fs::symlink_status(out.path_, error);
  if (!fs::exists(there)) return out;
  if (!fs::is_directory(out.path_, error))
    return invalid("{}: is there and no directory", out.path_.string());
  if (const auto text = read_file(out.path_ / kMark, kMostMark)) {
    const auto mark = parse_json(*text);
    const Json& files = mark ? json_at(*mark, "files") : Json();
    if (files.is_array())
      for (const Json& file : files)
        if (file.is_string() && is_safe_relative(file.get<std::string>()))
          out.known_.insert(file.get<std::string>());
    return out;
  }
  if (!force && !fs::is_empty(out.path_, error))
    return invalid(
        "{}: holds files that are not of a run; give another directory, or --force to write there",
        out.path_.string());
  return out;
}

Result<std::string> OutputDirectory::write(const std::string& name, std::string_view bytes) {
  const fs::path file = path_ / name;
  std::error_code error;
  if (!force_ && !known_.contains(name) && !written_.contains(name) &&
      fs::exists(fs::symlink_status(file, error)))
    return invalid("{}: is there and not of a run; move it, or give another directory",
                   file.string());
  LATHE_TRY_STATUS(make_directories(file.parent_path()));
  LATHE_TRY_STATUS(write_file_atomic(file, bytes));
  written_.insert(name);
  return file.string();
}

Status OutputDirectory::finish() {
  std::error_code error;
  for (const std::string& name : known_)
    if (!written_.contains(name)) fs::remove(path_ / name, error);
  if (written_.empty()) return {};
  return write_file_atomic(path_ / kMark, dump_json({{"files", written_}}, 1) + "\n");
}

}  // namespace lathe::app
