// Quantities as people write them in recipes and flags: "20m", "0.2kWh", "9/10", "512MiB".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

using Milliseconds = std::chrono::milliseconds;

Result<Milliseconds> parse_duration(std::string_view text);  // "500ms", "90s", "20m", "1h", "1.5h"
Result<double> parse_energy_joules(std::string_view text);   // "500J", "20kJ", "0.2kWh", "5Wh"
Result<std::uint64_t> parse_bytes(std::string_view text);    // "4096", "64KiB", "2GiB", "1GB"
Result<double> parse_bar(std::string_view text);  // "9/10", "90%", "0.9" → 0.9; must lie in [0,1]

std::string format_duration(Milliseconds duration);  // "340 ms", "12.4 s", "3m 20s", "1h 05m"
std::string format_bytes(std::uint64_t bytes);       // "3.2 MiB"
std::string format_energy(double joules);            // "12.4 J", "3.1 kJ"

}  // namespace lathe
