// Seals rows and goes along the chain that they are.
#include "books/ledger/chain.h"

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::books {

SealedRow seal(LedgerRow row, LedgerTip& tip) {
  row.number = tip.number + 1;
  row.previous = tip.hash;
  SealedRow sealed{row.number, dump_json(to_json(row))};
  tip = {sealed.number, sha256_hex(sealed.body)};
  return sealed;
}

Result<LedgerRow> unseal(const SealedRow& sealed) {
  const std::string place = fmt::format("row {} of the ledger", sealed.number);
  auto json = parse_json(sealed.body);
  if (!json) return at(place, std::move(json).error());
  auto row = row_from_json(*json);
  if (!row) return at(place, std::move(row).error());
  if (row->number != sealed.number)
    return invalid("{}: it says that it is row {}: it was moved", place, row->number);
  return row;
}

Status ChainCheck::take(const SealedRow& sealed) {
  const std::int64_t next = seen_.number + 1;
  if (sealed.number > next)
    return sealed.number == next + 1
               ? invalid("row {} of the ledger is missing: it was taken out", next)
               : invalid("rows {} to {} of the ledger are missing: they were taken out", next,
                         sealed.number - 1);
  LATHE_TRY(const LedgerRow row, unseal(sealed));
  if (row.previous != seen_.hash)
    return seen_.number == 0
               ? invalid("row 1 of the ledger names a row before it, and there is none")
               : invalid(
                     "row {} of the ledger was changed after row {} was written, or row {} was "
                     "put in later",
                     seen_.number, sealed.number, sealed.number);
  seen_ = {sealed.number, sha256_hex(sealed.body)};
  return {};
}

Status ChainCheck::end(const LedgerTip& tip) const {
  if (tip == seen_) return {};
  if (tip.number > seen_.number)
    return invalid("row {} of the ledger is missing, and all behind it: {} were written",
                   seen_.number + 1, tip.number);
  if (tip.number < seen_.number)
    return invalid("row {} of the ledger was put in by another program: {} were written",
                   tip.number + 1, tip.number);
  return invalid("row {} of the ledger, the last one, was changed after it was written",
                 seen_.number);
}

}  // namespace lathe::books
