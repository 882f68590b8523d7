// POST /v1/rerank, as Cohere and Jina have it.
#include <algorithm>
#include <numeric>

#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxDocuments = 2048;

// Texts, or objects with a text.
std::vector<std::string> read_documents(Fields& body) {
  const Json& array = body.array("documents");
  std::vector<std::string> documents;
  for (const Json& element : array) {
    const Json& text = element.is_object() ? json_at(element, "text") : element;
    if (!text.is_string()) break;
    documents.push_back(text.get<std::string>());
  }
  if (documents.empty() || documents.size() != array.size())
    body.refuse("documents", "must be an array of texts, or of objects with a text each");
  if (documents.size() > kMaxDocuments)
    body.refuse("documents", fmt::format("may have {} elements at most", kMaxDocuments));
  return documents;
}

// The best `most` of them, equal ones in their own order.
Json results_of(const std::vector<double>& scores, const std::vector<std::string>& documents,
                std::size_t most, bool with_documents) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater(), [&](std::size_t i) { return scores[i]; });
  order.resize(std::min(order.size(), most));
  Json results = Json::array();
  for (const std::size_t i : order) {
    Json& result = results.emplace_back(Json{{"index", i}, {"relevance_score", scores[i]}});
    if (with_documents) result["document"] = {{"text", documents[i]}};
  }
  return results;
}

}  // namespace

Handled rerank(ModelHost& host, Call& call) {
  Fields body(call.body);
  const std::string query = body.text("query").value_or("");
  if (query.empty()) body.refuse("query", "must be a text that is not empty");
  std::vector<std::string> documents = read_documents(body);
  const auto most = static_cast<std::size_t>(
      body.whole("top_n", 1, INT32_MAX).value_or(static_cast<std::int64_t>(documents.size())));
  const bool with_documents = body.flag("return_documents", false);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  LATHE_TRY(const std::string model, model_of(host, call));
  const ModelHost::Id id = host.rank(
      model, query, documents, asker_of(call),
      [exchange = call.exchange, dialect = call.dialect, model, documents, most,
       with_documents](const Result<Relevance>& relevance) {
        if (!relevance)
          return exchange->reply(
              error_reply(dialect, api_error(relevance.error(), exchange->request().path)));
        Json answer = {{"object", "list"}, {"model", model}};
        answer["results"] = results_of(relevance->scores, documents, most, with_documents);
        answer["usage"] = {{"prompt_tokens", relevance->usage.prompt_tokens},
                           {"total_tokens", relevance->usage.prompt_tokens}};
        exchange->reply(json_reply(answer));
      });
  call.exchange->on_gone([&host, id](HttpGone) { host.cancel(id); });
  return std::nullopt;
}

}  // namespace lathe::serve
