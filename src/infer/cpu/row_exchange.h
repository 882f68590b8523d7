// Between the products of a step on several machines, each of which has some rows of every matrix.
// The engine's thread only.
#pragma once

#include "infer/tensor/matrix.h"

namespace lathe::infer {

class RowExchange {
 public:
  virtual ~RowExchange() = default;
  // Some of the matrices are parts, and each machine has computed its own rows: now all have all of
  // them.
  virtual void gather(std::span<const Product> products) = 0;
  // … now the first one has.
  virtual void hand_in(const Product& product) = 0;
  // A machine is gone: what was gathered since is nothing, and the step need not go on.
  virtual bool lost() const = 0;
};

}  // namespace lathe::infer
