// Clocks, temperatures, power and throttling from /sys and /proc.
#include "app/bench/sensors.h"

#include "app/bench/statistics.h"
#include "ground/sys/climate.h"

namespace lathe::app {
Sensors::Sensors(fs::path root) : root_(std::move(root)), meter_(root_) {
  joules_ = meter_.joules();
}

Reading Sensors::read(std::int64_t at_us) {
  const Climate climate = read_climate(root_);
  Reading reading{.at_us = at_us,
                  .mhz = climate.mhz,
                  .celsius = climate.celsius,
                  .throttles = climate.throttles};
  const auto joules = meter_.joules();
  const double seconds = static_cast<double>(at_us - at_us_) / 1e6;
  // As a record holds it, so that its reader computes with the same.
  if (joules && joules_ && seconds > 0)
    reading.watts = parse_decimal(decimal((*joules - *joules_) / seconds));
  joules_ = joules;
  at_us_ = at_us;
  return reading;
}

Json to_json(const Reading& reading) {
  return {{"at_us", reading.at_us},
          {"mhz", decimal_or_null(reading.mhz)},
          {"celsius", decimal_or_null(reading.celsius)},
          {"watts", decimal_or_null(reading.watts)},
          {"throttles", reading.throttles ? Json(*reading.throttles) : Json()}};
}

Result<Reading> reading_from_json(const Json& json) {
  Reading reading{.at_us = json_int(json, "at_us", -1), .throttles = {}};
  if (reading.at_us < 0) return invalid("at_us: must be a whole number");
  for (const auto& [key, member] :
       {std::pair("mhz", &reading.mhz), std::pair("celsius", &reading.celsius),
        std::pair("watts", &reading.watts)}) {
    const Json& value = json_at(json, key);
    if (value.is_null()) continue;
    *member = value.is_string() ? parse_decimal(value.get<std::string>()) : std::nullopt;
    if (!*member) return invalid("{}: must be a finite decimal, as a text, or null", key);
  }
  if (const Json& count = json_at(json, "throttles"); count.is_number_integer())
    reading.throttles = count.get<std::uint64_t>();
  return reading;
}

}  // namespace lathe::app
