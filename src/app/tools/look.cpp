// lathe_look: a picture or a page, by what can be measured of it, and by questions to a model.
#include "app/tools/below_root.h"
#include "app/tools/judged.h"
#include "app/tools/tool_list.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

bool is_page(const NamedFile& file) {
  return file.media_type == "text/html";
}

// The exact judge first; questions are for a model that sees, and advise.
Result<Json> judges_of(const Workshop& workshop, const Json& arguments, const NamedFile& file,
                       const std::string& reference) {
  Json judges = Json::array();
  if (!reference.empty()) judges.push_back({{"kind", "same_as"}, {"reference", reference}});
  Json measured = {{"kind", is_page(file) ? "page" : "eyes"}};
  const Json& expect = json_at(arguments, "expect");
  if (!expect.is_null()) measured["expect"] = expect;
  if (!is_page(file) && expect.is_null()) measured["any_text"] = true;
  judges.push_back(std::move(measured));
  const Json& questions = json_at(arguments, "questions");
  if (questions.empty()) return judges;
  std::string model = json_string(arguments, "model");
  if (model.empty()) {
    LATHE_TRY(model, workshop.usual_model());
  }
  judges.push_back({{"kind", "look"}, {"worker", model}, {"questions", questions}});
  return judges;
}

serve::McpResult look_at(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  const auto take = [&]() -> Result<std::pair<loop::GivenTake, Json>> {
    LATHE_TRY(NamedFile file, read_below(workshop.root, json_string(arguments, "file")));
    loop::GivenTake given;
    std::string reference;
    if (const std::string like = json_string(arguments, "like"); !like.empty()) {
      LATHE_TRY(const NamedFile wanted, read_below(workshop.root, like));
      reference = "reference" + fs::path(wanted.path).extension().string();
      given.beside[reference] = wanted.bytes;
    }
    LATHE_TRY(Json judges, judges_of(workshop, arguments, file, reference));
    given.unit = {file.path, json_string(arguments, "expect", file.path), Json::object()};
    given.bytes = std::move(file.bytes);
    given.media_type = file.media_type;
    given.extension = fs::path(file.path).extension().string();
    given.title = file.path;
    return std::pair{std::move(given), std::move(judges)};
  }();
  if (!take) return serve::mcp_failure(take.error());
  return judge_given(workshop, "look", take->second, take->first, call);
}

}  // namespace

serve::McpTool look_tool(const Workshop& workshop) {
  return {
      .name = "lathe_look",
      .description =
          "Look at a picture (PNG, JPEG, WebP, SVG) or an HTML page as it renders, offline: text "
          "read from the pixels, contrast, overflow, broken parts, likeness to a reference. "
          "Findings have boxes; a page's screenshots come along. Questions go to a local model "
          "that sees, and advise.",
      .input_schema =
          {{"type", "object"},
           {"properties",
            {{"file", {{"type", "string"}, {"description", "path of the picture or page"}}},
             {"expect",
              {{"type", "string"},
               {"description", "words that must be read, phrases parted by |"}}},
             {"like", {{"type", "string"}, {"description", "path of a picture it must look like"}}},
             {"questions",
              {{"type", "array"},
               {"items", {{"type", "string"}}},
               {"description", "each with its right answer: \"Is any text garbled? no\""}}},
             {"model", {{"type", "string"}}}}},
           {"required", {"file"}},
           {"additionalProperties", false}},
      .run = [&workshop](const Json& arguments, serve::McpCall& call) {
        return look_at(workshop, arguments, call);
      }};
}

}  // namespace lathe::app
