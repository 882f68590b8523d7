// Months until a machine has paid for itself.
#include "books/prices/payback.h"

#include <cmath>

#include "ground/base/text.h"

namespace lathe::books {
namespace {

constexpr double kMostMonths = 600, kHoursOfMonth = 730;

double units(double nano) {
  return nano / static_cast<double>(kNano);
}

// One line each: what is missing, and how to come by it.
std::vector<std::string> missing_in(const PaybackBasis& basis) {
  std::vector<std::string> missing;
  if (!basis.box) {
    missing.push_back("the machine: " + basis.why_no_box);
  } else {
    if (basis.box->tariff_at(basis.now_ms) == nullptr)
      missing.emplace_back("the price of power: add [[tariff]] with 'from' and 'per_kwh'");
    if (!basis.box->watts_idle || !basis.box->watts_load)
      missing.emplace_back(
          "the power it takes: add watts_idle and watts_load, from a meter at the "
          "wall");
    if (!basis.box->cash)
      missing.emplace_back(
          "the cash basis: add [cash] with the bill of a month that really fell, "
          "'what' it was for, and the 'share' of its work that this machine took "
          "over");
    if (!basis.box->capacity)
      missing.emplace_back(
          "the capacity check: run `lathe capacity MODEL --verify`, and add "
          "[capacity] with the day and the people it said");
  }
  if (basis.takes == 0)
    missing.emplace_back(
        "the acceptance rate: no run has ended here; let `lathe loop` judge work "
        "of the kind that the bill was for");
  else if (basis.accepted == 0)
    missing.push_back(
        fmt::format("an accepted take: of {} none passed, so this machine replaces "
                    "nothing yet",
                    basis.takes));
  if (!basis.utilisation) missing.push_back("the use: " + basis.utilisation.error().message);
  return missing;
}

}  // namespace

std::optional<double> payback_months(const PaybackTerms& terms, double fall) {
  const double worth = terms.cash * terms.share * terms.acceptance;
  double back = 0;
  for (double month = 0; month < kMostMonths; ++month) {
    const double gain = worth / std::pow(fall, month / 12) - terms.power;
    if (gain <= 0) return std::nullopt;
    if (back + gain >= terms.price) return month + (terms.price - back) / gain;
    back += gain;
  }
  return std::nullopt;
}

Result<Payback> payback_of(const PaybackBasis& basis) {
  if (const auto missing = missing_in(basis); !missing.empty())
    return fail(ErrorKind::kUnavailable,
                "when it has paid for itself cannot be told; what is missing:\n  - {}",
                join(missing, "\n  - "));
  const Box& box = *basis.box;
  const std::int64_t per_kwh = box.tariff_at(basis.now_ms)->nano_per_kwh;
  Payback payback;
  payback.utilisation = basis.utilisation->share();
  const double watts = *box.watts_idle + (*box.watts_load - *box.watts_idle) * payback.utilisation;
  payback.terms = {
      .price = units(static_cast<double>(box.price)),
      .cash = units(static_cast<double>(box.cash->month)),
      .share = box.cash->share,
      .acceptance = static_cast<double>(basis.accepted) / static_cast<double>(basis.takes),
      .power = units(watts / 1000 * kHoursOfMonth * static_cast<double>(per_kwh))};
  payback.used_hour = units(cost_of_used_hour(box, payback.utilisation, per_kwh));
  payback.used_hour_of_full = units(cost_of_used_hour(box, 1, per_kwh));
  payback.flat = payback_months(payback.terms, 1);
  payback.halved = payback_months(payback.terms, 2);
  payback.tenth = payback_months(payback.terms, 10);
  return payback;
}

}  // namespace lathe::books
