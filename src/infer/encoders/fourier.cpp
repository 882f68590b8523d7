// Transforms of real windows: split by the smallest prime factor, down to sums of a few terms.
#include "infer/encoders/fourier.h"

#include <numbers>

#include "ground/base/result.h"

namespace lathe::infer {
namespace {

std::size_t smallest_factor(std::size_t n) {
  for (std::size_t p = 2; p * p <= n; ++p)
    if (n % p == 0) return p;
  return n;
}

}  // namespace

Fourier::Fourier(std::size_t length) : roots_(length) {
  LATHE_CHECK(length > 0);
  for (std::size_t k = 0; k < length; ++k)
    roots_[k] = std::polar(
        1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(length));
}

void Fourier::transform(std::span<const double> window, Work& work) const {
  LATHE_CHECK(window.size() == length());
  work.input.assign(window.begin(), window.end());
  work.output.resize(length());
  work.spare.resize(length());
  transform(work.input.data(), 1, length(), work.output.data(), work.spare.data());
}

// The n numbers that stand `stride` apart. Those at each residue of the smallest factor are
// transformed on their own, then put together.
void Fourier::transform(const Complex* in, std::size_t stride, std::size_t n, Complex* out,
                        Complex* spare) const {
  if (n == 1) {
    *out = *in;
    return;
  }
  const std::size_t parts = smallest_factor(n), size = n / parts;
  for (std::size_t p = 0; p < parts; ++p)
    transform(in + p * stride, stride * parts, size, spare + p * size, out + p * size);
  const std::size_t turn = length() / n;
  for (std::size_t k = 0; k < n; ++k) {
    Complex sum = spare[k % size];
    for (std::size_t p = 1; p < parts; ++p)
      sum += spare[p * size + k % size] * roots_[p * k % n * turn];
    out[k] = sum;
  }
}

}  // namespace lathe::infer
