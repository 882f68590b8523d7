// The ledger's row: what one call took, in whole numbers. Rows hold names, hashes and counts, never
// texts: erasing a run's texts changes none of them. What could not be read is absent, never 0.
// Plain values; a row is written once and never changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ground/base/json.h"
#include "ground/base/result.h"

namespace lathe::books {

// Who counted the tokens. kNobody: a model was asked and nobody said, so that sums with such a row
// are "at least". kNoModel: none was asked, so that there are none.
enum class CountedBy { kEngine, kProvider, kNobody, kNoModel };
std::string_view counted_name(CountedBy by);  // "engine" "provider" "nobody" "no model"
std::optional<CountedBy> parse_counted(std::string_view name);

// What came of a call beside the ways in which a model ends an answer ("stop", "length",
// "tool_calls", "content_filter").
inline constexpr std::string_view kDone = "done";  // no answer of a model's: judged, embedded …
inline constexpr std::string_view kFailed = "failed";
inline constexpr std::string_view kCancelled = "cancelled";
inline constexpr std::string_view kLost = "lost";  // its process ended before it did

// How an amount of money came about: no money flowed for the call; it was worked out from a price
// table; the provider said it; money flowed and its price is not known, which is not 0.
inline constexpr std::string_view kNoCash = "none";
inline constexpr std::string_view kComputed = "computed";
inline constexpr std::string_view kReported = "provider";
inline constexpr std::string_view kUnpriced = "unpriced";

struct LedgerRow {
  std::string id;             // of the call: RUN:RECORD, or 32 hex digits of a served one
  std::int64_t start_ms = 0;  // UTC
  std::int64_t end_ms = 0;    // the start and the wall time: a clock that is set back does no harm

  // A call of a run has a run; one that was served has an endpoint.
  std::string run = {}, call = {};  // "make:0:1:0:0:0"
  std::string recipe = {};
  std::string endpoint = {};  // "/v1/messages"
  std::string purpose = {};   // make | judge | whole; generate | embed | rank | transcribe | speak
  std::string key = {};       // the name of the key it came by; "": none was asked for

  std::string worker = {}, where = {};  // as the recipe names it, and what that is: a URL, a file
  std::string route = {};               // how far it went: local | lan | any
  std::string engine = {};              // the program that wrote the row, with its build
  std::string model = {};
  std::optional<std::string> model_sha256 = {};

  struct Tokens {
    std::optional<std::int64_t> fresh = {}, cached = {}, out = {};
    std::optional<std::int64_t> reasoning = {};  // of `out`
    CountedBy counted_by = CountedBy::kNobody;
    bool operator==(const Tokens&) const = default;
  } tokens = {};

  std::string finish = {};
  std::string problem = {};   // of a failed one: the error's kind or code
  std::int64_t attempts = 0;  // requests that reached the worker

  // Microseconds. busy: the call's share of the steps that it was part of.
  std::optional<std::int64_t> queued_us = {}, first_token_us = {}, busy_us = {};
  std::int64_t wall_us = 0;

  struct Energy {
    std::optional<std::int64_t> millijoules = {};
    std::string scope = {};   // wall | system | socket | gpu | none
    std::string method = {};  // how it was shared out: "busy time"; "": it was not read
    bool operator==(const Energy&) const = default;
  } energy = {};

  struct Cash {
    std::optional<std::int64_t> nano = {};  // 10⁻⁹ of the currency's unit
    std::string currency = {};              // "USD"
    std::string source = std::string(kNoCash);
    bool operator==(const Cash&) const = default;
  } cash = {};
  std::string price_table = {};  // the hash of the table that priced it; "": none did

  // Where it stands in the chain; the store sets both.
  std::int64_t number = 0;    // from 1
  std::string previous = {};  // the hash of the row before; "" of the first

  bool served() const { return run.empty(); }
  bool counted() const { return tokens.counted_by != CountedBy::kNobody; }
  bool operator==(const LedgerRow&) const = default;
};

Json to_json(const LedgerRow& row);
// Errors: what is no row, with the member that is wrong.
Result<LedgerRow> row_from_json(const Json& json);

}  // namespace lathe::books
