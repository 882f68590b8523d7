// The chain of rows: each has the hash of the one before, so that a row that was changed, added or
// taken out is found, and named. It shows tampering; it does not say that what was written is true.
// Pure.
#pragma once

#include "books/ledger/row.h"

namespace lathe::books {

// A row as it is kept: its hash is the SHA-256 of these bytes.
struct SealedRow {
  std::int64_t number = 0;
  std::string body;  // to_json() of a row, one line
};

// Where the chain ends: kept beside it, so that a last row that is gone is missed, too.
struct LedgerTip {
  std::int64_t number = 0;  // 0: there is no row
  std::string hash = {};
  bool operator==(const LedgerTip&) const = default;
};

// The row behind `tip`, which moves on to it.
SealedRow seal(LedgerRow row, LedgerTip& tip);
// Errors: bytes that are no row; one that says another number than it is kept under.
Result<LedgerRow> unseal(const SealedRow& sealed);

// Goes along a chain from its first row on. take() and end() name the first place that is wrong.
class ChainCheck {
 public:
  Status take(const SealedRow& sealed);
  Status end(const LedgerTip& tip) const;
  std::int64_t rows() const { return seen_.number; }

 private:
  LedgerTip seen_;
};

}  // namespace lathe::books
