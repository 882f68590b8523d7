// Rows as JSON: the one writer and the one reader. Members stand in one order: the same row gives
// the same bytes, and those are what is hashed.
#include "books/ledger/row.h"

#include <array>
#include <utility>

#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr std::array<std::pair<CountedBy, std::string_view>, 4> kCounted{
    {{CountedBy::kEngine, "engine"},
     {CountedBy::kProvider, "provider"},
     {CountedBy::kNobody, "nobody"},
     {CountedBy::kNoModel, "no model"}}};

Json or_null(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

// Reads members and keeps what was wrong first.
class Members {
 public:
  explicit Members(const Json& object) : object_(object) {}

  void text(std::string_view key, std::string& to) {
    const Json& value = json_at(object_, key);
    if (value.is_string())
      to = value.get<std::string>();
    else
      wrong(key);
  }
  void number(std::string_view key, std::int64_t& to) {
    const Json& value = json_at(object_, key);
    if (value.is_number_integer())
      to = value.get<std::int64_t>();
    else
      wrong(key);
  }
  void number(std::string_view key, std::optional<std::int64_t>& to) {
    if (std::int64_t known = 0; !json_at(object_, key).is_null()) number(key, known), to = known;
  }
  void wrong(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }
  const std::string& first_wrong() const { return wrong_; }

 private:
  const Json& object_;
  std::string wrong_;
};

}  // namespace

std::string_view counted_name(CountedBy by) {
  for (const auto& [each, name] : kCounted)
    if (each == by) return name;
  return "";
}

std::optional<CountedBy> parse_counted(std::string_view name) {
  for (const auto& [by, each] : kCounted)
    if (each == name) return by;
  return std::nullopt;
}

Json to_json(const LedgerRow& row) {
  return {{"number", row.number},
          {"previous", row.previous},
          {"id", row.id},
          {"start_ms", row.start_ms},
          {"end_ms", row.end_ms},
          {"run", row.run},
          {"call", row.call},
          {"recipe", row.recipe},
          {"endpoint", row.endpoint},
          {"purpose", row.purpose},
          {"key", row.key},
          {"worker", row.worker},
          {"where", row.where},
          {"route", row.route},
          {"engine", row.engine},
          {"model", row.model},
          {"model_sha256", row.model_sha256 ? Json(*row.model_sha256) : Json()},
          {"tokens",
           {{"fresh", or_null(row.tokens.fresh)},
            {"cached", or_null(row.tokens.cached)},
            {"out", or_null(row.tokens.out)},
            {"reasoning", or_null(row.tokens.reasoning)},
            {"counted_by", counted_name(row.tokens.counted_by)}}},
          {"finish", row.finish},
          {"problem", row.problem},
          {"attempts", row.attempts},
          {"queued_us", or_null(row.queued_us)},
          {"first_token_us", or_null(row.first_token_us)},
          {"busy_us", or_null(row.busy_us)},
          {"wall_us", row.wall_us},
          {"energy",
           {{"millijoules", or_null(row.energy.millijoules)},
            {"scope", row.energy.scope},
            {"method", row.energy.method}}},
          {"cash",
           {{"nano", or_null(row.cash.nano)},
            {"currency", row.cash.currency},
            {"source", row.cash.source}}},
          {"price_table", row.price_table}};
}

Result<LedgerRow> row_from_json(const Json& json) {
  LedgerRow row;
  Members all(json);
  for (const auto& [key, to] :
       {std::pair<std::string_view, std::string*>("previous", &row.previous),
        {"id", &row.id},
        {"run", &row.run},
        {"call", &row.call},
        {"recipe", &row.recipe},
        {"endpoint", &row.endpoint},
        {"purpose", &row.purpose},
        {"key", &row.key},
        {"worker", &row.worker},
        {"where", &row.where},
        {"route", &row.route},
        {"engine", &row.engine},
        {"model", &row.model},
        {"finish", &row.finish},
        {"problem", &row.problem},
        {"price_table", &row.price_table}})
    all.text(key, *to);
  for (const auto& [key, to] : {std::pair<std::string_view, std::int64_t*>("number", &row.number),
                                {"start_ms", &row.start_ms},
                                {"end_ms", &row.end_ms},
                                {"attempts", &row.attempts},
                                {"wall_us", &row.wall_us}})
    all.number(key, *to);
  all.number("queued_us", row.queued_us);
  all.number("first_token_us", row.first_token_us);
  all.number("busy_us", row.busy_us);
  if (std::string sha; !json_at(json, "model_sha256").is_null())
    all.text("model_sha256", sha), row.model_sha256 = sha;

  Members tokens(json_at(json, "tokens"));
  tokens.number("fresh", row.tokens.fresh);
  tokens.number("cached", row.tokens.cached);
  tokens.number("out", row.tokens.out);
  tokens.number("reasoning", row.tokens.reasoning);
  const auto by = parse_counted(json_string(json_at(json, "tokens"), "counted_by"));
  if (!by) all.wrong("tokens.counted_by");
  row.tokens.counted_by = by.value_or(CountedBy::kNobody);
  Members energy(json_at(json, "energy"));
  energy.number("millijoules", row.energy.millijoules);
  energy.text("scope", row.energy.scope);
  energy.text("method", row.energy.method);
  Members cash(json_at(json, "cash"));
  cash.number("nano", row.cash.nano);
  cash.text("currency", row.cash.currency);
  cash.text("source", row.cash.source);
  for (const auto& [part, name] :
       {std::pair(&tokens, "tokens"), {&energy, "energy"}, {&cash, "cash"}})
    if (!part->first_wrong().empty()) all.wrong(fmt::format("{}.{}", name, part->first_wrong()));
  if (!all.first_wrong().empty())
    return invalid("is no row of a ledger: '{}' is missing or of another kind", all.first_wrong());
  return row;
}

}  // namespace lathe::books
