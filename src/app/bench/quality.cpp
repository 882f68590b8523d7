// Two rows of logits to their divergence, and the divergences of a text to figures.
#include "app/bench/quality.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::app {
namespace {

constexpr double kNano = 1e-9;
constexpr int kNatDigits = 9;  // behind the point: a nano-nat
constexpr float kNever = -std::numeric_limits<float>::infinity();

// One that is no number, or above all numbers, is found here.
Result<std::size_t> top_of(std::string_view whose, std::span<const float> logits) {
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!(logits[i] < std::numeric_limits<float>::infinity()))
      return invalid("{} logit of token {} is {}", whose, i, logits[i]);
  const std::size_t top =
      static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
  if (logits[top] == kNever) return invalid("by {} logits no token can come", whose);
  return top;
}

Result<std::int64_t> nano_nats(std::string_view what, double nats) {
  if (!(nats <= kMostNats)) return invalid("{} is {:.4g} nats", what, nats);
  return std::llround(std::max(nats, 0.0) / kNano);  // below 0 is only rounding
}

Result<std::int64_t> whole_in(const Json& json, std::int64_t most) {
  if (!json.is_number_integer()) return invalid("must be a whole number");
  const auto value = json.get<std::int64_t>();
  if (value < 0 || value > most) return invalid("{} does not lie in [0, {}]", value, most);
  return value;
}

Result<std::vector<std::int64_t>> wholes_in(const Json& chunk, std::string_view key,
                                            std::int64_t most) {
  const Json& list = json_at(chunk, key);
  if (!list.is_array()) return invalid("{}: must be an array", key);
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto value = whole_in(list[i], most);
    if (!value) return invalid("{}[{}]: {}", key, i, value.error().message);
    values.push_back(*value);
  }
  return values;
}

Result<QualityChunk> chunk_from_json(const Json& json) {
  constexpr auto kMost = static_cast<std::int64_t>(kMostNats / kNano);
  QualityChunk chunk;
  LATHE_TRY(const auto tokens, wholes_in(json, "tokens", std::numeric_limits<std::int32_t>::max()));
  chunk.tokens.assign(tokens.begin(), tokens.end());
  LATHE_TRY(chunk.kl, wholes_in(json, "kl_nanonats", kMost));
  if (chunk.kl.empty() || chunk.kl.size() + 1 != chunk.tokens.size())
    return invalid("kl_nanonats: {} values for {} tokens", chunk.kl.size(), chunk.tokens.size());
  const auto positions = static_cast<std::int64_t>(chunk.kl.size());
  std::int64_t same_top = 0;
  for (const auto& [key, member, most] :
       {std::tuple("bigger_nll_nanonats", &chunk.bigger_nll, kMost),
        std::tuple("model_nll_nanonats", &chunk.model_nll, kMost),
        std::tuple("same_top", &same_top, std::int64_t{1})}) {
    auto value = whole_in(json_at(json, key), most * positions);
    if (!value) return invalid("{}: {}", key, value.error().message);
    *member = *value;
  }
  chunk.same_top = static_cast<std::size_t>(same_top);
  return chunk;
}

}  // namespace

Result<Divergence> compare_rows(std::span<const float> bigger, std::span<const float> model,
                                infer::TokenId next) {
  LATHE_TRY(const std::size_t bigger_top, top_of("the bigger model's", bigger));
  LATHE_TRY(const std::size_t model_top, top_of("the model's", model));
  const double bigger_most{bigger[bigger_top]}, model_most{model[model_top]};
  // log p = b − log Σ eᵇ and log q likewise, so KL = Σ p·(b − m) − log Σ eᵇ + log Σ eᵐ.
  double bigger_sum = 0, model_sum = 0, apart = 0;
  for (std::size_t i = 0; i < bigger.size(); ++i) {
    const double b{bigger[i]}, m{model[i]};
    const double weight = std::exp(b - bigger_most);
    bigger_sum += weight;
    model_sum += std::exp(m - model_most);
    if (weight > 0) apart += weight * (b - m);
  }
  const double bigger_log = bigger_most + std::log(bigger_sum);
  const double model_log = model_most + std::log(model_sum);
  const auto at = static_cast<std::size_t>(next);
  Divergence position;
  LATHE_TRY(position.kl,
            nano_nats("the divergence", apart / bigger_sum - (bigger_log - model_log)));
  LATHE_TRY(position.bigger_nll,
            nano_nats("the bigger model's surprise", bigger_log - double{bigger[at]}));
  LATHE_TRY(position.model_nll, nano_nats("the model's surprise", model_log - double{model[at]}));
  position.same_top = bigger_top == model_top;
  return position;
}

