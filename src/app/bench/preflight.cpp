// The machine before it is measured: its speed, its settings, who else is there.
#include "app/bench/preflight.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <thread>

#include "app/bench/statistics.h"
#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "ground/sys/climate.h"
#include "ground/sys/machine.h"
#include "ground/sys/sysfs.h"
#include "infer/kernels/kernels.h"
#include "infer/tensor/memory.h"

namespace lathe::app {
namespace {

using Instant = std::chrono::steady_clock::time_point;

constexpr int kTries = 3;
constexpr double kBusyPercent = 5, kNearBest = 0.9, kPressed = 0.05;

double seconds_since(Instant start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Reads far more than caches hold.
Result<double> read_memory(infer::ThreadTeam& team) {
  const auto parts = static_cast<std::size_t>(team.size());
  const std::size_t part_bytes = std::min(std::size_t{128} << 20, (std::size_t{1} << 30) / parts);
  LATHE_TRY(const infer::Pages pages, infer::Pages::allocate(parts * part_bytes));
  team.run(parts,
           [&](std::size_t i, int) { std::memset(pages.data() + i * part_bytes, 1, part_bytes); });
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const Instant start = std::chrono::steady_clock::now();
    team.run(parts, [&](std::size_t part, int) {
      infer::read_all(std::span<const std::byte>(pages.data() + part * part_bytes, part_bytes));
    });
    best = std::max(best, static_cast<double>(parts * part_bytes) / seconds_since(start) * 1e-9);
  }
  return best;
}

// Products of Q8_0 panels that stay in the caches of each thread; of zeros, which take as long.
Result<double> compute(infer::ThreadTeam& team) {
  constexpr std::size_t kRows = 64, kDepth = 1024, kTokens = 16, kTimes = 400;
  const infer::KernelTable& table = infer::best_kernel_table();
  const auto type =
      std::ranges::find(table.types, infer::TensorType::kQ8_0, &infer::PackedType::type);
  if (type == table.types.end()) return 0.0;
  struct Space {
    infer::Pages panels, q, scale, sum, out;
  };
  std::vector<Space> spaces;
  for (int i = 0; i < team.size(); ++i) {
    Space& space = spaces.emplace_back();
    LATHE_TRY(space.panels,
              infer::Pages::allocate(kRows / infer::kPanelRows * type->panel_bytes(kDepth)));
    LATHE_TRY(space.q, infer::Pages::allocate(kTokens * kDepth));
    LATHE_TRY(space.scale, infer::Pages::allocate(kTokens * kDepth / 32 * sizeof(float)));
    LATHE_TRY(space.sum, infer::Pages::allocate(kTokens * kDepth / 16 * sizeof(std::int16_t)));
    LATHE_TRY(space.out, infer::Pages::allocate(kTokens * kRows * sizeof(float)));
  }
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const Instant start = std::chrono::steady_clock::now();
    team.run(spaces.size(), [&](std::size_t part, int) {
      const Space& space = spaces[part];
      const infer::MatmulArgs args{.panels = space.panels.data(),
                                   .rows = kRows,
                                   .k = kDepth,
                                   .tokens = kTokens,
                                   .x = {reinterpret_cast<const std::int8_t*>(space.q.data()),
                                         reinterpret_cast<const float*>(space.scale.data()),
                                         reinterpret_cast<const std::int16_t*>(space.sum.data())},
                                   .x_f32 = nullptr,
                                   .out = reinterpret_cast<float*>(space.out.data()),
                                   .out_stride = kRows};
      for (std::size_t n = 0; n < kTimes; ++n) type->matmul(args);
    });
    const double operations = 2.0 * kRows * kDepth * kTokens * kTimes;
    best = std::max(best, operations * static_cast<double>(spaces.size()) / seconds_since(start));
  }
  return best * 1e-9;
}

// "some avg10=1.25 …" → 0.0125
std::optional<double> pressure(const fs::path& file) {
  const std::string text = sysfs_text(file).value_or("");
  constexpr std::string_view kKey = "some avg10=";
  if (!text.starts_with(kKey)) return {};
  const auto percent = parse_decimal(
      std::string_view(text).substr(kKey.size(), text.find(' ', kKey.size()) - kKey.size()));
  return percent ? std::optional(*percent / 100) : std::nullopt;
}

struct Ticks {
  std::string name;
  std::uint64_t ticks = 0;
};

// What every process but this one has computed so far.
std::map<std::string, Ticks> read_ticks(const fs::path& root) {
  std::map<std::string, Ticks> all;
  for (const fs::path& entry : sysfs_entries(root / "proc", "")) {
    const std::string id = entry.filename().string();
    const auto pid = to_unsigned(id);
    if (!pid || *pid == static_cast<std::uint64_t>(::getpid())) continue;
    const std::string stat = sysfs_text(entry / "stat").value_or("");
    const auto open = stat.find('('), close = stat.rfind(')');
    if (open == stat.npos || close == stat.npos) continue;
    const std::vector<std::string> fields = split(stat.substr(close + 1), ' ');
    if (fields.size() < 14) continue;
    all[id] = {stat.substr(open + 1, close - open - 1),
               to_unsigned(fields[12]).value_or(0) + to_unsigned(fields[13]).value_or(0)};
  }
  return all;
}

std::vector<BusyProcess> busy_processes(const fs::path& root) {
  const auto before = read_ticks(root);
  const Instant start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(Milliseconds(500));
  const double second = static_cast<double>(::sysconf(_SC_CLK_TCK)) * seconds_since(start);
  std::vector<BusyProcess> busy;
  for (const auto& [id, now] : read_ticks(root)) {
    const auto earlier = before.find(id);
    const std::uint64_t from = earlier == before.end() ? 0 : earlier->second.ticks;
    if (now.ticks <= from) continue;
    const double percent = static_cast<double>(now.ticks - from) / second * 100;
    if (percent > kBusyPercent) busy.push_back({now.name, percent});
  }
  std::ranges::sort(busy, std::greater<>(), &BusyProcess::percent);
  return busy;
}

Json speed_json(const MachineSpeed& speed) {
  return {{"memory_gb", decimal(speed.memory_gb)}, {"int8_gop", decimal(speed.int8_gop)}};
}

}  // namespace

