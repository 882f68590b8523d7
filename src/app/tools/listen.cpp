// lathe_listen: a take of speech against the words that it should say.
#include "app/tools/below_root.h"
#include "app/tools/judged.h"
#include "app/tools/tool_list.h"

namespace lathe::app {
namespace {

serve::McpResult listen(const Workshop& workshop, const Json& arguments, serve::McpCall& call) {
  auto file = read_below(workshop.root, json_string(arguments, "audio"));
  if (!file) return serve::mcp_failure(file.error());
  Json words = {{"kind", "ears"}, {"name", "words"}, {"check", "words_heard"}};
  Json signal = {{"kind", "ears"}, {"name", "signal"}, {"check", "audio_facts"}};
  if (arguments.contains("pronounce")) words["pronounce"] = arguments["pronounce"];
  signal["limits"] = arguments.value("limits", Json{{"clip", 0}, {"silence_s", 2}});
  loop::GivenTake take;
  take.unit = {file->path, json_string(arguments, "expect"), Json::object()};
  take.bytes = std::move(file->bytes);
  take.media_type = "audio/wav";
  take.extension = "wav";
  take.title = file->path;
  return judge_given(workshop, "listen", Json::array({words, signal}), take, call);
}

}  // namespace

serve::McpTool listen_tool(const Workshop& workshop) {
  return {
      .name = "lathe_listen",
      .description =
          "Listen to a recording of speech and judge it: every expected word must be heard, "
          "nothing else, no clipping, dropout or long silence. The verdict names each missing, "
          "extra or mangled word and its second. English.",
      .input_schema =
          {{"type", "object"},
           {"properties",
            {{"audio", {{"type", "string"}, {"description", "path of a WAV, FLAC, OGG or MP3"}}},
             {"expect", {{"type", "string"}, {"description", "the words it should say"}}},
             {"pronounce",
              {{"type", "object"},
               {"description", "word → CMU phones, for names the dictionary lacks"}}},
             {"limits",
              {{"type", "object"},
               {"description", "clip, silence_s, dropout_s, lufs [low, high], peak_db"}}}}},
           {"required", {"audio", "expect"}},
           {"additionalProperties", false}},
      .run = [&workshop](const Json& arguments, serve::McpCall& call) {
        return listen(workshop, arguments, call);
      }};
}

}  // namespace lathe::app