void QualityChunk::add(const Divergence& position) {
  kl.push_back(position.kl);
  bigger_nll += position.bigger_nll;
  model_nll += position.model_nll;
  same_top += position.same_top ? 1 : 0;
}

QualityFigures quality_figures(const std::vector<QualityChunk>& chunks) {
  QualityFigures figures;
  std::vector<double> kl;
  double sum = 0, bigger_nll = 0, model_nll = 0;
  for (const QualityChunk& chunk : chunks) {
    for (const std::int64_t value : chunk.kl) {
      kl.push_back(static_cast<double>(value) * kNano);
      sum += static_cast<double>(value);
    }
    bigger_nll += static_cast<double>(chunk.bigger_nll);
    model_nll += static_cast<double>(chunk.model_nll);
    figures.same_top += chunk.same_top;
  }
  const auto n = static_cast<double>(kl.size());
  figures.mean_kl = sum * kNano / n;
  double squares = 0;
  for (const double value : kl) squares += std::pow(value - figures.mean_kl, 2);
  if (kl.size() > 1) figures.mean_kl_error = std::sqrt(squares / (n - 1) / n);
  figures.same_top_share = wilson_interval(figures.same_top, kl.size());
  figures.bigger_perplexity = std::exp(bigger_nll * kNano / n);
  figures.model_perplexity = std::exp(model_nll * kNano / n);
  figures.kl = spread_of(std::move(kl));
  return figures;
}

Json quality_json(const std::vector<QualityChunk>& chunks) {
  const QualityFigures figures = quality_figures(chunks);
  const auto nats = [](double value) { return decimal(value, kNatDigits); };
  const Spread& kl = figures.kl;
  const double share = static_cast<double>(figures.same_top) / static_cast<double>(kl.n);
  Json list = Json::array();
  for (const QualityChunk& chunk : chunks)
    list.push_back({{"tokens", chunk.tokens},
                    {"kl_nanonats", chunk.kl},
                    {"bigger_nll_nanonats", chunk.bigger_nll},
                    {"model_nll_nanonats", chunk.model_nll},
                    {"same_top", chunk.same_top}});
  return {{"positions", kl.n},
          {"kl",
           {{"mean", nats(figures.mean_kl)},
            {"error", nats(figures.mean_kl_error)},
            {"median", nats(kl.figure.median)},
            {"p99", kl.p99 ? Json(nats(*kl.p99)) : Json()},
            {"most", nats(kl.figure.high)}}},
          {"same_top",
           {{"positions", figures.same_top},
            {"share", decimal(share)},
            {"low", decimal(figures.same_top_share.low)},
            {"high", decimal(figures.same_top_share.high)}}},
          {"perplexity",
           {{"bigger", decimal(figures.bigger_perplexity)},
            {"model", decimal(figures.model_perplexity)},
            {"ratio", decimal(figures.ratio())}}},
          {"chunks", std::move(list)}};
}

Result<std::vector<QualityChunk>> quality_from_json(const Json& json) {
  const Json& list = json_at(json, "chunks");
  if (!list.is_array() || list.empty()) return invalid("chunks: there are none");
  std::vector<QualityChunk> chunks;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto chunk = chunk_from_json(list[i]);
    if (!chunk) return invalid("chunks[{}].{}", i, chunk.error().message);
    chunks.push_back(std::move(*chunk));
  }
  return chunks;
}

}  // namespace lathe::app
