// Products of a step's tokens with a layer's matrices, and with the adapters beside them.
#include "infer/cpu/step.h"

#include <algorithm>
#include <array>

namespace lathe::infer {

void Step::multiply_linears(std::size_t layer, const Activations& x,
                            std::span<const Linear> linears) {
  std::vector<Product> products;
  for (const Linear& linear : linears) {
    const PackedMatrix& matrix = model->layers()[layer].matrix[linear.slot];
    products.push_back({.matrix = &matrix,
                        .x = &x,
                        .tokens = tokens.size(),
                        .out = linear.out,
                        .stride = matrix.all_rows()});
    if (observer != nullptr) observer->multiplied(layer, linear.slot, 0, x, 0, tokens.size());
  }
  multiply_all(products);
  for (const Linear& linear : linears) adapt(layer, linear.slot, x, linear.out);
}

bool Step::record_linears(Chain& chain, std::size_t layer, const Activations& x,
                          std::span<const Linear> linears) const {
  std::array<Product, 3> products;  // q, k, v are the most
  LATHE_CHECK(linears.size() <= products.size());
  for (std::size_t i = 0; i < linears.size(); ++i) {
    const PackedMatrix& matrix = model->layers()[layer].matrix[linears[i].slot];
    products[i] = {.matrix = &matrix,
                   .x = &x,
                   .tokens = tokens.size(),
                   .out = linears[i].out,
                   .stride = matrix.all_rows()};
  }
  return chain.multiply(std::span(products).first(linears.size()));
}

const std::uint64_t* Step::record_tables(Chain& chain, std::size_t group) {
  tables.resize(layout->groups().size());
  if (tables[group] != nullptr) return tables[group];
  const std::size_t bytes = layout->groups()[group].block_bytes;
  auto* const of_tokens = chain.stage_for<std::uint64_t>(tokens.size());
  if (of_tokens == nullptr) return nullptr;
  for (const Run& run : runs) {
    const SequenceBlocks& memory = *tokens[run.first].memory;
    const SequenceBlocks::Table& own = memory.tables()[group];
    auto* const table = chain.stage_for<std::uint64_t>(own.blocks.size());
    if (table == nullptr) return nullptr;
    for (std::size_t i = 0; i < own.blocks.size(); ++i) {
      table[i] = chain.address(memory.data(group, (own.first + i) * kChunk), bytes);
      if (table[i] == 0) return nullptr;
    }
    const std::uint64_t at = chain.address(table, own.blocks.size() * sizeof(std::uint64_t));
    std::fill_n(of_tokens + run.first, run.count, at);
  }
  return tables[group] = of_tokens;
}

void Step::multiply_experts(std::size_t layer, const Activations& x,
                            std::span<const Linear> linears) {
  const std::vector<std::size_t>& first = choice.first;
  std::vector<Product> products;
  for (const Linear& linear : linears) {
    const PackedMatrix& matrix = model->layers()[layer].matrix[linear.slot];
    const std::size_t rows = matrix.all_rows();
    for (std::size_t e = 0; e < matrix.experts; ++e) {
      const std::size_t count = first[e + 1] - first[e];
      if (count == 0) continue;
      products.push_back({&matrix, e, &x, first[e], count, linear.out + first[e] * rows, rows});
      if (observer != nullptr) observer->multiplied(layer, linear.slot, e, x, first[e], count);
    }
  }
  multiply_all(products);
  for (const Linear& linear : linears) adapt_experts(layer, linear.slot, x, linear.out);
}

void Step::multiply(std::span<const Product> products) const {
  if (multiplier != nullptr && multiplier->multiply(products)) return;
  infer::multiply(*team, products);
}

void Step::multiply_all(std::span<const Product> products) {
  multiply(products);
  if (exchange != nullptr) exchange->gather(products);
}

// y += the adapters' products with x, for the tokens that have one.
void Step::adapt(std::size_t layer, Slot slot, const Activations& x, float* y) {
  for (const Adapted& run : adapted) {
    const LowRank& part = run.adapter->part(layer, slot);
    if (part.rank == 0) continue;
    low.resize(std::max(low.size(), run.count * part.rank));
    const LowRankProduct product{
        .tokens = run.count, .x = x.row(run.first), .y = y + run.first * part.rows};
    add_low_rank(*team, kernels(), part, {&product, 1}, x.k(), low.data());
  }
}

void Step::adapt_experts(std::size_t layer, Slot slot, const Activations& x, float* y) {
  for (const Adapted& run : adapted) {
    const LowRank& part = run.adapter->part(layer, slot);
    if (part.rank == 0) continue;
    std::size_t pairs = 0;
    low_products.clear();
    for (std::size_t e = 0; e < part.experts; ++e) {
      // An expert's pairs are in the order of the tokens: those of the run stand together.
      const auto all = choice.token_of.begin();
      const auto end = all + static_cast<std::ptrdiff_t>(choice.first[e + 1]);
      const auto from =
          std::lower_bound(all + static_cast<std::ptrdiff_t>(choice.first[e]), end, run.first);
      const auto to = std::lower_bound(from, end, run.first + run.count);
      if (from == to) continue;
      const auto at = static_cast<std::size_t>(from - all),
                 count = static_cast<std::size_t>(to - from);
      low_products.push_back({e, count, x.row(at), y + at * part.rows});
      pairs += count;
    }
    low.resize(std::max(low.size(), pairs * part.rank));
    add_low_rank(*team, kernels(), part, low_products, x.k(), low.data());
  }
}

}  // namespace lathe::infer
