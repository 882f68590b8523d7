// lathe index DIR: makes the documents below a directory findable. lathe index search: finds their
// passages.
#include <algorithm>

#include "app/cli/document_reader.h"
#include "app/cli/embedder.h"
#include "app/cli/indexes.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostUnread = 20;

struct IndexFlags {
  std::string dir, name, embed, allow = "local", languages = kLanguages;
};

struct SearchFlags {
  std::string where, query, allow = "local";
  std::size_t k = 6;
};

Result<Reach> reach_of(const std::string& allow) {
  const auto reach = parse_reach(allow);
  if (!reach) return invalid("--allow is '{}'; it may be local, lan or any", allow);
  return *reach;
}

Result<books::IndexSource> source_of(const std::string& dir) {
  std::error_code wrong;
  const fs::path root = fs::canonical(dir, wrong);
  if (wrong || !fs::is_directory(root, wrong))
    return fail(ErrorKind::kNotFound, "{}: there is no such directory", dir);
  return books::IndexSource{root};
}

Json json_of(const books::IndexChange& change, const fs::path& file, const std::string& embed) {
  Json unread = Json::array();
  for (const auto& each : change.unread) unread.push_back({{"path", each.path}, {"why", each.why}});
  return {{"index", file.string()},
          {"files", change.files},
          {"chunks", change.chunks},
          {"bytes", change.bytes},
          {"read", change.read},
          {"kept", change.kept},
          {"gone", change.gone},
          {"by", embed.empty() ? Json{"words"} : Json{"words", "vectors"}},
          {"unread", std::move(unread)},
          {"ignored", change.ignored}};
}

void print_change(const books::IndexChange& change, const fs::path& file,
                  const std::string& embed) {
  print(fmt::format("{}, {}: {} read, {} unchanged, {} gone\n", counted(change.files, "file"),
                    counted(change.chunks, "chunk"), change.read, change.kept, change.gone));
  print(embed.empty() ? "found by words alone: --embed MODEL adds embeddings\n"
                      : fmt::format("found by words and by the embeddings of {}\n", embed));
  for (std::size_t i = 0; i < change.unread.size() && i < kMostUnread; ++i)
    print(fmt::format("not read: {}: {}\n", change.unread[i].path, change.unread[i].why));
  if (change.unread.size() > kMostUnread)
    print(fmt::format("and {} more are not read: --json names them\n",
                      change.unread.size() - kMostUnread));
  if (!change.ignored.empty())
    print(fmt::format(
        "ignored: {}{}\n",
        join(std::span(change.ignored).first(std::min(kMostUnread, change.ignored.size())), ", "),
        change.ignored.size() > kMostUnread ? ", …" : ""));
  print(fmt::format("index: {}\n", file.string()));
}

Status make_index(const App& app, const IndexFlags& flags) {
  LATHE_TRY(const books::IndexSource source, source_of(flags.dir));
  LATHE_TRY(const fs::path file,
            index_file(app, flags.name.empty() ? index_name(source) : flags.name));
  std::optional<books::Embedder> embedder;
  if (!flags.embed.empty()) {
    LATHE_TRY(const Reach allowed, reach_of(flags.allow));
    LATHE_TRY(embedder, open_embedder(app, flags.embed, allowed));
  }
  LATHE_TRY(const PeoplesReader reader, PeoplesReader::make(app, flags.languages));
  LATHE_TRY(books::DocumentIndex index, books::DocumentIndex::make(file));
  LATHE_TRY(const books::IndexChange change,
            index.update(source, reader, embedder ? &*embedder : nullptr, *app.stop));
  if (app.json)
    print_json(json_of(change, file, flags.embed));
  else
    print_change(change, file, flags.embed);
  return {};
}

// Of a directory, or by name.
Result<books::DocumentIndex> open_index(const App& app, const std::string& where) {
  std::error_code ignored;
  std::string name = where;
  if (fs::is_directory(where, ignored)) {
    LATHE_TRY(const books::IndexSource source, source_of(where));
    name = index_name(source);
  }
  LATHE_TRY(const fs::path file, index_file(app, name));
  return books::DocumentIndex::open(file);
}

