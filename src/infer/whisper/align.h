// When words were said: from how much a decoder looked at each moment of the sound while it wrote
// them (the method of OpenAI's Whisper, "timing.py"). Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::infer {

// Dynamic time warping: the path through (rows, columns) from the first to the last of both, a step
// down, right or both at a time, with the least sum of costs. → where the path enters each row.
std::vector<std::size_t> warp(std::span<const double> cost, std::size_t rows, std::size_t columns);

// In place: of each number the median of the `width` (odd) around it, mirrored at the ends.
void median_filter(std::span<float> values, std::size_t width);

// weights (rows, columns), how much each row looked at each column: how far beyond a column's mean
// over the rows, in standard deviations.
void standardize_columns(std::span<float> weights, std::size_t rows, std::size_t columns);

// How many tokens each word has. Words begin with a blank; in a script without blanks each whole
// character is one.
std::vector<std::size_t> word_lengths(std::span<const std::string_view> tokens, bool blanks);

}  // namespace lathe::infer
