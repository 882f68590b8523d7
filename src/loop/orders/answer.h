// What came of an order, as bytes: written by the node that carried it out, read by the run's own
// machine as what a stranger says.
#pragma once

#include "loop/orders/order.h"

namespace lathe::loop {

struct MadeThere {
  std::string blob;
  std::string media_type, extension;
  Json facts = {};
};

struct OrderAnswer {
  std::string order;  // that it answers: its hash
  std::string build;
  std::int64_t ms = 0;  // that it took the node
  std::optional<WorkerInfo> asked = {};
  std::optional<std::string> prompt = {};  // a blob
  Usage usage = {};
  std::vector<std::string> proposals = {};
  // Of a maker: what was made, or why nothing was.
  Result<MadeThere> made = MadeThere{};
  // Of a judge; nullopt: it answers a maker's order.
  std::optional<Judgement> judgement = {};
};

std::string answer_text(const OrderAnswer& answer);
// Errors: what is no answer to `order`. The energy that was used there is left out.
Result<OrderAnswer> read_answer(std::string_view text, const std::string& order);

}  // namespace lathe::loop
