// Indexes by name, and as the context of recipes.
#include "app/cli/indexes.h"

#include "app/cli/document_reader.h"
#include "app/cli/embedder.h"
#include "ground/base/hash.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostNamed = 10;

// "docs/**" is all below docs.
Result<books::IndexSource> source_of(const std::string& from, const fs::path& recipe_dir) {
  const auto wild = from.find_first_of("*?");
  const auto cut = from.rfind('/', wild);
  books::IndexSource source;
  std::error_code wrong;
  if (wild == from.npos && fs::is_directory(recipe_dir / from, wrong)) {
    source = {recipe_dir / from, "**"};
  } else if (cut == from.npos) {
    source = {recipe_dir, from};
  } else {
    source = {recipe_dir / from.substr(0, cut + 1), from.substr(cut + 1)};
  }
  source.root = fs::canonical(source.root, wrong);
  if (wrong)
    return fail(ErrorKind::kNotFound, "context.from '{}': {}: {}", from, source.root.string(),
                wrong.message());
  return source;
}

void print_context(const std::string& from, const books::IndexChange& change) {
  print_note(fmt::format("context: {}: {}, {}", from, counted(change.files, "file"),
                         counted(change.chunks, "chunk")));
  for (std::size_t i = 0; i < change.unread.size() && i < kMostNamed; ++i)
    print_note(
        fmt::format("context: not read: {}: {}", change.unread[i].path, change.unread[i].why));
  if (change.unread.size() > kMostNamed)
    print_note(fmt::format("context: and {} more are not read; `lathe index` names them",
                           change.unread.size() - kMostNamed));
}

}  // namespace

Result<fs::path> index_file(const App& app, const std::string& name) {
  const auto fine = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  if (name.empty() || name.size() > 100 || name.front() == '.' || !std::ranges::all_of(name, fine))
    return invalid("'{}' is no name of an index: letters, digits, '-', '_' and '.' are",
                   clip_utf8(make_valid_utf8(name), 100));
  return app.journal_dir / "indexes" / (name + ".db");
}

std::string index_name(const books::IndexSource& source) {
  std::string name;
  for (const char c : source.root.filename().string())
    name += (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? c : '-';
  return fmt::format("{}-{}", name.empty() ? "index" : name.substr(0, 40),
                     sha256_hex(source.root.string() + "\n" + source.pattern).substr(0, 8));
}

std::string place_of(const books::Hit& hit) {
  if (hit.page > 0) return fmt::format("page {}", hit.page);
  if (hit.first_line == hit.last_line) return fmt::format("line {}", hit.first_line);
  return fmt::format("lines {} to {}", hit.first_line, hit.last_line);
}

Result<std::function<Result<std::vector<loop::Passage>>(std::string_view)>> open_context(
    const App& app, const loop::Recipe& recipe, const fs::path& recipe_dir) {
  if (!recipe.context) return nullptr;
  const loop::ContextSpec& spec = *recipe.context;
  LATHE_TRY(const books::IndexSource source, source_of(spec.from, recipe_dir));
  LATHE_TRY(const fs::path file, index_file(app, index_name(source)));
  LATHE_TRY(const PeoplesReader reader, PeoplesReader::make(app, spec.languages));
  LATHE_TRY(books::DocumentIndex opened, books::DocumentIndex::make(file));
  const auto index = std::make_shared<books::DocumentIndex>(std::move(opened));
  std::shared_ptr<books::Embedder> embedder;
  if (!spec.embed.empty()) {
    LATHE_TRY(books::Embedder named, open_embedder(app, spec.embed, spec.privacy));
    embedder = std::make_shared<books::Embedder>(std::move(named));
  }
  LATHE_TRY(const books::IndexChange change,
            index->update(source, reader, embedder.get(), *app.stop));
  print_context(spec.from, change);
  return [index, embedder, k = static_cast<std::size_t>(spec.k)](
             std::string_view question) -> Result<std::vector<loop::Passage>> {
    LATHE_TRY(const std::vector<books::Hit> hits, index->search(question, k, embedder.get()));
    std::vector<loop::Passage> passages;
    for (const books::Hit& hit : hits)
      passages.push_back({hit.id, hit.file, place_of(hit), hit.text});
    return passages;
  };
}

}  // namespace lathe::app
