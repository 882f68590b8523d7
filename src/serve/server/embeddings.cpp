// POST /v1/embeddings; Ollama's /api/embed and /api/embeddings
#include <bit>
#include <chrono>
#include <cmath>

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

// What a request wants read, and how.
struct EmbeddingWish {
  std::string model;
  std::vector<TextInput> inputs;
  std::size_t width = 0;  // numbers of a vector; 0: all
};

ApiResult<EmbeddingWish> read_wish(const ModelHost& host, const Call& call, Fields& body,
                                   std::string_view key) {
  EmbeddingWish wish;
  LATHE_TRY(wish.inputs, text_inputs(body, key, kMaxInputs));
  for (const TextInput& input : wish.inputs)
    if (input.text.empty() && input.ids.empty()) return refuse("an input is empty", "input");
  const auto dimensions = body.whole("dimensions", 1, 1 << 20);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(wish.model, model_of(host, call));
  LATHE_TRY(const ModelInfo info, model_info(host, wish.model));
  if (!dimensions) return wish;
  wish.width = static_cast<std::size_t>(*dimensions);
  if (wish.width == info.embedding || (info.shortens && wish.width < info.embedding)) return wish;
  return std::unexpected(ApiError{
      400,
      info.shortens
          ? fmt::format("'dimensions' may be {} at most: that is what '{}' has", info.embedding,
                        wish.model)
          : fmt::format("'dimensions' must be {}: that is what '{}' has, and its vectors cannot "
                        "be made shorter",
                        info.embedding, wish.model),
      "dimensions", "unsupported_value"});
}

// To its first numbers, of length 1 again.
void shorten(std::vector<float>& vector, std::size_t width) {
  if (width == 0 || width >= vector.size()) return;
  vector.resize(width);
  double square = 0;
  for (const float x : vector) square += static_cast<double>(x) * static_cast<double>(x);
  if (square == 0) return;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / std::sqrt(square));
}

// Submits; `make` turns what comes into the answer.
Handled embed(ModelHost& host, Call& call, EmbeddingWish wish, bool cut,
              std::function<Json(const Embeddings&)> make) {
  const ModelHost::Id id = host.embed(
      wish.model, std::move(wish.inputs), cut, asker_of(call),
      [exchange = call.exchange, dialect = call.dialect, width = wish.width,
       make = std::move(make)](Result<Embeddings> embeddings) {
        if (embeddings)
          for (std::vector<float>& vector : embeddings->vectors) shorten(vector, width);
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
  LATHE_TRY(EmbeddingWish wish, read_wish(host, call, body, "input"));
  const std::string model = wish.model;
  return embed(host, call, std::move(wish), false, [model, format](const Embeddings& embeddings) {
    Json data = Json::array();
    for (const std::vector<float>& vector : embeddings.vectors)
      data.push_back({{"object", "embedding"},
                      {"index", data.size()},
                      {"embedding", format == "base64" ? Json(base64_of(vector)) : Json(vector)}});
    return Json{{"object", "list"},
                {"data", std::move(data)},
                {"model", model},
                {"usage",
                 {{"prompt_tokens", embeddings.usage.prompt_tokens},
                  {"total_tokens", embeddings.usage.prompt_tokens}}}};
  });
}

Handled ollama_embed(ModelHost& host, Call& call) {
  Fields body(call.body);
  const bool cut = body.flag("truncate", true);
  const auto start = std::chrono::steady_clock::now();
  LATHE_TRY(EmbeddingWish wish, read_wish(host, call, body, "input"));
  const std::string model = wish.model;
  return embed(host, call, std::move(wish), cut, [model, start](const Embeddings& embeddings) {
    const auto took = std::chrono::steady_clock::now() - start;
    Json json = {{"model", model},
                 {"embeddings", embeddings.vectors},
                 {"total_duration", std::chrono::nanoseconds(took).count()},
                 {"load_duration", 0},
                 {"prompt_eval_count", embeddings.usage.prompt_tokens}};
    say_cut(json, embeddings);
    return json;
  });
}

// The older form: one text, one vector.
Handled ollama_embeddings(ModelHost& host, Call& call) {
  Fields body(call.body);
  LATHE_TRY(EmbeddingWish wish, read_wish(host, call, body, "prompt"));
  return embed(host, call, std::move(wish), true, [](const Embeddings& embeddings) {
    Json json = {{"embedding", embeddings.vectors.at(0)}};
    say_cut(json, embeddings);
    return json;
  });
}

}  // namespace lathe::serve
