// Orders to canonical JSON, and back with nothing taken on trust.
#include "loop/orders/order.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/orders/strict_json.h"

namespace lathe::loop {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kMaxUnitsText = std::size_t{64} << 20;
constexpr std::int64_t kMostMs = 24LL * 3600 * 1000;
constexpr std::int64_t kMostLaps = 1'000'000;

Json units_json(std::span<const Unit> units) {
  Json list = Json::array();
  for (const Unit& unit : units) list.push_back(to_json(unit));
  return list;
}

Json body_of(const MakeOrder& make) {
  Json critiques = Json::array();
  for (const Critique& critique : make.critiques) critiques.push_back(to_json(critique));
  Json body = {{"kind", make.maker->name},
               {"move", move_name(make.move)},
               {"lap", make.lap},
               {"n", make.n},
               {"rung", make.rung},
               {"setting", make.setting},
               {"prefix", make.prefix},
               {"tail", make.tail},
               {"critiques", std::move(critiques)},
               {"proposals", make.proposals}};
  if (make.best) body["best"] = *make.best;
  return body;
}

Json body_of(const JudgeOrder& judge) {
  Json parts = Json::array();
  for (const JudgeOrder::Part& part : judge.parts) {
    Json judgements = Json::array();
    for (const Judgement& each : part.judgements) judgements.push_back(to_json(each));
    parts.push_back({{"unit", to_json(part.unit)},
                     {"passed", part.passed},
                     {"candidate", part.candidate},
                     {"media_type", part.media_type},
                     {"judgements", std::move(judgements)}});
  }
  return {
      {"kind", judge.judge->name},      {"scope", judge.scope == Scope::kWhole ? "whole" : "unit"},
      {"all_units", judge.all_units},   {"candidate", judge.candidate},
      {"media_type", judge.media_type}, {"parts", std::move(parts)},
      {"discovered", judge.discovered}};
}

Result<std::vector<Unit>> units_at(const Json& list) {
  if (!list.is_array()) return invalid("units: is no list");
  std::vector<Unit> units;
  for (const Json& each : list) {
    if (!each.is_object()) return invalid("units: one is no object");
    LATHE_TRY_STATUS(strict_text(each, "key"));
    LATHE_TRY_STATUS(strict_text(each, "text"));
    units.push_back(unit_from_json(each));
  }
  return units;
}

Result<std::vector<Critique>> critiques_at(const Json& json) {
  LATHE_TRY(const Json list, strict_list(json, "critiques"));
  std::vector<Critique> critiques;
  for (const Json& each : list) critiques.push_back(critique_from_json(each));
  return critiques;
}

Result<Json> options_at(const Json& json, std::span<const OptionSpec> specs) {
  const Json& given = json_at(json, "options");
  if (!given.is_object()) return invalid("options: is no object");
  auto options = check_options(given, specs);
  if (options) return *std::move(options);
  return invalid("options.{}: {}", options.error().key, options.error().message);
}

Result<MakeOrder> make_from(const Json& json) {
  MakeOrder make;
  LATHE_TRY(const std::string kind, strict_text(json, "kind"));
  make.maker = find_maker(kind);
  if (make.maker == nullptr) return invalid("'{}' is not a maker of this lathe", clip(kind));
  if (make.maker->make == nullptr) return invalid("the maker '{}' makes nothing", clip(kind));
  LATHE_TRY(const std::string move, strict_text(json, "move"));
  const auto known = parse_move(move);
  if (!known) return invalid("'{}' is no move", clip(move));
  make.move = *known;
  LATHE_TRY(const std::int64_t lap, strict_int(json, "lap", 1, kMostLaps));
  LATHE_TRY(const std::int64_t n, strict_int(json, "n", 0, kMostLaps));
  make.lap = static_cast<int>(lap);
  make.n = static_cast<int>(n);
  LATHE_TRY(make.rung, strict_text(json, "rung"));
  make.setting = json_at(json, "setting");
  LATHE_TRY(make.prefix, strict_blob(json, "prefix"));
  LATHE_TRY(make.tail, strict_blob(json, "tail"));
  if (json.contains("best")) {
    LATHE_TRY(make.best, strict_blob(json, "best"));
  }
  LATHE_TRY(make.critiques, critiques_at(json));
  LATHE_TRY(make.proposals, strict_bool(json, "proposals"));
  return make;
}

Result<JudgeOrder::Part> part_from(const Json& json) {
  JudgeOrder::Part part;
  LATHE_TRY(const std::vector<Unit> units, units_at(Json::array({json_at(json, "unit")})));
  part.unit = units.front();
  LATHE_TRY(part.passed, strict_bool(json, "passed"));
  LATHE_TRY(part.candidate, strict_text(json, "candidate"));
  if (!part.candidate.empty()) LATHE_TRY_STATUS(strict_blob(json, "candidate"));
  LATHE_TRY(part.media_type, strict_text(json, "media_type"));
  LATHE_TRY(const Json judgements, strict_list(json, "judgements"));
  for (const Json& each : judgements) {
    LATHE_TRY(Judgement judgement, judgement_from_json(each));
    part.judgements.push_back(std::move(judgement));
  }
  return part;
}

Result<JudgeOrder> judge_from(const Json& json) {
  JudgeOrder judge;
  LATHE_TRY(const std::string kind, strict_text(json, "kind"));
  judge.judge = find_judge(kind);
  if (judge.judge == nullptr) return invalid("'{}' is not a judge of this lathe", clip(kind));
  LATHE_TRY(const std::string scope, strict_text(json, "scope"));
  if (scope != "unit" && scope != "whole") return invalid("'{}' is no scope", clip(scope));
  judge.scope = scope == "whole" ? Scope::kWhole : Scope::kUnit;
  LATHE_TRY(judge.all_units, strict_blob(json, "all_units"));
  LATHE_TRY(judge.candidate, strict_blob(json, "candidate"));
  LATHE_TRY(judge.media_type, strict_text(json, "media_type"));
  LATHE_TRY(const Json parts, strict_list(json, "parts"));
  for (const Json& each : parts) {
    LATHE_TRY(JudgeOrder::Part part, part_from(each));
    judge.parts.push_back(std::move(part));
  }
  judge.discovered = json_at(json, "discovered");
  return judge;
}

Result<std::vector<Order::File>> files_at(const Json& json) {
  LATHE_TRY(const Json list, strict_list(json, "files"));
  std::vector<Order::File> files;
  for (const Json& each : list) {
    LATHE_TRY(std::string path, strict_text(each, "path"));
    if (!is_safe_relative(path)) return invalid("files: '{}' leads outside", clip(path));
    LATHE_TRY(std::string blob, strict_blob(each, "blob"));
    files.push_back({std::move(path), std::move(blob)});
  }
  return files;
}

Result<Order> order_from(const Json& json) {
  LATHE_TRY_STATUS(strict_int(json, "order", kFormat, kFormat));
  Order order;
  LATHE_TRY(const std::int64_t numerics, strict_int(json, "numerics", 1, kMostLaps));
  order.numerics = static_cast<int>(numerics);
  LATHE_TRY(order.build, strict_text(json, "build"));
  LATHE_TRY(order.run, strict_text(json, "run"));
  LATHE_TRY(order.call, strict_text(json, "call"));
  LATHE_TRY(const std::string privacy, strict_text(json, "privacy"));
  const auto reach = parse_reach(privacy);
  if (!reach) return invalid("'{}' is no privacy", clip(privacy));
  order.privacy = *reach;
  LATHE_TRY(const std::int64_t ms, strict_int(json, "time_ms", 1, kMostMs));
  order.time_limit = Milliseconds(ms);
  LATHE_TRY(order.units, units_at(json_at(json, "units")));
  LATHE_TRY(order.files, files_at(json));
  if (json.contains("tree")) {
    LATHE_TRY(order.tree, strict_blob(json, "tree"));
  }
  if (json.contains("make") == json.contains("judge"))
    return invalid("it asks to make or to judge, one of them");
  if (json.contains("make")) {
    LATHE_TRY(MakeOrder make, make_from(json["make"]));
    LATHE_TRY(order.options, options_at(json, make.maker->options));
    order.what = std::move(make);
  } else {
    LATHE_TRY(JudgeOrder judge, judge_from(json["judge"]));
    LATHE_TRY(order.options, options_at(json, judge.judge->options));
    order.what = std::move(judge);
  }
  return order;
}

}  // namespace