Result<MachineSpeed> measure_machine(infer::ThreadTeam& team) {
  MachineSpeed speed;
  LATHE_TRY(speed.memory_gb, read_memory(team));
  LATHE_TRY(speed.int8_gop, compute(team));
  return speed;
}

MachineState read_machine_state(const fs::path& root) {
  MachineState state;
  state.governor =
      sysfs_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").value_or("");
  state.cpu_pressure = pressure(root / "proc/pressure/cpu");
  state.memory_pressure = memory_pressure(root);
  const std::string load = sysfs_text(root / "proc/loadavg").value_or("");
  state.load_average = parse_decimal(std::string_view(load).substr(0, load.find(' ')));
  state.busy = busy_processes(root);
  const Climate climate = read_climate(root);
  state.on_battery = climate.on_battery.value_or(false);
  state.throttles = climate.throttles;
  return state;
}

std::vector<std::string> objections_to(const MachineState& state) {
  std::vector<std::string> why;
  const auto slower = [&](std::string_view what, double now, double best) {
    if (best > 0 && now < kNearBest * best)
      why.push_back(fmt::format("{} is at {:.0f} % of the best that was recorded here", what,
                                now / best * 100));
  };
  if (state.best) {
    slower("what memory gives", state.speed.memory_gb, state.best->memory_gb);
    slower("int8 arithmetic", state.speed.int8_gop, state.best->int8_gop);
  }
  if (!state.governor.empty() && state.governor != "performance")
    why.push_back(fmt::format("the frequency governor is '{}', not 'performance'", state.governor));
  if (state.cpu_pressure.value_or(0) > kPressed)
    why.push_back(fmt::format("processors were waited for {:.0f} % of the last ten seconds",
                              *state.cpu_pressure * 100));
  if (state.memory_pressure.value_or(0) > kPressed)
    why.push_back(fmt::format("memory was waited for {:.0f} % of the last ten seconds",
                              *state.memory_pressure * 100));
  if (!state.busy.empty()) {
    std::vector<std::string> names;
    for (const BusyProcess& process : state.busy)
      if (names.size() < 5)
        names.push_back(fmt::format("{} {:.0f} %", process.name, process.percent));
    why.push_back("other programs are busy: " + join(names, ", "));
  }
  if (state.on_battery) why.push_back("it runs on its battery");
  return why;
}

Json to_json(const MachineState& state) {
  Json busy = Json::array();
  for (const BusyProcess& process : state.busy)
    busy.push_back({{"name", process.name}, {"percent", decimal(std::round(process.percent))}});
  return {{"speed", speed_json(state.speed)},
          {"best", state.best ? speed_json(*state.best) : Json()},
          {"governor", state.governor.empty() ? Json() : Json(state.governor)},
          {"cpu_pressure", decimal_or_null(state.cpu_pressure)},
          {"memory_pressure", decimal_or_null(state.memory_pressure)},
          {"load_average", decimal_or_null(state.load_average)},
          {"busy", std::move(busy)},
          {"on_battery", state.on_battery},
          {"throttles", state.throttles ? Json(*state.throttles) : Json()}};
}

Clocks read_clocks() {
  const auto read = [](clockid_t id) {
    timespec time{};
    ::clock_gettime(id, &time);
    return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
  };
  return {read(CLOCK_MONOTONIC), read(CLOCK_BOOTTIME), read(CLOCK_REALTIME)};
}

std::vector<std::string> clock_faults(const Clocks& before, const Clocks& after) {
  const std::int64_t steady = after.steady_us - before.steady_us;
  const std::int64_t with_sleep = after.with_sleep_us - before.with_sleep_us;
  const std::int64_t of_day = after.of_day_us - before.of_day_us;
  constexpr std::int64_t kMost = 1'000'000;
  std::vector<std::string> faults;
  if (with_sleep - steady > kMost)
    faults.push_back(fmt::format("the machine slept for {:.1f} s while it was measured",
                                 static_cast<double>(with_sleep - steady) / 1e6));
  if (std::abs(of_day - with_sleep) > kMost)
    faults.push_back(fmt::format("the clock was set by {:+.1f} s while it was measured",
                                 static_cast<double>(of_day - with_sleep) / 1e6));
  return faults;
}

}  // namespace lathe::app
