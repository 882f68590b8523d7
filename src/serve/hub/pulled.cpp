// The notes of what was pulled.
#include "serve/hub/pulled.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/json.h"

namespace lathe::serve {
namespace {

constexpr std::uint64_t kMaxNote = std::uint64_t{1} << 20;

fs::path notes_of(const fs::path& directory) {
  return directory / ".pulled";
}

fs::path note_path(const fs::path& directory, const std::string& name) {
  return notes_of(directory) / (name + ".json");
}

// One name, not a path: what is removed lies in the directory itself.
bool is_plain_name(const std::string& name) {
  return is_safe_relative(name) && name.find('/') == name.npos && !name.starts_with('.');
}

Result<PulledModel> read_note(const fs::path& path) {
  LATHE_TRY(const std::string text, read_file(path, kMaxNote));
  LATHE_TRY(const Json json, parse_json(text));
  PulledModel model{.name = path.stem().string(),
                    .source = json_string(json, "source"),
                    .revision = json_string(json, "revision"),
                    .files = {}};
  for (const Json& each : json_at(json, "files")) {
    PulledFile file{.name = json_string(each, "name"),
                    .bytes = static_cast<std::uint64_t>(json_int(each, "bytes", 0)),
                    .sha256 = json_string(each, "sha256"),
                    .done = json_bool(each, "done", false)};
    if (!is_plain_name(file.name) || !is_sha256_hex(file.sha256))
      return invalid("{}: is no note of pull", path.string());
    model.files.push_back(std::move(file));
  }
  return model;
}

}  // namespace

std::uint64_t PulledModel::bytes() const {
  std::uint64_t sum = 0;
  for (const PulledFile& file : files) sum += file.bytes;
  return sum;
}

bool PulledModel::whole(const fs::path& directory) const {
  return !files.empty() && std::ranges::all_of(files, [&](const PulledFile& file) {
    std::error_code error;
    return file.done && fs::file_size(directory / file.name, error) == file.bytes && !error;
  });
}

const PulledFile* PulledModel::find(std::string_view file) const {
  const auto found = std::ranges::find(files, file, &PulledFile::name);
  return found == files.end() ? nullptr : &*found;
}

Status write_note(const fs::path& directory, const PulledModel& model) {
  Json files = Json::array();
  for (const PulledFile& file : model.files)
    files.push_back(
        {{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}, {"done", file.done}});
  const Json note = {{"source", model.source}, {"revision", model.revision}, {"files", files}};
  LATHE_TRY_STATUS(make_directories(notes_of(directory)));
  return write_file_atomic(note_path(directory, model.name), dump_json(note, 2) + "\n");
}

std::vector<PulledModel> read_notes(const fs::path& directory) {
  std::vector<PulledModel> models;
  std::error_code error;
  for (fs::directory_iterator it(notes_of(directory), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".json") continue;
    if (auto model = read_note(it->path())) models.push_back(*std::move(model));
  }
  std::ranges::sort(models, {}, &PulledModel::name);
  return models;
}

Status remove_pulled(const fs::path& directory, const PulledModel& model) {
  for (const PulledFile& file : model.files) {
    for (const fs::path& path : {directory / file.name, part_path(directory, file.name)}) {
      std::error_code error;
      fs::remove(path, error);
      if (error)
        return fail(ErrorKind::kUnavailable, "{}: cannot remove it: {}", path.string(),
                    error.message());
    }
  }
  std::error_code error;
  fs::remove(note_path(directory, model.name), error);
  fs::remove(notes_of(directory), error);  // when this was the last one
  return {};
}

fs::path part_path(const fs::path& directory, std::string_view name) {
  return directory / fmt::format("{}.pull", name);
}

}  // namespace lathe::serve
