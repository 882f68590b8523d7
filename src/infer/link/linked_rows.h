// The rows of products that another machine computes, over a link: what one has of a product goes
// there, what the other has comes here, in both directions at once and in pieces of a bounded size.
// The engine's thread only.
#pragma once

#include <vector>

#include "infer/cpu/row_exchange.h"
#include "infer/link/link.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

class LinkedRows final : public RowExchange {
 public:
  // `first`: this is the machine that is handed in to. The link must outlive it. `silence`: after
  // which the other one counts as lost; 0: never.
  LinkedRows(Link& link, bool first, Milliseconds silence)
      : link_(&link), first_(first), silence_(silence) {}

  // What rows on their way take, on each of the two machines: both ways, as much at once as there
  // may be.
  static std::uint64_t bytes_for(const Blueprint& blueprint);
  // Takes that memory, so that no step has to.
  void reserve(const Blueprint& blueprint);
  std::uint64_t bytes() const { return out_.capacity() + in_.capacity(); }

  void gather(std::span<const Product> products) override;
  void hand_in(const Product& product) override;
  bool lost() const override { return !status_; }
  // What went wrong since the link began; the first of it.
  const Status& status() const { return status_; }

 private:
  // A token's row of a product: all of it, of which the matrix has some here.
  struct Row {
    float* all;
    const PackedMatrix* matrix;
  };
  enum class Ways : std::uint8_t { kBoth, kToFirst };
  void add_rows(const Product& product);
  void exchange_rows(Ways ways);
  Status exchange_piece(std::span<const Row> rows, Ways ways);

  Link* link_;
  bool first_;
  Milliseconds silence_;
  Status status_;
  std::vector<Row> rows_;
  std::vector<std::byte> out_, in_;
};

}  // namespace lathe::infer
