// When a machine has paid for itself: months of cash that no longer flows, against its price. Pure.
// Formula (sheet bench_cost_tune.md B3): C / (D·f·q − E − M); where prices elsewhere fall, month t
// is worth D·f·q / g^(t/12) − E.
#pragma once

#include "books/prices/box.h"

namespace lathe::books {

struct PaybackTerms {
  double price = 0;       // C, any one currency
  double cash = 0;        // D: the bill of a month that stops
  double share = 1;       // f: of its work, what this machine took over
  double acceptance = 1;  // q: accepted takes of all, by the same judges
  double power = 0;       // E: of a month
};

// Months until the price is back; nullopt: it never is, within 50 years. `fall`: prices elsewhere
// are divided by it each year; 1: they stay.
std::optional<double> payback_months(const PaybackTerms& terms, double fall);

// What there is to work it out from; absent: not known.
struct PaybackBasis {
  std::optional<Box> box = {};
  std::string why_no_box = {};
  Result<Utilisation> utilisation = Utilisation{};
  std::int64_t takes = 0, accepted = 0;  // of the runs that ended
  std::int64_t now_ms = 0;
};
struct Payback {
  PaybackTerms terms;
  double utilisation = 0;
  double used_hour = 0, used_hour_of_full = 0;  // what an hour of use costs: as used, and if always
  std::optional<double> flat, halved, tenth;    // months: prices stay, fall 2× and 10× a year
};
// Refused where something is missing: the error names all of it, and how to come by each.
Result<Payback> payback_of(const PaybackBasis& basis);

}  // namespace lathe::books