void print_hits(const std::vector<books::Hit>& hits, const std::vector<std::string>& stale) {
  if (hits.empty()) print("nothing was found\n");
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const books::Hit& hit = hits[i];
    const bool changed = std::ranges::find(stale, hit.file) != stale.end();
    print(fmt::format("[{}] {}, {}{}{} · {:.4f}\n", i + 1, hit.file, place_of(hit),
                      hit.heading.empty() ? "" : " · " + hit.heading, changed ? " · stale" : "",
                      hit.score));
    print("    " + replace_all(hit.text, "\n", "\n    ") + "\n\n");
  }
  for (std::size_t i = 0; i < stale.size() && i < kMostUnread; ++i)
    print(fmt::format("stale: {} has changed or is gone since it was indexed\n", stale[i]));
  if (stale.size() > kMostUnread) print(fmt::format("and {} more\n", stale.size() - kMostUnread));
}

Status search_index(const App& app, const SearchFlags& flags) {
  LATHE_TRY(const books::DocumentIndex index, open_index(app, flags.where));
  LATHE_TRY(const books::IndexFacts facts, index.facts());
  std::optional<books::Embedder> embedder;
  if (!facts.embedder.empty()) {
    LATHE_TRY(const Reach allowed, reach_of(flags.allow));
    LATHE_TRY(embedder, open_embedder(app, facts.embedder, allowed));
  }
  LATHE_TRY(const std::vector<books::Hit> hits,
            index.search(flags.query, flags.k, embedder ? &*embedder : nullptr));
  LATHE_TRY(const std::vector<std::string> stale, index.stale());
  if (!app.json) {
    print_hits(hits, stale);
    return {};
  }
  Json list = Json::array();
  for (const books::Hit& hit : hits)
    list.push_back({{"id", hit.id},
                    {"file", hit.file},
                    {"place", place_of(hit)},
                    {"first_line", hit.first_line},
                    {"last_line", hit.last_line},
                    {"page", hit.page > 0 ? Json(hit.page) : Json()},
                    {"box", hit.box ? Json(*hit.box) : Json()},
                    {"heading", hit.heading},
                    {"score", hit.score},
                    {"text", hit.text}});
  print_json({{"hits", std::move(list)},
              {"by", embedder ? Json{"words", "vectors"} : Json{"words"}},
              {"stale", stale}});
  return {};
}

void add_allow_flag(CLI::App& command, std::string& allow) {
  command.add_option("--allow", allow, "How far texts may travel to the model that embeds them")
      ->check(CLI::IsMember({"local", "lan", "any"}))
      ->capture_default_str();
}

int exit_code(const App& app, const Status& status) {
  return status ? kExitPassed : report_error(app, status.error());
}

}  // namespace

void add_index(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<IndexFlags>();
  CLI::App* command =
      cli.add_subcommand("index", "Index the documents of a directory, to look things up in them");
  command->add_option("dir", flags->dir, "The directory");
  command->add_option("--name", flags->name, "What it is called (default: made from its path)");
  command->add_option("--embed", flags->embed,
                      "A model that makes embeddings: its file, or its name at the running server");
  add_languages_flag(*command, flags->languages);
  add_allow_flag(*command, flags->allow);
  command->callback([&app, &action, command, flags] {
    if (!command->get_subcommands().empty()) return;
    action = [&app, flags] {
      if (flags->dir.empty())
        return report_error(app, {.message = "name a directory: lathe index DIR"});
      return exit_code(app, make_index(app, *flags));
    };
  });
  auto wanted = std::make_shared<SearchFlags>();
  CLI::App* search = command->add_subcommand("search", "The passages that fit a question best");
  search->add_option("index", wanted->where, "An indexed directory, or an index's name")
      ->required();
  search->add_option("query", wanted->query, "The question, or words")->required();
  search->add_option("-k", wanted->k, "So many passages")
      ->check(CLI::Range(std::size_t{1}, books::kMostHits))
      ->capture_default_str();
  add_allow_flag(*search, wanted->allow);
  search->callback([&app, &action, wanted] {
    action = [&app, wanted] { return exit_code(app, search_index(app, *wanted)); };
  });
}

}  // namespace lathe::app