Status fetch_checked(OrderBlobs& blobs, const std::string& sha256, std::uint64_t max_bytes,
                     const StopFlag& stop, const OrderBlobs::Take& take) {
  std::optional<Sha256> hash;
  LATHE_TRY_STATUS(
      blobs.fetch(sha256, max_bytes, stop, [&](std::uint64_t at, std::string_view piece) -> Status {
        if (at == 0) hash.emplace();
        if (at + piece.size() > max_bytes)
          return invalid("blob {}: has more than {}, and no more are taken", sha256,
                         format_bytes(max_bytes));
        hash->add(piece);
        return take(at, piece);
      }));
  if (!hash || hash->hex() != sha256)
    return invalid("blob {}: its bytes have another hash: it was damaged or exchanged", sha256);
  return {};
}

Result<std::string> checked_blob(OrderBlobs& blobs, const std::string& sha256, const StopFlag& stop,
                                 std::uint64_t max_bytes) {
  std::string bytes;
  LATHE_TRY_STATUS(fetch_checked(blobs, sha256, max_bytes, stop,
                                 [&](std::uint64_t at, std::string_view piece) -> Status {
                                   bytes.resize(at);
                                   bytes += piece;
                                   return {};
                                 }));
  return bytes;
}

std::string order_text(const Order& order) {
  Json files = Json::array();
  for (const Order::File& file : order.files)
    files.push_back({{"path", file.path}, {"blob", file.blob}});
  Json json = {{"order", kFormat},
               {"numerics", order.numerics},
               {"build", order.build},
               {"run", order.run},
               {"call", order.call},
               {"privacy", reach_name(order.privacy)},
               {"time_ms", order.time_limit.count()},
               {"options", order.options},
               {"units", units_json(order.units)},
               {"files", std::move(files)}};
  if (order.tree) json["tree"] = *order.tree;
  if (const auto* make = std::get_if<MakeOrder>(&order.what))
    json["make"] = body_of(*make);
  else
    json["judge"] = body_of(std::get<JudgeOrder>(order.what));
  return canonical_json(json);
}

Result<Order> read_order(std::string_view text) {
  auto json = parse_json(text, {.max_bytes = kMaxOrderBytes});
  if (!json) return at("order", std::move(json).error());
  if (!json->is_object()) return invalid("order: is no object");
  auto order = order_from(*json);
  if (!order) return at("order", std::move(order).error());
  return order;
}

std::string units_text(std::span<const Unit> units) {
  return canonical_json(units_json(units));
}

Result<std::vector<Unit>> read_units(std::string_view text) {
  LATHE_TRY(const Json json, parse_json(text, {.max_bytes = kMaxUnitsText}));
  return units_at(json);
}

std::string unit_id(std::string_view call, std::string_view order) {
  return fmt::format("{}.{}", call, order);
}

Result<UnitName> parse_unit_id(std::string_view id) {
  const auto dot = id.rfind('.');
  if (dot == id.npos || !is_sha256_hex(id.substr(dot + 1)))
    return invalid("unit '{}': names no order; it is not of a run's calls", clip(id));
  return UnitName{std::string(id.substr(0, dot)), std::string(id.substr(dot + 1))};
}

}  // namespace lathe::loop
