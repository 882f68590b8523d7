// Results to a record: JSON without floats, and the way back.
#include "app/bench/record.h"

#include <sys/utsname.h>

#include <algorithm>

#include "ground/base/text.h"
#include "ground/base/version.h"
#include "ground/sys/machine.h"
#include "ground/sys/sysfs.h"

namespace lathe::app {
namespace {

Json texts(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(decimal(value));
  return list;
}

Json arrival_json(const Arrival& arrival) {
  if (const auto* poisson = std::get_if<Poisson>(&arrival))
    return {{"per_second", decimal(poisson->per_second)}};
  const auto& loop = std::get<ClosedLoop>(arrival);
  return {{"people", loop.people}, {"think_s", decimal(loop.think_seconds)}};
}

Result<double> decimal_at(const Json& json, std::string_view key) {
  const Json& member = json_at(json, key);
  const auto value =
      member.is_string() ? parse_decimal(member.get<std::string>()) : std::optional<double>();
  if (!value) return invalid("{}: must be a finite decimal, as a text", key);
  return *value;
}

Result<std::int64_t> whole_at(const Json& json, std::string_view key) {
  const Json& member = json_at(json, key);
  if (!member.is_number_integer()) return invalid("{}: must be a whole number", key);
  return member.get<std::int64_t>();
}

Json points_json(const std::vector<Point>& points) {
  Json list = Json::array();
  std::vector<const Summary*> summaries;
  for (const Point& point : points) summaries.push_back(&point.summary);
  const std::vector<bool> on = frontier_of(summaries);
  for (std::size_t i = 0; i < points.size(); ++i) {
    Json json = point_json(points[i]);
    json["frontier"] = static_cast<bool>(on[i]);
    list.push_back(std::move(json));
  }
  return list;
}

Json overload_json(const std::vector<Point>& points) {
  const auto over = overload_in(points);
  if (!over) return {};
  return {{"load", load_name(points[over->point].load)}, {"why", over->why}};
}

Json same_bits_json(const SameBits& bits) {
  return {{"answers", bits.answers},
          {"different", bits.different},
          {"hash", bits.hash.empty() ? Json() : Json(bits.hash)}};
}

Json calibration_json(const Calibration& calibration) {
  return {{"tokens_per_word", decimal(calibration.tokens_per_word)},
          {"counts", calibration.counts},
          {"shared_tokens", calibration.shared_tokens},
          {"cached_tokens", calibration.cached_tokens},
          {"new_ms", decimal(calibration.new_ms)},
          {"again_ms", decimal(calibration.again_ms)}};
}

}  // namespace

BenchRow make_row(std::string what, std::size_t size, std::string unit,
                  std::vector<double> samples) {
  for (double& sample : samples) sample = parse_decimal(decimal(sample)).value_or(0);
  return {std::move(what), size, std::move(unit), std::move(samples)};
}

Json row_json(const BenchRow& row) {
  Json json = to_json(row.figure());
  json["what"] = row.what;
  json["size"] = row.size;
  json["unit"] = row.unit;
  json["noisy"] = row.noisy();
  json["samples"] = texts(row.samples);
  return json;
}

Result<BenchRow> row_from_json(const Json& json) {
  BenchRow row{.what = json_string(json, "what"),
               .size = 0,
               .unit = json_string(json, "unit"),
               .samples = {}};
  LATHE_TRY(const std::int64_t size, whole_at(json, "size"));
  row.size = static_cast<std::size_t>(size);
  const Json& samples = json_at(json, "samples");
  if (!samples.is_array() || samples.empty()) return invalid("samples: there are none");
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto value =
        samples[i].is_string() ? parse_decimal(samples[i].get<std::string>()) : std::nullopt;
    if (!value) return invalid("samples[{}]: must be a finite decimal, as a text", i);
    row.samples.push_back(*value);
  }
  return row;
}

Json point_json(const Point& point) {
  Json samples = Json::array();
  for (const Sample& sample : point.samples) samples.push_back(to_json(sample));
  return {{"arrival", arrival_json(point.load.arrival)},
          {"seconds", decimal(point.load.seconds)},
          {"seed", point.load.seed},
          {"window_us", point.window_us},
          {"wall_us", point.wall_us},
          {"stopped", point.stopped},
          {"summary", to_json(point.summary)},
          {"samples", std::move(samples)}};
}

Result<Point> point_from_json(const Json& json, const Slo& slo) {
  Point point;
  const Json& arrival = json_at(json, "arrival");
  if (arrival.contains("per_second")) {
    LATHE_TRY(const double rate, decimal_at(arrival, "per_second"));
    point.load.arrival = Poisson{rate};
  } else {
    LATHE_TRY(const std::int64_t people, whole_at(arrival, "people"));
    LATHE_TRY(const double think, decimal_at(arrival, "think_s"));
    point.load.arrival = ClosedLoop{static_cast<std::size_t>(people), think};
  }
  LATHE_TRY(point.load.seconds, decimal_at(json, "seconds"));
  LATHE_TRY(const std::int64_t seed, whole_at(json, "seed"));
  point.load.seed = static_cast<std::uint64_t>(seed);
  LATHE_TRY(point.window_us, whole_at(json, "window_us"));
  LATHE_TRY(point.wall_us, whole_at(json, "wall_us"));
  if (point.window_us <= 0) return invalid("window_us: must be above 0");
  point.stopped = json_bool(json, "stopped", false);
  const Json& samples = json_at(json, "samples");
  if (!samples.is_array()) return invalid("samples: must be an array");
  for (std::size_t i = 0; i < samples.size(); ++i) {
    auto sample = sample_from_json(samples[i]);
    if (!sample) return at(fmt::format("samples[{}]", i), sample.error());
    if (sample->end_us > point.wall_us)
      return invalid("samples[{}].end_us: lies behind the point's wall_us", i);
    point.samples.push_back(std::move(*sample));
  }
  point.summary = summarize(point.samples, point.window_us, slo);
  return point;
}

