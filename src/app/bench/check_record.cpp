// A record added up again: read back, computed anew, and compared to the letter.
#include "app/bench/grid.h"
#include "app/bench/quality.h"
#include "app/bench/record.h"

namespace lathe::app {
namespace {

constexpr double kMostOfMemory = 1.05;  // decode may read so much more than plain reads did
// Weights that caches hold are not read from memory: from here on they do not.
constexpr double kBeyondCaches = 256.0 * (1 << 20);

// Where two values differ first, and how; "": nowhere.
std::string difference(const Json& said, const Json& found, const std::string& place) {
  if (said.is_object() && found.is_object()) {
    for (const auto& [key, value] : found.items())
      if (std::string other = difference(json_at(said, key), value, place + "." + key);
          !other.empty())
        return other;
    return "";
  }
  if (said.is_array() && found.is_array() && said.size() == found.size()) {
    for (std::size_t i = 0; i < said.size(); ++i)
      if (std::string other = difference(said[i], found[i], fmt::format("{}[{}]", place, i));
          !other.empty())
        return other;
    return "";
  }
  if (said == found) return "";
  return fmt::format("{}: it says {}, its samples come to {}", place, dump_json(said),
                     dump_json(found));
}

Status same(const Json& said, const Json& found, const std::string& place) {
  const std::string differs = difference(said, found, place);
  return differs.empty() ? Status() : Status(invalid("{}", differs));
}

// Floats are read differently by different readers, so there are none.
Status no_floats(const Json& value, const std::string& place) {
  if (value.is_number_float()) return invalid("{}: a float; records hold none", place);
  if (value.is_object()) {
    for (const auto& [key, member] : value.items())
      LATHE_TRY_STATUS(no_floats(member, place + "." + key));
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      LATHE_TRY_STATUS(no_floats(value[i], fmt::format("{}[{}]", place, i)));
  }
  return {};
}

Status within_place(const std::string& place, const Error& error) {
  return invalid("{}.{}", place, error.message);
}

Result<Slo> slo_of(const Json& json) {
  const Json& slo = json_at(json, "slo");
  const auto first = parse_decimal(json_string(slo, "first_ms"));
  const auto gap = parse_decimal(json_string(slo, "gap_ms"));
  if (!first || !gap) return invalid("slo: must hold first_ms and gap_ms");
  return Slo{*first, *gap};
}

class Check {
 public:
  Status record(const Json& record) {
    LATHE_TRY_STATUS(no_floats(record, "record"));
    const Json& models = json_at(record, "models");
    for (std::size_t i = 0; i < models.size(); ++i)
      LATHE_TRY_STATUS(model(models[i], fmt::format("models[{}]", i)));
    if (const Json& json = json_at(record, "grid"); !json.is_null())
      LATHE_TRY_STATUS(grid(models, json));
    const std::int64_t wall = json_int(record, "wall_us", -1);
    if (measured_us_ > wall)
      return invalid("wall_us: it says {}, what was measured one after the other took {}", wall,
                     measured_us_);
    return {};
  }

 private:
  Status model(const Json& model, const std::string& place) {
    LATHE_TRY_STATUS(rows(model, place));
    const Json& turns = json_at(model, "turns");
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const std::string turn = fmt::format("{}.turns[{}]", place, i);
      if (const Json& json = json_at(turns[i], "serve"); !json.is_null())
        LATHE_TRY_STATUS(serve(json, turn + ".serve"));
      if (const Json& json = json_at(turns[i], "sustained"); !json.is_null())
        LATHE_TRY_STATUS(sustained(json, turn + ".sustained"));
    }
    if (const Json& json = json_at(model, "quality"); !json.is_null() && !json.is_string())
      LATHE_TRY_STATUS(quality(json, place + ".quality"));
    return {};
  }

  static Status grid(const Json& models, const Json& json) {
    const auto grid = grid_from_json(models, json);
    if (!grid) return within_place("grid", grid.error());
    const Json again = grid_json(*grid);
    for (const char* part : {"cells", "rows", "pairs"})
      LATHE_TRY_STATUS(same(json_at(json, part), again[part], fmt::format("grid.{}", part)));
    return {};
  }

  static Status quality(const Json& json, const std::string& place) {
    const auto chunks = quality_from_json(json);
    if (!chunks) return within_place(place, chunks.error());
    return same(json, quality_json(*chunks), place);
  }

  Status rows(const Json& model, const std::string& place) {
    const Json& rows = json_at(model, "rows");
    double decode = 0, reads = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string here = fmt::format("{}.rows[{}]", place, i);
      const auto row = row_from_json(rows[i]);
      if (!row) return within_place(here, row.error());
      LATHE_TRY_STATUS(same(rows[i], row_json(*row), here));
      if (row->what == "decode") decode = row->figure().median;
      if (row->what == "plain reads") reads = row->figure().high;
    }
    const auto bytes = static_cast<double>(json_int(model, "bytes_per_token", 0));
    if (reads > 0 && bytes >= kBeyondCaches && decode * bytes * 1e-9 > reads * kMostOfMemory)
      return invalid(
          "{}: {} tokens a second of {} bytes each are {:.1f} GB/s, but memory gave {:.1f}", place,
          decimal(decode), bytes, decode * bytes * 1e-9, reads);
    return {};
  }

  Result<Point> point(const Json& json, const Slo& slo, const std::string& place) {
    auto point = point_from_json(json, slo);
    if (!point) return invalid("{}.{}", place, point.error().message);
    measured_us_ += point->wall_us;
    return point;
  }

  Status serve(const Json& json, const std::string& place) {
    const auto slo = slo_of(json);
    if (!slo) return within_place(place, slo.error());
    ServeResult result;
    for (const auto& [name, list] :
         {std::pair("closed", &result.closed), std::pair("poisson", &result.poisson)}) {
      const Json& points = json_at(json, name);
      for (std::size_t i = 0; i < points.size(); ++i) {
        LATHE_TRY(list->emplace_back(),
                  point(points[i], *slo, fmt::format("{}.{}[{}]", place, name, i)));
      }
    }
    ServePlan plan;
    plan.slo = *slo;
    const Json again = serve_json(plan, result);
    for (const char* part : {"closed", "poisson", "overload", "best", "same_bits"})
      LATHE_TRY_STATUS(same(json_at(json, part), again[part], place + "." + part));
    return {};
  }

  Status sustained(const Json& json, const std::string& place) {
    const auto slo = slo_of(json);
    if (!slo) return within_place(place, slo.error());
    SustainedResult result;
    LATHE_TRY(result.point, point(json_at(json, "point"), *slo, place + ".point"));
    result.tokens = tokens_by_second(result.point);
    if (result.tokens.size() < 2) return invalid("{}: lasts less than two seconds", place);
    result.figures = sustained_figures(result.tokens);
    const Json& trace = json_at(json, "trace");
    for (std::size_t i = 0; i < trace.size(); ++i) {
      auto reading = reading_from_json(trace[i]);
      if (!reading) return within_place(fmt::format("{}.trace[{}]", place, i), reading.error());
      result.trace.push_back(*reading);
    }
    const Json again = sustained_json(*slo, result);
    for (const char* part : {"point", "tokens_each_second", "first", "first_s", "last", "last_s",
                             "ratio", "settled_s", "throttled", "joules_per_token"})
      LATHE_TRY_STATUS(same(json_at(json, part), again[part], place + "." + part));
    return {};
  }

  std::int64_t measured_us_ = 0;
};

}  // namespace

Status check_record(const Json& record) {
  return Check().record(record);
}

}  // namespace lathe::app
