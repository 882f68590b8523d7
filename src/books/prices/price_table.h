// Tables of prices: files that say what, in which unit and currency, as of when and by whom. They
// are read, never fetched. A table is named by the hash of its bytes; what was priced keeps that
// name. Pure.
#pragma once

#include <span>
#include <vector>

#include "books/prices/price.h"

namespace lathe::books {

struct PriceTable {
  std::string text = {}, hash = {};  // its bytes, and of those
  std::string place = {};            // the file
  std::string name = {}, date = {}, currency = {}, source = {};
  std::vector<Price> prices = {};
};

// Errors name the place: no unit or another than "million tokens"; a price that is negative, no
// number, over 1,000 a million or so small that it must be meant per token; no date, no source; a
// model that stands there twice.
Result<PriceTable> parse_price_table(std::string_view text, std::string_view place);

// Of the tables that have the model, the one with the latest date; of one date, the first. The
// model's whole name counts, then the name without its provider and variant
// ("openai/gpt-5.5:free" is gpt-5.5) where that leaves one price. Never a guess: null.
const Price* find_price(std::span<const PriceTable> tables, std::string_view model);
// The price of the open model that a local file holds, as its name tells: the longest model that
// "gpt-oss-120b-mxfp4" begins with. For what a line is compared with, never for what is paid.
const Price* find_like(std::span<const PriceTable> tables, std::string_view model);

// "" where the table's date is at most 90 days back, else " (122 days old: look whether it still
// holds)". `today`: "2026-12-01".
std::string age_note(std::string_view date, std::string_view today);

// LiteLLM's map of prices (USD per one token) as the text of a table. What is left out is said.
struct ImportedPrices {
  struct Rejected {
    std::string model, why;
  };
  std::string toml;
  std::size_t taken = 0;
  std::vector<Rejected> rejected;
};
// `date`, `source`: what the table is to say. Errors: not a JSON object; nothing that can be taken.
Result<ImportedPrices> import_litellm(std::string_view json, std::string_view date,
                                      std::string_view source);

}  // namespace lathe::books
