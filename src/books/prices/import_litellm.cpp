// LiteLLM's map of prices as a table: USD per one token there, per million here.
#include <algorithm>
#include <cmath>
#include <map>

#include "books/prices/price_table.h"
#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr double kMillion = 1e6, kMostListed = 1000, kLeastListed = 0.0005, kTimesMedian = 50;

struct Entry {
  std::string model;
  double in = 0, out = 0;  // USD per million
  std::optional<double> cache_read = {}, cache_write = {};
  std::string source = {};
};

std::optional<double> million_of(const Json& entry, std::string_view key) {
  const Json& value = json_at(entry, key);
  if (!value.is_number()) return std::nullopt;
  return value.get<double>() * kMillion;
}

// The entry, or why it is not taken.
std::expected<Entry, std::string> read_entry(const std::string& model, const Json& json) {
  const auto in = million_of(json, "input_cost_per_token");
  const auto out = million_of(json, "output_cost_per_token");
  if (!in || !out)
    return std::unexpected("has no price of a token: the unit is another or missing");
  Entry entry{.model = model,
              .in = *in,
              .out = *out,
              .cache_read = million_of(json, "cache_read_input_token_cost"),
              .cache_write = million_of(json, "cache_creation_input_token_cost"),
              .source = json_string(json, "source")};
  for (const auto& [name, price] : {std::pair<const char*, std::optional<double>>("in", entry.in),
                                    {"out", entry.out},
                                    {"cache_read", entry.cache_read},
                                    {"cache_write", entry.cache_write}}) {
    if (!price) continue;
    if (!std::isfinite(*price)) return std::unexpected(fmt::format("'{}' is no number", name));
    if (*price < 0) return std::unexpected(fmt::format("'{}' is negative", name));
    if (*price > kMostListed)
      return std::unexpected(fmt::format(
          "'{}' is ${:.0f} a million tokens, more than $1,000: the unit is wrong", name, *price));
    if (*price > 0 && *price < kLeastListed)
      return std::unexpected(fmt::format(
          "'{}' is ${:.2g} a million tokens, less than $0.0005: the unit is wrong", name, *price));
  }
  if (entry.in == 0 && entry.out == 0) return std::unexpected("costs 0: that says nothing");
  return entry;
}

// The name alone, without who hosts it.
std::string model_name(std::string_view model) {
  const auto slash = model.rfind('/');
  return to_lower_ascii(slash == model.npos ? model : model.substr(slash + 1));
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

std::string toml_text(std::string_view text) {
  return dump_json(std::string(text));  // TOML's basic strings have JSON's escapes
}

std::string price_text(const Entry& entry) {
  std::string text = fmt::format("\n[[price]]\nmodel = {}\nin = {:.9f}\nout = {:.9f}\n",
                                 toml_text(entry.model), entry.in, entry.out);
  if (entry.cache_read) text += fmt::format("cache_read = {:.9f}\n", *entry.cache_read);
  if (entry.cache_write) text += fmt::format("cache_write = {:.9f}\n", *entry.cache_write);
  if (!entry.source.empty()) text += fmt::format("source = {}\n", toml_text(entry.source));
  return text;
}

}  // namespace

Result<ImportedPrices> import_litellm(std::string_view text, std::string_view date,
                                      std::string_view source) {
  LATHE_TRY(const Json json, parse_json(text));
  if (!json.is_object())
    return invalid(
        "is no JSON object of models: LiteLLM's model_prices_and_context_window.json is");
  ImportedPrices imported;
  std::vector<Entry> entries;
  for (const auto& [model, value] : json.items()) {
    auto entry = read_entry(model, value);
    if (entry)
      entries.push_back(*std::move(entry));
    else
      imported.rejected.push_back({model, entry.error()});
  }
  std::map<std::string, std::vector<double>> ins, outs;
  for (const Entry& entry : entries) {
    ins[model_name(entry.model)].push_back(entry.in);
    outs[model_name(entry.model)].push_back(entry.out);
  }
  imported.toml = fmt::format(
      "# Written by `lathe prices import`.\ntable = {}\ndate = {}\ncurrency = \"USD\"\nunit = "
      "\"million tokens\"\nsource = {}\n",
      toml_text(fmt::format("litellm-{}", date)), toml_text(date), toml_text(source));
  for (const Entry& entry : entries) {
    const std::string name = model_name(entry.model);
    const double usual_in = median(ins[name]), usual_out = median(outs[name]);
    if (entry.in > kTimesMedian * usual_in || entry.out > kTimesMedian * usual_out) {
      imported.rejected.push_back(
          {entry.model, fmt::format("${:.4g} and ${:.4g} a million tokens: more than 50 times what "
                                    "others ask for {} (${:.4g} and ${:.4g})",
                                    entry.in, entry.out, name, usual_in, usual_out)});
      continue;
    }
    imported.toml += price_text(entry);
    ++imported.taken;
  }
  if (imported.taken == 0) return invalid("holds no price that can be taken");
  return imported;
}

}  // namespace lathe::books
