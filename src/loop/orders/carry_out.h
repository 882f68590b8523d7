// The node's side: an order fetched, checked and carried out.
#pragma once

#include "books/leases/lease_store.h"
#include "loop/orders/order.h"

namespace lathe::loop {

// The machine as orders may use it.
struct OrderBench {
  fs::path program;  // lathe's own executable
  bool unsafe_no_sandbox = false;
  std::string build;
  std::shared_ptr<MediaPool> media;                        // voices and ears
  std::function<Worker*(const std::string& name)> worker;  // null: not known here
  const StopFlag& stop;
  std::function<void(std::string_view)> progress = {};  // may be empty
};

// What came of it is kept as a blob, which the result's body names: {"answer": sha256}. That a
// maker or a judge had an error is a result as well, the one that the run would have had at home.
// An Error is an attempt without a result: an order that cannot be read or fetched, or that this
// machine cannot carry out; kCancelled: it was told to stop, and the lease can be given back.
Result<books::UnitResult> carry_out(const std::string& unit_id, OrderBlobs& blobs,
                                    const OrderBench& bench);

// What this program can make and judge, whatever the machine has for it: "maker:text",
// "judge:ears".
std::vector<std::string> program_caps();

}  // namespace lathe::loop
