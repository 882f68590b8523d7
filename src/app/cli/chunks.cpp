// Prompts of texts and media: a description in JSON, and rows of float32.
#include "app/cli/chunks.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "ground/base/json.h"

namespace lathe::app {
namespace {

constexpr std::int64_t kMostRows = std::int64_t{1} << 24;

Result<std::vector<float>> read_rows(const fs::path& path) {
  LATHE_TRY(const std::string bytes, read_file(path));
  if (bytes.size() % sizeof(float) != 0)
    return invalid("{}: {} bytes are no float32", path.string(), bytes.size());
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Result<std::vector<infer::TokenId>> read_ids(const Json& chunk, const std::string& place) {
  std::vector<infer::TokenId> ids;
  for (const Json& id : json_at(chunk, "ids")) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX)
      return invalid("{}: \"ids\" are token ids", place);
    ids.push_back(id.get<infer::TokenId>());
  }
  if (ids.empty()) return invalid("{}: a text has \"ids\", at least one", place);
  return ids;
}

// Rows of media, which are still to come of `values`.
struct Media {
  std::size_t rows = 0;
  infer::RowShape shape = {};
};
Result<Media> read_media(const Json& chunk, const std::string& place) {
  const std::int64_t rows = json_int(chunk, "n_tokens", 0);
  if (rows < 1 || rows > kMostRows)
    return invalid("{}: media have \"n_tokens\", 1 to {}", place, kMostRows);
  Media media{.rows = static_cast<std::size_t>(rows)};
  media.shape.mutual = json_int(chunk, "non_causal", 0) != 0;
  const Json& positions = json_at(chunk, "pos_t_y_x");
  if (positions.is_null()) return media;
  if (!positions.is_array() || positions.size() != media.rows ||
      !std::ranges::all_of(positions,
                           [](const Json& each) { return each.is_array() && each.size() == 3; }))
    return invalid("{}: \"pos_t_y_x\" has three numbers for each of {} rows", place, media.rows);
  // The first row of a grid has one y.
  std::size_t& columns = media.shape.grid_columns;
  while (columns < media.rows && positions[columns][1] == positions[0][1]) ++columns;
  if (media.rows % columns != 0)
    return invalid("{}: \"pos_t_y_x\" are no grid of {} columns", place, columns);
  return media;
}

// What the file says of the positions [first, prompt.size()), the chunk's, is so.
Status check_positions(const Json& chunk, const infer::Prompt& prompt, std::size_t first,
                       const std::string& place) {
  const auto at = [&](std::size_t i) { return infer::rope_position(prompt.rows(), i); };
  const auto check = [&](std::string_view name, std::size_t ours) -> Status {
    const Json& theirs = json_at(chunk, name);
    if (theirs.is_null() || theirs == ours) return {};
    return invalid("{}: \"{}\" is {}; by the chunks it is {}", place, name, dump_json(theirs),
                   ours);
  };
  LATHE_TRY_STATUS(check("pos0", at(first).t));
  LATHE_TRY_STATUS(check("n_pos", at(prompt.size()).t - at(first).t));
  const Json& grid = json_at(chunk, "pos_t_y_x");
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const infer::RopePosition ours = at(first + i);
    if (grid[i] != Json::array({ours.t, ours.y, ours.x}))
      return invalid("{}: row {} of \"pos_t_y_x\" is {}; by the grid it is [{},{},{}]", place, i,
                     dump_json(grid[i]), ours.t, ours.y, ours.x);
  }
  return {};
}

}  // namespace

Result<infer::Prompt> read_chunks(const fs::path& description, const fs::path& embeddings) {
  LATHE_TRY(const std::string text, read_file(description));
  const auto placed = [&](std::size_t i) {
    return fmt::format("{}: chunk {}", description.string(), i);
  };
  auto json = parse_json(text);
  if (!json) return invalid("{}: {}", description.string(), json.error().message);
  const Json& chunks = json_at(*json, "chunks");
  if (!chunks.is_array() || chunks.empty())
    return invalid("{}: \"chunks\" must be a list of texts and media", description.string());
  LATHE_TRY(const std::vector<float> values, read_rows(embeddings));
  std::vector<std::optional<Media>> media(chunks.size());
  std::size_t rows = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (json_string(chunks[i], "type") == "text") continue;
    LATHE_TRY(media[i], read_media(chunks[i], placed(i)));
    rows += media[i]->rows;
  }
  if (rows == 0 ? !values.empty() : values.empty() || values.size() % rows != 0)
    return invalid("{}: {} numbers are no rows for {} positions of media", embeddings.string(),
                   values.size(), rows);
  infer::Prompt prompt;
  const float* next = values.data();
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const std::size_t first = prompt.size();
    if (!media[i]) {
      LATHE_TRY(const auto ids, read_ids(chunks[i], placed(i)));
      prompt.add(ids);
    } else {
      const std::size_t width = values.size() / rows, count = media[i]->rows * width;
      auto block = infer::RowBlock::make(width, {next, next + count}, media[i]->shape);
      if (!block) return invalid("{}: {}", placed(i), block.error().message);
      prompt.add(*block);
      next += count;
    }
    LATHE_TRY_STATUS(check_positions(chunks[i], prompt, first, placed(i)));
  }
  return prompt;
}

}  // namespace lathe::app
