// The account of a run, for people and for programs.
#include "books/prices/run_cost.h"
#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe::books {
namespace {

// A row of two columns: in all, and of one accepted take.
std::string line_of(std::string_view name, std::string_view all, std::string_view take) {
  std::string line = fmt::format("{:<16} {:>24}  {:>24}", name, all, take);
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

class Columns {
 public:
  explicit Columns(const RunCost& cost)
      : takes_(cost.facts.accepted), least_(cost.sum.uncounted > 0 ? "≥ " : "") {}

  std::string tokens(std::string_view name, std::int64_t count) const {
    return line_of(name, least_ + std::to_string(count),
                   takes_ == 0 ? "" : least_ + std::to_string((count + takes_ / 2) / takes_));
  }
  std::string count(std::string_view name, std::int64_t count) const {
    return line_of(name, std::to_string(count),
                   takes_ == 0 ? ""
                               : fmt::format("{:.1f}", static_cast<double>(count) /
                                                           static_cast<double>(takes_)));
  }
  std::string time(std::string_view name, std::int64_t ms) const {
    return line_of(name, format_duration(Milliseconds(ms)),
                   takes_ == 0 ? "" : format_duration(Milliseconds(ms / takes_)));
  }
  std::string energy(std::string_view name, double joules, std::string_view about) const {
    return line_of(name, fmt::format("{}{}", about, format_energy(joules)),
                   takes_ == 0 ? ""
                               : fmt::format("{}{}", about,
                                             format_energy(joules / static_cast<double>(takes_))));
  }
  std::string money(std::string_view name, std::int64_t nano, std::string_view currency,
                    std::string_view about = "") const {
    return line_of(
        name, fmt::format("{}{}", about, format_nano(nano, currency)),
        takes_ == 0 ? "" : fmt::format("{}{}", about, format_nano(nano / takes_, currency)));
  }

 private:
  std::int64_t takes_;
  std::string least_;
};

std::string calls_note(const Total& sum) {
  std::vector<std::string> parts;
  for (const auto& [count, what] : {std::pair(sum.failed, "failed"),
                                    {sum.cancelled, "cancelled"},
                                    {sum.lost, "lost"},
                                    {sum.uncounted, "uncounted"}})
    if (count > 0) parts.push_back(fmt::format("{} {}", count, what));
  return parts.empty() ? "" : fmt::format("  ({})", join(parts, ", "));
}

Json amount_json(const Amount& amount) {
  if (!amount.nano) return {{"nano", nullptr}, {"why", amount.why}};
  return {{"nano", *amount.nano}, {"currency", amount.currency}};
}

}  // namespace

std::vector<std::string> cost_lines(const RunCost& cost) {
  const RunFacts& facts = cost.facts;
  const Total& sum = cost.sum;
  const Columns columns(cost);
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{} of {} takes accepted, by {} laps with {} candidates",
                              facts.accepted, facts.units, facts.laps, facts.candidates));
  if (sum.calls == 0) {
    lines.emplace_back("the ledger has no call of this run: it was made by an older lathe");
    return lines;
  }
  lines.push_back(line_of("", "in all", facts.accepted > 0 ? "an accepted take" : ""));
  lines.push_back(columns.count("calls", sum.calls) + calls_note(sum));
  lines.push_back(columns.tokens("tokens fresh", sum.fresh));
  lines.push_back(columns.tokens("tokens cached", sum.cached));
  lines.push_back(columns.tokens("tokens out", sum.out));
  lines.push_back(columns.time("working time", facts.working_ms));
  const std::string about = cost.modelled ? "~" : "";
  if (cost.joules)
    lines.push_back(columns.energy("energy", *cost.joules, about) +
                    fmt::format("  ({})", cost.energy_basis));
  else
    lines.push_back("energy           " + cost.energy_basis);
  if (cost.power.nano)
    lines.push_back(columns.money("power", *cost.power.nano, cost.power.currency, about));
  else
    lines.push_back("power            no amount: " + cost.power.why);
  if (cost.machine.nano)
    lines.push_back(columns.money("machine", *cost.machine.nano, cost.machine.currency));
  else
    lines.push_back("machine          no amount: " + cost.machine.why);
  for (const auto& [currency, nano] : sum.nano)
    lines.push_back(columns.money("paid", nano, currency, sum.unpriced > 0 ? "≥ " : ""));
  if (sum.unpriced > 0)
    lines.push_back(fmt::format("paid             {} of the calls are unpriced", sum.unpriced));
  for (const Elsewhere& line : cost.elsewhere) {
    lines.push_back(
        columns.money("priced at", line.low, line.currency, sum.uncounted > 0 ? "≥ " : "") +
        fmt::format("  {}", line.what));
    if (line.high != line.low)
      lines.push_back(columns.money("     up to", line.high, line.currency));
    lines.push_back("                 " + line.basis);
  }
  for (const std::string& why : cost.not_priced) lines.push_back("                 " + why);
  return lines;
}

Json to_json(const Elsewhere& elsewhere) {
  return {{"what", elsewhere.what},
          {"low_nano", elsewhere.low},
          {"high_nano", elsewhere.high},
          {"currency", elsewhere.currency},
          {"basis", elsewhere.basis}};
}

Json to_json(const RunCost& cost) {
  Json elsewhere = Json::array();
  for (const Elsewhere& line : cost.elsewhere) elsewhere.push_back(to_json(line));
  return {{"units", cost.facts.units},
          {"accepted", cost.facts.accepted},
          {"laps", cost.facts.laps},
          {"candidates", cost.facts.candidates},
          {"working_ms", cost.facts.working_ms},
          {"sum", to_json(cost.sum)},
          {"joules", cost.joules ? Json(*cost.joules) : Json()},
          {"energy_basis", cost.energy_basis},
          {"modelled", cost.modelled},
          {"power", amount_json(cost.power)},
          {"machine", amount_json(cost.machine)},
          {"priced_at", std::move(elsewhere)},
          {"not_priced", cost.not_priced}};
}

}  // namespace lathe::books
