// POST /v1/embeddings; Ollama's /api/embed and /api/embeddings
#include <bit>
#include <chrono>

#include "ground/base/text.h"
#include "serve/server/endpoints.h"
#include "serve/server/text_inputs.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxInputs = 2048;

// 32-bit floats, least significant byte first: what OpenAI's clients ask for unless told otherwise.
std::string base64_of(const std::vector<float>& vector) {
  static_assert(std::endian::native == std::endian::little);
  return to_base64({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
}

ApiResult<std::vector<TextInput>> read_inputs(const ModelHost& host, const Call& call, Fields& body,
                                              std::string_view key, std::string& model) {
  LATHE_TRY(std::vector<TextInput> inputs, text_inputs(body, key, kMaxInputs));
  for (const TextInput& input : inputs)
    if (input.text.empty() && input.ids.empty()) return refuse("an input is empty", "input");
  const auto dimensions = body.whole("dimensions", 1, 1 << 20);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(model, model_of(host, call));
  LATHE_TRY(const ModelInfo info, model_info(host, model));
  if (dimensions && static_cast<std::size_t>(*dimensions) != info.embedding)
    return std::unexpected(ApiError{
        400,
        fmt::format("'dimensions' must be {}: that is what '{}' has, and its vectors cannot "
                    "be made shorter",
                    info.embedding, model),
        "dimensions", "unsupported_value"});
  return inputs;
}

// Submits; `make` turns what comes into the answer.
Handled embed(ModelHost& host, Call& call, const std::string& model, std::vector<TextInput> inputs,
              bool cut, std::function<Json(const Embeddings&)> make) {
  const ModelHost::Id id = host.embed(
      model, std::move(inputs), cut,
      [exchange = call.exchange, dialect = call.dialect,
       make = std::move(make)](const Result<Embeddings>& embeddings) {
        exchange->reply(embeddings ? json_reply(make(*embeddings))
                                   : error_reply(dialect, api_error(embeddings.error(),
                                                                    exchange->request().path)));
      });
  call.exchange->on_gone([&host, id](HttpGone) { host.cancel(id); });
  return std::nullopt;
}

// Ollama's clients expect texts to be cut to the context.
void say_cut(Json& answer, const Embeddings& embeddings) {
  if (embeddings.cut > 0)
    answer["warnings"] = {
        fmt::format("{} of {} inputs did not fit the context: the end was cut off", embeddings.cut,
                    embeddings.vectors.size())};
}

}  // namespace

Handled embeddings(ModelHost& host, Call& call) {
  Fields body(call.body);
  const std::string format = body.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    body.refuse("encoding_format", "must be float or base64");
  std::string model;
  LATHE_TRY(auto inputs, read_inputs(host, call, body, "input", model));
  return embed(
      host, call, model, std::move(inputs), false, [model, format](const Embeddings& embeddings) {
        Json data = Json::array();
        for (const std::vector<float>& vector : embeddings.vectors)
          data.push_back(
              {{"object", "embedding"},
               {"index", data.size()},
               {"embedding", format == "base64" ? Json(base64_of(vector)) : Json(vector)}});
        return Json{{"object", "list"},
                    {"data", std::move(data)},
                    {"model", model},
                    {"usage",
                     {{"prompt_tokens", embeddings.prompt_tokens},
                      {"total_tokens", embeddings.prompt_tokens}}}};
      });
}

Handled ollama_embed(ModelHost& host, Call& call) {
  Fields body(call.body);
  const bool cut = body.flag("truncate", true);
  std::string model;
  const auto start = std::chrono::steady_clock::now();
  LATHE_TRY(auto inputs, read_inputs(host, call, body, "input", model));
  return embed(host, call, model, std::move(inputs), cut,
               [model, start](const Embeddings& embeddings) {
                 const auto took = std::chrono::steady_clock::now() - start;
                 Json json = {{"model", model},
                              {"embeddings", embeddings.vectors},
                              {"total_duration", std::chrono::nanoseconds(took).count()},
                              {"load_duration", 0},
                              {"prompt_eval_count", embeddings.prompt_tokens}};
                 say_cut(json, embeddings);
                 return json;
               });
}

// The older form: one text, one vector.
Handled ollama_embeddings(ModelHost& host, Call& call) {
  Fields body(call.body);
  std::string model;
  LATHE_TRY(auto inputs, read_inputs(host, call, body, "prompt", model));
  return embed(host, call, model, std::move(inputs), true, [](const Embeddings& embeddings) {
    Json json = {{"embedding", embeddings.vectors.at(0)}};
    say_cut(json, embeddings);
    return json;
  });
}

}  // namespace lathe::serve
