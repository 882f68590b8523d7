// Writes what a run leaves: results beside each other, patches, changes in the tree.
#include "app/cli/outputs.h"

#include "ground/base/diff.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/conductor/tree.h"
#include "loop/senses/film.h"
#include "loop/senses/script_scene.h"
#include "loop/terms/write_rule.h"

namespace lathe::app {
namespace {

// A key may hold anything; a file name may not.
std::string file_name_of(std::string_view key) {
  std::string name;
  for (const char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || (c == '.' && !name.empty());
    name += plain ? c : '_';
  }
  if (name != key) name = clip_utf8(name, 80) + "-" + sha256_hex(key).substr(0, 8);
  return name;
}

constexpr double kPauseSeconds = 0.4;
constexpr Milliseconds kTakeLimit{60'000}, kFilmLimit{600'000};

// The whole as a listener gets it: every unit's best take, those that were given up among them.
Result<std::string> narration(const books::Journal& journal, const loop::RunState& state,
                              const loop::Place& place, const StopFlag& stop) {
  std::vector<Sound> takes;
  const auto media = loop::media_pool(place.media, place.program);
  for (const loop::Track& track : state.tracks) {
    const loop::CandidateState* best = loop::best_candidate(track);
    if (!best || best->media_type != kWavMediaType) continue;
    LATHE_TRY(const std::string bytes, journal.blob(best->blob));
    LATHE_TRY(const Decoded take, media->decode(bytes, kTakeLimit, stop));
    takes.push_back(take.sound);
  }
  return takes.empty() ? std::string() : wav_bytes(joined(takes, kPauseSeconds));
}

// The scenes as one film, those that were given up among them.
Result<loop::JoinedFilm> clip(const books::Journal& journal, const loop::RunState& state,
                              const loop::Place& place, const StopFlag& stop) {
  std::vector<loop::ScenePart> parts;
  for (const loop::Track& track : state.tracks) {
    const loop::CandidateState* best = loop::best_candidate(track);
    if (!best || best->media_type != loop::kFilmMediaType) continue;
    LATHE_TRY(std::string film, journal.blob(best->blob));
    const std::string& text = state.units[track.units.front()].text;
    parts.push_back({std::move(film), loop::script_scene(text).heading});
  }
  if (parts.empty()) return loop::JoinedFilm();
  return loop::joined_film(parts, place, kFilmLimit, stop);
}

std::string manifest_of(const loop::RunState& state) {
  return state.header.tree ? state.header.tree->blob : "";
}

std::string root_of(const loop::RunState& state) {
  return state.header.tree ? state.header.tree->root : "";
}

// The file as the snapshot of the tree has it; nullopt: it has none.
Result<std::optional<std::string>> file_before(const books::Journal& journal,
                                               const loop::RunState& state,
                                               const std::string& path) {
  LATHE_TRY(const std::string blob, loop::tree_file_blob(journal, manifest_of(state), path));
  if (blob.empty()) return std::nullopt;
  LATHE_TRY(std::string bytes, journal.blob(blob));
  return bytes;
}

}  // namespace

Result<std::string> write_patch(const books::Journal& journal, const loop::RunState& state,
                                OutputDirectory& out) {
  std::string patch;
  for (const loop::Track& track : state.tracks) {
    const loop::CandidateState* best = loop::best_candidate(track);
    if (!best || best->media_type != loop::kChangesMediaType) continue;
    LATHE_TRY(const std::string bytes, journal.blob(best->blob));
    LATHE_TRY(const loop::Changes changes, loop::parse_changes(bytes));
    for (const auto& [path, text] : changes.files) {
      LATHE_TRY(const auto before, file_before(journal, state, path));
      patch += file_patch(path, before, text);
    }
  }
  if (patch.empty()) return std::string();
  return out.write("changes.patch", patch);
}

Result<std::vector<std::string>> write_outputs(const books::Journal& journal,
                                               const loop::RunState& state, OutputDirectory& out,
                                               const loop::Place& place, const StopFlag& stop) {
  std::vector<std::string> written;
  for (const loop::Track& track : state.tracks) {
    const loop::CandidateState* best = loop::best_candidate(track);
    if (!best) continue;
    LATHE_TRY(const std::string bytes, journal.blob(best->blob));
    const std::string below = track.state == loop::TrackState::kPassed ? "" : "gave_up/";
    const std::string name =
        track.units.size() == 1 ? file_name_of(state.units[track.units.front()].key) : "changes";
    const std::string extension = best->extension.empty() ? "" : "." + best->extension;
    LATHE_TRY(std::string path, out.write(below + name + extension, bytes));
    written.push_back(std::move(path));
  }
  LATHE_TRY(std::string patch, write_patch(journal, state, out));
  if (!patch.empty()) written.push_back(std::move(patch));
  LATHE_TRY(const std::string wav, narration(journal, state, place, stop));
  if (!wav.empty()) {
    LATHE_TRY(std::string path, out.write("narration.wav", wav));
    written.push_back(std::move(path));
  }
  LATHE_TRY(const loop::JoinedFilm film, clip(journal, state, place, stop));
  for (const auto& [name, bytes] :
       {std::pair("clip.mp4", &film.mp4), std::pair("clip.srt", &film.srt)})
    if (!bytes->empty()) {
      LATHE_TRY(std::string path, out.write(name, *bytes));
      written.push_back(std::move(path));
    }
  return written;
}

Result<std::vector<std::string>> apply_to_tree(
    const books::Journal& journal, const loop::RunState& state,
    const std::function<Status(const std::string& path)>& allows) {
  if (state.end_state != loop::RunResult::kPassed)
    return invalid("the run has not passed, so nothing is written into {}", root_of(state));
  std::vector<std::string> changed;
  const fs::path root = root_of(state);
  if (state.tracks.empty() || !loop::best_candidate(state.tracks.front())) return changed;
  LATHE_TRY(const std::string bytes,
            journal.blob(loop::best_candidate(state.tracks.front())->blob));
  LATHE_TRY(const loop::Changes changes, loop::parse_changes(bytes));
  // First every check, then every change.
  for (const auto& [path, text] : changes.files) {
    LATHE_TRY_STATUS(allows(path));
    LATHE_TRY_STATUS(loop::outside_repositories(root, path));
    LATHE_TRY(const std::string before, loop::tree_file_blob(journal, manifest_of(state), path));
    const auto now = read_file(root / path);
    if (!now && now.error().kind != ErrorKind::kNotFound) return std::unexpected(now.error());
    const std::string now_hash = now ? sha256_hex(*now) : "";
    const bool done = text ? now && *now == *text : !now;
    if (now_hash != before && !done)
      return invalid(
          "{}: was changed since the run began, so nothing is written; `lathe export` gives the "
          "changes",
          (root / path).string());
    for (fs::path dir = (root / path).parent_path(); dir != root && dir.has_relative_path();
         dir = dir.parent_path())
      if (std::error_code ignored; fs::is_symlink(dir, ignored))
        return invalid("{}: is a symbolic link; changes are not written through it", dir.string());
  }
  for (const auto& [path, text] : changes.files) {
    std::error_code error;
    const fs::path target = root / path;
    if (text) {
      LATHE_TRY_STATUS(make_directories(target.parent_path()));
      const auto mode = fs::status(target, error).permissions();
      const bool existed = !error;
      LATHE_TRY_STATUS(write_file_atomic(target, *text));
      if (existed) fs::permissions(target, mode, error);
    } else {
      fs::remove(target, error);
    }
    changed.push_back(path);
  }
  return changed;
}

}  // namespace lathe::app