Json serve_json(const ServePlan& plan, const ServeResult& result) {
  std::vector<Point> all = result.closed;
  all.insert(all.end(), result.poisson.begin(), result.poisson.end());
  return {{"slo", {{"first_ms", decimal(plan.slo.first_ms)}, {"gap_ms", decimal(plan.slo.gap_ms)}}},
          {"prompt_tokens", plan.shape.prompt_tokens},
          {"answer_tokens", plan.shape.answer_tokens},
          {"ends_held_off", !plan.shape.bias.empty()},
          {"cache", plan.shape.warm ? "warm" : "cold"},
          {"calibration", calibration_json(result.calibration)},
          {"closed", points_json(result.closed)},
          {"poisson", points_json(result.poisson)},
          {"overload",
           {{"closed", overload_json(result.closed)}, {"poisson", overload_json(result.poisson)}}},
          {"best", result.closed.empty() ? Json() : Json(load_name(best_of(result.closed).load))},
          {"same_bits", same_bits_json(same_bits(all))},
          {"faults", result.faults},
          {"stopped", result.stopped}};
}

Json sustained_json(const Slo& slo, const SustainedResult& result) {
  Json trace = Json::array();
  for (const Reading& reading : result.trace) trace.push_back(to_json(reading));
  const SustainedFigures& figures = result.figures;
  const auto throttles = throttles_of(result.trace);
  const auto joules = joules_per_token(result);
  return {{"slo", {{"first_ms", decimal(slo.first_ms)}, {"gap_ms", decimal(slo.gap_ms)}}},
          {"point", point_json(result.point)},
          {"tokens_each_second", texts(result.tokens)},
          {"first", decimal(figures.first)},
          {"first_s", decimal(figures.first_seconds)},
          {"last", decimal(figures.last)},
          {"last_s", decimal(figures.last_seconds)},
          {"ratio", decimal(figures.ratio())},
          {"settled_s", figures.settled_seconds ? Json(decimal(*figures.settled_seconds)) : Json()},
          {"throttled", throttles ? Json(*throttles) : Json()},
          {"joules_per_token", joules ? Json(decimal(*joules)) : Json()},
          {"energy_scope", result.energy_scope},
          {"energy", result.energy_description},
          {"trace", std::move(trace)}};
}

Json program_json() {
  return {{"version", program_version()},
          {"numerics", kNumerics},
          {"compiler", fmt::format("{} {}.{}.{}",
#ifdef __clang__
                                   "clang", __clang_major__, __clang_minor__, __clang_patchlevel__
#else
                                   "gcc", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__
#endif
                                   )}};
}

// Of lines "name : value", the first one's value; "": none has the name.
std::string field_of(std::string_view text, std::string_view name) {
  for (const std::string_view line : split_lines(text)) {
    const auto colon = line.find(':');
    if (colon != line.npos && trim(line.substr(0, colon)) == name)
      return std::string(trim(line.substr(colon + 1)));
  }
  return {};
}

Json machine_json(int threads) {
  const Machine machine = read_machine();
  utsname system{};
  ::uname(&system);
  const std::string cpuinfo = sysfs_text("/proc/cpuinfo").value_or("");
  const std::string vendor = sysfs_text("/sys/class/dmi/id/sys_vendor").value_or("");
  Json accelerators = Json::array();
  for (const Accelerator& each : machine.accelerators)
    accelerators.push_back({{"kind", each.kind}, {"name", each.name}, {"driver", each.driver}});
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  const auto said = [](const std::string& text, std::string_view name) {
    const auto value = field_of(text, name);
    return value.empty() ? Json() : Json(value);
  };
  return {{"cpu", machine.cpu},
          {"microcode", said(cpuinfo, "microcode")},
          {"affinity", said(sysfs_text("/proc/self/status").value_or(""), "Cpus_allowed_list")},
          {"isa", machine.isa},
          {"cores", or_null(machine.cores)},
          {"processors", or_null(machine.threads)},
          {"threads_used", threads},
          {"memory_bytes", or_null(machine.memory_bytes)},
          {"memory_limit_bytes", or_null(machine.memory_limit_bytes)},
          {"accelerators", std::move(accelerators)},
          {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
          {"vendor", vendor.empty() ? Json() : Json(vendor)},
          {"virtual", cpuinfo.find(" hypervisor") != std::string::npos}};
}

std::string record_text(const Json& record) {
  return canonical_json(record) + "\n";
}

Result<Json> parse_record(std::string_view text) {
  LATHE_TRY(Json record, parse_json(text));
  if (!record.is_object() || json_string(record, "kind") != kBenchKind)
    return invalid("this is no record of `lathe bench`");
  const std::int64_t schema = json_int(record, "schema", 0);
  if (schema > kBenchSchema)
    return invalid("a record of schema {}, this lathe reads {}: a newer lathe is needed", schema,
                   kBenchSchema);
  if (schema < 1 || !json_at(record, "models").is_array())
    return invalid("this is no record of `lathe bench`: it has no schema or no models");
  return record;
}

}  // namespace lathe::app
