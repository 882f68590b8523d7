// Requests to figures: percentiles, goodput, throughput; and their JSON.
#include "app/bench/sample.h"

#include <algorithm>

namespace lathe::app {
namespace {

double milliseconds(std::int64_t from_us, std::int64_t to_us) {
  return static_cast<double>(to_us - from_us) / 1e3;
}

std::vector<double> gaps_of(const Sample& sample) {
  std::vector<double> gaps;
  for (std::size_t i = 1; i < sample.pieces_us.size(); ++i)
    gaps.push_back(milliseconds(sample.pieces_us[i - 1], sample.pieces_us[i]));
  return gaps;
}

bool within(const Sample& sample, const std::vector<double>& gaps, const Slo& slo) {
  if (milliseconds(sample.due_us, sample.pieces_us.front()) > slo.first_ms) return false;
  if (gaps.empty()) return true;
  const Spread spread = spread_of(gaps);
  // Of few gaps the largest one counts.
  return spread.p95.value_or(spread.figure.high) <= slo.gap_ms;
}

// Of the tokens, those whose pieces came within the window.
double tokens_within(const Sample& sample, std::int64_t window_us) {
  if (sample.pieces_us.empty()) return 0;
  const auto come =
      std::ranges::count_if(sample.pieces_us, [&](std::int64_t at) { return at <= window_us; });
  return sample.tokens() * static_cast<double>(come) / static_cast<double>(sample.pieces_us.size());
}

}  // namespace

Summary summarize(const std::vector<Sample>& samples, std::int64_t window_us, const Slo& slo) {
  Summary summary;
  std::vector<double> first, gaps, whole, each;
  double ended = 0, good = 0, tokens = 0;
  for (const Sample& sample : samples) {
    tokens += tokens_within(sample, window_us);
    if (sample.fixed) continue;
    if (!sample.answered()) {
      ++summary.failed;
      continue;
    }
    ++summary.answered;
    whole.push_back(milliseconds(sample.due_us, sample.end_us));
    if (sample.end_us <= window_us) ++ended;
    if (sample.pieces_us.empty()) continue;
    const std::vector<double> own = gaps_of(sample);
    if (sample.end_us <= window_us && within(sample, own, slo)) ++good;
    first.push_back(milliseconds(sample.due_us, sample.pieces_us.front()));
    gaps.insert(gaps.end(), own.begin(), own.end());
    const double writing = milliseconds(sample.pieces_us.front(), sample.pieces_us.back()) / 1e3;
    if (writing > 0 && sample.tokens() > 1) each.push_back((sample.tokens() - 1) / writing);
  }
  const double seconds = static_cast<double>(window_us) / 1e6;
  summary.answers_per_minute = ended / seconds * 60;
  summary.good_per_minute = good / seconds * 60;
  summary.tokens_per_second = tokens / seconds;
  summary.first_ms = spread_of(std::move(first));
  summary.gap_ms = spread_of(std::move(gaps));
  summary.whole_ms = spread_of(std::move(whole));
  summary.each_per_second = spread_of(std::move(each));
  return summary;
}

Json to_json(const Sample& sample) {
  return {{"due_us", sample.due_us},
          {"sent_us", sample.sent_us},
          {"pieces_us", sample.pieces_us},
          {"empty_us", sample.empty_us},
          {"end_us", sample.end_us},
          {"counted", sample.counted},
          {"prompt_tokens", sample.prompt_tokens},
          {"cached_tokens", sample.cached_tokens},
          {"answer_tokens", sample.answer_tokens},
          {"finish", sample.finish},
          {"error", sample.error},
          {"text", sample.text},
          {"fixed", sample.fixed}};
}

Result<Sample> sample_from_json(const Json& json) {
  Sample sample;
  for (const auto& [name, member] :
       {std::pair("due_us", &sample.due_us), std::pair("sent_us", &sample.sent_us),
        std::pair("empty_us", &sample.empty_us), std::pair("end_us", &sample.end_us),
        std::pair("prompt_tokens", &sample.prompt_tokens),
        std::pair("cached_tokens", &sample.cached_tokens),
        std::pair("answer_tokens", &sample.answer_tokens)}) {
    const Json& value = json_at(json, name);
    if (!value.is_number_integer()) return invalid("{}: must be a whole number", name);
    *member = value.get<std::int64_t>();
  }
  const Json& pieces = json_at(json, "pieces_us");
  if (!pieces.is_array()) return invalid("pieces_us: must be an array");
  std::int64_t last = sample.due_us;
  for (const Json& piece : pieces) {
    if (!piece.is_number_integer() || piece.get<std::int64_t>() < last)
      return invalid("pieces_us: must be whole numbers that do not fall, from due_us on");
    sample.pieces_us.push_back(last = piece.get<std::int64_t>());
  }
  if (sample.end_us < last) return invalid("end_us: lies before the last piece");
  sample.counted = json_bool(json, "counted", false);
  sample.finish = json_string(json, "finish");
  sample.error = json_string(json, "error");
  sample.text = json_string(json, "text");
  sample.fixed = json_bool(json, "fixed", false);
  return sample;
}

Json to_json(const Summary& summary) {
  return {{"answered", summary.answered},
          {"failed", summary.failed},
          {"answers_per_minute", decimal(summary.answers_per_minute)},
          {"good_per_minute", decimal(summary.good_per_minute)},
          {"tokens_per_second", decimal(summary.tokens_per_second)},
          {"first_ms", to_json(summary.first_ms)},
          {"gap_ms", to_json(summary.gap_ms)},
          {"whole_ms", to_json(summary.whole_ms)},
          {"each_per_second", to_json(summary.each_per_second)}};
}

}  // namespace lathe::app
