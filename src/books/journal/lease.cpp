// The state machine of a lease that is asked for.
#include "books/journal/lease.h"

#include "ground/base/result.h"

namespace lathe::books {

LeaseAsk after_answer(LeaseAsk ask, bool taken) {
  LATHE_CHECK(ask.state == LeaseAsk::State::kAsking);
  if (!taken)
    ask.state = LeaseAsk::State::kHolding;
  else if (ask.waited >= ask.patience)
    ask.state = LeaseAsk::State::kRefused;
  else
    ask.waited += kLeasePause;
  return ask;
}

}  // namespace lathe::books
