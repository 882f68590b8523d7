// A linear layer with or without low rank, forward and backward.
#include "infer/tune/linear.h"

#include <algorithm>
#include <cstring>

namespace lathe::infer {
namespace {

// Rows [from, from + count) of a frozen or trained W, as floats: in place where it is floats.
const float* rows_of(const Linear& linear, std::size_t from, std::size_t count, float* room) {
  if (linear.weight.value != nullptr) return linear.weight.value + from * linear.k;
  const std::size_t bytes = linear.k / linear.type->block * linear.type->block_bytes;
  for (std::size_t r = 0; r < count; ++r) {
    float* out = room + r * linear.k;
    linear.type->decode(linear.frozen + (from + r) * bytes, out, linear.k);
    if (linear.frozen_scale != nullptr)
      for (std::size_t i = 0; i < linear.k; ++i) out[i] *= *linear.frozen_scale;
  }
  return room;
}

// Whole panels of 32 rows, as many as the scratch holds.
std::size_t rows_at_once(std::size_t k) {
  return std::max<std::size_t>(1, LinearScratch::kFloats / (k * kTileColumns)) * kTileColumns;
}

// y (+)= x·Wᵀ for rows of W that `rows(from, count, thread)` gives.
void times_transposed(LinearScratch& scratch, std::size_t tokens, Rows x, std::size_t rows,
                      std::size_t k, bool add, Rows y, auto&& give) {
  const std::size_t step = rows_at_once(k);
  for (std::size_t from = 0; from < rows; from += step) {
    const std::size_t count = std::min(step, rows - from);
    scratch.team.run((count + kTileColumns - 1) / kTileColumns, [&](std::size_t panel, int thread) {
      const std::size_t row = panel * kTileColumns, here = std::min(kTileColumns, count - row);
      transpose_panel(give(from + row, here, thread), k, here, k, scratch.piece.data() + row * k);
    });
    const Gemm product{.rows = tokens,
                       .columns = count,
                       .k = k,
                       .a = x.data,
                       .a_row = x.stride,
                       .b = scratch.piece.data(),
                       .b_k = kTileColumns,
                       .b_panel = kTileColumns * k,
                       .c = y.data + from,
                       .c_row = y.stride,
                       .add = add};
    multiply(scratch.team, scratch.kernels, {&product, 1});
  }
}

// dx (+)= dy·W.
void times(LinearScratch& scratch, const Linear& linear, std::size_t tokens, Rows dy, bool add,
           Rows dx) {
  const bool decoded = linear.weight.value == nullptr;
  const std::size_t step = decoded ? rows_at_once(linear.k) : linear.rows;
  for (std::size_t from = 0; from < linear.rows; from += step) {
    const std::size_t count = std::min(step, linear.rows - from);
    if (decoded)
      scratch.team.run(count, [&](std::size_t r, int) {
        rows_of(linear, from + r, 1, scratch.piece.data() + r * linear.k);
      });
    const Gemm product{.rows = tokens,
                       .columns = linear.k,
                       .k = count,
                       .a = dy.data + from,
                       .a_row = dy.stride,
                       .b = decoded ? scratch.piece.data() : linear.weight.value,
                       .b_k = linear.k,
                       .c = dx.data,
                       .c_row = dx.stride,
                       .add = add || from != 0};
    multiply(scratch.team, scratch.kernels, {&product, 1});
  }
}

// dw (rows, k) += dyᵀ·x, each number summed over the tokens in their order.
Gemm to_weights(std::size_t tokens, Rows dy, std::size_t rows, Rows x, std::size_t k, float* dw) {
  return {.rows = rows,
          .columns = k,
          .k = tokens,
          .a = dy.data,
          .a_row = 1,
          .a_k = dy.stride,
          .b = x.data,
          .b_k = x.stride,
          .c = dw,
          .c_row = k,
          .add = true};
}

void scale_rows(LinearScratch& scratch, Rows x, std::size_t n, std::size_t tokens, float factor) {
  scratch.team.run(tokens, [&](std::size_t t, int) { scratch.kernels.scale(x.row(t), factor, n); });
}

// Where those of the i-th matrix of so many numbers start.
Weights behind(const Weights& all, std::size_t i, std::size_t size) {
  return {all.value == nullptr ? nullptr : all.value + i * size,
          all.gradient == nullptr ? nullptr : all.gradient + i * size};
}

}  // namespace

Linear expert_of(const Linear& all, std::size_t expert) {
  LATHE_CHECK(expert < all.experts);
  const std::size_t rows = all.expert_rows == 0 ? all.rows : all.expert_rows;
  Linear one = all;
  one.experts = 1;
  one.weight = behind(all.weight, expert, rows * all.k);
  if (all.frozen != nullptr)
    one.frozen += expert * rows * (all.k / all.type->block * all.type->block_bytes);
  if (all.frozen_scale != nullptr) one.frozen_scale += expert;
  one.bias = behind(all.bias, expert, rows);
  one.lora_a = behind(all.lora_a, expert, all.rank * all.k);
  one.lora_b = behind(all.lora_b, expert, rows * all.rank);
  return one;
}

Status LinearScratch::reserve(std::size_t max_k, std::size_t threads) {
  LATHE_TRY_STATUS(piece.reserve(std::max(kFloats, max_k * kTileColumns)));
  rows_stride = max_k * kTileColumns;
  return rows.reserve(rows_stride * threads);
}

void forward(LinearScratch& scratch, const Linear& linear, std::size_t tokens, Rows x, Rows y,
             Rows low) {
  times_transposed(scratch, tokens, x, linear.rows, linear.k, false, y,
                   [&](std::size_t from, std::size_t count, int thread) {
                     float* room = scratch.rows.data() +
                                   static_cast<std::size_t>(thread) * scratch.rows_stride;
                     return rows_of(linear, from, count, room);
                   });
  if (linear.bias.value != nullptr)
    scratch.team.run(tokens, [&](std::size_t t, int) {
      float* out = y.row(t);
      for (std::size_t i = 0; i < linear.rows; ++i) out[i] += linear.bias.value[i];
    });
  if (linear.rank == 0) return;
  const std::size_t rank = linear.rank;
  times_transposed(
      scratch, tokens, x, rank, linear.k, false, low,
      [&](std::size_t from, std::size_t, int) { return linear.lora_a.value + from * linear.k; });
  scale_rows(scratch, low, rank, tokens, linear.lora_scale);
  times_transposed(
      scratch, tokens, low, linear.rows, rank, true, y,
      [&](std::size_t from, std::size_t, int) { return linear.lora_b.value + from * rank; });
}

void backward(LinearScratch& scratch, const Linear& linear, const LinearBackward& args) {
  const std::size_t tokens = args.tokens;
  if (args.dx.data != nullptr) times(scratch, linear, tokens, args.dy, args.add, args.dx);
  if (linear.weight.gradient != nullptr) {
    const Gemm product =
        to_weights(tokens, args.dy, linear.rows, args.x, linear.k, linear.weight.gradient);
    multiply(scratch.team, scratch.kernels, {&product, 1});
  }
  if (linear.bias.gradient != nullptr)
    scratch.team.run((linear.rows + 63) / 64, [&](std::size_t piece, int) {
      const std::size_t from = piece * 64, end = std::min(linear.rows, from + 64);
      for (std::size_t t = 0; t < tokens; ++t)
        for (std::size_t i = from; i < end; ++i) linear.bias.gradient[i] += args.dy.row(t)[i];
    });
  if (linear.rank == 0) return;
  const std::size_t rank = linear.rank;
  const Linear b{.rows = linear.rows, .k = rank, .weight = {.value = linear.lora_b.value}};
  times(scratch, b, tokens, args.dy, false, args.d_low);
  scale_rows(scratch, args.d_low, rank, tokens, linear.lora_scale);
  const Gemm products[] = {
      to_weights(tokens, args.dy, linear.rows, args.low, rank, linear.lora_b.gradient),
      to_weights(tokens, args.d_low, rank, args.x, linear.k, linear.lora_a.gradient)};
  multiply(scratch.team, scratch.kernels, products);
  if (args.dx.data == nullptr) return;
  const Linear a{.rows = rank, .k = linear.k, .weight = {.value = linear.lora_a.value}};
  times(scratch, a, tokens, args.d_low, true, args.dx);
}

}  // namespace lathe::infer
