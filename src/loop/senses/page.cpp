// A page in Chromium: what it shows, and what it tried.
#include "loop/senses/page.h"

#include "ground/base/text.h"
#include "ground/sys/sandbox.h"

namespace lathe::loop {
namespace {

constexpr Milliseconds kPageLimit{45'000};  // of the whole visit
constexpr SandboxLimits kPageLimits{.memory_bytes = std::uint64_t{2} << 30,
                                    .processes = 96,
                                    .file_bytes = std::uint64_t{64} << 20,
                                    .disk_bytes = std::uint64_t{256} << 20,
                                    .open_files = 1024};
constexpr std::size_t kMaxNotes = 50;

Json request_json(const PageWanted& wanted) {
  Json claims = Json::array();
  for (const auto& [name, expression] : wanted.claims)
    claims.push_back({{"name", name}, {"expression", expression}});
  return {{"widths", wanted.widths}, {"height", wanted.height}, {"claims", std::move(claims)}};
}

std::vector<std::string> notes_from(const Json& list) {
  std::vector<std::string> notes;
  if (!list.is_array()) return notes;
  for (const Json& note : list)
    if (note.is_string() && notes.size() < kMaxNotes)
      notes.push_back(clip_utf8(make_valid_utf8(note.get<std::string>()), 300));
  return notes;
}

Result<PageSight> sight_in(const fs::path& tree, const PageWanted& wanted) {
  LATHE_TRY(const std::string text, read_file(tree / "seen.json", std::size_t{8} << 20));
  LATHE_TRY(const Json seen, parse_json(text));
  if (const std::string error = json_string(seen, "error"); !error.empty())
    return fail(ErrorKind::kUnavailable, "Chromium: {}", clip_utf8(error, 400));
  PageSight sight;
  sight.finished = json_bool(seen, "finished", false);
  sight.errors = notes_from(json_at(seen, "errors"));
  sight.burns = json_bool(seen, "burns", false);
  sight.restless = json_bool(seen, "restless", false);
  sight.outside = notes_from(json_at(seen, "outside"));
  sight.intrusions = notes_from(json_at(seen, "intrusions"));
  const Json& facts = json_at(seen, "facts");
  for (std::size_t i = 0; facts.is_array() && i < std::min(facts.size(), wanted.widths.size());
       ++i) {
    auto png = read_file(tree / fmt::format("view{}.png", i), std::size_t{64} << 20);
    if (!png) continue;
    sight.views.push_back({wanted.widths[i], *std::move(png), facts[i]});
  }
  const Json& claims = json_at(seen, "claims");
  for (std::size_t i = 0; i < wanted.claims.size(); ++i) {
    const Json& claim = claims.is_array() && i < claims.size() ? claims[i] : Json();
    sight.claims.push_back({wanted.claims[i].first, json_bool(claim, "holds", false),
                            clip_utf8(make_valid_utf8(json_string(claim, "got")), 300)});
  }
  return sight;
}

}  // namespace

Result<fs::path> find_chromium() {
  for (const char* name : {"chromium-headless-shell", "chromium"})
    if (auto found = find_program(name)) return found;
  return fail(ErrorKind::kUnavailable,
              "pages are judged by what Chromium shows, and it is not installed: apt-get install "
              "chromium-headless-shell");
}

Result<PageSight> view_page(std::string_view html, const PageWanted& wanted, const Place& place,
                            Milliseconds limit, const StopFlag& stop) {
  if (html.size() > kMaxPageFile)
    return invalid("the page is longer than {} MiB", kMaxPageFile >> 20);
  LATHE_TRY(const fs::path chromium, find_chromium());
  LATHE_TRY(const TempDir scratch, TempDir::make("lathe-page"));
  LATHE_TRY_STATUS(write_file_atomic(scratch.path() / "page.html", html));
  LATHE_TRY_STATUS(
      write_file_atomic(scratch.path() / "request.json", dump_json(request_json(wanted))));
  std::error_code ignored;
  const fs::path program = fs::canonical(place.program, ignored);
  Sandbox sandbox;
  sandbox.tree = scratch.path();
  sandbox.program = program;
  sandbox.read_only = {"/etc/fonts"};
  sandbox.limits = kPageLimits;
  sandbox.unsafe_none = place.unsafe_no_sandbox;
  Command command;
  command.argv = {place.unsafe_no_sandbox ? program.string() : std::string(kSandboxProgram),
                  "media-worker", "page", chromium.string()};
  command.time_limit = std::min(limit, kPageLimit);
  LATHE_TRY(const SandboxedExit done, run_sandboxed(sandbox, command, stop));
  if (done.exit.stopped) return fail(ErrorKind::kCancelled, "stopped");
  if (!done.contained.empty()) return invalid("the page was stopped: {}", done.contained);
  if (!done.exit.ok())
    return fail(ErrorKind::kUnavailable, "Chromium: {} {}", done.exit.describe(),
                clip_utf8(make_valid_utf8(trim(done.exit.err)), 400));
  return sight_in(scratch.path(), wanted);
}

}  // namespace lathe::loop
